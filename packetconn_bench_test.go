package rondo

import (
	"context"
	"net"
	"testing"
)

// Datagrams of 64 bytes that go to an echo server and come back, both tasks of one
// loop: one at a time, and 32 in one call. The figures are of one datagram's way
// there and back.
func BenchmarkPacketConnPingPong(b *testing.B) {
	for _, bench := range []struct {
		name string
		run  func(ctx context.Context, b *testing.B) error
	}{{"single", benchSingle}, {"batch", benchBatch}} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			err := Run(func(ctx context.Context) error { return bench.run(ctx, b) }, WithoutSignals())
			if err != nil {
				b.Fatal(err)
			}
		})
	}
}

func benchSingle(ctx context.Context, b *testing.B) error {
	client, server, err := packetPair(ctx)
	if err != nil {
		return err
	}
	Spawn(ctx, func(ctx context.Context) (int, error) {
		p := make([]byte, 64)
		for {
			n, from, err := server.ReadFromAddrPort(p)
			if err != nil {
				return 0, nil
			}
			if _, err := server.WriteToAddrPort(p[:n], from); err != nil {
				return 0, err
			}
		}
	})
	p, to := make([]byte, 64), addrPort(server)
	b.ResetTimer()
	for range b.N {
		if _, err := client.WriteToAddrPort(p, to); err != nil {
			return err
		}
		if _, _, err := client.ReadFromAddrPort(p); err != nil {
			return err
		}
	}
	b.StopTimer()
	return server.Close()
}

func benchBatch(ctx context.Context, b *testing.B) error {
	const size = 32
	client, server, err := packetPair(ctx)
	if err != nil {
		return err
	}
	messages := func() []Message {
		ms := make([]Message, size)
		for i := range ms {
			ms[i].Buffer = make([]byte, 64)
			ms[i].Addr = addrPort(server)
		}
		return ms
	}
	Spawn(ctx, func(ctx context.Context) (int, error) {
		ms := messages()
		for {
			n, err := server.ReadBatch(ms)
			if err != nil {
				return 0, nil
			}
			if _, err := server.WriteBatch(ms[:n]); err != nil { // to whom they are from
				return 0, err
			}
		}
	})
	out, in := messages(), messages()
	b.ResetTimer()
	for done := 0; done < b.N; done += size {
		if _, err := client.WriteBatch(out); err != nil {
			return err
		}
		for got := 0; got < size; {
			n, err := client.ReadBatch(in)
			if err != nil {
				return err
			}
			got += n
		}
	}
	b.StopTimer()
	return server.Close()
}

// What package net costs for the same, by two goroutines.
func BenchmarkNetUDPPingPong(b *testing.B) {
	listen := func() *net.UDPConn {
		c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			b.Fatal(err)
		}
		return c
	}
	client, server := listen(), listen()
	defer client.Close()
	defer server.Close()
	go func() {
		p := make([]byte, 64)
		for {
			n, from, err := server.ReadFromUDPAddrPort(p)
			if err != nil {
				return
			}
			server.WriteToUDPAddrPort(p[:n], from)
		}
	}()
	p, to := make([]byte, 64), server.LocalAddr().(*net.UDPAddr).AddrPort()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.WriteToUDPAddrPort(p, to); err != nil {
			b.Fatal(err)
		}
		if _, _, err := client.ReadFromUDPAddrPort(p); err != nil {
			b.Fatal(err)
		}
	}
}

package rondotls

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/rondo-go/rondo"
)

// Client and server of both are in this process; so is the cost of both.
func BenchmarkEcho(b *testing.B) {
	for _, size := range []int{64, 64 << 10} {
		b.Run(fmt.Sprintf("rondotls/%d", size), func(b *testing.B) { benchmarkLoop(b, size) })
		b.Run(fmt.Sprintf("net/%d", size), func(b *testing.B) { benchmarkNet(b, size) })
	}
}

// echoOf echoes messages of a size.
func echoOf(c net.Conn, size int) error {
	buf := make([]byte, size)
	for {
		if _, err := io.ReadFull(c, buf); err != nil {
			return err
		}
		if _, err := c.Write(buf); err != nil {
			return err
		}
	}
}

func ping(b *testing.B, c net.Conn, size int) error {
	buf := make([]byte, size)
	exchange := func() error {
		if _, err := c.Write(buf); err != nil {
			return err
		}
		_, err := io.ReadFull(c, buf)
		return err
	}
	for sent := 0; sent < 256<<10; sent += max(size, 4<<10) { // until records are large
		if err := exchange(); err != nil {
			return err
		}
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if err := exchange(); err != nil {
			return err
		}
	}
	b.StopTimer()
	return nil
}

func benchmarkLoop(b *testing.B, size int) {
	withPair(b, func(ctx context.Context, c, s *Conn) error {
		rondo.Spawn(ctx, func(context.Context) (struct{}, error) { echoOf(s, size); return struct{}{}, nil })
		return ping(b, c, size)
	})
}

func benchmarkNet(b *testing.B, size int) {
	client, server := clientConfig(b), serverConfig(b)
	ln, err := tls.Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	go func() {
		if s, err := ln.Accept(); err == nil {
			echoOf(s, size)
			s.Close()
		}
	}()
	c, err := tls.Dial("tcp", ln.Addr().String(), client)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	if err := ping(b, c, size); err != nil {
		b.Fatal(err)
	}
}

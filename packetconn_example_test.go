package rondo_test

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/rondo-go/rondo"
)

// An echo server and its client, in straight-line code.
func ExamplePacketConn() {
	err := rondo.Run(func(ctx context.Context) error {
		server, err := rondo.ListenPacket(ctx, "udp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		rondo.Spawn(ctx, func(ctx context.Context) (int, error) {
			p := make([]byte, 1500)
			for {
				n, from, err := server.ReadFromAddrPort(p)
				if err != nil {
					return 0, err
				}
				if _, err := server.WriteToAddrPort(p[:n], from); err != nil {
					return 0, err
				}
			}
		})
		client, err := rondo.DialPacket(ctx, "udp", server.LocalAddr().String())
		if err != nil {
			return err
		}
		if _, err := client.Write([]byte("hello")); err != nil {
			return err
		}
		p := make([]byte, 1500)
		n, err := client.Read(p)
		fmt.Printf("%s\n", p[:n])
		return err
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output: hello
}

// shouter answers every datagram.
type shouter struct{ transport *rondo.DatagramTransport }

func (s *shouter) ReceivedDatagram(p []byte, from netip.AddrPort) {
	s.transport.SendTo(fmt.Appendf(nil, "%s!", p), from)
}
func (s *shouter) ErrorReceived(err error) { fmt.Println(err) }
func (s *shouter) Lost(error)              {}

// The same by callbacks, as asyncio's create_datagram_endpoint.
func ExampleServePacket() {
	err := rondo.Run(func(ctx context.Context) error {
		s := &shouter{}
		var err error
		if s.transport, err = rondo.ServePacket(ctx, "udp", "127.0.0.1:0", s); err != nil {
			return err
		}
		defer s.transport.Close()
		client, err := rondo.DialPacket(ctx, "udp", s.transport.LocalAddr().String())
		if err != nil {
			return err
		}
		if _, err := client.Write([]byte("hello")); err != nil {
			return err
		}
		p := make([]byte, 1500)
		n, err := client.Read(p)
		fmt.Printf("%s\n", p[:n])
		return err
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output: hello!
}

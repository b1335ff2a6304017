package rondohttp

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/rondo-go/rondo"
)

// BenchmarkSessionGet fetches 16 KB over one kept connection, from a server in this process that does
// next to nothing: compare allocations; the time is the kernel's and the server's too.
func BenchmarkSessionGet(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		answer := []byte(ok(strings.Repeat("x", 16<<10)))
		for in := make([]byte, 4096); ; {
			if _, err := c.Read(in); err != nil {
				return
			}
			if _, err := c.Write(answer); err != nil {
				return
			}
		}
	}()
	url := "http://" + l.Addr().String() + "/pep-0001.rst?i=1"
	b.ReportAllocs()
	b.SetBytes(16 << 10)
	err = rondo.Run(func(ctx context.Context) error {
		s := NewSession()
		defer s.Close()
		for b.Loop() {
			r, err := s.Get(ctx, url)
			if err != nil {
				return err
			}
			for err == nil {
				_, err = r.Next(ctx)
			}
			if err != io.EOF {
				return err
			}
			r.Close()
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

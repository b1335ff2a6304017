package rondo

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"testing"
)

// An endlessConn gives the same bytes over and over.
type endlessConn struct {
	net.Conn
	data []byte
	at   int
}

func (c *endlessConn) Read(p []byte) (int, error) {
	n := copy(p, c.data[c.at:])
	c.at = (c.at + n) % len(c.data)
	return n, nil
}

func lines64() *endlessConn {
	return &endlessConn{data: bytes.Repeat(append(bytes.Repeat([]byte("x"), 63), '\n'), 1024)}
}

func BenchmarkStreamReadLine(b *testing.B) {
	b.Run("stream", func(b *testing.B) {
		s := NewStream(lines64())
		b.ReportAllocs()
		b.SetBytes(64)
		for b.Loop() {
			if _, err := s.ReadLine(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("bufio", func(b *testing.B) {
		r := bufio.NewReaderSize(lines64(), readMost)
		b.ReportAllocs()
		b.SetBytes(64)
		for b.Loop() {
			if _, err := r.ReadSlice('\n'); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkStreamReadUntil(b *testing.B) {
	s := NewStream(lines64())
	one, two := []byte("\r\n"), []byte("\n")
	b.ReportAllocs()
	b.SetBytes(64)
	for b.Loop() {
		if _, err := s.ReadUntil(one, two); err != nil {
			b.Fatal(err)
		}
	}
}

// 64 bytes at a time through a socket to a task of the same loop.
func BenchmarkStreamWriteDrain(b *testing.B) {
	streamPair(b, func(ctx context.Context, s, peer *Stream) error {
		reader := Spawn(ctx, func(context.Context) (int64, error) {
			return io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{peer}, make([]byte, 64<<10))
		})
		p := make([]byte, 64)
		b.ReportAllocs()
		b.SetBytes(64)
		for b.Loop() {
			s.Write(p)
			if err := s.Drain(ctx); err != nil {
				return err
			}
		}
		s.Close()
		_, err := reader.Await(ctx)
		return err
	})
}

// A request and its reply of a line each, both ends on one loop.
func BenchmarkStreamEcho(b *testing.B) {
	streamPair(b, func(ctx context.Context, s, peer *Stream) error {
		echo := spawn(ctx, func(ctx context.Context) error {
			for line, err := range peer.Lines() {
				if err != nil {
					return err
				}
				peer.Write(line)
			}
			return nil
		})
		p := append(bytes.Repeat([]byte("x"), 63), '\n')
		b.ReportAllocs()
		for b.Loop() {
			s.Write(p)
			if _, err := s.ReadLine(); err != nil {
				return err
			}
		}
		s.Close()
		_, err := echo.Await(ctx)
		return err
	})
}

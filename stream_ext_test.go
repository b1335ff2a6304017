package rondo_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/rondo-go/rondo"
)

var _ net.Conn = (*rondo.Stream)(nil)

// A stream over TLS, whose writes park, over sockets that hold less than it writes.
func TestStreamRunsOverTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS() // for its certificate
	defer server.Close()
	config := server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	config.ServerName = "example.com"
	data := bytes.Repeat([]byte("0123456789abcde\n"), 1<<18)
	err := rondo.Run(func(ctx context.Context) error {
		ln, err := rondo.Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer ln.Close()
		return rondo.WithGroup(ctx, func(g *rondo.Group) error {
			g.Go(func(ctx context.Context) error {
				conn, err := ln.Accept()
				if err != nil {
					return err
				}
				secure := tls.Server(conn, server.TLS)
				if err := secure.HandshakeContext(ctx); err != nil {
					return err
				}
				s := rondo.NewStream(secure)
				got, err := io.ReadAll(s)
				if err != nil || !bytes.Equal(got, data) {
					t.Errorf("the server got %d bytes, %v", len(got), err)
				}
				for rest := got; len(rest) > 0; rest = rest[1<<16:] {
					s.Write(rest[:1<<16])
					if err := s.Drain(ctx); err != nil {
						return err
					}
				}
				if err := s.Close(); err != nil {
					return err
				}
				return s.WaitClosed(ctx)
			})
			conn, err := rondo.Dial(ctx, "tcp", ln.Addr().String())
			if err != nil {
				return err
			}
			secure := tls.Client(conn, config)
			if err := secure.HandshakeContext(ctx); err != nil {
				return err
			}
			s := rondo.NewStream(secure)
			defer s.Close()
			s.Write(data)
			if err := s.CloseWrite(); err != nil {
				return err
			}
			n := 0
			for line, err := range s.Lines() {
				if err != nil {
					return err
				}
				n += len(line)
			}
			if n != len(data) {
				t.Errorf("the client got %d bytes of %d", n, len(data))
			}
			return nil
		})
	}, rondo.WithoutSignals())
	if err != nil {
		t.Fatal(err)
	}
}

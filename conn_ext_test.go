package rondo_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rondo-go/rondo"
)

// Unmodified libraries run on a Conn, in many tasks of one loop: crypto/tls,
// bufio, and net/http's reader and writer of messages, against a real server.
func TestConnCarriesTLSAndHTTP(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s", r.Method, r.URL, strings.ToUpper(string(body)))
	}))
	defer server.Close()
	config := server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	config.ServerName = "example.com"
	exchange := func(ctx context.Context, n int) error {
		conn, err := rondo.Dial(ctx, "tcp", server.Listener.Addr().String())
		if err != nil {
			return err
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(20 * time.Second)) // of a real server
		secure := tls.Client(conn, config)
		in := bufio.NewReader(secure)
		for k := range 3 { // over one connection
			body := strings.Repeat("x", 1+n*10000)
			req, err := http.NewRequestWithContext(ctx, "POST", fmt.Sprintf("https://example.com/%d/%d", n, k), strings.NewReader(body))
			if err != nil {
				return err
			}
			if err := req.Write(secure); err != nil {
				return err
			}
			resp, err := http.ReadResponse(in, req)
			if err != nil {
				return err
			}
			got, err := io.ReadAll(resp.Body)
			if err != nil {
				return err
			}
			if want := fmt.Sprintf("POST /%d/%d %s", n, k, strings.ToUpper(body)); string(got) != want {
				return fmt.Errorf("got %.40q, want %.40q", got, want)
			}
		}
		return nil
	}
	err := rondo.Run(func(ctx context.Context) error {
		return rondo.WithGroup(ctx, func(g *rondo.Group) error {
			for n := range 20 {
				g.Go(func(ctx context.Context) error { return exchange(ctx, n) })
			}
			return nil
		})
	}, rondo.WithoutSignals())
	if err != nil {
		t.Fatal(err)
	}
}

// A server of the standard library accepts from a Listener of the loop: its
// goroutines use it off the loop.
func TestListenerServesGoroutines(t *testing.T) {
	err := rondo.Run(func(ctx context.Context) error {
		ln, err := rondo.Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello ", r.URL.Path) })}
		served := make(chan error, 1)
		go func() { served <- server.Serve(ln) }()
		conn, err := rondo.Dial(ctx, "tcp", ln.Addr().String())
		if err != nil {
			return err
		}
		fmt.Fprintf(conn, "GET /x HTTP/1.0\r\n\r\n")
		got, err := io.ReadAll(conn)
		if err != nil || !strings.HasSuffix(string(got), "hello /x") {
			t.Errorf("got %q, %v", got, err)
		}
		conn.Close()
		_, err = rondo.ToThread(ctx, func() (int, error) { return 0, server.Close() })
		if serr := <-served; serr != http.ErrServerClosed {
			t.Errorf("the server ended with %v", serr)
		}
		return err
	}, rondo.WithoutSignals())
	if err != nil {
		t.Fatal(err)
	}
}

func TestAdoptTakesAConnectionOver(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		c, err := ln.Accept()
		if err == nil {
			io.Copy(c, c)
			c.Close()
		}
	}()
	raw, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rondo.Adopt(raw); !errors.Is(err, rondo.ErrNotTask) {
		t.Errorf("off the loop: %v", err)
	}
	err = rondo.Run(func(ctx context.Context) error {
		conn, err := rondo.Adopt(raw)
		if err != nil {
			return err
		}
		defer conn.Close()
		fmt.Fprint(conn, "there and back")
		conn.CloseWrite()
		got, err := io.ReadAll(conn)
		if string(got) != "there and back" {
			t.Errorf("got %q", got)
		}
		return err
	}, rondo.WithoutSignals())
	if err != nil {
		t.Fatal(err)
	}
}

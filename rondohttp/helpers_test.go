package rondohttp

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/rondo-go/rondo"
)

// run runs f as the main task of a loop, with a session that is closed in the end.
func run(t *testing.T, f func(ctx context.Context, s *Session), opts ...Option) {
	t.Helper()
	err := rondo.Run(func(ctx context.Context) error {
		s := NewSession(opts...)
		defer s.Close()
		f(ctx, s)
		return nil
	})
	if err != nil {
		t.Fatalf("run: %v", err)
	}
}

// get returns status and body, and fails the test on any error.
func get(t *testing.T, ctx context.Context, s *Session, url string) (int, string) {
	t.Helper()
	r, err := s.Get(ctx, url)
	if err != nil {
		t.Fatalf("get: %v", err)
	}
	defer r.Close()
	b, err := r.Bytes(ctx)
	if err != nil {
		t.Fatalf("body of %s: %v", url, err)
	}
	return r.Status, string(b)
}

// fetch returns the body and the first error, of the head or of the body.
func fetch(ctx context.Context, s *Session, req *Request) (string, error) {
	r, err := s.Do(ctx, req)
	if err != nil {
		return "", err
	}
	defer r.Close()
	b, err := r.Bytes(ctx)
	return string(b), err
}

func kindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	if err != nil {
		return Kind("not an *Error: " + err.Error())
	}
	return ""
}

// A counter watches the connections of a server.
type counter struct{ opened, now atomic.Int64 }

func (c *counter) state(_ net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		c.opened.Add(1)
		c.now.Add(1)
	case http.StateClosed, http.StateHijacked:
		c.now.Add(-1)
	}
}

// serve starts an HTTP server that ends with the test.
func serve(t *testing.T, h http.HandlerFunc) (url string, c *counter) {
	t.Helper()
	c = new(counter)
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ConnState = c.state
	srv.Start()
	t.Cleanup(srv.Close)
	return srv.URL, c
}

// serveRaw starts a TCP server that hands each connection, and its number from 1 on, to f.
func serveRaw(t *testing.T, f func(c *net.TCPConn, n int)) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	quit := make(chan struct{})
	t.Cleanup(func() { close(quit); l.Close(); all.Wait() })
	all.Go(func() {
		for n := 1; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			done := make(chan struct{})
			all.Go(func() { defer close(done); defer c.Close(); f(c.(*net.TCPConn), n) })
			all.Go(func() {
				select {
				case <-quit:
					c.Close()
				case <-done:
				}
			})
		}
	})
	return "http://" + l.Addr().String()
}

// readRequest reads one request, body and all, and returns nil at the end of the connection.
func readRequest(br *bufio.Reader) *http.Request {
	r, err := http.ReadRequest(br)
	if err != nil {
		return nil
	}
	b, _ := io.ReadAll(r.Body)
	r.Header.Set("Test-Body", string(b))
	return r
}

// answer reads one request and says text.
func answer(text string) func(*net.TCPConn, int) {
	return func(c *net.TCPConn, _ int) {
		if readRequest(bufio.NewReader(c)) != nil {
			io.WriteString(c, text)
		}
	}
}

func ok(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// silent reads until the connection ends.
func silent(c *net.TCPConn, _ int) { io.Copy(io.Discard, c) }

func descriptors(t *testing.T) int {
	t.Helper()
	e, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc/self/fd to count descriptors in")
	}
	return len(e)
}

package rondohttp

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/rondo-go/rondo"
)

// A testServer is a Server that runs on a loop of its own, off the test's goroutine.
type testServer struct {
	*Server
	t    testing.TB
	addr string
}

// startServer starts a server that ends with the test.
func startServer(t testing.TB, h http.Handler, opts ...ServerOption) *testServer {
	t.Helper()
	return start(t, NewServer(h, opts...))
}

// start is startServer for a server that is made already.
func start(t testing.TB, server *Server) *testServer {
	t.Helper()
	s := &testServer{t: t, Server: server}
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- rondo.Run(func(ctx context.Context) error {
			return s.ListenAndServe(ctx, "tcp", "127.0.0.1:0", func(a net.Addr) { ready <- a.String() })
		}, rondo.WithoutSignals())
	}()
	select {
	case s.addr = <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	return s
}

// dial connects to s. What the peer does not answer in time is an error.
func (s *testServer) dial() *net.TCPConn {
	s.t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(10 * time.Second))
	s.t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

// raw sends in, and returns all that comes until the server closes the connection.
func (s *testServer) raw(in string) string {
	s.t.Helper()
	c := s.dial()
	if _, err := io.WriteString(c, in); err != nil {
		s.t.Fatal(err)
	}
	out, err := io.ReadAll(c)
	if err != nil {
		s.t.Errorf("%.100q: %v, after %q", in, err, out)
	}
	return string(out)
}

// answers parses the answers in out to requests of the given methods.
func answers(t testing.TB, out string, methods ...string) (all []*http.Response, bodies []string) {
	t.Helper()
	br := bufio.NewReader(strings.NewReader(out))
	for _, m := range methods {
		r, err := http.ReadResponse(br, &http.Request{Method: m})
		if err != nil {
			t.Fatalf("answer to %s: %v, in %q", m, err, out)
		}
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatalf("answer to %s: %v, in %q", m, err, out)
		}
		all, bodies = append(all, r), append(bodies, string(b))
	}
	if rest, _ := io.ReadAll(br); len(rest) > 0 {
		t.Fatalf("beyond the last answer: %q", rest)
	}
	return all, bodies
}

// hello is a handler for both faces that tells what it was asked.
func helloNative(_ context.Context, w *ServerResponse, r *ServerRequest) error {
	body, err := r.Bytes(1 << 20)
	if err != nil {
		return err
	}
	w.SetContentType("text/plain")
	fmt.Fprintf(w, "%s %s %s %q", r.Method(), r.Path(), r.RawQuery(), body)
	return nil
}

func helloHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "text/plain")
	fmt.Fprintf(w, "%s %s %s %q", r.Method, r.URL.EscapedPath(), r.URL.RawQuery, body)
}

// faces runs f with both kinds of handler.
func faces(t *testing.T, f func(t *testing.T, hello http.Handler)) {
	t.Run("native", func(t *testing.T) { f(t, HandlerFunc(helloNative)) })
	t.Run("http", func(t *testing.T) { f(t, http.HandlerFunc(helloHTTP)) })
}

const closing = "Host: a\r\nConnection: close\r\n"

func TestServerAnswers(t *testing.T) {
	faces(t, func(t *testing.T, hello http.Handler) {
		s := startServer(t, hello)
		for in, want := range map[string]string{
			"GET /a?b=c HTTP/1.1\r\n" + closing + "\r\n":                                                              `GET /a b=c ""`,
			"\r\nGET /a HTTP/1.1\r\n" + closing + "\r\n":                                                              `GET /a  ""`,
			"GET /a HTTP/1.0\r\n\r\n":                                                                                 `GET /a  ""`,
			"POST / HTTP/1.1\r\n" + closing + "Content-Length: 5\r\n\r\nhello":                                        `POST /  "hello"`,
			"POST / HTTP/1.1\r\n" + closing + "Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nA: b\r\n\r\n": `POST /  "hello"`,
			"GET http://b/c?d HTTP/1.1\r\n" + closing + "\r\n":                                                        `GET /c d ""`,
			"OPTIONS * HTTP/1.1\r\n" + closing + "\r\n":                                                               `OPTIONS *  ""`,
		} {
			r, bodies := answers(t, s.raw(in), "GET")
			if bodies[0] != want || r[0].StatusCode != 200 || r[0].ContentLength != int64(len(want)) || r[0].Header.Get("Date") == "" || !r[0].Close {
				t.Errorf("%q: %v %q, want %q", in, r[0], bodies[0], want)
			}
		}
	})
}

func TestServerPipelinesInAnySplit(t *testing.T) {
	const batch = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n" +
		"POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" +
		"POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\nX: y\r\n\r\n" +
		"HEAD /4 HTTP/1.1\r\nHost: a\r\n\r\n" +
		"GET /5 HTTP/1.1\r\n" + closing + "\r\n"
	faces(t, func(t *testing.T, hello http.Handler) {
		s := startServer(t, hello)
		for cut := 1; cut <= len(batch); cut++ {
			c := s.dial()
			io.WriteString(c, batch[:cut])
			time.Sleep(200 * time.Microsecond) // so that the halves come in two reads, mostly
			io.WriteString(c, batch[cut:])
			out, err := io.ReadAll(c)
			if err != nil {
				t.Fatalf("cut at %d: %v", cut, err)
			}
			_, bodies := answers(t, string(out), "GET", "POST", "POST", "HEAD", "GET")
			if got := strings.Join(bodies, "|"); got != `GET /1  ""|POST /2  "abc"|POST /3  "abc"||GET /5  ""` {
				t.Fatalf("cut at %d: %s", cut, got)
			}
			c.Close()
		}
	})
}

func TestServerWithClientOfNetHTTP(t *testing.T) {
	faces(t, func(t *testing.T, hello http.Handler) {
		s := startServer(t, hello)
		tr := new(http.Transport)
		defer tr.CloseIdleConnections()
		c := http.Client{Transport: tr}
		for i := range 50 {
			body := strings.Repeat("x", i*97)
			var rd io.Reader = strings.NewReader(body)
			if i%2 == 0 {
				rd = io.MultiReader(rd) // in chunks
			}
			r, err := c.Post("http://"+s.addr+"/p", "text/plain", rd)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r.Body)
			r.Body.Close()
			if want := fmt.Sprintf("POST /p  %q", body); string(got) != want || err != nil {
				t.Fatalf("%d: %.80q, %v", i, got, err)
			}
		}
		if n := s.Connections(); n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}

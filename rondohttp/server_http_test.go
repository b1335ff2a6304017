package rondohttp

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rondo-go/rondo"
)

// get sends a request for path, and returns the one answer.
func (s *testServer) get(method, path string, fields ...string) (*http.Response, string) {
	s.t.Helper()
	out := s.raw(method + " " + path + " HTTP/1.1\r\n" + closing + strings.Join(fields, "\r\n") + crlf(fields) + "\r\n")
	r, bodies := answers(s.t, out, method)
	return r[0], bodies[0]
}

func crlf(fields []string) string {
	if len(fields) > 0 {
		return "\r\n"
	}
	return ""
}

// quiet keeps what the server reports to itself, in the buffer.
func quiet() (ServerOption, *lockedBuffer) {
	b := new(lockedBuffer)
	return WithServerLog(slog.New(slog.NewTextHandler(b, nil))), b
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestServerFramesAnswersOfNetHTTPHandlers(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/none", func(w http.ResponseWriter, r *http.Request) {})
	mux.HandleFunc("/short", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<html>hello") })
	mux.HandleFunc("/long", func(w http.ResponseWriter, r *http.Request) {
		for range 100 {
			io.WriteString(w, strings.Repeat("x", 1000))
		}
	})
	mux.HandleFunc("/big", func(w http.ResponseWriter, r *http.Request) { w.Write(make([]byte, 1<<20)) })
	mux.HandleFunc("/length", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "20000")
		w.Write(make([]byte, 20000))
	})
	mux.HandleFunc("/flush", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "a")
		w.(http.Flusher).Flush()
		io.WriteString(w, "b")
	})
	mux.HandleFunc("/204", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(204)
		if _, err := w.Write([]byte("x")); err != http.ErrBodyNotAllowed {
			t.Errorf("body of 204: %v", err)
		}
	})
	mux.HandleFunc("/304", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(304) })
	mux.HandleFunc("/multi", func(w http.ResponseWriter, r *http.Request) {
		w.Header()["X-A"] = []string{"1", "2\r\nX-B: evil"}
		w.Header().Set("Bad Name", "x")
		w.Header().Set("Date", "never")
		http.Error(w, "no", http.StatusTeapot)
	})
	mux.HandleFunc("/type", func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = nil
		io.WriteString(w, "hello")
	})
	mux.HandleFunc("/copy", func(w http.ResponseWriter, r *http.Request) {
		io.Copy(w, strings.NewReader(strings.Repeat("<html>", 5000)))
	})
	s := startServer(t, mux)
	for _, c := range []struct {
		method, path string
		status       int
		body         string
		length       int64
		chunked      bool
		kind         string
	}{
		{"GET", "/none", 200, "", 0, false, ""},
		{"GET", "/short", 200, "<html>hello", 11, false, "text/html; charset=utf-8"},
		{"HEAD", "/short", 200, "", 11, false, "text/html; charset=utf-8"},
		{"GET", "/long", 200, strings.Repeat("x", 100000), -1, true, "text/plain; charset=utf-8"},
		{"HEAD", "/long", 200, "", -1, false, "text/plain; charset=utf-8"},
		{"GET", "/big", 200, strings.Repeat("\x00", 1<<20), -1, true, "application/octet-stream"},
		{"GET", "/length", 200, strings.Repeat("\x00", 20000), 20000, false, "application/octet-stream"},
		{"HEAD", "/length", 200, "", 20000, false, "application/octet-stream"},
		{"GET", "/flush", 200, "ab", -1, true, "text/plain; charset=utf-8"},
		{"GET", "/204", 204, "", 0, false, ""},
		{"GET", "/304", 304, "", 0, false, ""},
		{"GET", "/multi", http.StatusTeapot, "no\n", 3, false, "text/plain; charset=utf-8"},
		{"GET", "/type", 200, "hello", 5, false, ""},
		{"GET", "/copy", 200, strings.Repeat("<html>", 5000), -1, true, "text/html; charset=utf-8"},
		{"GET", "/missing", 404, "404 page not found\n", 19, false, "text/plain; charset=utf-8"},
	} {
		r, body := s.get(c.method, c.path)
		if r.StatusCode != c.status || body != c.body || r.ContentLength != c.length || (len(r.TransferEncoding) > 0) != c.chunked || r.Header.Get("Content-Type") != c.kind {
			t.Errorf("%s %s: %d, %d bytes %.20q, length %d, %v, %v", c.method, c.path, r.StatusCode, len(body), body, r.ContentLength, r.TransferEncoding, r.Header)
		}
	}
	r, _ := s.get("GET", "/multi")
	if got := r.Header["X-A"]; len(got) != 2 || got[1] != "2  X-B: evil" || r.Header.Get("Date") != "never" || r.Header.Get("X-B") != "" {
		t.Errorf("fields %v", r.Header)
	}
	// Of HTTP/1.0 a body of unknown length ends with the connection.
	out := s.raw("GET /flush HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
	if _, bodies := answers(t, out, "GET"); bodies[0] != "ab" || strings.Contains(out, "chunked") || !strings.Contains(out, "Connection: close\r\n") {
		t.Errorf("HTTP/1.0: %q", out)
	}
	out = s.raw("GET /short HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /short HTTP/1.0\r\n\r\n")
	if r, bodies := answers(t, out, "GET", "GET"); strings.Join(bodies, "|") != "<html>hello|<html>hello" || r[0].Header.Get("Connection") != "keep-alive" {
		t.Errorf("HTTP/1.0 with keep-alive: %q", out)
	}
}

func TestServerGivesHandlersNetHTTPsRequest(t *testing.T) {
	got := make(chan *http.Request, 1)
	s := startServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { got <- r }))
	for _, in := range []string{
		"GET /a%2Fb/c%20d?e=f&g HTTP/1.1\r\nHost: x:80\r\nConnection: close\r\naccept: */*\r\nX-A: 1\r\nx-a: 2\r\nCookie: a=b\r\n\r\n",
		"GET //a/../b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"GET /? HTTP/1.0\r\n\r\n",
		"GET http://y/z HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"CONNECT y:443 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"POST /!*'()[] HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\nTrailer: X-T\r\n\r\nab",
		"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n0\r\n\r\n",
	} {
		s.raw(in)
		r := <-got
		want, err := http.ReadRequest(bufio.NewReader(strings.NewReader(in)))
		if err != nil {
			t.Fatal(err)
		}
		delete(want.Header, "Connection")
		delete(r.Header, "Connection")
		if r.Method != want.Method || *r.URL != *want.URL || r.Proto != want.Proto || r.Host != want.Host || r.RequestURI != want.RequestURI ||
			fmt.Sprint(r.Header) != fmt.Sprint(want.Header) || r.ContentLength != want.ContentLength || r.Close != want.Close ||
			fmt.Sprint(r.TransferEncoding) != fmt.Sprint(want.TransferEncoding) || fmt.Sprint(r.Trailer) != fmt.Sprint(want.Trailer) || r.RemoteAddr == "" {
			t.Errorf("%q:\n%+v\n%+v\n%+v\n%+v", in, r, want, r.URL, want.URL)
		}
	}
	if out := s.raw("GET /%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(out, "HTTP/1.1 400 ") {
		t.Errorf("bad escape: %q", out)
	}
}

func TestServerTrailers(t *testing.T) {
	s := startServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		body, _ := io.ReadAll(r.Body)
		w.Write(body)
		w.Header().Set("X-Sum", r.Trailer.Get("X-In"))
		w.Header().Set(http.TrailerPrefix+"X-Late", "2")
	}))
	out := s.raw("POST / HTTP/1.1\r\n" + closing + "Trailer: X-In\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-In: 1\r\n\r\n")
	r, bodies := answers(t, out, "POST")
	if bodies[0] != "a" || r[0].Trailer.Get("X-Sum") != "1" || r[0].Trailer.Get("X-Late") != "2" || r[0].Header.Get("X-Sum") != "" {
		t.Errorf("%q: %v", out, r[0].Trailer)
	}
	n := startServer(t, HandlerFunc(func(_ context.Context, w *ServerResponse, r *ServerRequest) error {
		body, err := r.Bytes(100)
		w.Write(body)
		for name, value := range r.Trailers() {
			w.AddTrailer(string(name)+"-Out", string(value))
		}
		return err
	}))
	out = n.raw("POST / HTTP/1.1\r\n" + closing + "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: 1\r\n\r\n")
	if r, _ := answers(t, out, "POST"); r[0].Trailer.Get("X-Out") != "1" {
		t.Errorf("native: %q", out)
	}
}

func TestServerInterimAnswers(t *testing.T) {
	s := startServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a>; rel=preload")
		w.WriteHeader(103)
		w.Header().Set("Link", "</b>")
		w.Write([]byte("done"))
	}))
	out := s.raw("GET / HTTP/1.1\r\n" + closing + "\r\n")
	early, rest, _ := strings.Cut(out, "\r\n\r\n")
	if early != "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload" {
		t.Errorf("%q", early)
	}
	if r, bodies := answers(t, rest, "GET"); bodies[0] != "done" || r[0].Header.Get("Link") != "</b>" {
		t.Errorf("%q", rest)
	}
}

func TestServerSaysContinueWhenTheBodyIsRead(t *testing.T) {
	faces(t, func(t *testing.T, hello http.Handler) {
		s := startServer(t, hello)
		c := s.dial()
		io.WriteString(c, "POST / HTTP/1.1\r\n"+closing+"Content-Length: 3\r\nExpect: 100-continue\r\n\r\n")
		const want = "HTTP/1.1 100 Continue\r\n\r\n"
		got := make([]byte, len(want))
		if _, err := io.ReadFull(c, got); string(got) != want {
			t.Fatalf("%q, %v", got, err)
		}
		io.WriteString(c, "abc")
		out, _ := io.ReadAll(c)
		if _, bodies := answers(t, string(out), "POST"); bodies[0] != `POST /  "abc"` {
			t.Errorf("%q", out)
		}
	})
	// A handler that does not want the body never asks for it, and the connection cannot go on.
	s := startServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(403) }))
	out := s.raw("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
	if !strings.HasPrefix(out, "HTTP/1.1 403 ") || !strings.Contains(out, "Connection: close") {
		t.Errorf("%q", out)
	}
}

func TestServerDrainsWhatHandlersLeave(t *testing.T) {
	s := startServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.Path) }))
	next := "GET /next HTTP/1.1\r\n" + closing + "\r\n"
	little := strings.Repeat("x", 100000)
	_, bodies := answers(t, s.raw(fmt.Sprintf("POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s%s", len(little), little, next)), "POST", "GET")
	if strings.Join(bodies, " ") != "/p /next" {
		t.Errorf("%q", bodies)
	}
	// What is too much to be read for nothing ends the connection, and the client still gets the answer.
	c := s.dial()
	go func() {
		fmt.Fprintf(c, "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", 100<<20)
		c.Write(make([]byte, 100<<10))
	}()
	out, err := io.ReadAll(c)
	if r, bodies := answers(t, string(out), "POST"); err != nil || bodies[0] != "/p" || !r[0].Close {
		t.Errorf("%q, %v", out, err)
	}
}

func TestServerReportsPanics(t *testing.T) {
	opt, log := quiet()
	mux := http.NewServeMux()
	mux.HandleFunc("/early", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-A", "b")
		io.WriteString(w, "lost")
		panic("boom")
	})
	mux.HandleFunc("/late", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "begun")
		w.(http.Flusher).Flush()
		panic("bang")
	})
	mux.HandleFunc("/exit", func(w http.ResponseWriter, r *http.Request) { runtime.Goexit() })
	mux.HandleFunc("/abort", func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) })
	s := startServer(t, mux, opt)
	r, body := s.get("GET", "/early")
	if r.StatusCode != 500 || body != "Internal Server Error\n" || r.Header.Get("X-A") != "" {
		t.Errorf("%v %q", r, body)
	}
	if out := s.raw("GET /late HTTP/1.1\r\n" + closing + "\r\n"); !strings.HasSuffix(out, "5\r\nbegun\r\n") {
		t.Errorf("%q", out)
	}
	if out := s.raw("GET /abort HTTP/1.1\r\n" + closing + "\r\n"); out != "" {
		t.Errorf("%q", out)
	}
	if out := s.raw("GET /exit HTTP/1.1\r\nHost: a\r\n\r\n"); out != "" {
		t.Errorf("%q", out)
	}
	if got := log.String(); !strings.Contains(got, "boom") || !strings.Contains(got, "bang") || !strings.Contains(got, "server_http_test.go") || strings.Contains(got, "abort") {
		t.Errorf("reported: %s", got)
	}
	n := startServer(t, HandlerFunc(func(_ context.Context, w *ServerResponse, r *ServerRequest) error {
		w.WriteString("lost")
		if string(r.Path()) == "/panic" {
			panic("crash")
		}
		return errors.New("failed")
	}), opt)
	for _, path := range []string{"/panic", "/error"} {
		if r, body := n.get("GET", path); r.StatusCode != 500 || body != "Internal Server Error\n" {
			t.Errorf("%s: %v %q", path, r, body)
		}
	}
	if got := log.String(); !strings.Contains(got, "crash") || !strings.Contains(got, "err=failed") {
		t.Errorf("reported: %s", got)
	}
}

func TestServerCancelsTheContextWhenTheClientLeaves(t *testing.T) {
	for _, how := range []string{"loop", "thread", "native"} {
		t.Run(how, func(t *testing.T) {
			begun, ended := make(chan bool, 1), make(chan error, 1)
			var h http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.ReadAll(r.Body)
				begun <- true
				if how == "loop" {
					ended <- rondo.Sleep(r.Context(), time.Hour)
					return
				}
				<-r.Context().Done()
				ended <- r.Context().Err()
			})
			switch how {
			case "thread":
				h = OffLoop(h)
			case "native":
				h = HandlerFunc(func(ctx context.Context, w *ServerResponse, r *ServerRequest) error {
					_, err := r.Bytes(10)
					begun <- true
					ended <- rondo.Sleep(r.Context(), time.Hour)
					return err
				})
			}
			s := startServer(t, h)
			c := s.dial()
			io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab")
			<-begun
			c.Close()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestServerWatchedConnectionGoesOn(t *testing.T) {
	s := startServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := rondo.Sleep(r.Context(), time.Millisecond); err != nil { // real time: the client is watched meanwhile
			t.Errorf("%s: %v", r.URL.Path, err)
		}
		io.WriteString(w, r.URL.Path)
		if r.Context().Err() != nil {
			t.Errorf("context of %s: %v", r.URL.Path, r.Context().Err())
		}
	}))
	in := ""
	var methods []string
	want := ""
	for i := range 20 {
		in += fmt.Sprintf("GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", i)
		want += fmt.Sprintf("/%d", i)
		methods = append(methods, "GET")
	}
	c := s.dial()
	for _, piece := range []string{in[:100], in[100:333], in[333:]} {
		io.WriteString(c, piece)
		time.Sleep(5 * time.Millisecond) // so that the pieces come while a handler is at work
	}
	io.WriteString(c, "GET /end HTTP/1.1\r\n"+closing+"\r\n")
	out, err := io.ReadAll(c)
	if _, bodies := answers(t, string(out), append(methods, "GET")...); strings.Join(bodies, "") != want+"/end" || err != nil {
		t.Errorf("%q, %v", bodies, err)
	}
}

func TestServerAnswersEarlierRequestsWhileAHandlerParks(t *testing.T) {
	for _, face := range []string{"native", "http"} {
		var h http.Handler = HandlerFunc(func(ctx context.Context, w *ServerResponse, r *ServerRequest) error {
			w.Write(r.Path())
			if string(r.Path()) == "/slow" {
				return rondo.Sleep(ctx, time.Hour)
			}
			return nil
		})
		if face == "http" {
			h = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.WriteString(w, r.URL.Path)
				if r.URL.Path == "/slow" {
					rondo.Sleep(r.Context(), time.Hour)
				}
			})
		}
		s := startServer(t, h)
		c := s.dial()
		io.WriteString(c, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
		br := bufio.NewReader(c)
		for _, want := range []string{"/1", "/2"} {
			r, err := http.ReadResponse(br, nil)
			if err != nil {
				t.Fatalf("%s: %v", face, err)
			}
			if b, _ := io.ReadAll(r.Body); string(b) != want {
				t.Errorf("%s: %q, want %q", face, b, want)
			}
		}
		c.Close()
	}
}

func TestServerHijack(t *testing.T) {
	for _, how := range []string{"task", "goroutine", "native"} {
		t.Run(how, func(t *testing.T) {
			talk := func(c net.Conn, first []byte) {
				defer c.Close()
				fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n%s", first)
				io.Copy(c, c)
			}
			var h http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				c, rw, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				first := make([]byte, rw.Reader.Buffered())
				io.ReadFull(rw, first)
				if _, err := w.Write([]byte("x")); err != http.ErrHijacked {
					t.Errorf("Write after Hijack: %v", err)
				}
				if how == "task" {
					talk(c, first)
				} else {
					go talk(c, first)
				}
			})
			if how == "native" {
				h = HandlerFunc(func(_ context.Context, w *ServerResponse, r *ServerRequest) error {
					w.SetStatus(101)
					w.Add("Upgrade", string(r.Get("Upgrade")))
					w.Add("Connection", "Upgrade")
					c, first, err := w.Hijack()
					if err != nil {
						return err
					}
					defer c.Close()
					c.Write(first)
					io.Copy(c, c)
					return nil
				})
			}
			s := startServer(t, h)
			c := s.dial()
			io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nfirst")
			br := bufio.NewReader(c)
			r, err := http.ReadResponse(br, nil)
			if err != nil || r.StatusCode != 101 || r.Header.Get("Upgrade") != "echo" || r.Header.Get("Connection") != "Upgrade" {
				t.Fatalf("%v, %v", r, err)
			}
			io.WriteString(c, " second")
			c.CloseWrite()
			if got, err := io.ReadAll(br); string(got) != "first second" || err != nil {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

func TestServerResponseController(t *testing.T) {
	errs := make(chan error, 4)
	s := startServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		errs <- rc.EnableFullDuplex()
		errs <- rc.SetWriteDeadline(time.Now().Add(time.Hour))
		errs <- rc.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		_, err := io.ReadAll(r.Body)
		errs <- err
	}))
	c := s.dial()
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na")
	for i := range 3 {
		if err := <-errs; err != nil {
			t.Errorf("%d: %v", i, err)
		}
	}
	if err := <-errs; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read: %v", err)
	}
}

func TestServerFullDuplex(t *testing.T) {
	s := startServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b := make([]byte, 1)
		for {
			if _, err := r.Body.Read(b); err != nil {
				return
			}
			w.Write(b)
			w.(http.Flusher).Flush()
		}
	}))
	c := s.dial()
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
	br := bufio.NewReader(c)
	r, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1)
	for _, want := range "abc" {
		if _, err := io.ReadFull(r.Body, b); err != nil || rune(b[0]) != want {
			t.Fatalf("%q, %v", b, err)
		}
		if want < 'c' {
			fmt.Fprintf(c, "1\r\n%c\r\n", want+1)
		}
	}
	io.WriteString(c, "0\r\n\r\n")
	if rest, err := io.ReadAll(r.Body); len(rest) > 0 || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
}

func TestServerOffLoopBehindAProxy(t *testing.T) {
	origin := httptest.NewServer(http.HandlerFunc(helloHTTP))
	defer origin.Close()
	u, _ := url.Parse(origin.URL)
	proxy := httputil.NewSingleHostReverseProxy(u)
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	s := startServer(t, OffLoop(proxy))
	for i := range 20 {
		body := strings.Repeat("y", 5000*i)
		out := s.raw(fmt.Sprintf("POST /%d HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n%s", i, closing, len(body), body))
		if _, bodies := answers(t, out, "POST"); bodies[0] != fmt.Sprintf("POST /%d  %q", i, body) {
			t.Fatalf("%d: %.100q", i, bodies)
		}
	}
}

func TestHandlerFuncUnderNetHTTP(t *testing.T) {
	h := HandlerFunc(func(ctx context.Context, w *ServerResponse, r *ServerRequest) error {
		body, err := r.Bytes(1 << 20)
		if err != nil {
			return err
		}
		w.SetStatus(201)
		w.Add("X-A", string(r.Get("x-in")))
		_, err = fmt.Fprintf(w, "%s %s %s %d %s", r.Method(), r.Target(), r.Host(), len(body), strings.Repeat("z", 40000))
		return err
	})
	srv := httptest.NewServer(h)
	defer srv.Close()
	mux := http.NewServeMux()
	mux.Handle("/a/", h)
	s := startServer(t, mux)
	for _, base := range []string{srv.URL, "http://" + s.addr} {
		for _, chunked := range []bool{false, true} {
			var body io.Reader = strings.NewReader(strings.Repeat("b", 30000))
			if chunked {
				body = io.MultiReader(body)
			}
			req, _ := http.NewRequest("POST", base+"/a/b?c", body)
			req.Header.Set("X-In", "v")
			req.Host = "h"
			req.Close = true
			r, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r.Body)
			r.Body.Close()
			if want := "POST /a/b?c h 30000 " + strings.Repeat("z", 40000); string(got) != want || err != nil || r.StatusCode != 201 || r.Header.Get("X-A") != "v" {
				t.Errorf("%s: %d %v %.60q, %v", base, r.StatusCode, r.Header, got, err)
			}
		}
	}
}

package rondohttp

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
	"sync"
	"testing"
	"time"

	"github.com/rondo-go/rondo"
)

func TestServerRefusesAndCloses(t *testing.T) {
	s := startServer(t, HandlerFunc(helloNative), WithServerLimits(ServerLimits{BodyBytes: 10}))
	const head = "GET / HTTP/1.1\r\nHost: a\r\n"
	for in, want := range map[string]int{
		head + "A : b\r\n\r\n":                                                    400,
		"GET / HTTP/1.1\r\n\r\n":                                                  400,
		head + "Content-Length: 1\r\nContent-Length: 1\r\n\r\na":                  400,
		head + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n": 400,
		head + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n":                501,
		head + "Expect: tea\r\n\r\n":                                              417,
		"GET / HTTP/3.0\r\n\r\n":                                                  505,
		"GET /" + strings.Repeat("x", 9000) + " HTTP/1.1\r\nHost: a\r\n\r\n":      414,
		head + strings.Repeat("A: b\r\n", 100) + "\r\n":                           431,
		head + "A: " + strings.Repeat("x", 70000) + "\r\n\r\n":                    431,
		head + "Content-Length: 11\r\n\r\n01234567890":                            413,
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03":                            400,
	} {
		// What follows must not be answered: it may be what somebody smuggled.
		out := s.raw(in + "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
		r, _ := answers(t, out, "GET")
		if r[0].StatusCode != want || !r[0].Close {
			t.Errorf("%.60q: %q, want %d", in, out, want)
		}
	}
	// Bodies that turn out malformed or too large when the handler reads them.
	for _, body := range []string{"5 \r\nhello\r\n0\r\n\r\n", "b\r\n01234567890\r\n0\r\n\r\n"} {
		out := s.raw(head + "Transfer-Encoding: chunked\r\n\r\n" + body + head + "\r\n")
		if r, _ := answers(t, out, "GET"); r[0].StatusCode < 400 || !r[0].Close {
			t.Errorf("%q: %q", body, out)
		}
	}
}

func TestServerClosesSlowClients(t *testing.T) {
	const d = 40 * time.Millisecond // real time, as all of it here: the kernel's sockets have no other
	faces(t, func(t *testing.T, hello http.Handler) {
		s := startServer(t, hello, WithServerLimits(ServerLimits{Header: d, Idle: d, Body: d, BodyRate: 1 << 20}))
		for name, in := range map[string]string{
			"silent": "", "idle": "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "head": "GET / HTTP/1.1\r\nHo", "body": "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na",
			"chunk": "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na",
		} {
			began := time.Now()
			out := s.raw(in)
			if took := time.Since(began); took < d/2 || took > 5*time.Second {
				t.Errorf("%s: closed after %v", name, took)
			}
			if name == "head" && !strings.HasPrefix(out, "HTTP/1.1 408 ") {
				t.Errorf("%s: %q", name, out)
			}
			if name == "idle" && !strings.HasPrefix(out, "HTTP/1.1 200 ") {
				t.Errorf("%s: %q", name, out)
			}
		}
		// A byte now and then does not help.
		c := s.dial()
		began := time.Now()
		for _, b := range []byte("GET / HTTP/1.1\r\nHost: " + strings.Repeat("a", 10000)) {
			if _, err := c.Write([]byte{b}); err != nil {
				break
			}
			time.Sleep(d / 10)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("dripping for %v", took)
		}
	})
}

func TestServerClosesClientsThatDoNotRead(t *testing.T) {
	ended := make(chan error, 1)
	s := startServer(t, HandlerFunc(func(_ context.Context, w *ServerResponse, r *ServerRequest) error {
		for {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				ended <- err
				return err
			}
		}
	}), WithServerLimits(ServerLimits{Write: 50 * time.Millisecond}))
	io.WriteString(s.dial(), "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if err := <-ended; !isLate(err) {
		t.Errorf("%v", err)
	}
}

func TestServerSlowClientsDoNotHinderOthers(t *testing.T) {
	s := startServer(t, HandlerFunc(helloNative))
	for i := range 200 {
		in := "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc"
		io.WriteString(s.dial(), in[:len(in)-i%len(in)])
	}
	began := time.Now()
	if _, body := s.get("GET", "/"); body != `GET /  ""` || time.Since(began) > 5*time.Second {
		t.Errorf("%q after %v", body, time.Since(began))
	}
}

func TestServerLimitsRequestsOfAConnection(t *testing.T) {
	s := startServer(t, HandlerFunc(helloNative), WithServerLimits(ServerLimits{Requests: 2}))
	out := s.raw(strings.Repeat("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 3))
	if r, _ := answers(t, out, "GET", "GET"); r[0].Close || !r[1].Close {
		t.Errorf("%q", out)
	}
}

func TestServerLimitsConnections(t *testing.T) {
	s := startServer(t, HandlerFunc(helloNative), WithServerLimits(ServerLimits{Connections: 1}))
	first, second := s.dial(), s.dial()
	io.WriteString(first, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
	if _, err := http.ReadResponse(bufio.NewReader(first), nil); err != nil {
		t.Fatal(err)
	}
	io.WriteString(second, "GET /2 HTTP/1.1\r\n"+closing+"\r\n")
	second.SetReadDeadline(time.Now().Add(20 * time.Millisecond)) // real time: nothing is to come
	if n, err := second.Read(make([]byte, 1)); n > 0 || !isLate(err) {
		t.Errorf("served beyond the limit: %v", err)
	}
	first.Close()
	second.SetReadDeadline(time.Now().Add(10 * time.Second))
	out, err := io.ReadAll(second)
	if _, bodies := answers(t, string(out), "GET"); bodies[0] != `GET /2  ""` || err != nil {
		t.Errorf("%q, %v", out, err)
	}
}

func TestServerShutdownInStages(t *testing.T) {
	begun, finish := make(chan bool, 1), make(chan bool)
	hijacked := make(chan net.Conn, 1)
	s := startServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow":
			begun <- true
			rondo.ToThread(r.Context(), func() (bool, error) { return <-finish, nil })
			io.WriteString(w, "slow")
		case "/hijack":
			c, _, _ := http.NewResponseController(w).Hijack()
			hijacked <- c
		}
	}))
	idle, fresh, slow, socket := s.dial(), s.dial(), s.dial(), s.dial()
	io.WriteString(idle, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	idleReader := bufio.NewReader(idle)
	if _, err := http.ReadResponse(idleReader, nil); err != nil {
		t.Fatal(err)
	}
	io.WriteString(socket, "GET /hijack HTTP/1.1\r\nHost: a\r\n\r\n")
	taken := <-hijacked
	io.WriteString(slow, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
	<-begun
	told := make(chan bool, 1)
	s.RegisterOnShutdown(func() { told <- true; taken.Close() })
	ended := make(chan error, 1)
	go func() { ended <- s.Shutdown(context.Background()) }()
	<-told
	for _, c := range []io.Reader{idleReader, fresh, socket} {
		if n, err := c.Read(make([]byte, 1)); n > 0 || err == nil || isLate(err) {
			t.Errorf("%d, %v", n, err)
		}
	}
	if c, err := net.Dial("tcp", s.addr); err == nil {
		c.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := c.Read(make([]byte, 1)); err == nil || isLate(err) {
			t.Error("still listening")
		}
		c.Close()
	}
	select {
	case err := <-ended:
		t.Fatalf("Shutdown did not wait: %v", err)
	default:
	}
	finish <- true
	out, err := io.ReadAll(slow)
	if r, bodies := answers(t, string(out), "GET"); bodies[0] != "slow" || !r[0].Close || err != nil {
		t.Errorf("%q, %v", out, err)
	}
	if err := <-ended; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

func TestServerShutdownAbortsInTheEnd(t *testing.T) {
	begun, canceled := make(chan bool, 2), make(chan error, 2)
	s := startServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun <- true
		if r.URL.Path == "/watched" {
			canceled <- rondo.Sleep(r.Context(), time.Hour)
		} else {
			canceled <- rondo.Sleep(context.WithoutCancel(r.Context()), time.Hour)
		}
	}))
	for _, path := range []string{"/", "/watched"} {
		io.WriteString(s.dial(), "GET "+path+" HTTP/1.1\r\nHost: a\r\n\r\n")
		<-begun
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown: %v", err)
	}
	for range 2 {
		if err := <-canceled; !errors.Is(err, context.Canceled) {
			t.Errorf("handler: %v", err)
		}
	}
}

func TestServerServesTLS(t *testing.T) {
	cert := httptest.NewUnstartedServer(nil)
	cert.StartTLS()
	defer cert.Close()
	cfg := &tls.Config{Certificates: cert.TLS.Certificates, NextProtos: []string{"http/1.1", "other"}}
	s := NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%v %d", r.TLS != nil && r.TLS.HandshakeComplete, len(body))
	}))
	s.byALPN = map[string]protocol{"other": func(_ context.Context, _ *Server, _ *rondo.Conn, c net.Conn, _ []byte) error {
		_, err := io.Copy(c, c)
		return err
	}}
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- rondo.Run(func(ctx context.Context) error {
			return s.ListenAndServeTLS(ctx, "tcp", "127.0.0.1:0", cfg, func(a net.Addr) { ready <- a.String() })
		}, rondo.WithoutSignals())
	}()
	addr := <-ready
	c := cert.Client()
	for i := range 5 {
		r, err := c.Post("https://"+addr+"/", "text/plain", strings.NewReader(strings.Repeat("x", 20000*i)))
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r.Body)
		r.Body.Close()
		if want := fmt.Sprintf("true %d", 20000*i); string(b) != want || err != nil {
			t.Errorf("%q, %v, want %q", b, err, want)
		}
	}
	if n := s.Connections(); n != 1 {
		t.Errorf("%d connections", n)
	}
	other, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"other"}})
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(other, "echo")
	other.CloseWrite()
	if b, err := io.ReadAll(other); string(b) != "echo" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	other.Close()
	// Its idle connection does not hold the end up.
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	c.CloseIdleConnections()
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}

func TestServerHandsConnectionsToOtherProtocols(t *testing.T) {
	const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	server := NewServer(HandlerFunc(helloNative))
	server.byPreface = map[string]protocol{preface: func(_ context.Context, _ *Server, raw *rondo.Conn, c net.Conn, read []byte) error {
		rest, err := io.ReadAll(c)
		fmt.Fprintf(c, "%s%s!", read, rest)
		return err
	}}
	s := start(t, server)
	for cut := range len(preface) {
		c := s.dial()
		io.WriteString(c, preface[:cut])
		time.Sleep(100 * time.Microsecond) // so that the halves come in two reads, mostly
		io.WriteString(c, preface[cut:]+"more")
		c.CloseWrite()
		if out, err := io.ReadAll(c); string(out) != preface+"more!" || err != nil {
			t.Fatalf("cut at %d: %q, %v", cut, out, err)
		}
	}
	if out := s.raw("PRI * HTTP/1.1\r\nHost: a\r\n\r\n"); !strings.HasPrefix(out, "HTTP/1.1 400 ") {
		t.Errorf("%q", out)
	}
}

func TestServerServesOnSeveralLoops(t *testing.T) {
	s := NewServer(plainHTTP)
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- rondo.Run(func(ctx context.Context) error {
			return s.ListenAndServe(ctx, "tcp", "127.0.0.1:0", func(a net.Addr) { ready <- a.String() })
		}, rondo.WithoutSignals(), rondo.WithLoops(2))
	}()
	x := &testServer{Server: s, t: t, addr: <-ready}
	for deadline := time.Now().Add(10 * time.Second); ; {
		for range 8 {
			if r, body := x.get("GET", "/"); r.StatusCode != 200 || body != "Hello, World!" {
				t.Fatalf("%v %q", r, body)
			}
		}
		s.mu.Lock()
		n := len(s.shards)
		s.mu.Unlock()
		if n == 2 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of 2 loops serve", n)
		}
	}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}

func TestServerReportsShortBodies(t *testing.T) {
	opt, log := quiet()
	s := startServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "10")
		io.WriteString(w, "short")
		if _, err := io.WriteString(w, "far too long"); err != http.ErrContentLength {
			t.Errorf("beyond the length: %v", err)
		}
	}), opt)
	if out := s.raw("GET / HTTP/1.1\r\nHost: a\r\n\r\n"); !strings.HasSuffix(out, "\r\n\r\nshort") {
		t.Errorf("%q", out)
	}
	if !strings.Contains(log.String(), "Content-Length") {
		t.Errorf("reported: %s", log)
	}
}

func TestServerClosesSlowClientsOfTLS(t *testing.T) {
	cert := httptest.NewUnstartedServer(nil)
	cert.StartTLS()
	defer cert.Close()
	const d = 500 * time.Millisecond // real time, and room for a handshake on a busy machine
	s := NewServer(http.HandlerFunc(helloHTTP), WithServerLimits(ServerLimits{Header: d, Idle: d, Body: d, BodyRate: 1 << 20}))
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- rondo.Run(func(ctx context.Context) error {
			return s.ListenAndServeTLS(ctx, "tcp", "127.0.0.1:0", &tls.Config{Certificates: cert.TLS.Certificates}, func(a net.Addr) { ready <- a.String() })
		}, rondo.WithoutSignals())
	}()
	addr := <-ready
	var clients sync.WaitGroup // all at once: each waits for d
	for in, want := range map[string]string{
		"": "", "GET / HTTP/1.1\r\nHo": "HTTP/1.1 408 ", "GET / HTTP/1.1\r\nHost: a\r\n\r\n": "HTTP/1.1 200 ",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na": "",
	} {
		clients.Go(func() {
			c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(10 * time.Second))
			io.WriteString(c, in)
			out, err := io.ReadAll(c)
			if isLate(err) || !strings.HasPrefix(string(out), want) {
				t.Errorf("%q: %q, %v", in, out, err)
			}
		})
	}
	clients.Wait()
	// One that does not even begin the handshake.
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(c, "\x16\x03\x01")
	if _, err := io.ReadAll(c); isLate(err) {
		t.Error(err)
	}
	s.Close()
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}

package rondohttp

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rondo-go/rondo"
)

// logTo returns a trace that writes every event's name to log.
func logTo(log *[]string) *Trace {
	add := func(format string, args ...any) { *log = append(*log, fmt.Sprintf(format, args...)) }
	return &Trace{
		Queued:       func(d time.Duration, err error) { add("queued %v", err) },
		ConnectStart: func(network, addr string) { add("connect") },
		ConnectDone:  func(network, addr string, err error) { add("connected %v", err) },
		TLSStart:     func() { add("tls") },
		TLSDone:      func(s tls.ConnectionState, err error) { add("tls done %v %v", s.HandshakeComplete, err) },
		GotConn:      func(c ConnInfo) { add("conn reused=%v", c.Reused) },
		WroteRequest: func() { add("wrote") },
		FirstByte:    func() { add("byte") },
		Headers:      func(status int, h http.Header) { add("headers %d %s", status, h.Get("X")) },
		Chunk:        func(n int) { add("chunk %d", n) },
		Redirect:     func(status int, url string) { add("redirect %d %s", status, url[len(url)-2:]) },
		Retry:        func(n int, wait time.Duration, err error) { add("retry %s", kindOf(&Error{Kind: err.(*fault).kind})) },
		Done:         func(err error) { add("done %v", kindOf(err)) },
	}
}

func TestTrace(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X", "x")
		if r.URL.Path == "/1" {
			http.Redirect(w, r, "/2", http.StatusFound)
			return
		}
		io.WriteString(w, "hello")
	}))
	t.Cleanup(srv.Close)
	var log []string
	run(t, func(ctx context.Context, s *Session) {
		check := func(want ...string) {
			t.Helper()
			if !slices.Equal(log, want) {
				t.Errorf("%s\nwant %s", strings.Join(log, ", "), strings.Join(want, ", "))
			}
			log = nil
		}
		get(t, ctx, s, srv.URL+"/1")
		check("queued <nil>", "connect", "connected <nil>", "tls", "tls done true <nil>", "conn reused=false", "wrote", "byte", "headers 302 x", "redirect 302 /2",
			"queued <nil>", "conn reused=true", "wrote", "byte", "headers 200 x", "chunk 5", "done ")
		r, err := s.Get(ctx, srv.URL+"/2")
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		r.Close()
		check("queued <nil>", "conn reused=true", "wrote", "byte", "headers 200 x", "done ")
		s.Get(ctx, "https://127.0.0.1:1/")
		if len(log) != 4 || log[3] != "done connect" {
			t.Errorf("%q", log)
		}
		log = nil
		s.Get(ctx, "gopher://x")
		check("done bad-url")
	}, WithTLS(rootsOf(srv)), WithTrace(func(ctx context.Context, method, url string) *Trace { return logTo(&log) }))
}

func TestTraceShowsAConnectionGivenUp(t *testing.T) {
	url := serveRaw(t, func(c *net.TCPConn, n int) {
		br := bufio.NewReader(c)
		readRequest(br)
		io.WriteString(c, ok("x"))
		readRequest(br) // and never answers
	})
	run(t, func(ctx context.Context, s *Session) {
		get(t, ctx, s, url)
		var log []string
		if _, err := fetch(ctx, s, &Request{URL: url, Trace: logTo(&log)}); err != nil {
			t.Error(err)
		}
		want := []string{"queued <nil>", "conn reused=true", "wrote", "retry closed", "connect", "connected <nil>", "conn reused=false", "wrote", "byte", "headers 200 ", "chunk 1", "done "}
		if !slices.Equal(log, want) {
			t.Errorf("%q\nwant %q", log, want)
		}
	})
}

// A server that wants a body, one that does not, and one that has never heard of the question.
func TestRequestExpectContinue(t *testing.T) {
	url := serveRaw(t, func(c *net.TCPConn, _ int) {
		br := bufio.NewReader(c)
		for {
			r, err := http.ReadRequest(br)
			if err != nil {
				return
			}
			switch {
			case r.Header.Get("Expect") != "100-continue":
				io.WriteString(c, ok("no question"))
				continue
			case r.URL.Path == "/early": // hints first, and the answer in the same segment as the 100
				io.WriteString(c, "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"+ok("early"))
				io.Copy(io.Discard, r.Body)
				continue
			case r.URL.Path == "/no":
				io.WriteString(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
				if n, _ := io.Copy(io.Discard, br); n > 0 {
					t.Errorf("%d bytes of body came all the same", n)
				}
				return
			case r.URL.Path == "/yes":
				io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
			}
			b, _ := io.ReadAll(r.Body)
			io.WriteString(c, ok("got "+string(b)))
		}
	})
	run(t, func(ctx context.Context, s *Session) {
		for path, c := range map[string]struct {
			status int
			want   string
			wait   time.Duration
		}{"/yes": {200, "got body", long}, "/no": {413, "no", long}, "/deaf": {200, "got body", short}, "/early": {200, "early", long}} {
			for _, sized := range []bool{true, false} {
				req := &Request{Method: "POST", URL: url + path, Body: strings.NewReader("body"), ExpectContinue: c.wait}
				if !sized {
					req.Body = struct{ io.Reader }{req.Body}
				}
				r, err := s.Do(ctx, req)
				if err != nil {
					t.Errorf("%s: %v", path, err)
					continue
				}
				if b, err := r.Bytes(ctx); r.Status != c.status || string(b) != c.want || err != nil {
					t.Errorf("%s: %d %q, %v", path, r.Status, b, err)
				}
				r.Close()
			}
		}
		if got, err := fetch(ctx, s, &Request{URL: url, ExpectContinue: long}); got != "no question" || err != nil {
			t.Errorf("without a body: %q, %v", got, err)
		}
		req, _ := http.NewRequestWithContext(ctx, "POST", url+"/yes", strings.NewReader("body"))
		req.Header.Set("Expect", "100-continue")
		resp, err := s.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if b, _ := io.ReadAll(resp.Body); string(b) != "got body" {
			t.Errorf("RoundTrip: %q", b)
		}
	})
}

// A wait for 100 that ends leaves a TLS connection as it was.
func TestRequestExpectContinueOverTLS(t *testing.T) {
	wait := make(chan struct{})
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/deaf" {
			<-wait // until the body has been sent; the 100 comes at the first read
		}
		io.Copy(w, r.Body)
	}))
	t.Cleanup(srv.Close)
	run(t, func(ctx context.Context, s *Session) {
		for path, patience := range map[string]time.Duration{"/yes": long, "/deaf": short} {
			req := &Request{Method: "POST", URL: srv.URL + path, Body: strings.NewReader("body"), ExpectContinue: patience}
			if path == "/deaf" {
				req.Trace = &Trace{WroteRequest: func() { close(wait) }}
			}
			if got, err := fetch(ctx, s, req); got != "body" || err != nil {
				t.Errorf("%s: %q, %v", path, got, err)
			}
		}
		if s.pool.open != 1 {
			t.Errorf("%d connections", s.pool.open)
		}
	}, WithTLS(rootsOf(srv)))
}

func TestRequestHasItsOwnTLS(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") }))
	t.Cleanup(srv.Close)
	own := rootsOf(srv)
	run(t, func(ctx context.Context, s *Session) {
		for range 2 {
			if got, err := fetch(ctx, s, &Request{URL: srv.URL, TLS: own}); got != "hello" || err != nil {
				t.Errorf("%q, %v", got, err)
			}
			if _, err := fetch(ctx, s, &Request{URL: srv.URL}); kindOf(err) != KindTLS {
				t.Errorf("the session's own configuration, and not that connection: %v", err)
			}
		}
		if s.pool.open != 1 {
			t.Errorf("%d connections", s.pool.open)
		}
	})
}

// A resolver that is told of, answers with an address of this machine, and fails for other names.
func TestTraceTellsOfNames(t *testing.T) {
	srv, _ := serve(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Host) })
	port := srv[strings.LastIndexByte(srv, ':'):]
	local := netip.MustParseAddr("127.0.0.1")
	resolver := rondo.ResolverFunc(func(ctx context.Context, network, host string) ([]netip.Addr, error) {
		if host != "shire.example" {
			return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
		}
		return []netip.Addr{local}, nil
	})
	socks := new(socksServer)
	front, err := url.Parse(strings.Replace(serveRaw(t, socks.serve), "http", "socks5", 1))
	if err != nil {
		t.Fatal(err)
	}
	for _, opts := range [][]Option{nil, {WithProxy(ProxyURL(front))}} {
		run(t, func(ctx context.Context, s *Session) {
			for host, want := range map[string]string{"shire.example": "", "mordor.example": "dns"} {
				var log []string
				trace := &Trace{
					DNSStart: func(host string) { log = append(log, "start "+host) },
					DNSDone: func(host string, addrs []netip.Addr, err error) {
						log = append(log, fmt.Sprintf("done %s %v %v", host, addrs, err != nil))
					},
				}
				got, err := fetch(ctx, s, &Request{URL: "http://" + host + port, Trace: trace})
				if string(kindOf(err)) != want || want == "" && got != host+port {
					t.Errorf("%s: %q, %v", host, got, err)
				}
				told := []string{"start " + host, "done " + host + " [127.0.0.1] false"}
				if want != "" {
					told[1] = "done " + host + " [] true"
				}
				if !slices.Equal(log, told) {
					t.Errorf("%q, want %q", log, told)
				}
			}
		}, append(opts, WithDialer(rondo.Dialer{Resolver: resolver}))...)
	}
}

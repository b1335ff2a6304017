package rondohttp

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// pipe copies both ways until both ends have ended.
func pipe(a, b net.Conn) {
	var all sync.WaitGroup
	for _, way := range [][2]net.Conn{{a, b}, {b, a}} {
		all.Go(func() {
			io.Copy(way[0], way[1])
			way[0].Close()
		})
	}
	all.Wait()
}

// A testProxy is an HTTP proxy that notes what it is asked.
type testProxy struct {
	mu    sync.Mutex
	asked []string // "METHOD target Proxy-Authorization"
	user  string   // demanded, user:password
}

func (p *testProxy) saw() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.asked
	p.asked = nil
	return s
}

func (p *testProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	auth := r.Header.Get("Proxy-Authorization")
	p.mu.Lock()
	p.asked = append(p.asked, strings.TrimSpace(r.Method+" "+r.RequestURI+" "+auth))
	p.mu.Unlock()
	if p.user != "" && auth != "Basic "+base64.StdEncoding.EncodeToString([]byte(p.user)) {
		http.Error(w, "who are you?", http.StatusProxyAuthRequired)
		return
	}
	if r.Method != http.MethodConnect {
		if r.URL.Host == "" {
			http.Error(w, "not absolute", http.StatusBadRequest)
			return
		}
		r.RequestURI = ""
		r.Header.Del("Proxy-Authorization")
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		w.WriteHeader(resp.StatusCode)
		io.Copy(w, resp.Body)
		return
	}
	to, err := net.Dial("tcp", r.RequestURI)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	c, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		to.Close()
		return
	}
	io.WriteString(c, "HTTP/1.1 200 Connection established\r\n\r\n")
	pipe(c, to)
}

func proxyAt(t *testing.T, s string) Option {
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return WithProxy(ProxyURL(u))
}

// rootsOf returns a configuration that trusts the servers.
func rootsOf(servers ...*httptest.Server) *tls.Config {
	roots := x509.NewCertPool()
	for _, s := range servers {
		roots.AddCert(s.Certificate())
	}
	return &tls.Config{RootCAs: roots}
}

func TestProxy(t *testing.T) {
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %q", r.RequestURI, r.Header.Get("Proxy-Authorization"))
	})
	plain, secure := httptest.NewServer(echo), httptest.NewTLSServer(echo)
	t.Cleanup(plain.Close)
	t.Cleanup(secure.Close)
	p := &testProxy{user: "u:p"}
	front, tlsFront := httptest.NewServer(p), httptest.NewTLSServer(p)
	t.Cleanup(front.Close)
	t.Cleanup(tlsFront.Close)
	config := rootsOf(secure, tlsFront)
	for _, front := range []string{front.URL, tlsFront.URL} {
		with := strings.Replace(front, "://", "://u:p@", 1)
		run(t, func(ctx context.Context, s *Session) {
			for range 2 {
				if _, got := get(t, ctx, s, plain.URL+"/x?y"); got != `/x?y ""` {
					t.Errorf("http by %s: %s", front, got)
				}
				if _, got := get(t, ctx, s, secure.URL+"/x?y"); got != `/x?y ""` {
					t.Errorf("https by %s: %s", front, got)
				}
			}
			want := []string{"GET " + plain.URL + "/x?y Basic dTpw", "CONNECT " + secure.Listener.Addr().String() + " Basic dTpw", "GET " + plain.URL + "/x?y Basic dTpw"}
			if got := p.saw(); strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("the proxy saw %q, want %q", got, want)
			}
		}, WithTLS(config), proxyAt(t, with))
		run(t, func(ctx context.Context, s *Session) {
			if status, _ := get(t, ctx, s, plain.URL); status != http.StatusProxyAuthRequired {
				t.Errorf("http without the password: %d", status)
			}
			_, err := s.Get(ctx, secure.URL)
			if kindOf(err) != KindProxy || !strings.Contains(err.Error(), "407") {
				t.Errorf("https without the password: %v", err)
			}
			if s.pool.open != 1 {
				t.Errorf("%d connections are open, want that to the proxy alone", s.pool.open)
			}
		}, WithTLS(config), proxyAt(t, front))
		p.saw()
	}
}

func TestProxyFaults(t *testing.T) {
	gone := serveRaw(t, func(c *net.TCPConn, _ int) { readRequest(bufio.NewReader(c)) })
	chatty := serveRaw(t, answer("HTTP/1.1 200 OK\r\n\r\nmore"))
	hang := serveRaw(t, silent)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	for _, c := range []struct {
		proxy string
		kind  Kind
		text  string
	}{
		{gone, KindProxy, "closed the connection"},
		{chatty, KindProxy, "bytes follow"},
		{hang, KindTimeoutConnect, "no connection within 40ms"},
		{"socks5h://" + strings.TrimPrefix(gone, "http://"), KindTimeoutConnect, ""}, // it waits for the end of a request
		{"socks5h://" + strings.TrimPrefix(hang, "http://"), KindTimeoutConnect, "no connection within 40ms"},
		{"http://" + l.Addr().String(), KindProxy, "refused"},
		{"ftp://127.0.0.1", KindProxy, "unsupported scheme"},
		{"http:///", KindProxy, "no host"},
	} {
		run(t, func(ctx context.Context, s *Session) {
			_, err := s.Get(ctx, "https://example.org/")
			if kindOf(err) != c.kind || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%s: %v", c.proxy, err)
			}
			if s.pool.open != 0 || len(s.pool.hosts) != 0 {
				t.Errorf("%s: %d connections and %d hosts are left", c.proxy, s.pool.open, len(s.pool.hosts))
			}
		}, proxyAt(t, c.proxy), WithTimeouts(Timeouts{Connect: short}))
	}
}

func TestProxyFromEnvironment(t *testing.T) {
	p := new(testProxy)
	front := httptest.NewServer(p)
	t.Cleanup(front.Close)
	t.Setenv("HTTP_PROXY", front.URL)
	t.Setenv("NO_PROXY", "direct.example")
	f := FromEnvironment()
	for host, want := range map[string]bool{"http://www.example/": true, "http://direct.example/": false, "http://127.0.0.1/": false} {
		u, _ := url.Parse(host)
		if to, err := f(u); (to != nil) != want || err != nil {
			t.Errorf("%s: %v, %v", host, to, err)
		}
	}
	run(t, func(ctx context.Context, s *Session) {
		r, err := s.Get(ctx, "http://www.example.invalid/") // looked up by the proxy, in vain
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if got := p.saw(); len(got) != 1 || got[0] != "GET http://www.example.invalid/" {
			t.Errorf("the proxy saw %q", got)
		}
	}, WithProxy(f))
}

// A socksServer is the server's side of RFC 1928, as far as a client of HTTP needs it.
type socksServer struct {
	user string // demanded, user:password
	mu   sync.Mutex
	saw  []string
	code byte // answered to every request
}

func (s *socksServer) serve(c *net.TCPConn, _ int) {
	b := make([]byte, 512)
	read := func(n int) []byte {
		if _, err := io.ReadFull(c, b[:n]); err != nil {
			return nil
		}
		return b[:n]
	}
	h := read(2)
	if h == nil || h[0] != 5 {
		return
	}
	methods := string(read(int(h[1])))
	if s.user != "" {
		if !strings.Contains(methods, "\x02") {
			c.Write([]byte{5, 0xff})
			return
		}
		c.Write([]byte{5, 2})
		user := string(read(int(read(2)[1])))
		password := string(read(int(read(1)[0])))
		if user+":"+password != s.user {
			c.Write([]byte{1, 1})
			return
		}
		c.Write([]byte{1, 0})
	} else {
		c.Write([]byte{5, 0})
	}
	h = read(4)
	if h == nil {
		return
	}
	var name string
	switch h[3] {
	case 1:
		name = net.IP(read(4)).String()
	case 3:
		name = string(read(int(read(1)[0])))
	case 4:
		name = net.IP(read(16)).String()
	}
	addr := net.JoinHostPort(name, fmt.Sprint(binary.BigEndian.Uint16(read(2))))
	s.mu.Lock()
	s.saw = append(s.saw, addr)
	s.mu.Unlock()
	to, err := net.Dial("tcp", addr)
	if s.code != 0 || err != nil {
		c.Write([]byte{5, max(s.code, 1), 0, 1, 0, 0, 0, 0, 0, 0})
		return
	}
	c.Write(append([]byte{5, 0, 0, 3, 3}, "xyz\x00\x00"...)) // a bound address of the odd type
	pipe(c, to)
}

func TestProxySocks(t *testing.T) {
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.RequestURI) })
	plain, secure := httptest.NewServer(echo), httptest.NewTLSServer(echo)
	t.Cleanup(plain.Close)
	t.Cleanup(secure.Close)
	_, port, _ := net.SplitHostPort(plain.Listener.Addr().String())
	for _, c := range []struct {
		scheme, user, demanded string
		code                   byte
		want                   string // in the error
		saw                    string
	}{
		{scheme: "socks5", saw: "127.0.0.1:" + port},
		{scheme: "socks5h", saw: "localhost:" + port},
		{scheme: "socks5h", user: "u:p@", demanded: "u:p", saw: "localhost:" + port},
		{scheme: "socks5h", user: "u:p@", saw: "localhost:" + port},
		{scheme: "socks5h", user: "u:x@", demanded: "u:p", want: "refuses user"},
		{scheme: "socks5h", demanded: "u:p", want: "no way of authentication"},
		{scheme: "socks5h", code: 5, want: "connection refused"},
		{scheme: "socks5h", code: 99, want: "reply 99"},
	} {
		srv := &socksServer{user: c.demanded, code: c.code}
		front := strings.Replace(serveRaw(t, srv.serve), "http://", c.scheme+"://"+c.user, 1)
		run(t, func(ctx context.Context, s *Session) {
			for range 2 {
				got, err := fetch(ctx, s, &Request{URL: "http://localhost:" + port + "/x"})
				if c.want != "" {
					if kindOf(err) != KindProxy || !strings.Contains(err.Error(), c.want) {
						t.Errorf("%s: %v", front, err)
					}
					return
				}
				if got != "/x" || err != nil {
					t.Errorf("http by %s: %q, %v", front, got, err)
				}
				if got, err := fetch(ctx, s, &Request{URL: secure.URL + "/s"}); got != "/s" || err != nil {
					t.Errorf("https by %s: %q, %v", front, got, err)
				}
			}
			srv.mu.Lock()
			defer srv.mu.Unlock()
			if len(srv.saw) != 2 || !strings.HasPrefix(srv.saw[0], strings.TrimSuffix(c.saw, "127.0.0.1:"+port)) {
				t.Errorf("%s was asked for %q", front, srv.saw)
			}
		}, proxyAt(t, front), WithTLS(rootsOf(secure)))
	}
}

func TestProxyUnderAnothersContext(t *testing.T) {
	hang := serveRaw(t, silent)
	for _, front := range []string{hang, strings.Replace(hang, "http", "socks5h", 1)} {
		run(t, func(ctx context.Context, s *Session) {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), short)
			defer cancel()
			if _, err := s.Get(ctx, "https://example.org/"); kindOf(err) != KindTimeoutTotal {
				t.Errorf("%s: %v", front, err)
			}
			if s.pool.open != 0 {
				t.Errorf("%d connections left", s.pool.open)
			}
		}, proxyAt(t, front), WithTimeouts(Timeouts{Connect: long}))
	}
}

// FuzzSocks feeds the client's side any answer: it must end, and read no more than it must.
func FuzzSocks(f *testing.F) {
	f.Add([]byte("\x05\x00\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50rest"), false)
	f.Add([]byte("\x05\x02\x01\x00\x05\x00\x00\x03\x01xyz"), true)
	f.Fuzz(func(t *testing.T, in []byte, auth bool) {
		target := socksTarget{name: "example.org", port: "80"}
		if auth {
			target.user = url.UserPassword("u", "p")
		}
		r := strings.NewReader(string(in))
		err := target.connect(struct {
			io.Reader
			io.Writer
		}{r, io.Discard})
		if read := len(in) - r.Len(); err == nil && (read < 10 || read > 2+2+4+1+255+2) {
			t.Errorf("%d bytes read", read)
		}
	})
}

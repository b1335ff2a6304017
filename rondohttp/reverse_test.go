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
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rondo-go/rondo"
)

func proxyTo(t testing.TB, upstream string, o ProxyOptions) *testServer {
	t.Helper()
	u, err := url.Parse(upstream)
	if err != nil {
		t.Fatal(err)
	}
	return startServer(t, NewReverseProxy(u, o))
}

// echoUpstream tells what it was asked.
func echoUpstream(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	h := w.Header()
	for name, values := range r.Header {
		h["Got-"+name] = values
	}
	h.Set("Connection", "X-Hop, keep-alive")
	h.Set("X-Hop", "not for you")
	h.Set("Keep-Alive", "timeout=5")
	h.Set("Got-Length", fmt.Sprint(r.ContentLength))
	fmt.Fprintf(w, "%s %s %s %s", r.Method, r.Host, r.RequestURI, b)
}

func TestReverseProxyPassesOn(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(echoUpstream))
	defer up.Close()
	host := strings.TrimPrefix(up.URL, "http://")
	p := proxyTo(t, up.URL+"/base/", ProxyOptions{})
	for _, c := range []struct {
		method, target, body string
		chunked              bool
		want                 string
	}{
		{"GET", "/a%2Fb?c=d%20e&f", "", false, "GET " + host + " /base/a%2Fb?c=d%20e&f "},
		{"POST", "/", "hello", false, "POST " + host + " /base/ hello"},
		{"PUT", "/x", strings.Repeat("long", 50_000), true, "PUT " + host + " /base/x " + strings.Repeat("long", 50_000)},
		{"DELETE", "/x", "", false, "DELETE " + host + " /base/x "},
		{"POST", "/empty", "", false, "POST " + host + " /base/empty "},
	} {
		var body io.Reader
		if c.body != "" {
			body = strings.NewReader(c.body)
			if c.chunked {
				body = io.MultiReader(body)
			}
		}
		req, _ := http.NewRequest(c.method, "http://"+p.addr+c.target, body)
		req.Header = http.Header{"Connection": {"X-Mine"}, "X-Mine": {"hop"}, "X-Forwarded-For": {"6.6.6.6"}, "Forwarded": {"for=evil"}, "Cookie": {"a=b"},
			"Te": {"trailers"}, "Proxy-Authorization": {"secret"}, "Multi": {"1", "2"}, "User-Agent": nil}
		r, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := io.ReadAll(r.Body)
		r.Body.Close()
		if string(got) != c.want || r.StatusCode != 200 {
			t.Errorf("%s %s: %d %.200q", c.method, c.target, r.StatusCode, got)
		}
		h := r.Header
		for name, want := range map[string]string{
			"Got-X-Forwarded-For": "127.0.0.1", "Got-X-Forwarded-Proto": "http", "Got-X-Forwarded-Host": p.addr, "Got-Via": "1.1 rondo", "Got-Cookie": "a=b",
			"Got-Forwarded": `for=127.0.0.1;host="` + p.addr + `";proto=http`, "Got-Te": "trailers", "Got-X-Mine": "", "Got-Proxy-Authorization": "",
			"X-Hop": "", "Keep-Alive": "", "Got-User-Agent": "",
		} {
			if h.Get(name) != want {
				t.Errorf("%s: %s %q, want %q", c.target, name, h.Get(name), want)
			}
		}
		if !slices.Equal(h["Got-Multi"], []string{"1", "2"}) {
			t.Errorf("%q", h["Got-Multi"])
		}
		if want := map[bool]string{true: "-1", false: fmt.Sprint(len(c.body))}[c.chunked]; h.Get("Got-Length") != want {
			t.Errorf("%s: Content-Length %s, want %s", c.target, h.Get("Got-Length"), want)
		}
	}
}

func TestReverseProxyOptions(t *testing.T) {
	up := httptest.NewTLSServer(http.HandlerFunc(echoUpstream))
	defer up.Close()
	o := ProxyOptions{PreserveHost: true, TrustForwarded: true, TLS: up.Client().Transport.(*http.Transport).TLSClientConfig}
	p := proxyTo(t, up.URL, o)
	r, body := ask(t, "GET", "http://"+p.addr+"/", "X-Forwarded-For", "192.0.2.1", "X-Forwarded-Proto", "https", "Forwarded", "for=192.0.2.1")
	if body != "GET "+p.addr+" / " {
		t.Errorf("%q", body)
	}
	if r.Header.Get("Got-X-Forwarded-For") != "192.0.2.1, 127.0.0.1" || r.Header.Get("Got-X-Forwarded-Proto") != "https" || len(r.Header["Got-Forwarded"]) != 2 {
		t.Errorf("%v", r.Header)
	}
}

func TestReverseProxyAnswers(t *testing.T) {
	var base string
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/redirect":
			http.Redirect(w, r, base+"/to?a=b", http.StatusFound)
		case "/away":
			http.Redirect(w, r, "http://elsewhere.test/x", http.StatusFound)
		case "/slashes":
			http.Redirect(w, r, base+"//evil.test/x", http.StatusFound)
		case "/trailer":
			w.Header().Set("Trailer", "Sum")
			io.WriteString(w, "body")
			w.(http.Flusher).Flush()
			w.Header().Set("Sum", "42")
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		case "/304":
			w.WriteHeader(http.StatusNotModified)
		case "/gzip":
			w.Header().Set("Content-Encoding", "gzip")
			io.WriteString(w, "as it is")
		case "/large":
			io.WriteString(w, large)
		}
	}))
	defer up.Close()
	base = up.URL
	p := proxyTo(t, up.URL, ProxyOptions{})
	for path, want := range map[string]struct {
		status         int
		location, body string
	}{
		"/redirect": {302, "/to?a=b", ""}, "/away": {302, "http://elsewhere.test/x", ""}, "/slashes": {302, "/evil.test/x", ""},
		"/trailer": {200, "", "body"}, "/none": {204, "", ""}, "/304": {304, "", ""}, "/gzip": {200, "", "as it is"}, "/large": {200, "", large},
	} {
		r, body := ask(t, "GET", "http://"+p.addr+path)
		if r.StatusCode != want.status || r.Header.Get("Location") != want.location || want.body != "" && body != want.body {
			t.Errorf("%s: %d %q %.50q", path, r.StatusCode, r.Header.Get("Location"), body)
		}
		if path == "/trailer" && r.Trailer.Get("Sum") != "42" {
			t.Errorf("trailer %v", r.Trailer)
		}
		if h, _ := ask(t, "HEAD", "http://"+p.addr+path); h.StatusCode != want.status {
			t.Errorf("HEAD %s: %d", path, h.StatusCode)
		}
	}
}

func TestReverseProxyStreamsBothWays(t *testing.T) {
	came, wanted := make(chan string), make(chan string)
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		br := bufio.NewReader(r.Body)
		for {
			line, err := br.ReadString('\n')
			if err != nil {
				break
			}
			came <- line
		}
		for line := range wanted {
			io.WriteString(w, line)
			w.(http.Flusher).Flush()
		}
	}))
	defer up.Close()
	p := proxyTo(t, up.URL, ProxyOptions{})
	c := p.dial()
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none\n\r\n")
	if line := <-came; line != "one\n" {
		t.Fatalf("%q", line)
	}
	io.WriteString(c, "4\r\ntwo\n\r\n0\r\n\r\n")
	if line := <-came; line != "two\n" {
		t.Fatalf("%q", line)
	}
	wanted <- "first\n"
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(r.Body)
	if line, err := lines.ReadString('\n'); line != "first\n" {
		t.Fatalf("%q, %v", line, err)
	}
	wanted <- "second\n"
	if line, err := lines.ReadString('\n'); line != "second\n" {
		t.Fatalf("%q, %v", line, err)
	}
	close(wanted)
	if rest, err := io.ReadAll(lines); len(rest) > 0 || err != nil {
		t.Fatalf("%q, %v", rest, err)
	}
}

func TestReverseProxySaysWhatIsWrong(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	silent := serveRaw(t, func(c *net.TCPConn, _ int) { io.Copy(io.Discard, c) })
	garbage := serveRaw(t, answer("no HTTP\r\n\r\n"))
	for _, c := range []struct {
		upstream string
		status   int
		want     string
	}{
		{"http://" + gone.Addr().String(), 502, "connection refused"},
		{silent, 504, "http://"},
		{garbage, 502, "http://"},
	} {
		p := proxyTo(t, c.upstream, ProxyOptions{Timeout: 50 * time.Millisecond})
		for _, header := range [][]string{nil, {"Connection", "Upgrade", "Upgrade", "websocket"}} {
			r, body := ask(t, "GET", "http://"+p.addr+"/", header...)
			if r.StatusCode != c.status || !strings.Contains(body, c.want) || !strings.Contains(body, c.upstream) {
				t.Errorf("%s %q: %d %q", c.upstream, header, r.StatusCode, body)
			}
		}
	}
}

func TestReverseProxyShowsThatAnAnswerBrokeOff(t *testing.T) {
	url := serveRaw(t, answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"))
	p := proxyTo(t, url, ProxyOptions{})
	r, err := http.Get("http://" + p.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if b, err := io.ReadAll(r.Body); err == nil || string(b) != "half" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestReverseProxyEndsWhenTheClientLeaves(t *testing.T) {
	asked, left := make(chan bool), make(chan bool)
	up := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- true
		<-r.Context().Done()
		left <- true
	}))
	defer up.Close()
	p := proxyTo(t, up.URL, ProxyOptions{})
	c := p.dial()
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	<-asked
	c.Close()
	select {
	case <-left:
	case <-time.After(5 * time.Second):
		t.Fatal("the upstream is still asked")
	}
}

func TestReverseProxyReplacesAStaleConnection(t *testing.T) {
	// Each connection serves one request and says nothing of that, so that the next one meets its end, or a reset.
	var served atomic.Int64
	url := serveRaw(t, func(c *net.TCPConn, _ int) {
		br := bufio.NewReader(c)
		if readRequest(br) != nil {
			served.Add(1)
			io.WriteString(c, ok("body"))
		}
		br.ReadByte() // closes when the next request comes
	})
	p := proxyTo(t, url, ProxyOptions{})
	for i := range 5 {
		if r, body := ask(t, "GET", "http://"+p.addr); r.StatusCode != 200 || body != "body" {
			t.Errorf("%d: %d %q", i, r.StatusCode, body)
		}
	}
	if served.Load() != 5 {
		t.Errorf("%d requests served", served.Load())
	}
	r, err := http.Post("http://"+p.addr, "text/plain", strings.NewReader("not twice"))
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != 502 {
		t.Errorf("POST over a stale connection: %d, though the upstream may have acted on it", r.StatusCode)
	}
}

func TestReverseProxyUpgrade(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/no" {
			http.Error(w, "not here", http.StatusForbidden)
			return
		}
		c, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\nX-Sum: 7\r\n\r\nearly ", r.Header.Get("Upgrade"))
		rw.Flush()
		io.Copy(c, rw)
		io.WriteString(c, " bye")
	}))
	defer up.Close()
	p := proxyTo(t, up.URL, ProxyOptions{})
	const head = " HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: test\r\n\r\n"
	c := p.dial()
	io.WriteString(c, "GET /yes"+head+"behind the head")
	br := bufio.NewReader(c)
	r, err := http.ReadResponse(br, nil)
	if err != nil || r.StatusCode != 101 || r.Header.Get("Upgrade") != "test" || r.Header.Get("X-Sum") != "7" {
		t.Fatalf("%v, %v", r, err)
	}
	got := make([]byte, len("early behind the head"))
	if _, err := io.ReadFull(br, got); err != nil || string(got) != "early behind the head" {
		t.Fatalf("%q, %v", got, err)
	}
	io.WriteString(c, "more")
	c.CloseWrite()
	if rest, err := io.ReadAll(br); err != nil || string(rest) != "more bye" {
		t.Errorf("%q, %v", rest, err)
	}
	c = p.dial()
	io.WriteString(c, "GET /no"+head)
	if r, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || r.StatusCode != 403 {
		t.Errorf("%v, %v", r, err)
	}
}

func TestReverseProxyLeavesNothingOpen(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(echoUpstream))
	defer up.Close()
	u, _ := url.Parse(up.URL)
	before := descriptors(t)
	err := rondo.Run(func(ctx context.Context) error {
		s := NewServer(NewReverseProxy(u, ProxyOptions{}))
		return s.ListenAndServe(ctx, "tcp", "127.0.0.1:0", func(a net.Addr) {
			go func() {
				ask(t, "GET", "http://"+a.String())
				s.Close()
			}()
		})
	}, rondo.WithoutSignals())
	if !errors.Is(err, http.ErrServerClosed) {
		t.Fatal(err)
	}
	up.CloseClientConnections()
	for range 100 { // the upstream's side is closed by its own goroutines
		if descriptors(t) <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d descriptors, %d before", descriptors(t), before)
}

package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// A served is rondo serve at work.
type served struct {
	t         testing.TB
	url       string
	banner    string
	interrupt chan os.Signal
	ended     chan int
	errs      string // the file of standard error
	client    *http.Client
}

// startServe runs rondo serve on a free port until the test ends.
func startServe(t testing.TB, args ...string) *served {
	t.Helper()
	s := &served{t: t, interrupt: make(chan os.Signal, 2), ended: make(chan int, 1), errs: filepath.Join(t.TempDir(), "stderr")}
	errs, err := os.Create(s.errs)
	if err != nil {
		t.Fatal(err)
	}
	read, write := io.Pipe()
	go func() {
		s.ended <- run(append([]string{"serve", "--addr", "127.0.0.1:0"}, args...), streams{nil, write, errs, s.interrupt})
		errs.Close()
		write.Close()
	}()
	lines := bufio.NewScanner(read)
	for lines.Scan() {
		s.banner += lines.Text() + "\n"
		if u := regexp.MustCompile(`https?://[0-9.:]+/`).FindString(lines.Text()); u != "" {
			s.url = strings.TrimSuffix(u, "/")
			break
		}
	}
	if s.url == "" {
		text, _ := os.ReadFile(s.errs)
		t.Fatalf("it did not start: %s %s", s.banner, text)
	}
	var rest sync.WaitGroup
	rest.Go(func() {
		for lines.Scan() {
			s.banner += lines.Text() + "\n"
		}
	})
	s.client = &http.Client{Transport: &http.Transport{}}
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		if s.ended != nil {
			s.stop()
		}
		rest.Wait()
	})
	return s
}

// stop interrupts it and returns its standard error.
func (s *served) stop() string {
	s.t.Helper()
	s.interrupt <- os.Interrupt
	select {
	case status := <-s.ended:
		if status != exitOK {
			s.t.Errorf("exit status %d", status)
		}
	case <-time.After(10 * time.Second):
		s.t.Fatal("it does not end")
	}
	s.ended = nil
	text, err := os.ReadFile(s.errs)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

func (s *served) get(path string) (*http.Response, string) {
	s.t.Helper()
	r, err := s.client.Get(s.url + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return r, string(b)
}

func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestServeFolder(t *testing.T) {
	s := startServe(t, "--metrics", "--log", "json", "--loops", "2", folder(t, map[string]string{"a.txt": "text", ".secret": "no"}))
	for path, want := range map[string]struct {
		status int
		text   string
	}{
		"/": {200, ">a.txt</a>"}, "/a.txt": {200, "text"}, "/b": {404, ""}, "/.secret": {404, ""}, "/healthz": {200, "ready"},
	} {
		if r, body := s.get(path); r.StatusCode != want.status || !strings.Contains(body, want.text) {
			t.Errorf("%s: %d %q", path, r.StatusCode, body)
		}
	}
	if _, body := s.get("/metrics"); !strings.Contains(body, `rondo_http_requests_total{method="GET",code="200"} 3`) ||
		!strings.Contains(body, `rondo_http_requests_total{method="GET",code="404"} 2`) {
		t.Errorf("metrics: %s", body)
	}
	n := 0
	for line := range strings.Lines(s.stop()) {
		var o struct {
			Target, Proto, Method string
			Status                int
		}
		if err := json.Unmarshal([]byte(line), &o); err != nil || o.Method != "GET" || o.Proto != "HTTP/1.1" || o.Target == "" || o.Status < 200 {
			t.Errorf("%v: %s", err, line)
		}
		n++
	}
	if n != 6 {
		t.Errorf("%d lines for 6 requests", n)
	}
}

func TestServeTLSMakesACertificateOnce(t *testing.T) {
	config := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", config)
	t.Setenv("HOME", config)
	dir := folder(t, map[string]string{"a.txt": "text"})
	var last string
	for range 2 {
		s := startServe(t, "--tls", dir)
		where, err := certDir()
		if err != nil {
			t.Fatal(err)
		}
		ca, err := os.ReadFile(filepath.Join(where, "ca.pem"))
		if err != nil {
			t.Fatal(err)
		}
		if last != "" && last != string(ca) {
			t.Error("another certificate the second time")
		}
		last = string(ca)
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(ca)
		s.client.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
		if _, body := s.get("/a.txt"); body != "text" {
			t.Errorf("%q", body)
		}
		if info, err := os.Stat(filepath.Join(where, "key.pem")); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("key.pem: %v, %v", info, err)
		}
		s.stop()
	}
}

func TestServeKeepCertificateRenews(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	for _, c := range []struct {
		hosts []string
		now   time.Time
		made  bool
	}{
		{devHosts(""), now, true}, {devHosts(""), now, false}, {devHosts("192.0.2.1"), now, true}, {devHosts(""), now, false},
		{devHosts("192.0.2.1"), now, false}, {devHosts(""), now.Add(395 * 24 * time.Hour), true},
	} {
		made, err := keepCertificate(dir, c.hosts, c.now)
		if err != nil || made != c.made {
			t.Errorf("%v at %v: made %v, %v", c.hosts, c.now, made, err)
		}
	}
}

func TestServeLiveReload(t *testing.T) {
	dir := folder(t, map[string]string{"index.html": "<body>one</body>"})
	s := startServe(t, "--live-reload", "--log", "none", dir)
	if _, page := s.get("/"); page != `<body>one<script src="/.rondo/reload.js"></script></body>` {
		t.Errorf("%s", page)
	}
	if r, script := s.get("/.rondo/reload.js"); r.StatusCode != 200 || !strings.Contains(script, "EventSource") {
		t.Errorf("%d %s", r.StatusCode, script)
	}
	r, err := s.client.Get(s.url + "/.rondo/reload")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	events := bufio.NewScanner(r.Body)
	next := func() string {
		for events.Scan() {
			if d, ok := strings.CutPrefix(events.Text(), "data: "); ok {
				return d
			}
		}
		t.Fatal("the stream ended")
		return ""
	}
	first := next()
	if err := os.WriteFile(filepath.Join(dir, "index.html"), []byte("<body>two!</body>"), 0o644); err != nil {
		t.Fatal(err)
	}
	if second := next(); second == first {
		t.Error("the same state after a change")
	}
	s.stop() // with the stream open
}

func TestServeFinishesWhatIsUnderWay(t *testing.T) {
	dir := folder(t, map[string]string{"large": strings.Repeat("x", 32<<20)})
	s := startServe(t, "--log", "none", dir)
	c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	s.interrupt <- os.Interrupt
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil || n != 32<<20 {
		t.Errorf("%d bytes, %v", n, err)
	}
	if status := <-s.ended; status != exitOK {
		t.Errorf("exit status %d", status)
	}
	s.ended = nil
}

func TestServeEndsAtTheSecondSignal(t *testing.T) {
	dir := folder(t, map[string]string{"large": strings.Repeat("x", 32<<20)})
	s := startServe(t, "--log", "none", "--grace", "1h", dir)
	c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
	c.Read(make([]byte, 1))
	s.interrupt <- os.Interrupt
	s.interrupt <- os.Interrupt
	select {
	case <-s.ended:
	case <-time.After(10 * time.Second):
		t.Fatal("it does not end")
	}
	s.ended = nil
}

func TestServeSaysWhatIsWrong(t *testing.T) {
	ln, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dir := folder(t, map[string]string{"a": ""})
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"--addr", ln.Addr().String(), dir}, exitFailed, "is taken by"},
		{[]string{"--addr", "8080"}, exitUsage, "--addr 127.0.0.1:8080"},
		{[]string{"--addr", "a:b"}, exitUsage, `"b" is no port`},
		{[]string{"--addr", "192.0.2.1:0", dir}, exitFailed, "no address of this machine"},
		{[]string{filepath.Join(dir, "none")}, exitUsage, "no such folder"},
		{[]string{"localhost:3000"}, exitUsage, "write http://localhost:3000"},
		{[]string{filepath.Join(dir, "a")}, exitUsage, "not a folder; its folder is " + dir},
		{[]string{dir, dir}, exitUsage, "one DIR or URL"},
		{[]string{"ftp://a"}, exitUsage, "no URL to pass requests on to"},
		{[]string{"--spa", "http://a"}, exitUsage, "--spa is for the files of a folder"},
		{[]string{"--preserve-host", dir}, exitUsage, "is for requests that are passed on"},
		{[]string{"--cert", "x", dir}, exitUsage, "go together"},
		{[]string{"--cert", "x", "--key", "y", dir}, exitFailed, "certificate x with key y"},
		{[]string{"--log", "x", dir}, exitUsage, "--log short"},
		{[]string{"--loops", "0", dir}, exitUsage, "--loops 2"},
		{[]string{"--grace", "x", dir}, exitUsage, "--grace 10s"},
		{[]string{"--metrics=x", dir}, exitUsage, "does not begin with a slash"},
		{[]string{"--live-relod", dir}, exitUsage, "did you mean --live-reload? see rondo help serve"},
	} {
		_, text, status := command(t, nil, make(chan os.Signal), append([]string{"serve"}, c.args...)...)
		if status != c.status || !strings.Contains(text, c.want) || strings.Count(text, "\n") != 1 {
			t.Errorf("%q: status %d, %q, want %q", c.args, status, text, c.want)
		}
	}
	out, _, status := command(t, nil, nil, "help", "serve")
	if status != exitOK || !strings.Contains(out, "--live-reload") || !strings.Contains(out, "usage: rondo serve") {
		t.Errorf("help: %d %s", status, out)
	}
}

func TestServeProxy(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, r.Host+strings.Repeat(" and so on", 1000))
	}))
	s := startServe(t, "--preserve-host", "--metrics=/m", up.URL)
	if r, body := s.get("/"); r.StatusCode != 200 || !strings.HasPrefix(body, strings.TrimPrefix(s.url, "http://")) || !r.Uncompressed {
		t.Errorf("%d %.50q %v", r.StatusCode, body, r.Header)
	}
	up.Close()
	if r, body := s.get("/"); r.StatusCode != 502 || !strings.Contains(body, up.URL) {
		t.Errorf("%d %q", r.StatusCode, body)
	}
	if _, body := s.get("/m"); !strings.Contains(body, `code="502"} 1`) {
		t.Errorf("%s", body)
	}
	text := s.stop()
	if !strings.Contains(text, "connection refused") || !strings.Contains(text, "GET / 502") {
		t.Errorf("%s", text)
	}
}

package rondohttp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// observed are handlers by path, of both faces.
func observedHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/text":
		io.WriteString(w, "text")
	case "/large":
		io.WriteString(w, large)
	case "/teapot":
		w.WriteHeader(http.StatusTeapot)
	case "/panic":
		panic("on purpose")
	case "/hijack":
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
		c.Close()
	}
}

func observedNative(_ context.Context, w *ServerResponse, r *ServerRequest) error {
	switch string(r.Path()) {
	case "/text":
		w.WriteString("text")
	case "/large":
		w.WriteString(large)
	case "/teapot":
		w.SetStatus(http.StatusTeapot)
	case "/panic":
		return errors.New("on purpose")
	case "/hijack":
		w.SetStatus(http.StatusSwitchingProtocols)
		c, _, err := w.Hijack()
		if err != nil {
			return err
		}
		c.Close()
	}
	return nil
}

// observedFaces runs f with a server of each kind, whose handler is wrapped by wrap.
func observedFaces(t *testing.T, wrap func(h http.Handler) http.Handler, f func(t *testing.T, url string)) {
	quietly, _ := quiet()
	t.Run("native", func(t *testing.T) {
		h := wrap(HandlerFunc(observedNative))
		if nativeOf(h) == nil {
			t.Error("the face is lost")
		}
		f(t, "http://"+startServer(t, h, quietly).addr)
	})
	t.Run("http", func(t *testing.T) {
		f(t, "http://"+startServer(t, wrap(http.HandlerFunc(observedHTTP)), quietly).addr)
	})
	t.Run("net-http", func(t *testing.T) {
		s := httptest.NewUnstartedServer(wrap(http.HandlerFunc(observedHTTP)))
		s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
		s.Start()
		defer s.Close()
		f(t, s.URL)
	})
}

// visitAll asks for every path of the handlers above.
func visitAll(t *testing.T, url string) {
	for _, path := range []string{"/text", "/large", "/teapot", "/panic", "/hijack"} {
		req, _ := http.NewRequest("GET", url+path+`?"q"`, nil)
		req.Header.Set("User-Agent", "agent\\\"x")
		req.Header.Set("Referer", "http://from.test/")
		tr := &http.Transport{DisableKeepAlives: true}
		if r, err := tr.RoundTrip(req); err == nil {
			io.Copy(io.Discard, r.Body)
			r.Body.Close()
		}
	}
	ask(t, "HEAD", url+"/large")
}

func TestAccessLogFormats(t *testing.T) {
	size := len(large)
	for format, want := range map[AccessFormat][]string{
		CommonLog: {
			`^127.0.0.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET /text\?\\"q\\" HTTP/1.1" 200 4$`,
			fmt.Sprintf(`"GET /large.* 200 %d$`, size), `"GET /teapot.* 418 -$`, `"GET /panic.* 500 -$`, `"GET /hijack.* 101 -$`, `"HEAD /large HTTP/1.1" 200 -$`,
		},
		CombinedLog: {`" 200 4 "http://from.test/" "agent\\\\\\"x"$`, ` 200 \d+ "http://from`, "418", "500", "101", ` "-" "Go-http-client/1.1"$`},
		ShortLog:    {`^\d\d:\d\d:\d\d\.\d{3} 127.0.0.1 GET /text\?\\"q\\" 200 4 B \S+s$`, ` 200 320 kB `, " 418 0 B ", " 500 0 B .* failed$", " 101 0 B ", " HEAD /large 200 0 B"},
		JSONLog:     {`"status":200,"bytes":4,`, fmt.Sprintf(`"bytes":%d,`, size), `"status":418,`, `"status":500,.*"failed":true`, `"status":101,`, `"method":"HEAD"`},
	} {
		var l *AccessLog
		var out bytes.Buffer
		wrap := func(h http.Handler) http.Handler {
			out.Reset()
			l = NewAccessLog(&out, format)
			return l.Wrap(h)
		}
		observedFaces(t, wrap, func(t *testing.T, url string) {
			visitAll(t, url)
			// A handler may end after its answer has arrived. Real time: nothing tells of that.
			for range 200 {
				l.mu.Lock()
				n := strings.Count(string(l.lines), "\n")
				l.mu.Unlock()
				if n == 0 {
					break
				}
				time.Sleep(time.Millisecond)
			}
			time.Sleep(5 * time.Millisecond)
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
			if len(lines) != len(want) {
				t.Fatalf("%d lines: %q", len(lines), lines)
			}
			for _, w := range want { // a handler may end after the next one has begun: the order is not certain
				if !slices.ContainsFunc(lines, regexp.MustCompile(w).MatchString) {
					t.Errorf("%q\n want %s", lines, w)
				}
			}
			for _, l := range lines {
				if format == JSONLog && !json.Valid([]byte(l)) {
					t.Errorf("no JSON: %s", l)
				}
			}
		})
	}
}

// A stuckWriter takes nothing until it is told to.
type stuckWriter struct {
	free chan bool
	out  bytes.Buffer
}

func (w *stuckWriter) Write(p []byte) (int, error) {
	<-w.free
	return w.out.Write(p)
}

func TestAccessLogNeverWaits(t *testing.T) {
	w := &stuckWriter{free: make(chan bool)}
	l := NewAccessLog(w, CommonLog)
	o := &observation{began: time.Now(), method: "GET", target: "/" + strings.Repeat("x", 1000), proto: "HTTP/1.1", status: 200}
	for range 3000 {
		l.observed(o)
	}
	if n := len(l.lines); n > mostLogged+2000 {
		t.Errorf("%d bytes wait", n)
	}
	close(w.free)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	lines := strings.Count(w.out.String(), "HTTP/1.1")
	if want := fmt.Sprintf("# %d lines lost\n", 3000-lines); !strings.HasSuffix(w.out.String(), want) {
		t.Errorf("%d lines, and no %q", lines, want)
	}
}

func TestAccessLogCannotBeForged(t *testing.T) {
	const evil = "a\"b\\c\n\x1b[2Jd\x7f\xffé"
	for format := range ShortLog + 1 {
		l := &AccessLog{format: format}
		line := string(l.append(nil, &observation{method: "GET", target: evil, agent: evil, referer: evil}))
		if strings.Count(line, "\n") != 1 || strings.Contains(line, "\x1b") || format != JSONLog && strings.Contains(line, "\xff") {
			t.Errorf("%d: %q", format, line)
		}
		var into struct{ Target string }
		if format == JSONLog && (json.Unmarshal([]byte(line), &into) != nil || into.Target != strings.ToValidUTF8(evil, "\ufffd")) {
			t.Errorf("%q", into.Target)
		}
	}
}

func TestLogAccess(t *testing.T) {
	var out lockedBuffer
	l := slog.New(slog.NewJSONHandler(&out, nil))
	s := startServer(t, LogAccess(HandlerFunc(observedNative), l))
	ask(t, "GET", "http://"+s.addr+"/text")
	var line struct {
		Msg, Method, Target string
		Status, Bytes       int
	}
	if err := json.Unmarshal([]byte(out.String()), &line); err != nil || line.Msg != "request" || line.Target != "/text" || line.Status != 200 || line.Bytes != 4 {
		t.Errorf("%v: %s", err, out.String())
	}
}

func TestMetrics(t *testing.T) {
	var m *Metrics
	wrap := func(h http.Handler) http.Handler {
		m = NewMetrics()
		m.Gauge("mine", "One of mine.", func() float64 { return 2.5 })
		return m.Wrap(h)
	}
	sample := regexp.MustCompile(`^[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [0-9.e+-]+$`)
	observedFaces(t, wrap, func(t *testing.T, url string) {
		visitAll(t, url)
		for range 1000 { // a handler may end after its answer has arrived
			if m.running.Load() == 0 {
				break
			}
			time.Sleep(time.Millisecond)
		}
		w := httptest.NewRecorder()
		m.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		text := w.Body.String()
		lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
		for _, want := range []string{
			`rondo_http_requests_total{method="GET",code="200"} 2`, `rondo_http_requests_total{method="HEAD",code="200"} 1`,
			`rondo_http_requests_total{method="GET",code="418"} 1`, `rondo_http_requests_total{method="GET",code="500"} 1`,
			`rondo_http_requests_total{method="GET",code="101"} 1`, `rondo_http_request_duration_seconds_count 6`,
			`rondo_http_request_duration_seconds_bucket{le="+Inf"} 6`, fmt.Sprintf("rondo_http_response_bytes_total %d", 4+len(large)),
			`rondo_http_requests_in_flight 0`, "mine 2.5", "# TYPE mine gauge",
		} {
			if !slices.Contains(lines, want) {
				t.Errorf("no %s in\n%s", want, text)
			}
		}
		for _, l := range lines {
			if !strings.HasPrefix(l, "# ") && !sample.MatchString(l) {
				t.Errorf("malformed: %s", l)
			}
		}
		if typ := w.Header().Get("Content-Type"); typ != "text/plain; version=0.0.4; charset=utf-8" {
			t.Error(typ)
		}
	})
}

func TestHealth(t *testing.T) {
	h := new(Health)
	url := "http://" + startServer(t, h).addr
	if r, body := ask(t, "GET", url); r.StatusCode != 200 || body != "ready\n" {
		t.Errorf("%d %q", r.StatusCode, body)
	}
	h.Drain()
	if r, body := ask(t, "GET", url); r.StatusCode != 503 || body != "draining\n" {
		t.Errorf("%d %q", r.StatusCode, body)
	}
}

func BenchmarkObserve(b *testing.B) {
	l := NewAccessLog(io.Discard, CommonLog)
	defer l.Close()
	m := NewMetrics()
	s := startServer(b, m.Wrap(l.Wrap(HandlerFunc(observedNative))))
	c := s.dial()
	c.SetDeadline(time.Time{})
	p := make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		io.WriteString(c, "GET /text HTTP/1.1\r\nHost: a\r\n\r\n")
		if _, err := c.Read(p); err != nil {
			b.Fatal(err)
		}
	}
}

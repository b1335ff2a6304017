package rondohttp

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

var words = strings.Repeat("words that come again and again, ", 400)

// compressed are handlers by path.
func compressed(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	switch r.URL.Path {
	case "/text":
		h.Set("Etag", `"tag"`)
		io.WriteString(w, words)
	case "/length":
		h.Set("Content-Type", "application/json")
		h.Set("Content-Length", strconv.Itoa(len(words)))
		io.WriteString(w, words)
	case "/pieces":
		for i := 0; i < len(words); i += 100 {
			io.WriteString(w, words[i:min(i+100, len(words))])
		}
	case "/from":
		w.(io.ReaderFrom).ReadFrom(strings.NewReader(words))
	case "/error":
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, words)
	case "/short":
		io.WriteString(w, "short")
	case "/image":
		h.Set("Content-Type", "image/png")
		io.WriteString(w, words)
	case "/events":
		h.Set("Content-Type", "text/event-stream")
		io.WriteString(w, words)
	case "/coded":
		h.Set("Content-Type", "text/plain")
		h.Set("Content-Encoding", "x-other")
		io.WriteString(w, words)
	case "/part":
		h.Set("Content-Type", "text/plain")
		h.Set("Content-Range", "bytes 0-9/100")
		w.WriteHeader(http.StatusPartialContent)
		io.WriteString(w, words)
	case "/no-transform":
		h.Set("Cache-Control", "no-transform")
		io.WriteString(w, words)
	case "/none":
		w.WriteHeader(http.StatusNoContent)
	case "/nothing":
	case "/304":
		h.Set("Etag", `"tag"`)
		w.WriteHeader(http.StatusNotModified)
	}
}

func TestCompress(t *testing.T) {
	run := func(t *testing.T, base string) {
		for _, coding := range []string{"", "gzip", "br", "zstd"} {
			for path, want := range map[string]struct {
				status           int
				body             string
				coded, mayBeElse bool
			}{
				"/text": {200, words, true, true}, "/length": {200, words, true, true}, "/pieces": {200, words, true, true}, "/from": {200, words, true, true},
				"/error": {404, words, true, true}, "/short": {200, "short", false, true}, "/image": {200, words, false, false}, "/events": {200, words, false, false},
				"/part": {206, words, false, false}, "/no-transform": {200, words, false, false}, "/none": {204, "", false, false},
				"/nothing": {200, "", false, false}, "/304": {304, "", false, false},
			} {
				r, body := ask(t, "GET", base+path, "Accept-Encoding", coding)
				used := r.Header.Get("Content-Encoding")
				if want.coded && coding != "" != (used == coding) && coding != "" || !want.coded && used != "" || coding == "" && used != "" {
					t.Errorf("%q %s: Content-Encoding %q", coding, path, used)
				}
				if got := unpack(t, used, body); r.StatusCode != want.status || got != want.body {
					t.Errorf("%q %s: %d, %d bytes", coding, path, r.StatusCode, len(got))
				}
				if varies := r.Header.Get("Vary") == "Accept-Encoding"; varies != want.mayBeElse {
					t.Errorf("%q %s: Vary %q", coding, path, r.Header["Vary"])
				}
				if path == "/text" && (r.Header.Get("Etag") == `"tag"`) != (coding == "") {
					t.Errorf("%q: ETag %s", coding, r.Header.Get("Etag"))
				}
			}
			if r, body := ask(t, "GET", base+"/coded", "Accept-Encoding", coding); r.Header.Get("Content-Encoding") != "x-other" || body != words {
				t.Errorf("%q: coded twice", coding)
			}
		}
		if r, body := ask(t, "GET", base+"/text", "Accept-Encoding", "gzip", "Range", "bytes=0-1"); r.Header.Get("Content-Encoding") != "" || body != words {
			t.Error("compressed where a range was asked for")
		}
		g, _ := ask(t, "GET", base+"/length", "Accept-Encoding", "gzip")
		h, _ := ask(t, "HEAD", base+"/length", "Accept-Encoding", "gzip")
		if h.Header.Get("Content-Encoding") != g.Header.Get("Content-Encoding") || h.Header.Get("Vary") != g.Header.Get("Vary") {
			t.Errorf("HEAD %v, GET %v", h.Header, g.Header)
		}
	}
	h := Compress(http.HandlerFunc(compressed), CompressOptions{})
	t.Run("rondo", func(t *testing.T) { run(t, "http://"+startServer(t, h).addr) })
	t.Run("net-http", func(t *testing.T) {
		s := httptest.NewServer(h)
		defer s.Close()
		run(t, s.URL)
	})
}

func TestCompressFlushes(t *testing.T) {
	next := make(chan bool)
	s := startServer(t, Compress(OffLoop(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		for range 3 {
			io.WriteString(w, "line\n")
			w.(http.Flusher).Flush()
			<-next
		}
	})), CompressOptions{}))
	for _, coding := range []string{"gzip", "br", "zstd"} {
		req, _ := http.NewRequest("GET", "http://"+s.addr, nil)
		req.Header.Set("Accept-Encoding", coding)
		r, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if r.Header.Get("Content-Encoding") != coding {
			t.Fatalf("%v", r.Header)
		}
		lines := bufio.NewReader(unpacking(t, coding, r.Body))
		for range 3 {
			if line, err := lines.ReadString('\n'); line != "line\n" {
				t.Fatalf("%s: %q, %v", coding, line, err)
			}
			next <- true
		}
		if _, err := lines.ReadByte(); err != io.EOF {
			t.Errorf("%s: %v", coding, err)
		}
		r.Body.Close()
	}
}

func TestCompressBreaksOffWithItsHandler(t *testing.T) {
	log, _ := quiet()
	s := startServer(t, Compress(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, words)
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}), CompressOptions{}), log)
	req, _ := http.NewRequest("GET", "http://"+s.addr, nil)
	req.Header.Set("Accept-Encoding", "gzip")
	r, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if _, err := io.ReadAll(r.Body); err == nil {
		t.Error("the client sees a whole answer")
	}
}

package rondohttp

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestServerServesNetHTTPsOwnHandlers runs what net/http brings, and what its own tests of servers ask for.
func TestServerServesNetHTTPsOwnHandlers(t *testing.T) {
	dir := t.TempDir()
	page := strings.Repeat("0123456789", 10000)
	if err := os.WriteFile(filepath.Join(dir, "page.txt"), []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/files/", http.StripPrefix("/files", http.FileServer(http.Dir(dir))))
	mux.Handle("/limited", http.MaxBytesHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		}
	}), 5))
	mux.Handle("/late", OffLoop(http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
	}), time.Millisecond, "too late")))
	mux.Handle("/moved", http.RedirectHandler("/files/page.txt", http.StatusFound))
	mux.HandleFunc("/form", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.FormValue("a")+r.PostFormValue("b")) })
	mux.HandleFunc("/zero", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(http.StatusOK)
	})
	mux.HandleFunc("/close", func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Connection", "close") })
	mux.HandleFunc("/twice", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusAccepted)
		w.WriteHeader(http.StatusConflict)
		w.Header().Set("X-Late", "not sent")
	})
	mux.HandleFunc("/odd", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(42) })
	opt, log := quiet()
	s := startServer(t, mux, opt)
	for _, c := range []struct {
		name, in string
		status   int
		body     string
		fields   string // that the answer has
	}{
		{"file", "GET /files/page.txt HTTP/1.1\r\n" + closing + "\r\n", 200, page, "Content-Length: 100000"},
		{"head of a file", "HEAD /files/page.txt HTTP/1.1\r\n" + closing + "\r\n", 200, "", "Content-Length: 100000"},
		{"range", "GET /files/page.txt HTTP/1.1\r\n" + closing + "Range: bytes=5-14\r\n\r\n", 206, "5678901234", "Content-Range: bytes 5-14/100000"},
		{"range beyond", "GET /files/page.txt HTTP/1.1\r\n" + closing + "Range: bytes=100000-\r\n\r\n", 416, "invalid range: failed to overlap\n", "Content-Range: bytes */100000"},
		{"not modified", "GET /files/page.txt HTTP/1.1\r\n" + closing + "If-Modified-Since: " + time.Now().Add(time.Hour).UTC().Format(http.TimeFormat) + "\r\n\r\n", 304, "", "Last-Modified: "},
		{"no file", "GET /files/none HTTP/1.1\r\n" + closing + "\r\n", 404, "404 page not found\n", "X-Content-Type-Options: nosniff"},
		{"body of the limit", "POST /limited HTTP/1.1\r\n" + closing + "Content-Length: 5\r\n\r\n01234", 200, "", "Content-Length: 0"},
		{"body beyond the limit", "POST /limited HTTP/1.1\r\n" + closing + "Content-Length: 6\r\n\r\n012345", 413, "http: request body too large\n", ""},
		{"timeout", "GET /late HTTP/1.1\r\n" + closing + "\r\n", 503, "too late", ""},
		{"redirect", "GET /moved HTTP/1.1\r\n" + closing + "\r\n", 302, "<a href=\"/files/page.txt\">Found</a>.\n\n", "Location: /files/page.txt"},
		{"form", "POST /form?a=1 HTTP/1.1\r\n" + closing + "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\n\r\nb=2", 200, "12", ""},
		{"no body", "GET /zero HTTP/1.1\r\n" + closing + "\r\n", 200, "", "Content-Length: 0"},
		{"closing", "GET /close HTTP/1.1\r\nHost: a\r\n\r\nGET /zero HTTP/1.1\r\nHost: a\r\n\r\n", 200, "", "Connection: close"},
		{"two statuses", "GET /twice HTTP/1.1\r\n" + closing + "\r\n", 202, "", ""},
		{"impossible status", "GET /odd HTTP/1.1\r\n" + closing + "\r\n", 500, "Internal Server Error\n", ""},
		{"clean path", "GET /files/../x HTTP/1.1\r\n" + closing + "\r\n", 307, "<a href=\"/x\">Temporary Redirect</a>.\n\n", "Location: /x"},
	} {
		out := s.raw(c.in)
		method, _, _ := strings.Cut(c.in, " ")
		r, bodies := answers(t, out, method)
		if r[0].StatusCode != c.status || bodies[0] != c.body || !strings.Contains(out, c.fields) || r[0].Header.Get("X-Late") != "" {
			t.Errorf("%s: %d %.60q %v", c.name, r[0].StatusCode, bodies[0], r[0].Header)
		}
	}
	if got := log.String(); !strings.Contains(got, "superfluous") || !strings.Contains(got, fmt.Sprint("invalid status ", 42)) {
		t.Errorf("reported: %s", got)
	}
}

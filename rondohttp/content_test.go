package rondohttp

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rondo-go/rondo"
)

func TestRequestContent(t *testing.T) {
	type point struct{ X, Y int }
	url, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, `{"sent": %q, "length": %d, "type": %q}`, b, r.ContentLength, r.Header.Get("Content-Type"))
	})
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, bytes.Repeat([]byte("0123456789"), 60000), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, func(ctx context.Context, s *Session) {
		for name, c := range map[string]struct {
			do        func() (*Response, error)
			sent, typ string
			length    int
		}{
			"json": {func() (*Response, error) { return s.PostJSON(ctx, url, point{1, 2}) }, `{"X":1,"Y":2}`, "application/json", 13},
			"form": {func() (*Response, error) { return s.PostForm(ctx, url, map[string][]string{"a": {"1 2"}}) }, "a=1+2", "application/x-www-form-urlencoded", 5},
			"post": {func() (*Response, error) { return s.Post(ctx, url, "text/plain", strings.NewReader("hello")) }, "hello", "text/plain", 5},
			"file": {func() (*Response, error) {
				req := &Request{Method: "PUT", URL: url}
				if err := req.SetFile(file); err != nil {
					return nil, err
				}
				return s.Do(ctx, req)
			}, strings.Repeat("0123456789", 60000), "", 600000},
			"pieces": {func() (*Response, error) {
				return s.Do(ctx, &Request{Method: "POST", URL: url, Pieces: pieces(ctx, "he", "", "llo")})
			}, "hello", "", -1},
			"pieces, length": {func() (*Response, error) {
				return s.Do(ctx, &Request{Method: "POST", URL: url, Pieces: pieces(ctx, "he", "", "llo"), ContentLength: 5})
			}, "hello", "", 5},
		} {
			r, err := c.do()
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			var got struct {
				Sent, Type string
				Length     int
			}
			if err := r.JSON(ctx, &got); err != nil || got.Sent != c.sent || got.Type != c.typ || got.Length != c.length {
				t.Errorf("%s: %.100q, %d, %q, %v", name, got.Sent, got.Length, got.Type, err)
			}
		}
		if s.pool.open != 1 {
			t.Errorf("%d connections", s.pool.open)
		}
		if _, err := s.PostJSON(ctx, url, func() {}); kindOf(err) != KindBody {
			t.Errorf("a value that JSON cannot say: %v", err)
		}
		for name, req := range map[string]*Request{
			"failing":   {Pieces: func(yield func([]byte, error) bool) { yield(nil, errors.New("oh")) }},
			"too short": {Pieces: pieces(ctx, "x"), ContentLength: 2},
			"too long":  {Pieces: pieces(ctx, "xyz"), ContentLength: 2},
		} {
			req.URL, req.Method = url, "POST"
			if _, err := s.Do(ctx, req); kindOf(err) != KindBody {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := s.Do(ctx, &Request{URL: url, Body: strings.NewReader("x"), Pieces: pieces(ctx)}); kindOf(err) != KindBadRequest {
			t.Errorf("two bodies: %v", err)
		}
	})
}

// pieces parks before each.
func pieces(ctx context.Context, all ...string) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, p := range all {
			if err := rondo.Sleep(ctx, 0); err != nil || !yield([]byte(p), nil) {
				return
			}
		}
	}
}

func TestResponseJSONReportsBadContent(t *testing.T) {
	url, _ := serve(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<html>") })
	run(t, func(ctx context.Context, s *Session) {
		r, err := s.Get(ctx, url)
		if err != nil {
			t.Fatal(err)
		}
		var v any
		var syntax *json.SyntaxError
		if err := r.JSON(ctx, &v); kindOf(err) != KindContent || !errors.As(err, &syntax) {
			t.Errorf("%v", err)
		}
	})
}

func TestMultipart(t *testing.T) {
	url, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			http.Redirect(w, r, "/again", http.StatusTemporaryRedirect) // with the body once more
			return
		}
		if err := r.ParseMultipartForm(1 << 20); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		for _, name := range slices.Sorted(maps.Keys(r.MultipartForm.Value)) {
			fmt.Fprintf(w, "%s=%s ", name, r.MultipartForm.Value[name])
		}
		for _, name := range slices.Sorted(maps.Keys(r.MultipartForm.File)) {
			for _, h := range r.MultipartForm.File[name] {
				f, _ := h.Open()
				b, _ := io.ReadAll(f)
				fmt.Fprintf(w, "%s=%s(%d bytes, %d x) ", name, h.Filename, len(b), bytes.Count(b, []byte("x")))
			}
		}
		fmt.Fprint(w, r.ContentLength > 0)
	})
	file := filepath.Join(t.TempDir(), "big.bin")
	if err := os.WriteFile(file, bytes.Repeat([]byte("x"), 3*fileBuffer/2), 0o600); err != nil {
		t.Fatal(err)
	}
	whole := func() *Multipart {
		m := NewMultipart()
		m.Field(`na"me`, "va\r\nlue")
		m.Reader("r", "näme", strings.NewReader("xyx"), 3)
		if err := m.File("f", file); err != nil {
			t.Fatal(err)
		}
		return m
	}
	const want = "na%22me=[va\r\nlue] f=big.bin(393216 bytes, 393216 x) r=näme(3 bytes, 2 x) true"
	before := descriptors(t)
	run(t, func(ctx context.Context, s *Session) {
		req := &Request{Method: "POST", URL: url}
		req.SetMultipart(whole())
		if got, err := fetch(ctx, s, req); strings.Replace(got, `na"me`, "na%22me", 1) != want || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		m := whole()
		m.Reader("s", "stream", io.MultiReader(strings.NewReader("xx"), strings.NewReader("y")), -1)
		if m.Len() != -1 || m.again() != nil {
			t.Errorf("a stream of unknown length: %d", m.Len())
		}
		req = &Request{Method: "POST", URL: url + "/once"}
		req.SetMultipart(m)
		if got, err := fetch(ctx, s, req); !strings.HasSuffix(got, "s=stream(3 bytes, 2 x) false") || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		req = &Request{Method: "POST", URL: url + "/empty"}
		req.SetMultipart(NewMultipart())
		if _, err := fetch(ctx, s, req); err != nil {
			t.Error(err)
		}
		m = NewMultipart()
		m.Reader("r", "short", strings.NewReader("x"), 3)
		req = &Request{Method: "POST", URL: url + "/short"}
		req.SetMultipart(m)
		if _, err := fetch(ctx, s, req); kindOf(err) != KindBody || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("a part that is too short: %v", err)
		}
		s.CloseIdle()
		if n := descriptors(t); n > before+8 {
			t.Errorf("%d descriptors, %d before", n, before)
		}
	})
}

func TestMultipartLenIsThatOfWhatIsRead(t *testing.T) {
	for n := range 4 {
		m := NewMultipart()
		for i := range n {
			m.Field(fmt.Sprint(i), strings.Repeat("v", i*100))
		}
		b, err := io.ReadAll(struct{ io.Reader }{m})
		if int64(len(b)) != m.Len() || err != nil {
			t.Errorf("%d parts: %d bytes, said %d, %v", n, len(b), m.Len(), err)
		}
		if _, err := m.again()(); err != nil {
			t.Fatal(err)
		}
		if c, err := io.ReadAll(m); !bytes.Equal(b, c) || err != nil {
			t.Errorf("read again: %q, %v", c, err)
		}
	}
}

func TestResponseDownloads(t *testing.T) {
	lines := []string{"first", "", "third", strings.Repeat("long", 50000), "last"}
	url, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/endless":
			w.Write(bytes.Repeat([]byte("x"), maxLine+maxLine/2))
		case "/cut":
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, "one\ntwo")
		case "/big":
			w.Write(bytes.Repeat([]byte("0123456789"), fileBuffer/4))
		default:
			io.WriteString(w, strings.Join(lines, "\r\n"))
		}
	})
	run(t, func(ctx context.Context, s *Session) {
		open := func(path string) *Response {
			r, err := s.Get(ctx, url+path)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		var got []string
		for line, err := range open("").Lines(ctx) {
			if err != nil {
				t.Fatal(err)
			}
			rondo.Sleep(ctx, 0) // a line outlasts a park
			got = append(got, string(line))
		}
		if !slices.Equal(got, lines) {
			t.Errorf("%d lines", len(got))
		}
		for line := range open("").Lines(ctx) {
			if string(line) != "first" {
				t.Errorf("%q", line)
			}
			break
		}
		var last error
		for _, err := range open("/endless").Lines(ctx) {
			last = err
		}
		if kindOf(last) != KindTooLarge {
			t.Errorf("an endless line: %v", last)
		}
		got = nil
		for line, err := range open("/cut").Lines(ctx) {
			got, last = append(got, string(line)), err
		}
		if kindOf(last) != KindTruncated || !slices.Equal(got, []string{"one", "two"}) {
			t.Errorf("cut: %q, %v", got, last)
		}
		n := 0
		for p, err := range open("/big").Chunks(ctx) {
			if err != nil {
				t.Fatal(err)
			}
			n += len(p)
		}
		var b bytes.Buffer
		m, err := io.Copy(&b, open("/big"))
		if want := fileBuffer / 4 * 10; n != want || m != int64(want) || b.Len() != want || err != nil {
			t.Errorf("chunks %d, copied %d, %d, %v", n, m, b.Len(), err)
		}
		if s.pool.busy.first != nil {
			t.Error("a connection is still in use")
		}
	})
}

func TestResponseSave(t *testing.T) {
	body := bytes.Repeat([]byte("0123456789"), fileBuffer/4)
	url, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/cut" {
			w.Header().Set("Content-Length", fmt.Sprint(2*len(body)))
		}
		w.Write(body)
	})
	dir := t.TempDir()
	path := filepath.Join(dir, "saved")
	run(t, func(ctx context.Context, s *Session) {
		save := func(from, to string) (int64, error) {
			r, err := s.Get(ctx, url+from)
			if err != nil {
				t.Fatal(err)
			}
			return r.Save(ctx, to)
		}
		if n, err := save("/", path); n != int64(len(body)) || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		if b, err := os.ReadFile(path); !bytes.Equal(b, body) || err != nil {
			t.Errorf("the file has %d bytes, %v", len(b), err)
		}
		if n, err := save("/cut", path); kindOf(err) != KindTruncated {
			t.Errorf("cut: %d, %v", n, err)
		}
		if _, err := save("/", filepath.Join(dir, "not", "there")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("no folder: %v", err)
		}
	})
	b, err := os.ReadFile(path)
	entries, _ := os.ReadDir(dir)
	if !bytes.Equal(b, body) || err != nil || len(entries) != 1 {
		t.Errorf("after a failure: %d bytes, %v; %v", len(b), err, entries)
	}
}

func TestResponseRaiseForStatus(t *testing.T) {
	url, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/good" {
			return
		}
		w.WriteHeader(http.StatusTeapot)
		io.WriteString(w, strings.Repeat("short and stout ", 1000))
	})
	run(t, func(ctx context.Context, s *Session) {
		r, err := s.Get(ctx, url+"/good")
		if err != nil || r.RaiseForStatus(ctx) != nil {
			t.Errorf("%v", err)
		}
		r.Close()
		r, err = s.Get(ctx, strings.Replace(url, "://", "://u:secret@", 1))
		if err != nil {
			t.Fatal(err)
		}
		err = r.RaiseForStatus(ctx)
		var e *StatusError
		if !errors.As(err, &e) || e.Status != http.StatusTeapot || len(e.Body) != statusBody || len(err.Error()) > 400 || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: %v", e, err)
		}
		if want := "get " + url + `: 418 I'm a teapot: "short and stout`; !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
		if s.pool.busy.first != nil {
			t.Error("the connection is still in use")
		}
	})
}

// A cancel ends what has no end, and leaves nothing behind.
func TestResponseDownloadsEndWithACancel(t *testing.T) {
	url := serveRaw(t, func(c *net.TCPConn, _ int) {
		answer("HTTP/1.1 500 Oh\r\n\r\nsome")(c, 0)
		silent(c, 0)
	})
	dir := t.TempDir()
	run(t, func(ctx context.Context, s *Session) {
		for name, f := range map[string]func(ctx context.Context, r *Response) error{
			"save": func(ctx context.Context, r *Response) error {
				_, err := r.Save(ctx, filepath.Join(dir, "f"))
				return err
			},
			"raise": func(ctx context.Context, r *Response) error { return r.RaiseForStatus(ctx) },
			"lines": func(ctx context.Context, r *Response) (last error) {
				for _, err := range r.Lines(ctx) {
					last = err
				}
				return last
			},
		} {
			r, err := s.Get(ctx, url)
			if err != nil {
				t.Fatal(err)
			}
			err = rondo.Timeout(ctx, short, func(ctx context.Context) error { return f(ctx, r) })
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: %v", name, err)
			}
			if s.pool.open != 0 {
				t.Errorf("%s: %d connections are open", name, s.pool.open)
			}
		}
	})
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("%v", left)
	}
}

// A file whose task is canceled in the middle is sent from its start the next time.
func TestRequestFileIsReadAgain(t *testing.T) {
	var tries atomic.Int64
	url := serveRaw(t, func(c *net.TCPConn, _ int) {
		if tries.Add(1) == 1 {
			io.CopyN(io.Discard, c, 1000)
			return // with the rest unread, which resets it
		}
		r := readRequest(bufio.NewReader(c))
		io.WriteString(c, ok(fmt.Sprint(len(r.Header.Get("Test-Body")))))
	})
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, make([]byte, 3*fileBuffer), 0o600); err != nil {
		t.Fatal(err)
	}
	before := descriptors(t)
	run(t, func(ctx context.Context, s *Session) {
		req := &Request{Method: "PUT", URL: url}
		if err := req.SetFile(file); err != nil {
			t.Fatal(err)
		}
		if got, err := fetch(ctx, s, req); got != fmt.Sprint(3*fileBuffer) || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}, WithMiddleware(Retry(RetryPolicy{Backoff: time.Millisecond})))
	waitFor(t, func() bool { return descriptors(t) <= before+1 }) // the server's are closed in its own time
}

func TestSessionBaseAndQuery(t *testing.T) {
	base, _ := serve(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.RequestURI) })
	other, _ := serve(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "other "+r.RequestURI) })
	for _, c := range []struct {
		ref   string
		query url.Values
		want  string
	}{
		{"users", nil, "/v1/users?key=k"},
		{"/users", nil, "/users?key=k"},
		{"", nil, "/v1/?key=k"},
		{"users?a=1&key=own#x", nil, "/v1/users?a=1&key=own"},
		{"users?a=1", url.Values{"b": {"2 3"}}, "/v1/users?a=1&b=2+3&key=k"},
		{"users", url.Values{"key": {"own"}}, "/v1/users?key=own"},
		{other + "/x", nil, "other /x?key=k"},
	} {
		run(t, func(ctx context.Context, s *Session) {
			if got, err := fetch(ctx, s, &Request{URL: c.ref, Query: c.query}); got != c.want || err != nil {
				t.Errorf("%s: %q, want %q, %v", c.ref, got, c.want, err)
			}
			if r, err := s.Get(ctx, c.ref); err != nil {
				t.Error(err)
			} else {
				r.Close()
			}
		}, WithBaseURL(base+"/v1/"), WithQuery(url.Values{"key": {"k"}}))
	}
	run(t, func(ctx context.Context, s *Session) {
		if got, err := fetch(ctx, s, &Request{URL: base, Query: url.Values{"a": {"1"}}}); got != "/?a=1" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		if _, err := fetch(ctx, s, &Request{URL: "users"}); kindOf(err) != KindBadURL {
			t.Errorf("no base: %v", err)
		}
	})
	run(t, func(ctx context.Context, s *Session) {
		if _, err := s.Get(ctx, "users"); kindOf(err) != KindBadURL {
			t.Errorf("a bad base: %v", err)
		}
	}, WithBaseURL("http://a b/"))
}

func TestSessionUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Skipf("no unix sockets here: %v", err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Host+r.RequestURI) })}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	run(t, func(ctx context.Context, s *Session) {
		for range 2 {
			if _, got := get(t, ctx, s, "http://docker/v1/info"); got != "docker/v1/info" {
				t.Errorf("%q", got)
			}
		}
		if s.pool.open != 1 {
			t.Errorf("%d connections", s.pool.open)
		}
	}, WithUnixSocket(path))
}

func TestSessionLocalAddress(t *testing.T) {
	url, _ := serve(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.RemoteAddr) })
	run(t, func(ctx context.Context, s *Session) {
		if _, got := get(t, ctx, s, url); !strings.HasPrefix(got, "127.0.0.3:") {
			t.Errorf("%q", got)
		}
	}, WithDialer(rondo.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 3)}}))
}

func TestRequestHasItsOwnTimeouts(t *testing.T) {
	hang := serveRaw(t, silent)
	run(t, func(ctx context.Context, s *Session) {
		_, err := s.Do(ctx, &Request{URL: hang, Timeouts: &Timeouts{FirstByte: short}})
		if kindOf(err) != KindTimeoutFirstByte {
			t.Errorf("%v", err)
		}
		if _, err := s.Do(ctx, &Request{URL: hang, Timeouts: &Timeouts{Total: 2 * short}}); kindOf(err) != KindTimeoutTotal || !strings.Contains(err.Error(), "80ms") {
			t.Errorf("%v", err)
		}
	}, WithTimeouts(Timeouts{Total: time.Hour, FirstByte: time.Hour}))
}

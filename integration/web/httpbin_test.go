package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/mccutchen/go-httpbin/v2/httpbin"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/rondohttp"
)

// session runs f with a session whose base is httpbin.
func session(t *testing.T, f func(ctx context.Context, s *rondohttp.Session), opts ...rondohttp.Option) {
	t.Helper()
	srv := httptest.NewServer(httpbin.New())
	t.Cleanup(srv.Close)
	err := rondo.Run(func(ctx context.Context) error {
		s := rondohttp.NewSession(append([]rondohttp.Option{rondohttp.WithBaseURL(srv.URL)}, opts...)...)
		defer s.Close()
		f(ctx, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A reflection is what httpbin says of a request.
type reflection struct {
	Args    map[string][]string
	Headers map[string][]string
	Form    map[string][]string
	Files   map[string][]string
	JSON    json.RawMessage
	Data    string
	URL     string
	Gzipped bool `json:"gzipped"`
	Deflate bool `json:"deflated"`
	Cookies map[string]string
}

// send sends req and returns the status, and the answer if it is JSON.
func send(t *testing.T, ctx context.Context, s *rondohttp.Session, req *rondohttp.Request) (status int, e reflection) {
	t.Helper()
	r, err := s.Do(ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(r.Get("Content-Type"), "application/json") {
		if err := r.JSON(ctx, &e); err != nil {
			t.Fatalf("%s: %v", req.URL, err)
		}
	}
	r.Close()
	return r.Status, e
}

func TestBodiesAndQueries(t *testing.T) {
	session(t, func(ctx context.Context, s *rondohttp.Session) {
		if _, e := send(t, ctx, s, &rondohttp.Request{URL: "/get?a=1", Query: url.Values{"b": {"x y"}}}); e.Args["a"][0] != "1" || e.Args["b"][0] != "x y" {
			t.Errorf("%+v", e.Args)
		}
		req := &rondohttp.Request{Method: "POST", URL: "/post"}
		if err := req.SetJSON(map[string]int{"n": 7}); err != nil {
			t.Fatal(err)
		}
		if _, e := send(t, ctx, s, req); strings.Join(strings.Fields(string(e.JSON)), "") != `{"n":7}` {
			t.Errorf("%s", e.JSON)
		}
		req = &rondohttp.Request{Method: "PUT", URL: "/put"}
		req.SetForm(url.Values{"k": {"v", "w"}})
		if _, e := send(t, ctx, s, req); strings.Join(e.Form["k"], ",") != "v,w" {
			t.Errorf("%+v", e.Form)
		}
		m := rondohttp.NewMultipart()
		m.Field("field", "value")
		m.Reader("file", "name.txt", strings.NewReader("content"), -1)
		req = &rondohttp.Request{Method: "POST", URL: "/post"}
		req.SetMultipart(m)
		if _, e := send(t, ctx, s, req); e.Form["field"][0] != "value" || e.Files["file"][0] != "content" {
			t.Errorf("%+v %+v", e.Form, e.Files)
		}
		req = &rondohttp.Request{Method: "PATCH", URL: "/patch", ExpectContinue: time.Second, Pieces: func(yield func([]byte, error) bool) {
			_ = yield([]byte("one "), nil) && yield([]byte("two"), nil)
		}}
		if _, e := send(t, ctx, s, req); e.Data != "one two" && !strings.HasSuffix(e.Data, "b25lIHR3bw==") {
			t.Errorf("%+v", e)
		}
	})
}

func TestCodings(t *testing.T) {
	session(t, func(ctx context.Context, s *rondohttp.Session) {
		if _, e := send(t, ctx, s, &rondohttp.Request{URL: "/gzip"}); !e.Gzipped {
			t.Errorf("%+v", e)
		}
		if _, e := send(t, ctx, s, &rondohttp.Request{URL: "/deflate"}); !e.Deflate {
			t.Errorf("%+v", e)
		}
	})
}

func TestLogins(t *testing.T) {
	session(t, func(ctx context.Context, s *rondohttp.Session) {
		for _, c := range []struct {
			path string
			set  func(*rondohttp.Request)
			want int
		}{
			{"/basic-auth/u/p", func(r *rondohttp.Request) { r.SetBasicAuth("u", "p") }, 200},
			{"/basic-auth/u/p", func(r *rondohttp.Request) { r.SetBasicAuth("u", "x") }, 401},
			{"/bearer", func(r *rondohttp.Request) { r.SetBearer("token") }, 200},
			{"/bearer", func(r *rondohttp.Request) {}, 401},
		} {
			req := &rondohttp.Request{URL: c.path}
			c.set(req)
			if status, _ := send(t, ctx, s, req); status != c.want {
				t.Errorf("%s %v: %d", c.path, req.Header, status)
			}
		}
	})
	for _, algorithm := range []string{"", "/MD5", "/SHA-256"} {
		for password, want := range map[string]int{"p": 200, "x": 401} {
			session(t, func(ctx context.Context, s *rondohttp.Session) {
				for range 2 {
					if status, _ := send(t, ctx, s, &rondohttp.Request{URL: "/digest-auth/auth/u/p" + algorithm}); status != want {
						t.Errorf("digest %s with password %s: %d, want %d", algorithm, password, status, want)
					}
				}
			}, rondohttp.WithMiddleware(rondohttp.Digest("u", password)))
		}
	}
}

func TestCookies(t *testing.T) {
	session(t, func(ctx context.Context, s *rondohttp.Session) {
		for _, c := range []struct{ path, want string }{
			{"/cookies/set?a=1&b=2", "map[a:1 b:2]"}, // it redirects to /cookies
			{"/cookies", "map[a:1 b:2]"},
			{"/cookies/delete?a=", "map[b:2]"},
		} {
			r, err := s.Get(ctx, c.path)
			if err != nil {
				t.Fatal(err)
			}
			var got map[string]map[string]string
			if err := r.JSON(ctx, &got); err != nil || fmt.Sprint(got["cookies"]) != c.want {
				t.Errorf("%s: %v, %v", c.path, got, err)
			}
		}
	}, rondohttp.WithCookies(rondohttp.NewJar()))
}

func TestRedirects(t *testing.T) {
	session(t, func(ctx context.Context, s *rondohttp.Session) {
		for _, path := range []string{"/redirect/3", "/relative-redirect/3", "/absolute-redirect/3"} {
			r, err := s.Get(ctx, path)
			if err != nil {
				t.Fatal(err)
			}
			if r.Status != http.StatusOK || len(r.History) != 3 || r.History[0].Status != http.StatusFound || !strings.HasSuffix(r.URL, "/get") {
				t.Errorf("%s: %d at %s by %v", path, r.Status, r.URL, r.History)
			}
			r.Close()
		}
		_, err := s.Get(ctx, "/redirect/11")
		var e *rondohttp.Error
		if !errors.As(err, &e) || e.Kind != rondohttp.KindRedirectLoop {
			t.Errorf("%v", err)
		}
	})
}

func TestStreams(t *testing.T) {
	session(t, func(ctx context.Context, s *rondohttp.Session) {
		r, err := s.Get(ctx, "/stream/20")
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for line, err := range r.Lines(ctx) {
			if err != nil || !json.Valid(line) {
				t.Fatalf("%s, %v", line, err)
			}
			n++
		}
		if n != 20 {
			t.Errorf("%d lines", n)
		}
		if r, err = s.Get(ctx, "/drip?duration=200ms&numbytes=10&delay=0"); err != nil {
			t.Fatal(err)
		}
		if b, err := r.Bytes(ctx); len(b) != 10 || err != nil {
			t.Errorf("%q, %v", b, err)
		}
		r.Close()
		if r, err = s.Get(ctx, "/status/418"); err != nil {
			t.Fatal(err)
		}
		var failed *rondohttp.StatusError
		if err := r.RaiseForStatus(ctx); !errors.As(err, &failed) || failed.Status != http.StatusTeapot {
			t.Errorf("%v", err)
		}
	})
}

// /unstable fails half of the time.
func TestRetries(t *testing.T) {
	session(t, func(ctx context.Context, s *rondohttp.Session) {
		for range 20 {
			if status, _ := send(t, ctx, s, &rondohttp.Request{URL: "/unstable?failure_rate=0.3"}); status != http.StatusOK {
				t.Errorf("%d", status)
			}
		}
	}, rondohttp.WithMiddleware(rondohttp.Retry(rondohttp.RetryPolicy{
		Attempts: 20, Backoff: time.Millisecond, MaxBackoff: 5 * time.Millisecond, Statuses: []int{http.StatusInternalServerError}, Budget: -1})))
}

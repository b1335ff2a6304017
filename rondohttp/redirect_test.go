package rondohttp

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// redirecting answers /to?url=&code= with a redirect, and anything else with what it got.
func redirecting(w http.ResponseWriter, r *http.Request) {
	if q := r.URL.Query(); r.URL.Path == "/to" {
		code, err := strconv.Atoi(q.Get("code"))
		if err != nil {
			code = 302
		}
		w.Header().Set("Location", q.Get("url"))
		w.WriteHeader(code)
		io.WriteString(w, "moved")
		return
	}
	b, _ := io.ReadAll(r.Body)
	json.NewEncoder(w).Encode(seen{r.Method, r.RequestURI, r.Host, string(b), r.Header})
}

type seen struct {
	Method, URI, Host, Body string
	Header                  http.Header
}

func follow(t *testing.T, ctx context.Context, s *Session, req *Request) (r *Response, got seen) {
	t.Helper()
	r, err := s.Do(ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := r.Bytes(ctx)
	if err == nil && req.Method != "HEAD" {
		err = json.Unmarshal(b, &got)
	}
	if err != nil {
		t.Fatalf("%v: %q", err, b)
	}
	return r, got
}

func to(base, target string, more ...string) string {
	return base + "/to?" + strings.Join(append(more, "url="+url.QueryEscape(target)), "&")
}

func TestRedirectMethodAndBody(t *testing.T) {
	a, conns := serve(t, redirecting)
	run(t, func(ctx context.Context, s *Session) {
		for _, c := range []struct{ code, method, want, body string }{
			{"301", "GET", "GET", ""}, {"301", "POST", "GET", ""}, {"302", "POST", "GET", ""}, {"302", "PUT", "GET", ""},
			{"303", "POST", "GET", ""}, {"307", "POST", "POST", "hello"}, {"308", "PUT", "PUT", "hello"}, {"308", "GET", "GET", ""},
		} {
			req := &Request{Method: c.method, URL: to(a, "x/../y?q=1#frag", "code="+c.code), Header: http.Header{"Content-Type": {"text/plain"}}}
			if c.method != "GET" {
				req.Body = strings.NewReader("hello")
			}
			r, got := follow(t, ctx, s, req)
			typed := got.Header.Get("Content-Type") != ""
			if got.Method != c.want || got.Body != c.body || got.URI != "/y?q=1" || typed != (c.method == c.want) ||
				r.URL != a+"/y?q=1" || len(r.History) != 1 || r.History[0].URL != req.URL {
				t.Errorf("%s on %s: %+v, from %s after %v", c.code, c.method, got, r.URL, r.History)
			}
		}
		for _, code := range []string{"301", "302", "303", "307", "308"} {
			if r, _ := follow(t, ctx, s, &Request{Method: "HEAD", URL: to(a, "/y", "code="+code)}); r.URL != a+"/y" || r.ContentLength == 0 {
				t.Errorf("%s on HEAD: %s", code, r.URL)
			}
		}
		_, err := s.Do(ctx, &Request{Method: "POST", URL: to(a, "/y", "code=307"), Body: io.MultiReader(strings.NewReader("x"))})
		if kindOf(err) != KindRedirect || !strings.Contains(err.Error(), "GetBody") {
			t.Errorf("307 with a body that cannot be read again: %v", err)
		}
		_, got := follow(t, ctx, s, &Request{Method: "POST", URL: to(a, "/y", "code=307"), Body: io.MultiReader(strings.NewReader("x")),
			GetBody: func() (io.Reader, error) { return strings.NewReader("x"), nil }})
		if got.Method != "POST" || got.Body != "x" {
			t.Errorf("307 with GetBody: %+v", got)
		}
	})
	if n := conns.opened.Load(); n != 1 {
		t.Errorf("%d connections: a redirect's connection is not used again", n)
	}
}

func TestRedirectToAnotherOriginCarriesNoCredentials(t *testing.T) {
	a, _ := serve(t, redirecting)
	b, _ := serve(t, redirecting)
	secret := http.Header{
		"Authorization": {"Bearer one", "Bearer two"}, "authorization": {"Bearer three"}, "Cookie": {"a=1", "b=2"}, "cookie": {"c=3"},
		"Proxy-Authorization": {"x"}, "WWW-Authenticate": {"y"}, "X-Plain": {"kept"}, "Host": {"other.example"},
	}
	check := func(t *testing.T, what string, got seen, want bool) {
		t.Helper()
		n := 0
		for name, v := range got.Header {
			switch strings.ToLower(name) {
			case "authorization", "cookie", "proxy-authorization", "www-authenticate":
				n += len(v)
			}
		}
		if (n > 0) != want || got.Header.Get("X-Plain") != "kept" || (got.Host == "other.example") != want {
			t.Errorf("%s: %+v, credentials wanted: %v", what, got, want)
		}
	}
	for name, session := range map[string]bool{"of the session": true, "of the request": false} {
		t.Run(name, func(t *testing.T) {
			var opts []Option
			own := secret
			if session {
				opts, own = append(opts, WithHeader(secret)), nil
			}
			run(t, func(ctx context.Context, s *Session) {
				_, got := follow(t, ctx, s, &Request{URL: to(a, "/y"), Header: own})
				check(t, "same origin", got, true)
				_, got = follow(t, ctx, s, &Request{URL: to(a, b+"/y"), Header: own})
				check(t, "another port", got, false)
				_, got = follow(t, ctx, s, &Request{URL: to(a, strings.Replace(a, "127.0.0.1", "localhost", 1)+"/y"), Header: own})
				check(t, "another host", got, false)
				_, got = follow(t, ctx, s, &Request{URL: to(a, to(b, a+"/y")), Header: own})
				check(t, "there and back", got, false)
			}, opts...)
		})
	}
	t.Run("of the URL", func(t *testing.T) {
		withUser := func(s string) string { return strings.Replace(s, "//", "//u:p@", 1) }
		run(t, func(ctx context.Context, s *Session) {
			for _, c := range []struct {
				url  string
				want bool
			}{{withUser(a) + "/y", true}, {withUser(to(a, "/y")), true}, {withUser(to(a, b+"/y")), false}, {to(a, withUser(b)+"/y"), false}} {
				if _, got := follow(t, ctx, s, &Request{URL: c.url}); (got.Header.Get("Authorization") != "") != c.want {
					t.Errorf("%s: %v, wanted: %v", c.url, got.Header, c.want)
				}
			}
		})
	})
}

func TestRedirectLimits(t *testing.T) {
	var hops atomic.Int64
	loop, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		hops.Add(1)
		http.Redirect(w, r, "/again", http.StatusFound)
	})
	run(t, func(ctx context.Context, s *Session) {
		_, err := s.Get(ctx, loop+"/first")
		if kindOf(err) != KindRedirectLoop || hops.Load() != 4 || !strings.Contains(err.Error(), "/again: stopped after 3 redirects") {
			t.Errorf("after %d hops: %v", hops.Load(), err)
		}
	}, WithMaxRedirects(3))
	run(t, func(ctx context.Context, s *Session) {
		r, err := s.Get(ctx, loop)
		if err != nil || r.Status != 302 || r.Get("Location") != "/again" {
			t.Errorf("%+v, %v", r, err)
		}
	}, WithMaxRedirects(0))
}

func TestRedirectThatCannotBeFollowed(t *testing.T) {
	a, _ := serve(t, redirecting)
	plain, _ := serve(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(302) })
	run(t, func(ctx context.Context, s *Session) {
		for _, target := range []string{"ftp://example.org/", "http://[::1/", "http://:80/", "mailto:a@b.example", "/%zz"} {
			if _, err := s.Get(ctx, to(a, target)); kindOf(err) != KindRedirect || !strings.Contains(err.Error(), target) {
				t.Errorf("to %q: %v", target, err)
			}
		}
		if status, _ := get(t, ctx, s, plain); status != 302 {
			t.Errorf("a 302 without Location: %d", status)
		}
	})
}

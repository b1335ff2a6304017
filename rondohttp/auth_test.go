package rondohttp

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestNetrc(t *testing.T) {
	n := parseNetrc(`# logins
machine example.org login alice password "a b\"c" # the first counts
machine example.org login mallory password x
machine
  OTHER.example
  login bob
  account none
  password hunter2
macdef init
machine not.example login a password b

machine last.example login eve password p default login anonymous password me@
`)
	for host, want := range map[string]string{
		"example.org": `alice:a b"c`, "other.example": "bob:hunter2", "last.example": "eve:p", "not.example": "anonymous:me@", "else.example": "anonymous:me@",
	} {
		if got := n.lookup(host); got != want {
			t.Errorf("%s: %q, want %q", host, got, want)
		}
	}
}

func FuzzNetrc(f *testing.F) {
	f.Add("machine a login b password c\n", "a")
	f.Add("macdef x\nmachine a\n\ndefault login \"", "b")
	f.Fuzz(func(t *testing.T, s, host string) {
		if user := parseNetrc(s).lookup(host); user != "" && !strings.Contains(user, ":") {
			t.Errorf("%q", user)
		}
	})
}

func TestSessionSendsLogins(t *testing.T) {
	echo := func(w http.ResponseWriter, r *http.Request) {
		if to := r.URL.Query().Get("to"); to != "" {
			http.Redirect(w, r, to, http.StatusFound)
			return
		}
		io.WriteString(w, r.Header.Get("Authorization"))
	}
	a, _ := serve(t, echo)
	b, _ := serve(t, echo)
	b = strings.Replace(b, "127.0.0.1", "localhost", 1)
	file := filepath.Join(t.TempDir(), "netrc")
	if err := os.WriteFile(file, []byte("machine localhost login n password p"), 0o600); err != nil {
		t.Fatal(err)
	}
	bearer := &Request{URL: a}
	bearer.SetBearer("t")
	for name, c := range map[string]struct {
		req  *Request
		opts []Option
		want string
	}{
		"basic":                    {&Request{URL: a}, []Option{WithBasicAuth("u", "p")}, "Basic dTpw"},
		"the request's own":        {bearer, []Option{WithBasicAuth("u", "p")}, "Bearer t"},
		"bearer":                   {&Request{URL: a}, []Option{WithBearer("s")}, "Bearer s"},
		"beside other fields":      {&Request{URL: a}, []Option{WithBearer("s"), WithHeader(http.Header{"X": {"y"}})}, "Bearer s"},
		"not to another origin":    {&Request{URL: a + "?to=" + b}, []Option{WithBearer("s")}, ""},
		"netrc":                    {&Request{URL: b}, []Option{WithNetrc(file)}, "Basic bjpw"},
		"netrc, another machine":   {&Request{URL: a}, []Option{WithNetrc(file)}, ""},
		"netrc after a redirect":   {&Request{URL: a + "?to=" + b}, []Option{WithNetrc(file), WithBearer("s")}, "Basic bjpw"},
		"netrc, the request's own": {bearer, []Option{WithNetrc(file)}, "Bearer t"},
	} {
		run(t, func(ctx context.Context, s *Session) {
			if got, err := fetch(ctx, s, c.req); got != c.want || err != nil {
				t.Errorf("%s: %q, want %q; %v", name, got, c.want, err)
			}
		}, c.opts...)
	}
	t.Setenv("NETRC", file)
	run(t, func(ctx context.Context, s *Session) {
		if got, err := fetch(ctx, s, &Request{URL: b}); got != "Basic bjpw" || err != nil {
			t.Errorf("$NETRC: %q, %v", got, err)
		}
	}, WithNetrc(""))
	run(t, func(ctx context.Context, s *Session) {
		if _, err := s.Get(ctx, b); kindOf(err) != KindBadRequest {
			t.Errorf("a file that is not there: %v", err)
		}
	}, WithNetrc(file+".not"))
}

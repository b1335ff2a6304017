package rondohttp

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestCookiesFollowTheirDomains(t *testing.T) {
	echo := func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, strings.Join(r.Header["Cookie"], "|")) }
	b, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "b", Value: "2"})
		echo(w, r)
	})
	b = strings.Replace(b, "127.0.0.1", "localhost", 1) // cookies don't tell ports apart
	a, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/set":
			http.SetCookie(w, &http.Cookie{Name: "a", Value: "1"})
			http.Redirect(w, r, "/see", http.StatusFound)
		case "/leave":
			http.Redirect(w, r, b, http.StatusFound)
		default:
			echo(w, r)
		}
	})
	run(t, func(ctx context.Context, s *Session) {
		for _, c := range []struct{ url, own, want string }{
			{a + "/set", "", "a=1"},
			{a, "", "a=1"},
			{a, "own=0", "own=0; a=1"},
			{b, "", ""},
			{a + "/leave", "own=0", "b=2"},
			{b, "", "b=2"},
			{a, "", "a=1"},
		} {
			req := &Request{URL: c.url}
			if c.own != "" {
				req.Header = http.Header{"Cookie": {c.own}}
			}
			if got, err := fetch(ctx, s, req); got != c.want || err != nil {
				t.Errorf("%s, own cookie %q: the server saw %q, want %q; %v", c.url, c.own, got, c.want, err)
			}
		}
	}, WithCookies(NewJar()))
	run(t, func(ctx context.Context, s *Session) {
		if got, err := fetch(ctx, s, &Request{URL: a + "/set"}); got != "" || err != nil {
			t.Errorf("without a jar the server saw %q, %v", got, err)
		}
	})
}

func TestCookiesOfAPublicSuffixAreRefused(t *testing.T) {
	jar := NewJar()
	u, _ := url.Parse("https://shop.example.co.uk/")
	jar.SetCookies(u, []*http.Cookie{{Name: "all", Value: "1", Domain: "co.uk"}, {Name: "own", Value: "1", Domain: "example.co.uk"}})
	if got := jar.Cookies(u); len(got) != 1 || got[0].Name != "own" {
		t.Errorf("%v", got)
	}
}

// A client of net/http keeps the cookies itself: the session adds nothing to them.
func TestCookiesUnderAClientAreTheClients(t *testing.T) {
	url, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "1"})
		io.WriteString(w, strings.Join(r.Header["Cookie"], "|"))
	})
	own := NewJar()
	run(t, func(ctx context.Context, s *Session) {
		client := &http.Client{Transport: s, Jar: NewJar()}
		for _, want := range []string{"", "a=1"} {
			resp, err := client.Get(url)
			if err != nil {
				t.Fatal(err)
			}
			b, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if string(b) != want {
				t.Errorf("the server saw %q, want %q", b, want)
			}
		}
	}, WithCookies(own))
}

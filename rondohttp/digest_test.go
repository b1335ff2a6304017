package rondohttp

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// The examples of RFC 7616 section 3.9.1, and that of RFC 2617 section 3.5.
func TestDigestAnswers(t *testing.T) {
	const nonce, opaque = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"
	for _, c := range []struct{ algorithm, realm, password, nonce, uri, cnonce, opaque, response string }{
		{"MD5", "http-auth@example.org", "Circle of Life", nonce, "/dir/index.html", "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", opaque, "8ca523f5e9506fed4657c9700eebdbec"},
		{"SHA-256", "http-auth@example.org", "Circle of Life", nonce, "/dir/index.html", "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", opaque, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"},
		{"", "testrealm@host.com", "Circle Of Life", "dcd98b7102dd2f0e8b11d0f600bfb0c093", "/dir/index.html", "0a4f113b", "5ccc069c403ebaf9f0171e9517f40e41", "6629fae49393a05397450978507c4ef1"},
	} {
		h := fmt.Sprintf(`Basic realm="x, y", Digest realm="%s", qop="auth, auth-int", nonce="%s", opaque="%s"`, c.realm, c.nonce, c.opaque)
		if c.algorithm != "" {
			h += ", algorithm=" + c.algorithm
		}
		ch := digestChallenge([]string{h})
		if ch == nil {
			t.Fatalf("%s: not understood", h)
		}
		got := ch.answer("Mufasa", c.password, "GET", c.uri, c.cnonce)
		for _, part := range []string{`response="` + c.response + `"`, "nc=00000001", "qop=auth,", `opaque="` + c.opaque + `"`, `uri="` + c.uri + `"`} {
			if !strings.Contains(got, part) {
				t.Errorf("%s: no %s in %s", c.algorithm, part, got)
			}
		}
	}
}

func TestDigestChoosesTheStrongest(t *testing.T) {
	c := digestChallenge([]string{`Digest realm="r", nonce="1", algorithm=MD5`, `Digest realm="r", nonce="2", algorithm=SHA-256, Digest realm="r", nonce="3", algorithm=SHA-512-256`})
	if c == nil || c.nonce != "2" {
		t.Errorf("%+v", c)
	}
	for _, s := range []string{"", "Basic realm=x", `Digest realm="r"`, `Digest realm="r", nonce="n", qop="auth-int"`, `="`, "Digest"} {
		if c := digestChallenge([]string{s}); c != nil {
			t.Errorf("%s: %+v", s, c)
		}
	}
}

func FuzzDigestChallenge(f *testing.F) {
	f.Add(`Digest realm="a\"b", nonce=x, qop=auth, algorithm=SHA-256-sess, Basic realm="x"`)
	f.Fuzz(func(t *testing.T, s string) {
		if c := digestChallenge([]string{s}); c != nil && c.nonce == "" {
			t.Error("a challenge without a nonce")
		}
	})
}

// A digestServer checks answers, and gives a new nonce every `life` requests.
type digestServer struct {
	mu             sync.Mutex
	algorithm, qop string
	life           int
	n, refused     int
	auths          []string
}

func (d *digestServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	nonce := fmt.Sprintf("nonce-%d", d.n/d.life)
	auth := r.Header.Get("Authorization")
	d.auths = append(d.auths, auth)
	body, _ := io.ReadAll(r.Body)
	challenges := parseChallenges(auth)
	stale := false
	if len(challenges) == 1 && challenges[0].scheme == "Digest" {
		p := challenges[0].params
		stale = p["nonce"] != nonce
		c := &challenge{realm: "r", nonce: nonce, algorithm: d.algorithm, qop: d.qop != ""}
		fmt.Sscanf(p["nc"], "%x", &c.count)
		c.count-- // that answer counts up
		want := c.answer("u", "p", r.Method, r.URL.RequestURI(), p["cnonce"])
		if !stale && parseChallenges(want)[0].params["response"] == p["response"] && p["uri"] == r.URL.RequestURI() {
			d.n++
			fmt.Fprintf(w, "hello %s", body)
			return
		}
	}
	d.refused++
	h := fmt.Sprintf(`Digest realm="r", nonce="%s"`, nonce)
	if d.algorithm != "" {
		h += ", algorithm=" + d.algorithm
	}
	if d.qop != "" {
		h += `, qop="` + d.qop + `"`
	}
	if stale {
		h += ", stale=true"
	}
	w.Header().Set("WWW-Authenticate", h)
	w.WriteHeader(http.StatusUnauthorized)
}

func TestDigestAgainstAServer(t *testing.T) {
	for _, algorithm := range []string{"", "MD5", "MD5-sess", "SHA-256", "SHA-256-sess"} {
		for _, qop := range []string{"", "auth"} {
			t.Run(algorithm+"/"+qop, func(t *testing.T) {
				d := &digestServer{algorithm: algorithm, qop: qop, life: 3}
				url, _ := serve(t, d.ServeHTTP)
				run(t, func(ctx context.Context, s *Session) {
					for i := range 7 {
						req := &Request{Method: "POST", URL: fmt.Sprintf("a?i=%d", i), Body: strings.NewReader("body")}
						if got, err := fetch(ctx, s, req); got != "hello body" || err != nil {
							t.Fatalf("request %d: %q, %v; sent %v", i, got, err, d.auths)
						}
					}
				}, WithMiddleware(Digest("u", "p")), WithBaseURL(url))
				d.mu.Lock()
				defer d.mu.Unlock()
				if d.refused != 3 { // at first, and for each of two nonces that became stale
					t.Errorf("%d refusals: %q", d.refused, d.auths)
				}
			})
		}
	}
}

func TestDigestGivesUpOnAWrongPassword(t *testing.T) {
	d := &digestServer{life: 100, qop: "auth"}
	url, _ := serve(t, d.ServeHTTP)
	run(t, func(ctx context.Context, s *Session) {
		for range 2 {
			r, err := s.Get(ctx, url)
			if err != nil || r.Status != http.StatusUnauthorized {
				t.Fatalf("%v, %v", r, err)
			}
			r.Close()
		}
	}, WithMiddleware(Digest("u", "wrong")))
	d.mu.Lock()
	defer d.mu.Unlock()
	// The second request answers the nonce that it remembers: it is refused, and that is that.
	if n := len(d.auths); n != 3 {
		t.Errorf("%d requests: %q", n, d.auths)
	}
}

// A redirect to another server must not make it learn an answer to its own challenge.
func TestDigestAnswersNoOtherOrigin(t *testing.T) {
	d := &digestServer{life: 100}
	b, _ := serve(t, d.ServeHTTP)
	a, _ := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, b, http.StatusFound) })
	run(t, func(ctx context.Context, s *Session) {
		r, err := s.Get(ctx, a)
		if err != nil || r.Status != http.StatusUnauthorized {
			t.Fatalf("%v, %v", r, err)
		}
		r.Close()
	}, WithMiddleware(Digest("u", "p")))
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.auths) != 1 || d.auths[0] != "" {
		t.Errorf("it was sent %q", d.auths)
	}
}

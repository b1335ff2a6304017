package rondohttp

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rondo-go/rondo"
)

// serveTLS starts an https server, which also offers HTTP/2.
func serveTLS(t *testing.T, h http.HandlerFunc) (url string, roots *x509.CertPool, conns *counter) {
	t.Helper()
	conns = new(counter)
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ConnState = conns.state
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes fail here on purpose
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(srv.Close)
	roots = x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	return srv.URL, roots, conns
}

func TestTLSWithAPrivateRoot(t *testing.T) {
	body := strings.Repeat("x", 300000)
	url, roots, conns := serveTLS(t, func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil || r.ProtoMajor != 2 {
			t.Errorf("%s over %v", r.Proto, r.TLS)
		}
		io.WriteString(w, body)
	})
	config := &tls.Config{RootCAs: roots}
	run(t, func(ctx context.Context, s *Session) {
		for range 3 {
			if status, b := get(t, ctx, s, url); status != 200 || b != body {
				t.Errorf("%d, %d bytes", status, len(b))
			}
		}
		if n := conns.opened.Load(); n != 1 {
			t.Errorf("%d connections for 3 requests in turn", n)
		}
		err := rondo.WithGroup(ctx, func(g *rondo.Group) error {
			for range 20 {
				g.Go(func(ctx context.Context) error {
					b, err := fetch(ctx, s, &Request{URL: url})
					if err == nil && b != body {
						err = fmt.Errorf("a body of %d bytes that is not the one sent", len(b))
					}
					return err
				})
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}, WithTLS(config), WithLimit(4))
	if config.NextProtos != nil || config.ServerName != "" {
		t.Error("the caller's configuration was changed")
	}
}

func TestTLSResumesSessions(t *testing.T) {
	url, roots, _ := serveTLS(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.TLS.DidResume) })
	run(t, func(ctx context.Context, s *Session) {
		_, first := get(t, ctx, s, url)
		s.CloseIdle()
		_, second := get(t, ctx, s, url)
		if first != "false" || second != "true" {
			t.Errorf("resumed: %s, then %s", first, second)
		}
	}, WithTLS(&tls.Config{RootCAs: roots}))
}

func TestTLSErrors(t *testing.T) {
	url, roots, _ := serveTLS(t, func(w http.ResponseWriter, r *http.Request) {})
	plain, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {})
	closing := serveRaw(t, answer(""))
	for name, c := range map[string]struct {
		url    string
		config *tls.Config
		want   string
		kind   Kind // KindTLS unless it is said
	}{
		"unknown root":    {url, nil, "signed by unknown authority: pass its root with --cacert or WithTLS", ""},
		"another name":    {url, &tls.Config{RootCAs: roots, ServerName: "other.test"}, "not for other.test", ""},
		"a plain server":  {strings.Replace(plain, "http", "https", 1), nil, "ask it with http://", ""},
		"closes":          {strings.Replace(closing, "http", "https", 1), nil, "handshake with 127.0.0.1", KindClosed}, // worth another try
		"no common terms": {url, &tls.Config{RootCAs: roots, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}, "handshake", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var opts []Option
			if c.config != nil {
				opts = append(opts, WithTLS(c.config))
			}
			run(t, func(ctx context.Context, s *Session) {
				_, err := s.Get(ctx, c.url)
				if kindOf(err) != cmp.Or(c.kind, KindTLS) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("kind %q: %v", kindOf(err), err)
				}
				if s.pool.open != 0 {
					t.Errorf("%d connections left", s.pool.open)
				}
			}, opts...)
		})
	}
}

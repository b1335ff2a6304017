//go:build linux

package integration

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/rondohttp"
)

// withSession runs f as the main task of a loop.
func withSession(t *testing.T, f func(ctx context.Context, s *rondohttp.Session) error, opts ...rondohttp.Option) {
	t.Helper()
	err := rondo.Run(func(ctx context.Context) error {
		s := rondohttp.NewSession(opts...)
		defer s.Close()
		return f(ctx, s)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// trust returns a configuration with the root in file.
func trust(t *testing.T, file string) *tls.Config {
	t.Helper()
	pem, err := os.ReadFile(file)
	roots := x509.NewCertPool()
	if err != nil || !roots.AppendCertsFromPEM(pem) {
		t.Fatalf("no root in %s: %v", file, err)
	}
	return &tls.Config{RootCAs: roots}
}

// body gets url and returns its body.
func body(ctx context.Context, s *rondohttp.Session, url string) ([]byte, error) {
	r, err := s.Get(ctx, url)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if err := r.RaiseForStatus(ctx); err != nil {
		return nil, err
	}
	return r.Bytes(ctx)
}

// is reports whether b is the document.
func (d *document) is(b []byte) bool {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]) == d.sha256
}

// 10,000 requests through a pool of 100 take longer than the time that one may take. It must not run in the queue: it is
// aiohttp's issue 10313, at a twentieth of its time.
func TestClientTotalTimeoutLeavesTheQueueOut(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 6 s")
	}
	h := startHostile(t)
	const requests, pool, server, timeout = 10_000, 100, 50 * time.Millisecond, 4 * time.Second
	began := time.Now()
	withSession(t, func(ctx context.Context, s *rondohttp.Session) error {
		return rondo.WithGroup(ctx, func(g *rondo.Group) error {
			for range requests {
				g.Go(func(ctx context.Context) error {
					_, err := body(ctx, s, fmt.Sprintf("http://%s/slow?s=%v", h.a, server.Seconds()))
					return err
				})
			}
			return nil
		})
	}, rondohttp.WithLimit(pool), rondohttp.WithTimeouts(rondohttp.Timeouts{Total: timeout}))
	if took := time.Since(began); took < timeout {
		t.Errorf("all of it took %v: the timeout of %v proves nothing", took, timeout)
	}
	if got := h.stats(t).Paths["/slow"]; got.Count != requests || got.Max > pool {
		t.Errorf("the server saw %+v", got)
	}
}

func TestClientAgainstNginx(t *testing.T) {
	s := startSite(t)
	withSession(t, func(ctx context.Context, c *rondohttp.Session) error {
		for _, base := range []string{s.http, strings.Replace(s.https, "127.0.0.1", "localhost", 1)} {
			for i, d := range s.docs[:min(len(s.docs), 20)] {
				got, err := body(ctx, c, base+d.path)
				if err != nil || !d.is(got) {
					return fmt.Errorf("%s: %d bytes, want %d: %w", d.path, len(got), d.bytes, err)
				}
				if base == s.http {
					if got, err = body(ctx, c, base+"/gz"+d.path); err != nil || !d.is(got) {
						return fmt.Errorf("gzip of %s: %d bytes, want %d: %w", d.path, len(got), d.bytes, err)
					}
				}
				path := filepath.Join(t.TempDir(), fmt.Sprint(i))
				r, err := c.Get(ctx, base+d.path)
				if err != nil {
					return err
				}
				if _, err := r.Save(ctx, path); err != nil {
					return err
				}
				if got, err := os.ReadFile(path); err != nil || !d.is(got) {
					return fmt.Errorf("saved: %d bytes, want %d: %w", len(got), d.bytes, err)
				}
			}
			_, err := body(ctx, c, base+"/not-there")
			var status *rondohttp.StatusError
			if !errors.As(err, &status) || status.Status != http.StatusNotFound || !strings.Contains(string(status.Body), "nginx") {
				return fmt.Errorf("what is not there: %w", err)
			}
		}
		return nil
	}, rondohttp.WithTLS(trust(t, s.root)))
}

func TestClientRetriesAsTheOriginAsks(t *testing.T) {
	h := startHostile(t)
	retry := rondohttp.Retry(rondohttp.RetryPolicy{Backoff: time.Millisecond})
	withSession(t, func(ctx context.Context, s *rondohttp.Session) error {
		for _, path := range []string{"/status/503?key=a&times=2", "/reset-early?key=b&times=2"} {
			if _, err := body(ctx, s, "http://"+h.a+path); err != nil {
				return err
			}
		}
		began := time.Now()
		if _, err := body(ctx, s, "http://"+h.a+"/status/429?key=c&retry_after=1"); err != nil {
			return err
		}
		if took := time.Since(began); took < time.Second {
			return fmt.Errorf("Retry-After: 1 was waited for %v", took)
		}
		return nil
	}, rondohttp.WithMiddleware(retry))
}

// The origin answers more than 10 requests a second with 429.
func TestClientKeepsItsRate(t *testing.T) {
	h := startHostile(t)
	withSession(t, func(ctx context.Context, s *rondohttp.Session) error {
		return rondo.WithGroup(ctx, func(g *rondo.Group) error {
			for range 25 {
				g.Go(func(ctx context.Context) error {
					_, err := body(ctx, s, "http://"+h.a+"/rate?key=x&r=20")
					return err
				})
			}
			return nil
		})
	}, rondohttp.WithRatePerHost(rondohttp.Rate{PerSecond: 18}))
}

// freeAddress returns an address that a server may listen on. It is free now, and nobody else is given it soon.
func freeAddress(t *testing.T) (host, port string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	host, port, _ = net.SplitHostPort(l.Addr().String())
	return host, port
}

// answers waits until somebody listens at addr.
func answers(t *testing.T, addr string) {
	t.Helper()
	for range 1000 {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return
		}
		time.Sleep(5 * time.Millisecond) // real: another process's
	}
	t.Fatalf("nobody listens at %s", addr)
}

// through fetches a few documents, plain and over TLS, by way of a proxy.
func through(t *testing.T, s *site, proxy string, want error) {
	t.Helper()
	u, err := url.Parse(proxy)
	if err != nil {
		t.Fatal(err)
	}
	withSession(t, func(ctx context.Context, c *rondohttp.Session) error {
		for _, base := range []string{s.http, strings.Replace(s.https, "127.0.0.1", "localhost", 1)} {
			for _, d := range s.docs[:3] {
				got, err := body(ctx, c, base+d.path)
				if want != nil {
					if err == nil {
						t.Errorf("%s by %s is allowed", base, proxy)
					}
					return nil
				}
				if err != nil || !d.is(got) {
					return fmt.Errorf("%s by %s: %d bytes, want %d: %w", base, proxy, len(got), d.bytes, err)
				}
			}
		}
		return nil
	}, rondohttp.WithTLS(trust(t, s.root)), rondohttp.WithProxy(rondohttp.ProxyURL(u)))
}

func TestClientThroughTinyproxy(t *testing.T) {
	tinyproxy := needs(t, "tinyproxy")
	s := startSite(t)
	host, port := freeAddress(t)
	conf := filepath.Join(t.TempDir(), "tinyproxy.conf")
	text := "Listen " + host + "\nPort " + port + "\nTimeout 60\nMaxClients 20\nBasicAuth u p\nLogLevel Critical\nLogFile \"" + conf + ".log\"\n"
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(tinyproxy, "-d", "-c", conf)
	cmd.Stdout, cmd.Stderr = io.Discard, io.Discard
	startServer(t, cmd)
	addr := net.JoinHostPort(host, port)
	answers(t, addr)
	through(t, s, "http://u:p@"+addr, nil)
	through(t, s, "http://"+addr, errors.New("no password"))
}

func TestClientThroughMicrosocks(t *testing.T) {
	microsocks := needs(t, "microsocks")
	s := startSite(t)
	host, port := freeAddress(t)
	cmd := exec.Command(microsocks, "-i", host, "-p", port, "-u", "u", "-P", "p")
	startServer(t, cmd)
	addr := net.JoinHostPort(host, port)
	answers(t, addr)
	through(t, s, "socks5://u:p@"+addr, nil)
	through(t, s, "socks5h://u:p@"+addr, nil)
	through(t, s, "socks5h://u:x@"+addr, errors.New("a wrong password"))
}

//go:build linux

package integration

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/rondohttp"
)

// connections returns a trace that counts the new ones.
func connections(n *int) rondohttp.Option {
	trace := &rondohttp.Trace{ConnectDone: func(string, string, error) { *n++ }}
	return rondohttp.WithTrace(func(context.Context, string, string) *rondohttp.Trace { return trace })
}

func TestClientSpeaksHTTP2WithNginx(t *testing.T) {
	s := startSite(t)
	opened := 0
	withSession(t, func(ctx context.Context, c *rondohttp.Session) error {
		err := rondo.WithGroup(ctx, func(g *rondo.Group) error {
			for i := range 1000 {
				g.Go(func(ctx context.Context) error {
					d := s.docs[i%len(s.docs)]
					r, err := c.Get(ctx, fmt.Sprintf("%s%s?i=%d", s.https, d.path, i))
					if err != nil {
						return err
					}
					got, err := r.Bytes(ctx)
					if err != nil || !d.is(got) || r.Proto != "HTTP/2.0" {
						return fmt.Errorf("%s: %d bytes of %d over %s: %w", d.path, len(got), d.bytes, r.Proto, err)
					}
					return nil
				})
			}
			return nil
		})
		if opened != 1 {
			t.Errorf("%d connections", opened)
		}
		return err
	}, rondohttp.WithTLS(trust(t, s.root)), rondohttp.WithPerHost(1), connections(&opened))
}

// nghttpd is the server of the library that curl speaks HTTP/2 with.
func TestClientSpeaksHTTP2WithNghttpd(t *testing.T) {
	nghttpd := needs(t, "nghttpd")
	dir := t.TempDir()
	docs := writeCorpus(t, dir)
	host, port := freeAddress(t)
	addr := net.JoinHostPort(host, port)
	cmd := exec.Command(nghttpd, "--no-tls", "--echo-upload", "-a", host, "-d", dir, "-m", "10", port)
	startServer(t, cmd)
	answers(t, addr)
	if err := os.WriteFile(filepath.Join(dir, "empty"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	var p http.Protocols
	p.SetUnencryptedHTTP2(true)
	opened := 0
	withSession(t, func(ctx context.Context, c *rondohttp.Session) error {
		err := rondo.WithGroup(ctx, func(g *rondo.Group) error {
			for i := range 300 {
				g.Go(func(ctx context.Context) error {
					d := docs[i%len(docs)]
					got, err := body(ctx, c, "http://"+addr+d.path)
					if err != nil || !d.is(got) {
						return fmt.Errorf("%s: %d bytes of %d: %w", d.path, len(got), d.bytes, err)
					}
					return nil
				})
			}
			return nil
		})
		if opened != 1 {
			t.Errorf("%d connections", opened)
		}
		if err != nil {
			return err
		}
		if got, err := body(ctx, c, "http://"+addr+"/empty"); len(got) > 0 || err != nil {
			t.Errorf("an empty file: %q, %v", got, err)
		}
		text := strings.Repeat("echo ", 10_000)
		r, err := c.Do(ctx, &rondohttp.Request{Method: "POST", URL: "http://" + addr + "/", Body: strings.NewReader(text)})
		if err != nil {
			return err
		}
		if got, err := r.Bytes(ctx); err != nil || !bytes.Equal(got, []byte(text)) {
			t.Errorf("%d bytes came back of %d: %v", len(got), len(text), err)
		}
		return nil
	}, rondohttp.WithProtocols(p), rondohttp.WithPerHost(1), connections(&opened))
}

func TestFetchDemandsHTTP2(t *testing.T) {
	s := startSite(t)
	for _, version := range []string{"--http2", "--http1.1"} {
		j := newJob(300, s.https, s.docs)
		j.check(t, run(t, version, "--cacert", s.root, "-i", j.file(t), "--map", "words"))
	}
	r := run(t, "--http2", "--retries", "0", s.http+s.docs[0].path)
	if !strings.Contains(string(r.stdout), "does not answer in HTTP/2") {
		t.Errorf("%s", r.stdout)
	}
}

//go:build linux

//lint:file-ignore SA1019 programs use x/net/http2, and it is to run on connections of the loop

package integration

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/rondo-go/rondo"
)

// x/net/http2 at both ends, over connections that tasks made and accepted: all of its I/O is by goroutines of its own,
// while tasks ask and answer. A hundred streams go over one connection at once.
func TestConnCarriesHTTP2(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(map[bool]string{false: "clear", true: "tls"}[secure], func(t *testing.T) {
			var serverConfig, clientConfig *tls.Config
			if secure {
				serverConfig, clientConfig = tlsConfigs(t)
			}
			before := descriptors(t)
			err := rondo.Run(func(ctx context.Context) error { return http2Streams(ctx, t, serverConfig, clientConfig) }, rondo.WithoutSignals())
			if err != nil {
				t.Fatal(err)
			}
			// Goroutines of net's own close what they had: real time.
			after := descriptors(t)
			for deadline := time.Now().Add(5 * time.Second); after > before && time.Now().Before(deadline); after = descriptors(t) {
				time.Sleep(10 * time.Millisecond)
			}
			if after > before {
				t.Errorf("%d descriptors, then %d", before, after)
			}
		})
	}
}

func tlsConfigs(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	dir := t.TempDir()
	root, cert, key := filepath.Join(dir, "root.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeCertificate(t, root, cert, key)
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(root)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	next := []string{http2.NextProtoTLS}
	return &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: next},
		&tls.Config{RootCAs: roots, ServerName: "localhost", NextProtos: next}
}

func http2Streams(ctx context.Context, t *testing.T, serverConfig, clientConfig *tls.Config) error {
	const streams = 100
	ln, err := rondo.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	home := rondo.RunningLoop()

	// Each handler waits until all of them are there, so that they are at work at once.
	var there atomic.Int64
	full := make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if there.Add(1) == streams {
			close(full)
		}
		select {
		case <-full:
		case <-r.Context().Done():
			return
		}
		io.WriteString(w, r.URL.Path)
		if _, err := io.Copy(w, r.Body); err != nil {
			panic(http.ErrAbortHandler)
		}
	})
	server := &http2.Server{MaxConcurrentStreams: 2 * streams}
	var conns atomic.Int64
	accepting := rondo.Spawn(ctx, func(ctx context.Context) (struct{}, error) {
		for {
			c, err := ln.Accept()
			if errors.Is(err, net.ErrClosed) {
				return struct{}{}, nil
			} else if err != nil {
				return struct{}{}, err
			}
			conns.Add(1)
			rondo.Spawn(ctx, func(ctx context.Context) (struct{}, error) {
				return rondo.ToThread(ctx, func() (struct{}, error) {
					defer c.Close()
					if serverConfig != nil {
						secure := tls.Server(c, serverConfig)
						if err := secure.Handshake(); err != nil {
							return struct{}{}, err
						}
						c = secure
					}
					server.ServeConn(c, &http2.ServeConnOpts{Handler: handler})
					return struct{}{}, nil
				})
			})
		}
	})

	transport := &http2.Transport{AllowHTTP: true, DialTLSContext: func(ctx context.Context, network, addr string, _ *tls.Config) (net.Conn, error) {
		dialing, err := rondo.SpawnThreadsafe(ctx, home, func(ctx context.Context) (*rondo.Conn, error) { return rondo.Dial(ctx, network, addr) })
		if err != nil {
			return nil, err
		}
		c, err := dialing.Await(ctx)
		if err != nil || clientConfig == nil {
			return c, err
		}
		secure := tls.Client(c, clientConfig)
		if err := secure.HandshakeContext(ctx); err != nil {
			c.Close()
			return nil, err
		}
		return secure, nil
	}}
	scheme := "http"
	if clientConfig != nil {
		scheme = "https"
	}
	client := &http.Client{Transport: transport}
	err = rondo.WithGroup(ctx, func(g *rondo.Group) error {
		for i := range streams {
			g.Go(func(ctx context.Context) error {
				path, body := fmt.Sprintf("/%d", i), strings.Repeat(string(rune('a'+i%26)), i*5000)
				got, err := rondo.ToThread(ctx, func() (string, error) {
					url := fmt.Sprintf("%s://%s%s", scheme, ln.Addr(), path)
					req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
					if err != nil {
						return "", err
					}
					resp, err := client.Do(req)
					if err != nil {
						return "", err
					}
					defer resp.Body.Close()
					all, err := io.ReadAll(resp.Body)
					if resp.ProtoMajor != 2 {
						err = fmt.Errorf("it is %s", resp.Proto)
					}
					return string(all), err
				})
				if err == nil && got != path+body {
					err = fmt.Errorf("stream %d: %d bytes in place of %d", i, len(got), len(path)+len(body))
				}
				return err
			})
		}
		return nil
	})
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
	transport.CloseIdleConnections()
	ln.Close()
	_, aerr := accepting.Await(ctx)
	return errors.Join(err, aerr)
}

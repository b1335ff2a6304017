package websocket

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/rondohttp"
	"github.com/rondo-go/rondo/rondotls"
)

func TestDialTLS(t *testing.T) {
	dev, err := rondotls.SelfSigned("localhost", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	for kind, f := range map[string]func(context.Context, *Conn){"task": echoing, "callback": resting} {
		t.Run(kind, func(t *testing.T) {
			err := rondo.Run(func(ctx context.Context) error {
				s := newSite(accepting(t, nil, f))
				ready := rondo.NewFuture[struct{}]()
				served := rondo.Spawn(ctx, func(ctx context.Context) (error, error) {
					return s.ListenAndServeTLS(ctx, "tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{dev.Certificate}}, s.listening(ready)), nil
				})
				ready.Await(ctx)
				session := rondohttp.NewSession(rondohttp.WithTLS(&tls.Config{RootCAs: dev.Roots}), rondohttp.WithCookies(rondohttp.NewJar()))
				defer session.Close()
				c, err := Dial(ctx, session, "wss://"+s.address+"/", nil)
				if err != nil {
					return err
				}
				long := strings.Repeat("over TLS ", 50_000)
				for range 5 { // reader and writer at a time
					writer := rondo.Spawn(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, c.Write(ctx, Text, []byte(long)) })
					if m, err := c.Read(ctx); err != nil || string(m.Data) != long {
						t.Fatalf("read %d bytes: %v", len(m.Data), err)
					}
					if _, err := writer.Await(ctx); err != nil {
						return err
					}
				}
				reader := rondo.Spawn(ctx, func(ctx context.Context) (error, error) { _, err := c.Read(ctx); return err, nil })
				if err := s.Shutdown(ctx); err != nil {
					t.Errorf("shutdown: %v", err)
				}
				if err, _ := reader.Await(ctx); CloseStatus(err) != StatusGoingAway {
					t.Errorf("end: %v", err)
				}
				served.Await(ctx)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestDialUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	err := rondo.Run(func(ctx context.Context) error {
		ln, err := rondo.Listen(ctx, "unix", path)
		if err != nil {
			return err
		}
		s := newSite(accepting(t, nil, resting))
		served := rondo.Spawn(ctx, func(ctx context.Context) (error, error) { return s.Serve(ctx, ln), nil })
		session := rondohttp.NewSession(rondohttp.WithUnixSocket(path))
		defer session.Close()
		c, err := Dial(ctx, session, "ws://whatever/", nil)
		if err != nil {
			return err
		}
		c.Write(ctx, Text, []byte("x"))
		if m, err := c.Read(ctx); err != nil || string(m.Data) != "x" {
			t.Errorf("%q %v", m.Data, err)
		}
		c.Close(ctx, StatusNormal, "")
		s.Close()
		served.Await(ctx)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestDialGoesThroughProxyByTunnel(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	asked := make(chan string, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		br := bufio.NewReader(c)
		r, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		asked <- r.Method + " " + r.Host
		to, err := net.Dial("tcp", r.Host)
		if err != nil {
			return
		}
		defer to.Close()
		io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
		go io.Copy(c, to)
		io.Copy(to, br)
	}()
	run(t, accepting(t, nil, echoing), func(ctx context.Context, s *site) {
		session := rondohttp.NewSession(rondohttp.WithProxy(rondohttp.ProxyURL(&url.URL{Scheme: "http", Host: l.Addr().String()})))
		defer session.Close()
		c, err := Dial(ctx, session, "ws://"+s.address+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := <-asked; got != "CONNECT "+s.address {
			t.Errorf("the proxy was asked: %s", got)
		}
		c.Write(ctx, Text, []byte("x"))
		if m, err := c.Read(ctx); err != nil || string(m.Data) != "x" {
			t.Errorf("%q %v", m.Data, err)
		}
		c.Close(ctx, StatusNormal, "")
	})
}

func TestDialRefusesWrongAnswers(t *testing.T) {
	ok := func(h http.Header) {}
	for name, change := range map[string]func(h http.Header){
		"accept":        func(h http.Header) { h.Set("Sec-WebSocket-Accept", "x") },
		"upgrade":       func(h http.Header) { h.Set("Upgrade", "other") },
		"subprotocol":   func(h http.Header) { h.Set("Sec-WebSocket-Protocol", "other") },
		"extension":     func(h http.Header) { h.Set("Sec-WebSocket-Extensions", "other") },
		"deflate twice": func(h http.Header) { h.Set("Sec-WebSocket-Extensions", "permessage-deflate, permessage-deflate") },
		"context": func(h http.Header) {
			h.Set("Sec-WebSocket-Extensions", "permessage-deflate; client_no_context_takeover")
		},
		"": ok,
	} {
		t.Run(name, func(t *testing.T) {
			h := rondohttp.HandlerFunc(func(_ context.Context, w *rondohttp.ServerResponse, r *rondohttp.ServerRequest) error {
				f := http.Header{"Upgrade": {"websocket"}, "Sec-WebSocket-Accept": {""}}
				f.Set("Sec-WebSocket-Accept", acceptOf(string(r.Get("Sec-WebSocket-Key"))))
				change(f)
				w.SetStatus(http.StatusSwitchingProtocols)
				w.Add("Connection", "Upgrade")
				for name, v := range f {
					if v[0] != "" {
						w.Add(name, v[0])
					}
				}
				c, _, err := w.Hijack()
				if err == nil {
					c.Close()
				}
				return err
			})
			run(t, h, func(ctx context.Context, s *site) {
				c, err := Dial(ctx, nil, "ws://"+s.address+"/", &Options{Subprotocols: []string{"a"}, Compression: &Compression{}})
				if name == "" {
					if err != nil {
						t.Fatal(err)
					}
					c.CloseNow()
				} else if !errors.Is(err, ErrHandshake) {
					t.Errorf("dial: %v", err)
				}
			})
		})
	}
}

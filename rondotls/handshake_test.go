package rondotls

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
	"strings"
	"testing"
	"time"

	"github.com/rondo-go/rondo"
)

// A cut is a connection that the peer closes after so many bytes.
type cut struct {
	net.Conn
	left int
}

func (c *cut) Read(p []byte) (int, error) {
	if c.left == 0 {
		c.Conn.Close()
		return 0, io.EOF
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

func openFiles(t *testing.T) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc/self/fd: descriptors cannot be counted")
	}
	return len(d)
}

// The peer goes away after each number of bytes of a handshake: both ends get an
// error, and nothing is left.
func TestHandshakeFailsAtEveryByte(t *testing.T) {
	client, server := clientConfig(t), serverConfig(t)
	for _, cfg := range []*tls.Config{client, server} {
		cfg.CurvePreferences = []tls.CurveID{tls.X25519} // a short hello
	}
	client.ClientSessionCache = nil
	for _, end := range []string{"client", "server"} {
		t.Run(end, func(t *testing.T) {
			step := 1
			if testing.Short() {
				step = 17
			}
			before := openFiles(t)
			k := 0
			run(t, func(ctx context.Context) error {
				ln, err := rondo.Listen(ctx, "tcp", "127.0.0.1:0")
				if err != nil {
					return err
				}
				defer ln.Close()
				for ; ; k += step {
					var cerr, serr error
					err := rondo.WithGroup(ctx, func(g *rondo.Group) error {
						g.Go(func(ctx context.Context) error {
							raw, err := ln.Accept()
							if err != nil {
								return err
							}
							if end == "server" {
								raw = &cut{raw, k}
							}
							var s *Conn
							if s, serr = Server(ctx, raw, server); serr == nil {
								_, serr = s.Read(make([]byte, 1))
								s.Close()
							}
							return nil
						})
						g.Go(func(ctx context.Context) error {
							rc, err := rondo.Dial(ctx, "tcp", ln.Addr().String())
							if err != nil {
								return err
							}
							raw := net.Conn(rc)
							if end == "client" {
								raw = &cut{raw, k}
							}
							var c *Conn
							if c, cerr = Client(ctx, raw, client); cerr == nil {
								_, cerr = c.Write([]byte{1})
								c.Close()
							}
							return nil
						})
						return nil
					})
					if err != nil {
						return err
					}
					if cerr == nil && serr == nil {
						return nil // the whole handshake has passed
					}
					if k > 4000 {
						return fmt.Errorf("with %d bytes still: %v, %v", k, cerr, serr)
					}
					if end == "server" && serr == nil {
						return fmt.Errorf("%d bytes: the server saw no error, the client %v", k, cerr)
					}
				}
			})
			if k < 200 {
				t.Errorf("a handshake of %d bytes: nothing was tested", k)
			}
			if after := openFiles(t); after > before+2 { // the race detector and the poller open some
				t.Errorf("%d files open before, %d after", before, after)
			}
		})
	}
}

func TestHandshakeEndsWithItsLimit(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	d := &Dialer{Config: clientConfig(t), HandshakeTimeout: 20 * time.Millisecond} // of a silent peer
	check := func(err error) {
		t.Helper()
		var ne net.Error
		if !errors.As(err, &ne) || !ne.Timeout() || !errors.Is(err, os.ErrDeadlineExceeded) || !strings.Contains(err.Error(), "no TLS handshake within 20ms") {
			t.Errorf("got %v", err)
		}
	}
	run(t, func(ctx context.Context) error {
		_, err := d.Dial(ctx, "tcp", silent.Addr().String())
		check(err)
		return nil
	})
	_, err = d.DialContext(t.Context(), "tcp", silent.Addr().String())
	check(err)
}

func TestHandshakeEndsWithItsContext(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	d := &Dialer{Config: clientConfig(t)}
	cause := errors.New("enough")
	dial := func(ctx context.Context) {
		ctx, cancel := context.WithCancelCause(ctx)
		time.AfterFunc(20*time.Millisecond, func() { cancel(cause) }) // of a silent peer
		if _, err := d.DialContext(ctx, "tcp", silent.Addr().String()); !errors.Is(err, cause) {
			t.Errorf("got %v", err)
		}
	}
	dial(t.Context())
	run(t, func(ctx context.Context) error {
		dial(ctx)
		task := rondo.Spawn(ctx, func(ctx context.Context) (*Conn, error) {
			return d.Dial(ctx, "tcp", silent.Addr().String())
		})
		rondo.Sleep(ctx, 10*time.Millisecond) // until it waits for the peer
		task.Cancel("")
		if _, err := task.Await(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("canceled: %v", err)
		}
		err := rondo.Timeout(ctx, 10*time.Millisecond, func(ctx context.Context) error {
			_, err := d.Dial(ctx, "tcp", silent.Addr().String())
			return err
		})
		var te *rondo.TimeoutError
		if !errors.As(err, &te) {
			t.Errorf("in a Timeout: %v", err)
		}
		return nil
	})
}

func TestHandshakeErrorsNameTheRemedy(t *testing.T) {
	pool := func(d *DevCertificate) *tls.Config {
		return &tls.Config{RootCAs: d.Roots, ServerName: "localhost"}
	}
	serve := func(d *DevCertificate) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{d.Certificate}}
	}
	issued := func(from time.Time, hosts ...string) *DevCertificate {
		d, err := selfSigned(hosts, from, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	now := time.Now()
	old := issued(now.Add(-100*time.Hour), "localhost")
	early := issued(now.Add(10*time.Hour), "localhost")
	other := issued(now.Add(-time.Minute), "a.test", "b.test", "127.0.0.9")
	stranger := issued(now.Add(-time.Minute), "localhost")
	needs := serve(dev())
	needs.ClientAuth, needs.ClientCAs = tls.RequireAndVerifyClientCert, dev().Roots
	needs12 := needs.Clone()
	needs12.MaxVersion = tls.VersionTLS12
	strange := pool(dev())
	strange.Certificates = []tls.Certificate{stranger.Certificate}
	oldest := serve(dev())
	oldest.MaxVersion = tls.VersionTLS12
	h2, h3 := serve(dev()), pool(dev())
	h2.NextProtos, h3.NextProtos = []string{"h2"}, []string{"h3"}
	new13 := pool(dev())
	new13.MinVersion = tls.VersionTLS13
	pinned, err := ClientConfig(WithPin("sha256:" + strings.Repeat("00", 32)))
	if err != nil {
		t.Fatal(err)
	}
	pinned.ServerName = "localhost"
	type test struct {
		client, server *tls.Config
		want           []string
		as             any
	}
	for name, x := range map[string]test{
		"expired":                   {pool(old), serve(old), []string{"localhost expired on ", "4 days ago", "renew"}, new(x509.CertificateInvalidError)},
		"not yet valid":             {pool(early), serve(early), []string{"not valid before", "clock"}, new(x509.CertificateInvalidError)},
		"wrong host":                {pool(other), serve(other), []string{"not for localhost but for a.test, b.test, 127.0.0.9", "ServerName"}, new(x509.HostnameError)},
		"unknown":                   {pool(dev()), serve(stranger), []string{"development authority for localhost", "WithRootsFile"}, new(x509.UnknownAuthorityError)},
		"certificate required":      {pool(dev()), needs, []string{"requires a client certificate", "WithCertificate"}, nil},
		"certificate required, 1.2": {pool(dev()), needs12, []string{"client certificate", "WithCertificate"}, nil},
		"certificate of a stranger": {strange, needs, []string{"client certificate"}, nil},
		"versions":                  {new13, oldest, []string{"version", "WithMinVersion"}, nil},
		"protocols":                 {h3, h2, []string{"application protocols", "WithALPN"}, nil},
		"pin":                       {pinned, serve(dev()), []string{"none of the pinned ones", "sha256:"}, new(*PinError)},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(ctx context.Context) error {
				ln, err := Listen(ctx, "tcp", "127.0.0.1:0", x.server)
				if err != nil {
					return err
				}
				defer ln.Close()
				rondo.Spawn(ctx, func(context.Context) (struct{}, error) {
					c, err := ln.Accept()
					if err != nil {
						return struct{}{}, nil
					}
					defer c.Close()
					c.Read([]byte{0})
					return struct{}{}, nil
				})
				c, err := Dial(ctx, "tcp", ln.Addr().String(), x.client)
				if err == nil { // TLS 1.3: the server's verdict comes after the client's end
					_, err = c.Read([]byte{0})
					c.Close()
				}
				if err == nil {
					return errors.New("no error")
				}
				t.Log(err)
				for _, w := range x.want {
					if !strings.Contains(err.Error(), w) {
						t.Errorf("%q does not say %q", err, w)
					}
				}
				var oe *net.OpError
				if !errors.As(err, &oe) || oe.Addr == nil {
					t.Errorf("%#v is no *net.OpError with an address", err)
				}
				if x.as != nil && !errors.As(err, x.as) {
					t.Errorf("%v is no %T", err, x.as)
				}
				return nil
			})
		})
	}
}

func TestHandshakeNamesPlainPeers(t *testing.T) {
	run(t, func(ctx context.Context) error {
		ln, err := rondo.Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		server := &http.Server{Handler: http.NotFoundHandler()}
		go server.Serve(ln)
		_, err = Dial(ctx, "tcp", ln.Addr().String(), clientConfig(t))
		var record tls.RecordHeaderError
		if !errors.As(err, &record) || !strings.Contains(err.Error(), "does not speak TLS on this port") || !strings.Contains(err.Error(), "http://") {
			t.Errorf("got %v", err)
		}
		tln, err := Listen(ctx, "tcp", "127.0.0.1:0", serverConfig(t))
		if err != nil {
			return err
		}
		c, err := rondo.Dial(ctx, "tcp", tln.Addr().String())
		if err != nil {
			return err
		}
		defer c.Close()
		io.WriteString(c, "GET / HTTP/1.1\r\n\r\n")
		s, err := tln.Accept()
		if err != nil {
			return err
		}
		defer s.Close()
		if err := s.(*Conn).HandshakeContext(ctx); err == nil || !strings.Contains(err.Error(), "https://") {
			t.Errorf("got %v", err)
		}
		_, err = rondo.ToThread(ctx, func() (int, error) { return 0, server.Close() })
		return err
	})
}

func TestDialResumesSessions(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		server, client := serverConfig(t), clientConfig(t)
		server.MaxVersion = version
		run(t, func(ctx context.Context) error {
			ln, err := Listen(ctx, "tcp", "127.0.0.1:0", server)
			if err != nil {
				return err
			}
			defer ln.Close()
			rondo.Spawn(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, echo(ctx, ln) })
			dial := func(cfg *tls.Config) (bool, error) {
				c, err := Dial(ctx, "tcp", ln.Addr().String(), cfg)
				if err != nil {
					return false, err
				}
				defer c.Close()
				io.WriteString(c, "x") // the ticket arrives before the echo
				_, err = io.ReadFull(c, make([]byte, 1))
				return c.ConnectionState().DidResume, err
			}
			for i := range 3 {
				if resumed, err := dial(client); err != nil || resumed != (i > 0) {
					t.Errorf("%x, dial %d: resumed %v, %v", version, i, resumed, err)
				}
			}
			never := clientConfig(t, WithoutResumption())
			for range 2 {
				if resumed, err := dial(never); err != nil || resumed {
					t.Errorf("%x, without resumption: %v, %v", version, resumed, err)
				}
			}
			return nil
		})
	}
}

// A client that says nothing keeps nobody else waiting.
func TestListenerLeavesTheHandshakeToTheTask(t *testing.T) {
	client, server := clientConfig(t), serverConfig(t)
	run(t, func(ctx context.Context) error {
		ln, err := Listen(ctx, "tcp", "127.0.0.1:0", server)
		if err != nil {
			return err
		}
		defer ln.Close()
		rondo.Spawn(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, echo(ctx, ln) })
		slow, err := rondo.Dial(ctx, "tcp", ln.Addr().String())
		if err != nil {
			return err
		}
		defer slow.Close()
		c, err := Dial(ctx, "tcp", ln.Addr().String(), client)
		if err != nil {
			return err
		}
		defer c.Close()
		io.WriteString(c, "quick")
		_, err = io.ReadFull(c, make([]byte, 5))
		return err
	})
}

// net/http's server and client run on it, off the loop.
func TestConnServesHTTPOffTheLoop(t *testing.T) {
	l := startLoop(t)
	ln, err := do(l, func(ctx context.Context) (*Listener, error) {
		return Listen(ctx, "tcp", "127.0.0.1:0", serverConfig(t))
	})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Write(body)
	})}
	go server.Serve(ln)
	defer server.Close()
	d := &Dialer{Config: clientConfig(t)}
	client := &http.Client{Transport: &http.Transport{DialTLSContext: d.DialContext}}
	defer client.CloseIdleConnections()
	for range 3 {
		body := strings.Repeat("echo", 50000)
		resp, err := client.Post("https://"+ln.Addr().String(), "text/plain", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(got) != body {
			t.Fatalf("got %d bytes, %v", len(got), err)
		}
	}
}

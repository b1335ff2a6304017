package rondotest

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"testing"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/rondohttp"
	"github.com/rondo-go/rondo/rondotls"
)

// A Server is an HTTP server for a test, on an own port of 127.0.0.1. Started by a task, it runs on the loop of that
// task, and its timeouts are on the virtual clock if the loop is; started by a goroutine, such as the one of a plain test, it
// runs on loops of its own, so that any client may be used.
//
// What it has to say goes to the test's log.
type Server struct {
	URL  string            // http://127.0.0.1:port
	Addr string            // 127.0.0.1:port
	HTTP *rondohttp.Server // for its Shutdown, and so on

	// TLS is the configuration of [Server.StartTLS], and may be set before. If it has no certificate
	// then, it gets that of Certificate.
	TLS *tls.Config
	// Certificate is what clients have to trust, once StartTLS has been called.
	Certificate *rondotls.DevCertificate
	// Loops is how many loops of its own there are, if it does not run on a task's. It may be set before it is started.
	Loops int

	host
	t      testing.TB
	client *http.Client
}

// NewServer starts a server for h, which may be a [rondohttp.HandlerFunc]. It ends with the test.
func NewServer(t testing.TB, h http.Handler, opts ...rondohttp.ServerOption) *Server {
	t.Helper()
	s := NewUnstartedServer(t, h, opts...)
	s.Start()
	return s
}

// NewTLSServer starts a server of https, with a certificate of its own that [Server.Client] and
// [Server.Session] trust.
func NewTLSServer(t testing.TB, h http.Handler, opts ...rondohttp.ServerOption) *Server {
	t.Helper()
	s := NewUnstartedServer(t, h, opts...)
	s.StartTLS()
	return s
}

// NewUnstartedServer makes a server whose fields may be set before [Server.Start] or [Server.StartTLS].
func NewUnstartedServer(t testing.TB, h http.Handler, opts ...rondohttp.ServerOption) *Server {
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	opts = append([]rondohttp.ServerOption{rondohttp.WithServerLog(log)}, opts...)
	return &Server{t: t, HTTP: rondohttp.NewServer(h, opts...), client: &http.Client{Transport: new(http.Transport)}}
}

// Start starts the server.
func (s *Server) Start() {
	s.t.Helper()
	s.begin("http://", func(ctx context.Context, ready func(net.Addr)) error {
		return s.HTTP.ListenAndServe(ctx, "tcp", "127.0.0.1:0", ready)
	})
}

// StartTLS starts the server, for https.
func (s *Server) StartTLS() {
	s.t.Helper()
	cert, err := rondotls.SelfSigned("localhost", "127.0.0.1", "::1", "example.com")
	if err != nil {
		s.t.Fatal(err)
	}
	cfg := new(tls.Config)
	if s.TLS != nil {
		cfg = s.TLS.Clone()
	}
	if len(cfg.Certificates) == 0 && cfg.GetCertificate == nil && cfg.GetConfigForClient == nil {
		cfg.Certificates = []tls.Certificate{cert.Certificate}
	}
	s.Certificate, s.TLS = cert, cfg
	s.client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: cert.Roots}
	s.begin("https://", func(ctx context.Context, ready func(net.Addr)) error {
		return s.HTTP.ListenAndServeTLS(ctx, "tcp", "127.0.0.1:0", cfg, ready)
	})
}

func (s *Server) begin(scheme string, serve func(context.Context, func(net.Addr)) error) {
	s.t.Helper()
	if s.URL != "" {
		s.t.Fatal("rondotest: the server has been started already")
	}
	s.Addr = s.host.start(s.t, s.Loops, serve, func() {
		s.HTTP.Close()
		s.client.CloseIdleConnections()
	}).String()
	s.URL = scheme + s.Addr
}

// Client returns net/http's client, for goroutines, which trusts the server. It must not be used on
// a loop, whose thread it would block: see [Server.Session].
func (s *Server) Client() *http.Client { return s.client }

// Session returns a session of the loop that the caller is on, which trusts the server, and has its URL as the base of
// relative ones. In a [Run] it is closed in the end, like what else helpers make.
func (s *Server) Session(opts ...rondohttp.Option) *rondohttp.Session {
	own := []rondohttp.Option{rondohttp.WithBaseURL(s.URL)}
	if s.Certificate != nil {
		own = append(own, rondohttp.WithTLS(&tls.Config{RootCAs: s.Certificate.Roots}))
	}
	x := rondohttp.NewSession(append(own, opts...)...)
	atEnd(func() { x.Close() })
	return x
}

// Pipe returns two ends of a connection of TCP over 127.0.0.1, for tasks. In a [Run] both are closed in the end.
func Pipe(t testing.TB) (a, b *rondo.Conn) {
	t.Helper()
	ctx := context.Background()
	ln := Listen(t)
	defer ln.Close()
	a, err := rondo.Dial(ctx, "tcp", ln.Addr().String())
	if err != nil {
		t.Fatalf("rondotest: %v", err)
	}
	atEnd(func() { a.Close() })
	c, err := ln.Accept()
	if err != nil {
		t.Fatalf("rondotest: %v", err)
	}
	b = c.(*rondo.Conn)
	atEnd(func() { b.Close() })
	return a, b
}

// Listen returns a listener on an own port of 127.0.0.1, for tasks. In a [Run] it is closed in the end.
func Listen(t testing.TB) *rondo.Listener {
	t.Helper()
	ln, err := rondo.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("rondotest: %v", err)
	}
	atEnd(func() { ln.Close() })
	return ln
}

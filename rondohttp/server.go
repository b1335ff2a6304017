package rondohttp

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/internal/http1"
	"github.com/rondo-go/rondo/loop"
	"github.com/rondo-go/rondo/rondotls"
)

// A HandlerFunc is the server's own face: it answers r by means of w, in the task of the
// connection, and allocates nothing in the plain case. W and r are valid until it
// returns. An error that it returns, or a panic, is reported; the client gets status 500, or
// if the answer is under way already, sees it break off.
//
// A HandlerFunc is an [http.Handler] too: under a mux of net/http's it is served as it is if
// the server is a [Server], and else through net/http's types.
type HandlerFunc func(ctx context.Context, w *ServerResponse, r *ServerRequest) error

// A Server is a server of HTTP/1 and HTTP/2 for the tasks of a loop, or of several. It
// is made by [NewServer]. Its methods may be called from any goroutine, but for the Serve
// ones, which are for tasks.
//
// A request is served in the task of its connection, or, of HTTP/2, in one of its own. A connection that waits for the next
// request has no task, no stack and no buffer.
//
// It is strict where leniency would let it and a proxy in front of it disagree about where a
// request ends (RFC 9112 section 11.2): such requests are answered 400, and the connection closed.
type Server struct {
	serverConfig
	handler http.Handler // or nil
	native  HandlerFunc  // or nil

	// The protocols that HTTP/1 hands connections over to: by their names in ALPN, and by their prefaces.
	byALPN, byPreface map[string]protocol

	closing atomic.Bool
	mu      sync.Mutex // guards what follows
	servers []*rondo.Server
	shards  map[*rondo.Loop]*shard
	onEnd   []func()
}

// ServerLimits bound what clients may make a server spend. A zero field means its default, a negative one no bound.
type ServerLimits struct {
	TargetBytes int           // of the request's target; 8 KiB; beyond it 414
	HeaderBytes int           // of the whole head; 64 KiB; beyond it 431
	HeaderCount int           // of fields; 100; beyond it 431
	BodyBytes   int64         // of a body; default none; beyond it 413
	Connections int           // a loop and listener; default none: then others wait in the backlog
	Streams     int           // requests at a time on a connection of HTTP/2; 250; beyond it REFUSED_STREAM
	Requests    int           // a connection; default none: then it is closed, in good order
	Header      time.Duration // from the first byte of a head to its last; also for the handshake of TLS; 10 s
	Idle        time.Duration // from one request to the next; 75 s
	Body        time.Duration // that a body may take, beyond what BodyRate grants; 30 s
	BodyRate    int           // bytes a second that a client has to send at least; 500
	Write       time.Duration // for each piece of at most 64 KiB to be taken by the client's side; 60 s
}

type serverConfig struct {
	limits ServerLimits
	heads  http1.RequestLimits
	log    *slog.Logger
}

// A ServerOption configures a [Server].
type ServerOption func(*serverConfig)

// WithServerLimits sets limits in place of the defaults.
func WithServerLimits(l ServerLimits) ServerOption {
	return func(c *serverConfig) { c.limits = l }
}

// WithServerLog sets where panics and handlers' errors are reported, in place of [slog.Default].
func WithServerLog(l *slog.Logger) ServerOption { return func(c *serverConfig) { c.log = l } }

const noTimeout = 0

// fill puts the defaults in.
func (l *ServerLimits) fill() {
	size := func(n *int, usual int) {
		if *n == 0 {
			*n = usual
		}
		if *n < 0 {
			*n = 1 << 30
		}
	}
	size(&l.TargetBytes, 8<<10)
	size(&l.HeaderBytes, 64<<10)
	size(&l.HeaderCount, 100)
	size(&l.Streams, 250)
	clock := func(d *time.Duration, usual time.Duration) {
		if *d == 0 {
			*d = usual
		}
		*d = max(*d, noTimeout)
	}
	clock(&l.Header, 10*time.Second)
	clock(&l.Idle, 75*time.Second)
	clock(&l.Body, 30*time.Second)
	clock(&l.Write, 60*time.Second)
	if l.BodyRate == 0 {
		l.BodyRate = 500
	}
	if l.BodyBytes <= 0 {
		l.BodyBytes = 1<<63 - 1
	}
}

// NewServer returns a server for h: a [HandlerFunc], the server's own face (or what has such a method Serve, as
// [Files]), or any other [http.Handler], such as a router. It does nothing yet.
func NewServer(h http.Handler, opts ...ServerOption) *Server {
	s := &Server{shards: make(map[*rondo.Loop]*shard)}
	for _, o := range opts {
		o(&s.serverConfig)
	}
	s.limits.fill()
	s.heads = http1.RequestLimits{TargetBytes: s.limits.TargetBytes, HeadBytes: s.limits.HeaderBytes, Fields: s.limits.HeaderCount}
	s.useH2()
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.native = nativeOf(h); s.native == nil {
		s.handler = h
	}
	return s
}

// nativeOf returns h in the server's own face, nil if it has none.
func nativeOf(h http.Handler) HandlerFunc {
	switch h := h.(type) {
	case HandlerFunc:
		return h
	case interface {
		Serve(ctx context.Context, w *ServerResponse, r *ServerRequest) error
	}:
		return h.Serve
	}
	return nil
}

// Serve is NewServer(h, opts...).Serve(ctx, ln).
func Serve(ctx context.Context, ln *rondo.Listener, h http.Handler, opts ...ServerOption) error {
	return NewServer(h, opts...).Serve(ctx, ln)
}

// Serve accepts connections from ln and serves them, until the server is shut down or closed, or the
// task is canceled. It parks meanwhile, and returns when the connections are
// gone. It closes ln.
//
// Errors: [http.ErrServerClosed]; those of [rondo.Server.Serve].
func (s *Server) Serve(ctx context.Context, ln *rondo.Listener) error {
	return s.serve(ctx, s.newBase(nil), func(b *rondo.Server) error { return b.Serve(ctx, ln) }, ln)
}

// ServeTLS is [Server.Serve] for https. Cfg must have a certificate, as [rondotls.ServerConfig] makes it.
func (s *Server) ServeTLS(ctx context.Context, ln *rondo.Listener, cfg *tls.Config) error {
	return s.serve(ctx, s.newBase(cfg), func(b *rondo.Server) error { return b.Serve(ctx, ln) }, ln)
}

// ListenAndServe listens on network and address, and serves as [Server.Serve] does, on every loop
// of the run. Ready, if not nil, is called with the address when all of them listen.
func (s *Server) ListenAndServe(ctx context.Context, network, address string, ready func(net.Addr)) error {
	return s.serve(ctx, s.newBase(nil), func(b *rondo.Server) error { return b.ListenAndServe(ctx, network, address, ready) }, nil)
}

// ListenAndServeTLS is [Server.ListenAndServe] for https.
func (s *Server) ListenAndServeTLS(ctx context.Context, network, address string, cfg *tls.Config, ready func(net.Addr)) error {
	return s.serve(ctx, s.newBase(cfg), func(b *rondo.Server) error { return b.ListenAndServe(ctx, network, address, ready) }, nil)
}

// newBase returns the server of connections beneath: of https, if there is a configuration for it.
func (s *Server) newBase(cfg *tls.Config) *rondo.Server {
	opts := []rondo.ServerOption{rondo.WithIdleTimeout(s.limits.Idle), rondo.WithErrorHandler(s.connFailed), rondo.WithLazyStart()}
	if s.limits.Connections > 0 {
		opts = append(opts, rondo.WithMaxConnections(s.limits.Connections))
	}
	if cfg == nil {
		return rondo.NewServer(s.accept, opts...)
	}
	if len(cfg.NextProtos) == 0 {
		cfg = cfg.Clone()
		cfg.NextProtos = []string{"h2", "http/1.1"}
	}
	return rondo.NewServer(rondotls.Handle(cfg, s.acceptTLS, rondotls.WithHandshakeTimeout(s.limits.Header)), opts...)
}

func (s *Server) serve(ctx context.Context, b *rondo.Server, run func(*rondo.Server) error, ln *rondo.Listener) error {
	s.mu.Lock()
	closing := s.closing.Load()
	if !closing {
		s.servers = append(s.servers, b)
	}
	s.mu.Unlock()
	if closing {
		if ln != nil {
			ln.Close()
		}
		return http.ErrServerClosed
	}
	err := run(b)
	if errors.Is(err, rondo.ErrServerClosed) {
		return http.ErrServerClosed
	}
	return err
}

// close notes that s is closing, and returns the servers beneath.
func (s *Server) close() []*rondo.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing.Store(true)
	return append([]*rondo.Server(nil), s.servers...)
}

// RegisterOnShutdown has f called by [Server.Shutdown], on a goroutine of its own, as
// net/http does: for those who must tell their peers to go, such as WebSockets.
func (s *Server) RegisterOnShutdown(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onEnd = append(s.onEnd, f)
}

// Shutdown ends the server in stages. At once it stops listening, closes the connections
// that wait for a request, and calls what [Server.RegisterOnShutdown] has been given. Requests
// under way are answered, with Connection: close. It waits for them, and for
// the connections taken by Hijack, until ctx ends; then it cancels their tasks, resets what is left,
// and returns the cause of ctx. It may be called from any goroutine.
func (s *Server) Shutdown(ctx context.Context) error {
	all := s.close()
	s.mu.Lock()
	onEnd := s.onEnd
	s.onEnd = nil
	s.mu.Unlock()
	for _, f := range onEnd {
		go f()
	}
	for _, b := range all {
		b.Close()
	}
	s.closeIdle()
	for _, b := range all {
		if err := b.WaitClosed(ctx); err != nil {
			for _, b := range all {
				b.AbortClients()
			}
			return err
		}
	}
	return nil
}

// closeIdle ends the visits that wait for a request, each on its loop.
func (s *Server) closeIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.shards {
		post := new(loop.Handle)
		post.Init(loop.Func(h.closeIdle))
		h.kernel.Post(post)
	}
}

// Close ends the server at once: it cancels the tasks of all connections, and closes them. It does not wait; Serve returns when they are gone.
func (s *Server) Close() error {
	for _, b := range s.close() {
		b.Close()
		b.AbortClients()
	}
	return nil
}

// Connections returns how many connections there are.
func (s *Server) Connections() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.servers {
		n += b.Connections()
	}
	return n
}

// connFailed reports what ended a connection: a panic, or else something that is the peer's doing, such as a
// handshake that failed.
func (s *Server) connFailed(c *rondo.Conn, err error) {
	level := slog.LevelDebug
	if p := (*rondo.PanicError)(nil); errors.As(err, &p) {
		level = slog.LevelError
	}
	s.log.Log(context.Background(), level, "rondohttp: connection failed", "remote", c.RemoteAddr(), "err", err)
}

package rondo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rondo-go/rondo/loop"
)

// A Handler serves one connection, in a task of its own. The connection is closed
// when the handler returns, unless what it returns is the result of [Conn.Rest].
// Ctx is canceled when the server is aborted, and ends with the call.
//
// An error that is not just the end of the connection (io.EOF, a reset, a timeout)
// is told to the server's error handler.
type Handler func(ctx context.Context, c *Conn) error

// ErrServerClosed is what [Server.Serve] returns after [Server.Close] and
// [Server.Shutdown].
var ErrServerClosed = fmt.Errorf("rondo: server closed: %w", net.ErrClosed)

// A Server accepts connections and has a handler serve each. It is made by
// [NewServer]. Its methods may be called from any loop and any goroutine.
//
// It is asyncio's Server, and start_server.
type Server struct {
	handler Handler
	factory func() Protocol // in place of handler, or nil
	o       serverOptions

	mu       sync.Mutex // guards what follows
	closed   bool
	services []*service
	turn     int        // whose connection the next accepted one is, if they are spread
	hungry   []*service // would accept more, if there were room
}

// A ServerOption is an option of a [Server].
type ServerOption func(*serverOptions)

type serverOptions struct {
	max     int
	idle    time.Duration
	lazy    bool
	spread  bool
	onError func(c *Conn, err error)
	listen  ListenConfig
}

// WithMaxConnections bounds the connections of each loop. While there are so many,
// others wait in the system's backlog.
func WithMaxConnections(n int) ServerOption { return func(o *serverOptions) { o.max = n } }

// WithIdleTimeout has connections closed that have been at rest (see [Conn.Rest])
// for d.
func WithIdleTimeout(d time.Duration) ServerOption { return func(o *serverOptions) { o.idle = d } }

// WithLazyStart has a connection begin at rest: its handler is called when the
// first bytes arrive. It is for protocols in which the client speaks first.
func WithLazyStart() ServerOption { return func(o *serverOptions) { o.lazy = true } }

// WithSpread has [Server.Serve] hand accepted connections in turn to all loops of
// the run (see [WithLoops]). Without it they stay on the listener's.
func WithSpread() ServerOption { return func(o *serverOptions) { o.spread = true } }

// WithListenConfig says how [Server.ListenAndServe] listens.
func WithListenConfig(cfg ListenConfig) ServerOption {
	return func(o *serverOptions) { o.listen = cfg }
}

// WithErrorHandler has f told of handlers' errors and panics, on the connection's
// loop. It replaces the loop's exception handler. F must not park.
func WithErrorHandler(f func(c *Conn, err error)) ServerOption {
	return func(o *serverOptions) { o.onError = f }
}

// NewServer makes a server. It does nothing yet.
func NewServer(h Handler, opts ...ServerOption) *Server {
	s := &Server{handler: h}
	for _, f := range opts {
		f(&s.o)
	}
	return s
}

// Serve is NewServer(h, opts...).Serve(ctx, ln).
func Serve(ctx context.Context, ln *Listener, h Handler, opts ...ServerOption) error {
	return NewServer(h, opts...).Serve(ctx, ln)
}

// Serve accepts connections from ln and serves them, until the server is closed or
// the task canceled. It parks meanwhile, and returns when all of its connections
// are gone: if the task is canceled, the handlers are canceled too. It closes ln.
//
// When the process or the system is out of descriptors or memory, that is logged,
// and accepting pauses.
//
// Errors: [ErrServerClosed]; those of [Sleep]; the listener's.
func (s *Server) Serve(ctx context.Context, ln *Listener) error {
	defer ln.Close()
	l := RunningLoop()
	if l == nil || l != ln.loop {
		return fmt.Errorf("serve %v: %w", ln.Addr(), ErrOtherLoop)
	}
	if s.o.spread && len(l.Loops()) > 1 {
		return s.serveSpread(ctx, ln)
	}
	return s.serve(ctx, l, ln)
}

// serve runs one service on the calling task.
func (s *Server) serve(ctx context.Context, l *Loop, ln *Listener) error {
	v := newService(ctx, s, l, ln)
	if !s.add(v) {
		return ErrServerClosed
	}
	return v.run(ctx)
}

// add takes v in, unless the server is closed.
func (s *Server) add(v *service) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.services = append(s.services, v)
	}
	return !s.closed
}

// ListenAndServe listens on network and address, and serves as [Server.Serve] does,
// on every loop of the run (see [WithLoops]): each has a listener of its own
// (SO_REUSEPORT), or, where the network has no such thing, gets its share of the
// connections handed over. Ready, if not nil, is called with the address when all
// of them listen.
func (s *Server) ListenAndServe(ctx context.Context, network, address string, ready func(net.Addr)) error {
	l := RunningLoop()
	if l == nil {
		return fmt.Errorf("serve %s: %w", address, ErrNotTask)
	}
	loops := l.Loops()
	each := len(loops) > 1 && network != "unix"
	cfg := s.o.listen
	cfg.ReusePort = cfg.ReusePort || each
	ln, err := cfg.Listen(ctx, network, address)
	if err != nil {
		return err
	}
	if ready == nil {
		ready = func(net.Addr) {}
	}
	if !each {
		ready(ln.Addr())
		if len(loops) > 1 {
			defer ln.Close()
			return s.serveSpread(ctx, ln)
		}
		return s.Serve(ctx, ln)
	}
	return s.serveEach(ctx, loops, network, ln, cfg, ready)
}

// serveEach serves with one listener a loop, of which ln is the caller's.
func (s *Server) serveEach(ctx context.Context, loops []*Loop, network string, ln *Listener, cfg ListenConfig, ready func(net.Addr)) error {
	defer ln.Close()
	here, addr := RunningLoop(), ln.Addr()
	others := make(map[*Loop]*Listener)
	defer func() {
		for _, o := range others {
			o.Close()
		}
	}()
	for _, l := range loops {
		if l == here {
			continue
		}
		o, err := onAnother(ctx, l, func(ctx context.Context) (*Listener, error) {
			return cfg.Listen(ctx, network, addr.String())
		})
		if err != nil {
			return err
		}
		others[l] = o
	}
	ready(addr)
	return s.serveAll(ctx, here, ln, others)
}

// serveSpread serves the connections of ln on every loop.
func (s *Server) serveSpread(ctx context.Context, ln *Listener) error {
	here := RunningLoop()
	others := make(map[*Loop]*Listener)
	for _, l := range here.Loops() {
		if l != here {
			others[l] = nil
		}
	}
	return s.serveAll(ctx, here, ln, others)
}

// serveAll runs a service here and on the others, until all are over. Those without
// a listener get their share of what is accepted here.
func (s *Server) serveAll(ctx context.Context, here *Loop, ln *Listener, others map[*Loop]*Listener) error {
	var errs []error
	var tasks []*Task[struct{}]
	var running atomic.Int32
	own := newService(ctx, s, here, ln)
	if !s.add(own) {
		return ErrServerClosed
	}
	for l, ln := range others {
		v := newService(ctx, s, l, ln)
		own.spread = own.spread || ln == nil
		if !s.add(v) {
			break
		}
		running.Add(1)
		x, err := SpawnThreadsafe(context.WithoutCancel(ctx), l, func(ctx context.Context) (struct{}, error) {
			defer running.Add(-1)
			if ln != nil {
				defer ln.Close()
			}
			return struct{}{}, v.run(ctx)
		}, WithName("server"))
		if err != nil {
			running.Add(-1)
			s.forget(v)
			v.done.Set(struct{}{}) // for whoever waits already
			errs = append(errs, err)
			s.Close()
			break
		}
		tasks = append(tasks, x)
	}
	err := own.run(ctx)
	s.Close() // if the caller was canceled, or failed, the others are to end too
	if !errors.Is(err, ErrServerClosed) {
		errs = append(errs, err)
		s.AbortClients()
	}
	for len(tasks) > 0 {
		_, err := tasks[0].Await(ctx)
		if isCancellation(err) && running.Load() > 0 {
			s.AbortClients()
			errs = append(errs, err)
			continue
		}
		tasks = tasks[1:]
		if !errors.Is(err, ErrServerClosed) {
			errs = append(errs, err)
		}
	}
	if len(errs) == 1 {
		return errs[0]
	}
	if err = errors.Join(errs...); err != nil {
		return err
	}
	return ErrServerClosed
}

// onAnother runs fn as a task of l, from a task of another loop.
func onAnother[T any](ctx context.Context, l *Loop, fn func(context.Context) (T, error)) (T, error) {
	x, err := SpawnThreadsafe(context.WithoutCancel(ctx), l, fn)
	if err != nil {
		var zero T
		return zero, err
	}
	return x.Await(ctx)
}

// each calls f for each service, on its loop. It does not wait for it.
func (s *Server) each(f func(*service)) {
	s.mu.Lock()
	all := append([]*service(nil), s.services...)
	s.mu.Unlock()
	for _, v := range all {
		if v.loop.k.OnLoop() {
			f(v)
			continue
		}
		h := new(loop.Handle)
		h.Init(loop.Func(func() { f(v) }))
		v.loop.k.Post(h)
	}
}

// Closing says whether Close or Shutdown has been called: a handler that serves
// one request after another ends then.
func (s *Server) Closing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// Close stops listening. Connections that are being served go on, and those at
// rest are closed. It does not wait; see [Server.WaitClosed]. A second Close does
// nothing.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.each((*service).close)
	return nil
}

// WaitClosed parks until the server is closed and all of its connections are gone.
// It may be called off the loop, too.
func (s *Server) WaitClosed(ctx context.Context) error {
	s.mu.Lock()
	all := append([]*service(nil), s.services...)
	s.mu.Unlock()
	for _, v := range all {
		if err := v.wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Shutdown closes the server, and waits for the connections that are being served
// until ctx ends. Then it aborts those that are left, and returns the cause.
func (s *Server) Shutdown(ctx context.Context) error {
	s.Close()
	err := s.WaitClosed(ctx)
	if err != nil {
		s.AbortClients()
	}
	return err
}

// CloseClients closes all connections, in the ordinary way: what was written is
// sent. Their handlers' calls fail with net.ErrClosed.
func (s *Server) CloseClients() { s.each(func(v *service) { v.closeAll(false) }) }

// AbortClients cancels the handlers, and resets all connections.
func (s *Server) AbortClients() {
	s.each(func(v *service) {
		v.abort()
		v.closeAll(true)
	})
}

// Connections returns how many connections the server has.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, v := range s.services {
		n += int(v.count.Load())
	}
	return n
}

// next returns the service that the next connection is for, if they are spread: one in turn, that has room.
func (s *Server) next() (v *service) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range s.services {
		s.turn++
		if v = s.services[s.turn%len(s.services)]; v.hasRoom() {
			break
		}
	}
	return v
}

// full says whether no service has room. Then v is told when one has.
func (s *Server) full(v *service) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.ContainsFunc(s.services, (*service).hasRoom) {
		return false
	}
	if !slices.Contains(s.hungry, v) {
		s.hungry = append(s.hungry, v)
	}
	return true
}

// madeRoom tells those whom full has promised it.
func (s *Server) madeRoom() {
	s.mu.Lock()
	all := s.hungry
	s.hungry = nil
	s.mu.Unlock()
	for _, v := range all {
		h := new(loop.Handle)
		h.Init(loop.Func(v.changed))
		v.loop.k.Post(h)
	}
}

func (s *Server) forget(v *service) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, x := range s.services {
		if x == v {
			s.services = append(s.services[:i], s.services[i+1:]...)
			return
		}
	}
}

func logAccept(addr net.Addr, err error, pause time.Duration) {
	slog.Warn("rondo: cannot accept for now (raise the limit of open files, ulimit -n, or bound the server's connections)",
		"addr", addr, "err", err, "pause", pause)
}

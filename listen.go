package rondo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rondo-go/rondo/loop"
	"github.com/rondo-go/rondo/poll"
)

// A Listener is a net.Listener on the loop. Like a [Conn], it may be used off
// the loop too, and then blocks.
type Listener struct {
	member
	loop   *Loop
	l      poll.Listener
	accept side
	closed atomic.Bool

	mu     sync.Mutex // guards what follows, and the descriptor off the loop
	gone   bool
	off    net.Listener
	offErr error
}

// A ListenConfig holds options for listening. The zero one is that of [Listen].
type ListenConfig struct {
	// ReusePort lets several sockets listen on one address, among which the
	// system spreads the connections: SO_REUSEPORT, socket(7).
	ReusePort bool
	// Backlog is how many connections may wait for being accepted, listen(2).
	// Zero: 4096, or what the system allows, which bounds it. Systems other
	// than Linux may not take it.
	Backlog int
	// KeepAlive and KeepAliveConfig are for the connections; see [Dialer].
	KeepAlive       time.Duration
	KeepAliveConfig net.KeepAliveConfig
	// Control, if not nil, is called with the socket before it is bound.
	Control ControlFunc
}

// Listen listens on network (tcp, tcp4, tcp6 or unix) and address, as net.Listen
// does. The listener is closed with the loop if it is not before.
func Listen(ctx context.Context, network, address string) (*Listener, error) {
	return new(ListenConfig).Listen(ctx, network, address)
}

// Listen is described at the function [Listen].
func (cfg *ListenConfig) Listen(ctx context.Context, network, address string) (*Listener, error) {
	r := RunningLoop()
	if r == nil {
		return nil, &net.OpError{Op: "listen", Net: network, Err: ErrNotTask}
	}
	if network == "unixpacket" {
		return nil, &net.OpError{Op: "listen", Net: network, Addr: textAddr{network, address}, Err: errSeqPacket}
	}
	if network != "unix" {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, &net.OpError{Op: "listen", Net: network, Err: err}
		}
		if host == "localhost" {
			address = net.JoinHostPort("127.0.0.1", port)
		}
	}
	pl, err := r.k.Poller().Listen(network, address, poll.ListenOptions{
		ReusePort: cfg.ReusePort, Backlog: cfg.Backlog, Control: cfg.Control.within(ctx),
		KeepAlive: keepAlive(cfg.KeepAlive, cfg.KeepAliveConfig),
	})
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Addr: textAddr{network, address}, Err: pathInUse(network, address, err)}
	}
	l := &Listener{loop: r, l: pl}
	l.accept.init(r.k, pl)
	r.enlist(l)
	return l, nil
}

// A textAddr is an address that could not be used.
type textAddr struct{ network, address string }

func (a textAddr) Network() string { return a.network }
func (a textAddr) String() string  { return a.address }

// Accept implements net.Listener. The connection is a *[Conn] if a task calls
// it.
func (l *Listener) Accept() (net.Conn, error) {
	here, t := loop.Current()
	if here == nil {
		off, err := l.detached()
		if err != nil {
			return nil, l.opError(err)
		}
		return off.Accept()
	}
	if here != l.loop.k {
		return nil, l.opError(ErrOtherLoop)
	}
	if t == nil {
		return nil, l.opError(ErrNotTask)
	}
	c, err := l.accepted(t)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// accepted is Accept for t, the running task of l's loop.
func (l *Listener) accepted(t *loop.Task) (*Conn, error) {
	s := &l.accept
	if err := s.enter(t); err != nil {
		return nil, l.opError(err)
	}
	defer s.leave()
	for {
		if l.closed.Load() {
			return nil, l.opError(net.ErrClosed)
		}
		if s.expired() {
			return nil, l.opError(os.ErrDeadlineExceeded)
		}
		e, err, ok := l.l.Accept(&s.op)
		if ok {
			if err != nil {
				return nil, l.opError(err)
			}
			return newConn(l.loop, e), nil
		}
		if err := s.wait(t); err != nil {
			return nil, l.opError(err)
		}
	}
}

func (l *Listener) detached() (net.Listener, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed.Load() {
		return nil, net.ErrClosed
	}
	if l.off == nil && l.offErr == nil {
		l.off, l.offErr = l.l.Detach()
	}
	return l.off, l.offErr
}

func (l *Listener) opError(err error) error {
	var oe *net.OpError
	if err == nil || errors.As(err, &oe) {
		return err
	}
	a := l.l.Addr()
	return &net.OpError{Op: "accept", Net: a.Network(), Addr: a, Err: err}
}

// SetDeadline sets the time at which Accept gives up, for tasks.
func (l *Listener) SetDeadline(t time.Time) error {
	if l.loop.k.OnLoop() {
		l.accept.setDeadline(t)
		return nil
	}
	h := new(loop.Handle)
	h.Init(loop.Func(func() { l.accept.setDeadline(t) }))
	return l.loop.k.Post(h)
}

// Addr implements net.Listener.
func (l *Listener) Addr() net.Addr { return l.l.Addr() }

// Close stops listening. Accepts in progress end with net.ErrClosed.
func (l *Listener) Close() error {
	if l.closed.Swap(true) {
		return l.opError(net.ErrClosed)
	}
	l.mu.Lock()
	off := l.off
	l.mu.Unlock()
	if off != nil {
		off.Close()
	}
	if l.loop.k.OnLoop() {
		l.closeNow()
		return nil
	}
	h := new(loop.Handle)
	h.Init(loop.Func(l.closeNow))
	if l.loop.k.Post(h) != nil {
		l.closeListener()
	}
	return nil
}

// closeListener closes the descriptor. It returns false if it was done before.
func (l *Listener) closeListener() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone {
		return false
	}
	l.gone = true
	l.l.Addr()
	l.l.Close()
	return true
}

func (l *Listener) closeNow() {
	l.closed.Store(true)
	if !l.closeListener() {
		return
	}
	l.loop.delist(l)
	l.accept.fail(net.ErrClosed)
}

func (l *Listener) closeWithLoop() { l.closeNow() }

func (l *Listener) isClosed() bool { return l.closed.Load() }

// String names the listener, for humans.
func (l *Listener) String() string { return fmt.Sprintf("listener %v", l.Addr()) }

package portable

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"

	"github.com/rondo-go/rondo/internal/sys"
	"github.com/rondo-go/rondo/poll"
)

// A listener is a user of a backlog, on the loop's thread.
type listener struct {
	b      *backlog
	r      slot
	closed bool
}

// A backlog is a listening socket, shared by a listener and what was detached from
// it. It is closed when all of them are. A goroutine accepts one connection when
// somebody asks for it, and keeps it for whoever asks next.
type backlog struct {
	p  *Poller
	ln net.Listener
	r  *slot // the listener's, named to the poller as completed

	mu        sync.Mutex
	changed   chan struct{} // closed at the next change, for users off the loop; nil if nobody waits
	refs      int           // open users
	accepting bool          // a goroutine accepts
	conn      net.Conn      // accepted, not taken yet
	err       error         // not reported yet
}

// Listen implements [poll.Poller].
func (p *Poller) Listen(network, address string, o poll.ListenOptions) (poll.Listener, error) {
	ln, err := listen(network, address, o)
	if err != nil {
		return nil, fmt.Errorf("listen %s: %w", address, err)
	}
	l := &listener{}
	l.b = &backlog{p: p, ln: ln, r: &l.r, refs: 1}
	return l, nil
}

func listen(network, address string, o poll.ListenOptions) (net.Listener, error) {
	lc := net.ListenConfig{Control: o.Control}
	lc.KeepAlive, lc.KeepAliveConfig = keepAlive(o.KeepAlive)
	switch network {
	case "unix":
	case "tcp", "tcp4", "tcp6":
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		if _, err := netip.ParseAddr(host); err != nil && host != "" {
			return nil, &net.AddrError{Err: "not a literal IP address", Addr: host}
		}
		if o.ReusePort {
			lc.Control = func(network, address string, c syscall.RawConn) error {
				err := setReusePort(network, address, c)
				if err == nil && o.Control != nil {
					err = o.Control(network, address, c)
				}
				return err
			}
		}
	default:
		return nil, fmt.Errorf("network %s: %w", network, poll.ErrUnsupported)
	}
	ln, err := lc.Listen(context.Background(), network, address)
	if err == nil && o.Backlog > 0 {
		setBacklog(ln, o.Backlog)
	}
	return ln, cause(err)
}

// setBacklog asks for another backlog than package net did. Where the system does not
// grant it, the listener keeps its own.
func setBacklog(ln net.Listener, n int) {
	if sc, ok := ln.(syscall.Conn); ok {
		if rc, err := sc.SyscallConn(); err == nil {
			rc.Control(func(fd uintptr) { sys.Relisten(fd, n) })
		}
	}
}

func setReusePort(_, _ string, c syscall.RawConn) error {
	var err error
	if e := c.Control(func(fd uintptr) { err = sys.SetReusePort(fd) }); e != nil {
		return e
	}
	return err
}

// accept takes what has been accepted, or starts to accept. Called with mu held.
func (b *backlog) accept() (c net.Conn, err error, ok bool) {
	switch {
	case b.conn != nil:
		c, b.conn = b.conn, nil
		return c, nil, true
	case b.err != nil:
		err, b.err = b.err, nil
		return nil, err, true
	case !b.accepting:
		b.accepting = true
		go b.fill()
	}
	return nil, nil, false
}

// fill is the goroutine of an accept.
func (b *backlog) fill() {
	c, err := b.ln.Accept()
	b.mu.Lock()
	b.accepting = false
	switch {
	case err != nil:
		b.err = cause(err)
	case b.refs == 0:
		c.Close()
	default:
		b.conn = c
	}
	b.change()
	b.mu.Unlock()
	b.p.complete(b.r)
}

func (b *backlog) change() {
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
}

func (b *backlog) release() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refs--
	b.change()
	if b.refs > 0 {
		return nil
	}
	if b.conn != nil {
		b.conn.Close()
		b.conn = nil
	}
	return cause(b.ln.Close())
}

// Accept implements [poll.Listener].
func (l *listener) Accept(op *poll.Op) (poll.Endpoint, error, bool) {
	if l.closed {
		return nil, net.ErrClosed, true
	}
	l.b.mu.Lock()
	c, err, ok := l.b.accept()
	l.b.mu.Unlock()
	l.r.answer(op, ok)
	if err != nil || !ok {
		return nil, err, ok
	}
	e, err := l.b.p.Adopt(c)
	return e, err, true
}

// Cancel implements [poll.Listener]. The goroutine goes on: its connection is kept.
func (l *listener) Cancel(op *poll.Op) {
	if op == l.r.op {
		l.r.settle()
	}
}

// Detach implements [poll.Listener]. The two share the backlog.
func (l *listener) Detach() (net.Listener, error) {
	if l.closed {
		return nil, fmt.Errorf("detach %v: %w", l.Addr(), net.ErrClosed)
	}
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	l.b.refs++
	return &detachedListener{b: l.b}, nil
}

// Addr implements [poll.Listener].
func (l *listener) Addr() net.Addr { return l.b.ln.Addr() }

// Close implements [poll.Listener].
func (l *listener) Close() error {
	if l.closed {
		return net.ErrClosed
	}
	l.closed = true
	l.r.settle()
	return l.b.release()
}

// A detachedListener is a user of a backlog off the loop's thread.
type detachedListener struct {
	b      *backlog
	closed bool // guarded by b.mu
}

// Accept implements [net.Listener].
func (d *detachedListener) Accept() (net.Conn, error) {
	d.b.mu.Lock()
	defer d.b.mu.Unlock()
	for {
		if d.closed {
			return nil, d.wrap("accept", net.ErrClosed)
		}
		c, err, ok := d.b.accept()
		if ok {
			return c, d.wrap("accept", err)
		}
		if d.b.changed == nil {
			d.b.changed = make(chan struct{})
		}
		changed := d.b.changed
		d.b.mu.Unlock()
		<-changed
		d.b.mu.Lock()
	}
}

// Close implements [net.Listener].
func (d *detachedListener) Close() error {
	d.b.mu.Lock()
	was := d.closed
	d.closed = true
	d.b.mu.Unlock()
	if was {
		return d.wrap("close", net.ErrClosed)
	}
	return d.wrap("close", d.b.release())
}

// Addr implements [net.Listener].
func (d *detachedListener) Addr() net.Addr { return d.b.ln.Addr() }

func (d *detachedListener) wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return &net.OpError{Op: op, Net: d.Addr().Network(), Addr: d.Addr(), Err: err}
}

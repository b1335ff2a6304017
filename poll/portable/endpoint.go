package portable

import (
	"context"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/rondo-go/rondo/poll"
)

// An endpoint is a user of a socket, on the loop's thread.
type endpoint struct {
	p             *Poller
	r, w          slot
	dial          *dial   // of Connect; nil once collected
	s             *socket // nil until connected
	closed        bool
	local, remote net.Addr
}

// A dial is a connect under way.
type dial struct {
	cancel context.CancelFunc

	mu        sync.Mutex
	done      bool
	abandoned bool // the endpoint was closed
	conn      net.Conn
	err       error
}

// Connect implements [poll.Poller]. All errors but that of an unknown network are
// reported by Connected.
func (p *Poller) Connect(network string, remote net.Addr, o poll.ConnectOptions) (poll.Endpoint, error) {
	switch network {
	case "tcp", "tcp4", "tcp6", "unix":
	default:
		return nil, fmt.Errorf("connect %v: network %s: %w", remote, network, poll.ErrUnsupported)
	}
	if remote == nil {
		return nil, fmt.Errorf("connect: no address: %w", poll.ErrUnsupported)
	}
	ctx, cancel := context.WithCancel(context.Background())
	e := &endpoint{p: p, dial: &dial{cancel: cancel}, remote: remote}
	go e.dial.run(ctx, network, remote, o, func() { p.complete(&e.w) })
	return e, nil
}

// run is the goroutine of a dial.
func (d *dial) run(ctx context.Context, network string, remote net.Addr, o poll.ConnectOptions, done func()) {
	dialer := net.Dialer{LocalAddr: o.Local, Control: o.Control}
	dialer.KeepAlive, dialer.KeepAliveConfig = keepAlive(o.KeepAlive)
	conn, err := dialer.DialContext(ctx, network, remote.String())
	d.cancel()
	if err == nil && selfConnected(conn) {
		conn.Close()
		err = syscall.ECONNREFUSED
	}
	d.mu.Lock()
	d.done, d.conn, d.err = true, conn, err
	if d.abandoned && err == nil {
		conn.Close()
	}
	d.mu.Unlock()
	done()
}

// selfConnected finds a socket that was connected to itself (TCP's simultaneous
// open): nobody listens there.
func selfConnected(c net.Conn) bool {
	l, ok := c.LocalAddr().(*net.TCPAddr)
	if !ok {
		return false
	}
	r, ok := c.RemoteAddr().(*net.TCPAddr)
	return ok && l.Port == r.Port && l.IP.Equal(r.IP)
}

// keepAlive is an option as package net has it.
func keepAlive(c *net.KeepAliveConfig) (time.Duration, net.KeepAliveConfig) {
	switch {
	case c == nil:
		return 0, net.KeepAliveConfig{}
	case !c.Enable:
		return -1, net.KeepAliveConfig{}
	}
	return 0, *c
}

func (d *dial) abandon() {
	d.cancel()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.abandoned = true
	if d.conn != nil {
		d.conn.Close()
	}
}

// Adopt implements [poll.Poller], for any connection. It keeps c itself.
func (p *Poller) Adopt(c net.Conn) (poll.Endpoint, error) {
	e := &endpoint{p: p}
	e.open(c)
	return e, nil
}

func (e *endpoint) open(c net.Conn) {
	e.s = newSocket(e.p, c, &e.r, &e.w)
	e.local, e.remote = c.LocalAddr(), c.RemoteAddr()
}

// usable says why the endpoint cannot be used, if it cannot.
func (e *endpoint) usable() error {
	switch {
	case e.closed:
		return net.ErrClosed
	case e.s == nil:
		return syscall.ENOTCONN
	}
	return nil
}

// Connected implements [poll.Endpoint].
func (e *endpoint) Connected(op *poll.Op) (err error, ok bool) {
	if e.closed {
		return net.ErrClosed, true
	}
	if e.dial == nil {
		return nil, true
	}
	e.dial.mu.Lock()
	defer e.dial.mu.Unlock()
	if !e.dial.done {
		e.w.wait(op)
		return nil, false
	}
	e.w.settle()
	if e.dial.err != nil {
		return systemCause(e.dial.err), true
	}
	e.open(e.dial.conn)
	e.dial = nil
	return nil, true
}

// Read implements [poll.Endpoint].
func (e *endpoint) Read(op *poll.Op, p []byte) (n int, err error, ok bool) {
	if len(p) == 0 {
		return 0, nil, true
	}
	if err := e.usable(); err != nil {
		return 0, err, true
	}
	e.s.mu.Lock()
	n, err, ok = e.s.read(p)
	e.s.mu.Unlock()
	e.r.answer(op, ok)
	return n, err, ok
}

// Borrow implements [poll.Endpoint]. The bytes are copied to the poller's buffer,
// since a detached connection may have the socket's filled anew.
func (e *endpoint) Borrow(op *poll.Op) (p []byte, err error, ok bool) {
	if e.p.lent == nil {
		e.p.lent = make([]byte, readSize)
	}
	n, err, ok := e.Read(op, e.p.lent)
	return e.p.lent[:n], err, ok
}

// Readable implements [poll.Endpoint].
func (e *endpoint) Readable(op *poll.Op) (ok bool) {
	if e.usable() != nil {
		return true
	}
	e.s.mu.Lock()
	ok = e.s.readable()
	e.s.mu.Unlock()
	e.r.answer(op, ok)
	return ok
}

// Write implements [poll.Endpoint].
func (e *endpoint) Write(op *poll.Op, p []byte) (n int, err error, ok bool) {
	if len(p) == 0 {
		return 0, nil, true
	}
	if err := e.usable(); err != nil {
		return 0, err, true
	}
	e.s.mu.Lock()
	n, err, ok = e.s.write(p)
	e.s.mu.Unlock()
	e.w.answer(op, ok)
	return n, err, ok
}

// answer keeps op's account after an attempt.
func (s *slot) answer(op *poll.Op, ok bool) {
	if ok {
		s.settle()
	} else {
		s.wait(op)
	}
}

// Cancel implements [poll.Endpoint]. The goroutine goes on: its result is kept.
func (e *endpoint) Cancel(op *poll.Op) {
	switch op {
	case e.r.op:
		e.r.settle()
	case e.w.op:
		e.w.settle()
	}
}

// CloseRead implements [poll.Endpoint].
func (e *endpoint) CloseRead() error {
	if err := e.usable(); err != nil {
		return err
	}
	return e.s.closeRead()
}

// CloseWrite implements [poll.Endpoint]. It takes effect behind what was written.
func (e *endpoint) CloseWrite() error {
	if err := e.usable(); err != nil {
		return err
	}
	return e.s.closeWrite()
}

// Detach implements [poll.Endpoint]. The connection shares the endpoint's buffers.
func (e *endpoint) Detach() (net.Conn, error) {
	if err := e.usable(); err != nil {
		return nil, fmt.Errorf("detach %v: %w", e.remote, err)
	}
	e.s.mu.Lock()
	defer e.s.mu.Unlock()
	e.s.refs++
	return &detached{s: e.s}, nil
}

// LocalAddr implements [poll.Endpoint]. It is nil before the connection is made.
func (e *endpoint) LocalAddr() net.Addr { return e.local }

// RemoteAddr implements [poll.Endpoint].
func (e *endpoint) RemoteAddr() net.Addr { return e.remote }

// Close implements [poll.Endpoint]. It waits for nothing; what was written is still
// sent (see [Poller.Close]).
func (e *endpoint) Close() error {
	if e.closed {
		return net.ErrClosed
	}
	e.closed = true
	e.r.settle()
	e.w.settle()
	if e.s != nil {
		return e.s.release(true)
	}
	e.dial.abandon()
	return nil
}

package rondo

import (
	"context"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rondo-go/rondo/loop"
)

// DialContext is a dial function for a library whose connections are used by
// tasks of l but may be made by goroutines of the library's own, as those of a
// pool are. Called by a task it is the function [DialContext]. Off the loop it
// connects as net.Dialer does, without need of the loop (whose thread may be
// waiting for the connection), and the loop takes the connection over when a task
// first uses it.
//
// Errors: those of [Dial]; [ErrOtherLoop] on another loop.
func (l *Loop) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	switch here, _ := loop.Current(); here {
	case l.k:
		return DialContext(ctx, network, address)
	case nil:
		c, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &lateConn{loop: l, first: c}, nil
	}
	return nil, dialError(network, address, ErrOtherLoop)
}

// A lateConn is a connection that becomes a Conn when a task first uses it.
type lateConn struct {
	loop *Loop
	conn atomic.Pointer[Conn] // nil until then

	mu       sync.Mutex // guards what follows
	first    net.Conn   // serves goroutines until then
	calls    int        // reads and writes of first in progress, which may go on
	closed   bool
	rdl, wdl time.Time
}

// now returns what serves the caller, and counts a call if that is c.first.
func (c *lateConn) now() (net.Conn, error) {
	if x := c.conn.Load(); x != nil {
		return x, nil
	}
	here, _ := loop.Current()
	if here != nil && here != c.loop.k {
		return nil, ErrOtherLoop
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch x := c.conn.Load(); {
	case x != nil:
		return x, nil
	case c.closed:
		return nil, net.ErrClosed
	case here != nil:
		return c.adopt()
	}
	c.calls++
	return c.first, nil
}

func (c *lateConn) done(used net.Conn) {
	if used != c.first {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls--; c.calls == 0 && c.conn.Load() != nil {
		c.first.Close()
	}
}

// adopt makes the Conn, on the loop and under c.mu, from a duplicate: calls of
// goroutines may be in progress.
func (c *lateConn) adopt() (net.Conn, error) {
	same, err := duplicate(c.first)
	if err != nil {
		return nil, err
	}
	x, err := Adopt(same)
	if err != nil {
		same.Close()
		return nil, err
	}
	x.SetReadDeadline(c.rdl)
	x.SetWriteDeadline(c.wdl)
	c.conn.Store(x)
	if c.calls == 0 {
		c.first.Close()
	}
	return x, nil
}

func duplicate(c net.Conn) (net.Conn, error) {
	f, err := c.(interface{ File() (*os.File, error) }).File() // as all of net.Dialer's streams
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return net.FileConn(f)
}

func (c *lateConn) Read(p []byte) (int, error) {
	x, err := c.now()
	if err != nil {
		return 0, c.opError("read", err)
	}
	defer c.done(x)
	return x.Read(p)
}

func (c *lateConn) Write(p []byte) (int, error) {
	x, err := c.now()
	if err != nil {
		return 0, c.opError("write", err)
	}
	defer c.done(x)
	return x.Write(p)
}

func (c *lateConn) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: c.RemoteAddr().Network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

func (c *lateConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if x := c.conn.Load(); x != nil {
		c.first.Close() // a second time, if no call was in progress
		return x.Close()
	}
	return c.first.Close()
}

// CloseRead and CloseWrite shut one side down, for whoever looks for them.
func (c *lateConn) CloseRead() error  { return c.shut(closeReader.CloseRead) }
func (c *lateConn) CloseWrite() error { return c.shut(closeReader.CloseWrite) }

func (c *lateConn) shut(how func(closeReader) error) error {
	x, err := c.now()
	if err != nil {
		return c.opError("shutdown", err)
	}
	defer c.done(x)
	return how(x.(closeReader))
}

func (c *lateConn) LocalAddr() net.Addr  { return c.first.LocalAddr() }
func (c *lateConn) RemoteAddr() net.Addr { return c.first.RemoteAddr() }

func (c *lateConn) SetDeadline(t time.Time) error {
	return c.setDeadline(t, net.Conn.SetDeadline, &c.rdl, &c.wdl)
}
func (c *lateConn) SetReadDeadline(t time.Time) error {
	return c.setDeadline(t, net.Conn.SetReadDeadline, &c.rdl)
}
func (c *lateConn) SetWriteDeadline(t time.Time) error {
	return c.setDeadline(t, net.Conn.SetWriteDeadline, &c.wdl)
}

func (c *lateConn) setDeadline(t time.Time, set func(net.Conn, time.Time) error, kept ...*time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if x := c.conn.Load(); x != nil {
		return set(x, t)
	}
	for _, k := range kept {
		*k = t
	}
	return set(c.first, t)
}

package rondo

import (
	"errors"
	"net"
	"syscall"
	"time"

	"github.com/rondo-go/rondo/loop"
	"github.com/rondo-go/rondo/poll"
)

// SetKeepAlive turns the system's probes of a silent peer on or off. They are on for
// connections of [Dial] and [Listener.Accept], as in package net: the first after 15
// seconds of silence, then one every 15, until 9 of them have had no answer.
//
// This and the other settings of the socket neither park nor need the loop. They fail
// with errors.ErrUnsupported on what has no such setting (TCP's, of a Unix socket).
func (c *Conn) SetKeepAlive(on bool) error {
	return c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: on, Idle: -1, Interval: -1, Count: -1})
}

// SetKeepAlivePeriod sets after how long a silence the probes begin, and how far apart
// they are. See [Conn.SetKeepAlive].
func (c *Conn) SetKeepAlivePeriod(d time.Duration) error {
	return c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: d, Interval: d, Count: -1})
}

// SetKeepAliveConfig sets all there is to set about keep-alive, as that of
// net.TCPConn. See [Conn.SetKeepAlive].
func (c *Conn) SetKeepAliveConfig(config net.KeepAliveConfig) error {
	return c.option(func(o poll.Options) error { return o.SetKeepAliveConfig(config) })
}

// SetNoDelay says whether small writes leave at once (the default) or may wait for the
// peer's acknowledgement (Nagle's algorithm). See [Conn.SetKeepAlive].
func (c *Conn) SetNoDelay(on bool) error {
	return c.option(func(o poll.Options) error { return o.SetNoDelay(on) })
}

// SetLinger says what Close does with bytes that were not sent yet. If sec is negative
// (the default), the system goes on to send them; if it is 0, they are dropped and the
// connection is reset. See [Conn.SetKeepAlive].
func (c *Conn) SetLinger(sec int) error {
	return c.option(func(o poll.Options) error { return o.SetLinger(sec) })
}

// SetReadBuffer and SetWriteBuffer size the system's buffers of the connection. See
// [Conn.SetKeepAlive].
func (c *Conn) SetReadBuffer(bytes int) error {
	return c.option(func(o poll.Options) error { return o.SetReadBuffer(bytes) })
}

// SetWriteBuffer is described at SetReadBuffer.
func (c *Conn) SetWriteBuffer(bytes int) error {
	return c.option(func(o poll.Options) error { return o.SetWriteBuffer(bytes) })
}

// option uses the endpoint on whatever goroutine this is, while nobody closes it.
func (c *Conn) option(set func(poll.Options) error) error {
	return c.whileOpen("set", func(e poll.Endpoint) error { return set(e.Options()) })
}

func (c *Conn) whileOpen(op string, fn func(poll.Endpoint) error) error {
	c.mu.Lock()
	err := net.ErrClosed
	if !c.gone && !c.closed.Load() {
		err = fn(c.e)
	}
	c.mu.Unlock()
	return c.opError(op, err)
}

// SyscallConn implements syscall.Conn. Of the result, Control may be called anywhere;
// its function must not use the connection. Read and Write are as on package net's
// connections: a task parks and a goroutine off the loop blocks while the function
// returns false, and until the descriptor is ready for it to be called anew. On a loop
// with the portable backend they fail with errors.ErrUnsupported.
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	if c.closed.Load() {
		return nil, c.opError("raw", net.ErrClosed)
	}
	return rawConn{c}, nil
}

type rawConn struct{ c *Conn }

// Control implements syscall.RawConn.
func (r rawConn) Control(fn func(fd uintptr)) error {
	return r.c.whileOpen("raw-control", func(e poll.Endpoint) error { return e.Control(fn) })
}

// Read implements syscall.RawConn.
func (r rawConn) Read(fn func(fd uintptr) bool) error {
	return r.use("raw-read", (*Conn).reading, fn, poll.Endpoint.RawRead, syscall.RawConn.Read)
}

// Write implements syscall.RawConn.
func (r rawConn) Write(fn func(fd uintptr) bool) error {
	return r.use("raw-write", (*Conn).writing, fn, poll.Endpoint.RawWrite, syscall.RawConn.Write)
}

func (r rawConn) use(op string, side func(*Conn) *side, fn func(fd uintptr) bool,
	on func(poll.Endpoint, *poll.Op, func(fd uintptr) bool) (error, bool),
	offLoop func(syscall.RawConn, func(fd uintptr) bool) error,
) error {
	c := r.c
	t, off, err := c.place()
	if err != nil {
		return c.opError(op, err)
	}
	if off != nil {
		sc, ok := off.(syscall.Conn)
		if !ok {
			return c.opError(op, errors.ErrUnsupported)
		}
		rc, err := sc.SyscallConn()
		if err != nil {
			return c.opError(op, err)
		}
		return offLoop(rc, fn)
	}
	if op == "raw-read" && c.rest.on {
		return c.opError(op, ErrResting)
	}
	return c.opError(op, c.useRaw(t, side(c), fn, on))
}

func (c *Conn) useRaw(t *loop.Task, s *side, fn func(fd uintptr) bool,
	on func(poll.Endpoint, *poll.Op, func(fd uintptr) bool) (error, bool),
) error {
	if err := s.enter(t); err != nil {
		return err
	}
	defer s.leave()
	for {
		if err := c.usable(s); err != nil {
			return err
		}
		err, ok := on(c.e, &s.op, fn)
		if !ok {
			err = s.wait(t)
		}
		if ok || err != nil {
			return err
		}
	}
}

// WriteBuffers writes all of several buffers, with one system call for up to 1024 of
// them where the system can (writev(2)). It takes what it has written off *bufs, as
// net.Buffers.WriteTo does: that method knows only package net's own connections,
// and makes a write of each buffer on others, of which this is one.
//
// N counts what was written, also if the task is canceled or an error comes.
func (c *Conn) WriteBuffers(bufs *net.Buffers) (n int64, err error) {
	t, off, err := c.place()
	if err != nil {
		return 0, c.opError("write", err)
	}
	if off != nil {
		return bufs.WriteTo(off)
	}
	s := c.writing()
	if err := s.enter(t); err != nil {
		return 0, c.opError("write", err)
	}
	defer s.leave()
	for {
		if err := c.usable(s); err != nil {
			return n, c.opError("write", err)
		}
		k, err, ok := c.e.Writev(&s.op, *bufs)
		if !ok {
			if err := s.wait(t); err != nil {
				return n, c.opError("write", err)
			}
			continue
		}
		n += int64(k)
		consume(bufs, k)
		if err != nil || len(*bufs) == 0 {
			return n, c.opError("write", err)
		}
	}
}

// consume takes n bytes, and the empty buffers behind them, off bufs.
func consume(bufs *net.Buffers, n int) {
	for len(*bufs) > 0 {
		first := (*bufs)[0]
		if n < len(first) {
			(*bufs)[0] = first[n:]
			return
		}
		n -= len(first)
		(*bufs)[0] = nil
		*bufs = (*bufs)[1:]
	}
}

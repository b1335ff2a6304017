package portable

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/rondo-go/rondo/poll"
)

// Control implements [poll.Endpoint].
func (e *endpoint) Control(fn func(fd uintptr)) error {
	if err := e.usable(); err != nil {
		return err
	}
	rc, err := e.s.raw()
	if err != nil {
		return err
	}
	return cause(rc.Control(fn))
}

func (s *socket) raw() (syscall.RawConn, error) {
	c, ok := s.conn.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("descriptor of %T: %w", s.conn, poll.ErrUnsupported)
	}
	rc, err := c.SyscallConn()
	return rc, cause(err)
}

var errNoReadiness = fmt.Errorf("the portable backend does not know when a descriptor is ready: %w", poll.ErrUnsupported)

// RawRead implements [poll.Endpoint]: it fails. A goroutine may be reading ahead.
func (e *endpoint) RawRead(*poll.Op, func(fd uintptr) bool) (err error, ok bool) {
	return errors.Join(e.usable(), errNoReadiness), true
}

// RawWrite implements [poll.Endpoint]: see RawRead.
func (e *endpoint) RawWrite(*poll.Op, func(fd uintptr) bool) (err error, ok bool) {
	return errors.Join(e.usable(), errNoReadiness), true
}

// SendFile implements [poll.Endpoint]: it fails, since nobody could say how far a
// goroutine had got with a file when it was canceled.
func (e *endpoint) SendFile(*poll.Op, syscall.RawConn, int64, int) (sent int, err error, ok bool) {
	if err := e.usable(); err != nil {
		return 0, err, true
	}
	return 0, fmt.Errorf("sendfile: %w", poll.ErrUnsupported), true
}

// Writev implements [poll.Endpoint].
func (e *endpoint) Writev(op *poll.Op, bufs [][]byte) (n int, err error, ok bool) {
	empty := true
	for _, b := range bufs {
		if len(b) > 0 {
			empty = false
			break
		}
	}
	if empty {
		return 0, nil, true
	}
	if err := e.usable(); err != nil {
		return 0, err, true
	}
	e.s.mu.Lock()
	n, err, ok = e.s.writev(bufs)
	e.s.mu.Unlock()
	e.w.answer(op, ok)
	return n, err, ok
}

// Options implements [poll.Endpoint].
func (e *endpoint) Options() poll.Options {
	if err := e.usable(); err != nil {
		return options{err: err}
	}
	if o, ok := e.s.conn.(poll.Options); ok {
		return lingering{o, e.s}
	}
	o := options{err: fmt.Errorf("option of %T: %w", e.s.conn, poll.ErrUnsupported)}
	o.buffers, _ = e.s.conn.(buffered)
	return o
}

// lingering are the options of a [net.TCPConn], whose close may drop what is unsent.
type lingering struct {
	poll.Options
	s *socket
}

func (o lingering) SetLinger(sec int) error {
	err := o.Options.SetLinger(sec)
	if err == nil {
		o.s.mu.Lock()
		o.s.hard = sec == 0
		o.s.mu.Unlock()
	}
	return err
}

// Options of a connection that is no [net.TCPConn].
type options struct {
	err     error
	buffers buffered // or nil
}

type buffered interface {
	SetReadBuffer(bytes int) error
	SetWriteBuffer(bytes int) error
}

func (o options) SetKeepAliveConfig(net.KeepAliveConfig) error { return o.err }
func (o options) SetNoDelay(bool) error                        { return o.err }
func (o options) SetLinger(int) error                          { return o.err }

func (o options) SetReadBuffer(bytes int) error {
	if o.buffers == nil {
		return o.err
	}
	return cause(o.buffers.SetReadBuffer(bytes))
}

func (o options) SetWriteBuffer(bytes int) error {
	if o.buffers == nil {
		return o.err
	}
	return cause(o.buffers.SetWriteBuffer(bytes))
}

package epoll

import (
	"fmt"
	"net"

	"github.com/rondo-go/rondo/internal/sys"
	"github.com/rondo-go/rondo/poll"
)

// Control implements [poll.Endpoint].
func (e *endpoint) Control(fn func(fd uintptr)) error {
	if e.fd < 0 {
		return net.ErrClosed
	}
	fn(uintptr(e.fd))
	return nil
}

// RawRead implements [poll.Endpoint]. That fn returns false counts as EAGAIN.
func (e *endpoint) RawRead(op *poll.Op, fn func(fd uintptr) bool) (err error, ok bool) {
	return e.raw(&e.reading, readable, op, fn)
}

// RawWrite implements [poll.Endpoint].
func (e *endpoint) RawWrite(op *poll.Op, fn func(fd uintptr) bool) (err error, ok bool) {
	return e.raw(&e.writing, writable, op, fn)
}

func (e *endpoint) raw(side **poll.Op, bit bits, op *poll.Op, fn func(fd uintptr) bool) (err error, ok bool) {
	if e.fd < 0 {
		return net.ErrClosed, true
	}
	if fn(uintptr(e.fd)) {
		e.settle(side)
		return nil, true
	}
	e.bits &^= bit
	e.wait(side, op)
	return nil, false
}

// Options implements [poll.Endpoint].
func (e *endpoint) Options() poll.Options { return options{e} }

type options struct{ e *endpoint }

// usable says why the socket has no options.
func (o options) usable() error {
	switch {
	case o.e.fd < 0:
		return net.ErrClosed
	case o.e.file:
		return fmt.Errorf("option of a file: %w", poll.ErrUnsupported)
	}
	return nil
}

func (o options) SetKeepAliveConfig(c net.KeepAliveConfig) error {
	if err := o.usable(); err != nil {
		return err
	}
	return sys.SetKeepAlive(int(o.e.fd), c)
}

func (o options) SetNoDelay(on bool) error {
	if err := o.usable(); err != nil {
		return err
	}
	return sys.SetNoDelay(int(o.e.fd), on)
}

func (o options) SetLinger(sec int) error {
	if err := o.usable(); err != nil {
		return err
	}
	return sys.SetLinger(int(o.e.fd), sec)
}

func (o options) SetReadBuffer(bytes int) error {
	if err := o.usable(); err != nil {
		return err
	}
	return sys.SetReadBuffer(uintptr(o.e.fd), bytes)
}

func (o options) SetWriteBuffer(bytes int) error {
	if err := o.usable(); err != nil {
		return err
	}
	return sys.SetWriteBuffer(uintptr(o.e.fd), bytes)
}

// A rawSocket is a descriptor for a [poll.ControlFunc].
type rawSocket int

// Control implements [syscall.RawConn].
func (s rawSocket) Control(fn func(fd uintptr)) error {
	fn(uintptr(s))
	return nil
}

// Read implements [syscall.RawConn]: there is nothing yet.
func (s rawSocket) Read(func(fd uintptr) bool) error {
	return fmt.Errorf("read a socket that is being made: %w", poll.ErrUnsupported)
}

// Write implements [syscall.RawConn].
func (s rawSocket) Write(func(fd uintptr) bool) error {
	return fmt.Errorf("write to a socket that is being made: %w", poll.ErrUnsupported)
}

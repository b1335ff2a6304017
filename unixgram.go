package rondo

import (
	"errors"
	"net"
	"os"
	"syscall"

	"github.com/rondo-go/rondo/loop"
	"github.com/rondo-go/rondo/poll"
)

// SendFiles sends one datagram with open files by a unixgram socket: to a
// *net.UnixAddr, or to the peer if to is nil. The files stay open here. P may be
// empty. It parks as WriteTo does.
//
// Errors: those of WriteTo; [errors.ErrUnsupported] on other sockets and on Windows.
func (c *PacketConn) SendFiles(p []byte, to net.Addr, files ...*os.File) error {
	m := &Message{Buffer: p}
	if a, ok := to.(*net.UnixAddr); ok {
		m.Path = a.Name
	} else if to != nil {
		return c.opError("write", to, errors.ErrUnsupported)
	}
	t, off, err := c.place()
	switch {
	case err != nil:
	case len(files) > poll.MaxFiles:
		err = syscall.EINVAL
	case off != nil:
		err = errors.ErrUnsupported
		if u, ok := off.(poll.UnixPacketConn); ok {
			err = u.SendFiles(m, files)
		}
	default:
		err = c.sendFiles(t, m, files)
	}
	return c.opError("write", to, err)
}

func (c *PacketConn) sendFiles(t *loop.Task, m *Message, files []*os.File) error {
	e, ok := c.e.(poll.UnixPacketEndpoint)
	if !ok {
		return errors.ErrUnsupported
	}
	s := &c.wr
	if err := s.enter(t); err != nil {
		return err
	}
	defer s.leave()
	for {
		if err := c.usable(s); err != nil {
			return err
		}
		err, ok := e.SendFiles(&s.op, m, files)
		switch {
		case !ok:
			err = s.wait(t)
		case errors.Is(err, syscall.EAGAIN):
			err = t.SleepUntil(s.loop.Now().Add(busyPause))
		default:
			return err
		}
		if err != nil {
			c.e.Cancel(&s.op)
			return err
		}
	}
}

// ReceiveFiles receives one datagram of a unixgram socket and the open files that
// were passed with it, at most max. They are closed on exec, and are the caller's.
// If more came, all of them are closed and the error is [ErrFilesTruncated]; the
// datagram holds nevertheless. It parks as ReadFrom does, which drops files.
//
// Errors: those of ReadFrom; [errors.ErrUnsupported] on other sockets and on Windows.
func (c *PacketConn) ReceiveFiles(p []byte, max int) (n int, from net.Addr, files []*os.File, err error) {
	m := &Message{Buffer: p}
	max = min(max, poll.MaxFiles)
	t, off, err := c.place()
	switch {
	case err != nil:
	case max < 0:
		err = syscall.EINVAL
	case off != nil:
		err = errors.ErrUnsupported
		if u, ok := off.(poll.UnixPacketConn); ok {
			files, err = u.ReceiveFiles(m, max)
		}
	default:
		files, err = c.receiveFiles(t, m, max)
	}
	if m.Path != "" {
		from = &net.UnixAddr{Net: "unixgram", Name: m.Path}
	}
	return m.N, from, files, c.opError("read", nil, err)
}

func (c *PacketConn) receiveFiles(t *loop.Task, m *Message, max int) ([]*os.File, error) {
	e, ok := c.e.(poll.UnixPacketEndpoint)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	s := &c.rd
	if err := s.enter(t); err != nil {
		return nil, err
	}
	defer s.leave()
	for {
		if err := c.usable(s); err != nil {
			return nil, err
		}
		files, err, ok := e.ReceiveFiles(&s.op, m, max)
		if ok {
			return files, err
		}
		if err := s.wait(t); err != nil {
			return nil, err
		}
	}
}

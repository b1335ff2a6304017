package epoll

import (
	"errors"
	"net"
	"os"

	"github.com/rondo-go/rondo/internal/sys"
	"github.com/rondo-go/rondo/poll"
)

// isUnix says whether the connection is of a Unix socket.
func (e *endpoint) isUnix() error {
	if e.fd < 0 {
		return net.ErrClosed
	}
	if _, ok := e.LocalAddr().(*net.UnixAddr); !ok {
		return poll.ErrUnsupported
	}
	return nil
}

// SendFiles implements [poll.UnixEndpoint].
func (e *endpoint) SendFiles(op *poll.Op, p []byte, files []*os.File) (n int, err error, ok bool) {
	if err := e.isUnix(); err != nil {
		return 0, err, true
	}
	if e.bits&writable != 0 {
		n, err = sys.SendFiles(int(e.fd), p, files)
		if !sys.WouldBlock(err) {
			e.settle(&e.writing)
			return n, err, true
		}
		e.bits &^= writable
	}
	e.wait(&e.writing, op)
	return 0, nil, false
}

// ReceiveFiles implements [poll.UnixEndpoint].
func (e *endpoint) ReceiveFiles(op *poll.Op, p []byte, max int) (n int, files []*os.File, err error, ok bool) {
	if err := e.isUnix(); err != nil {
		return 0, nil, err, true
	}
	if e.bits&readable != 0 {
		n, files, err = sys.ReceiveFiles(int(e.fd), p, max)
		if errors.Is(err, sys.ErrTooManyFiles) {
			err = poll.ErrFilesTruncated
		}
		if !sys.WouldBlock(err) {
			e.settle(&e.reading)
			return n, files, err, true
		}
		e.bits &^= readable
	}
	e.wait(&e.reading, op)
	return 0, nil, nil, false
}

// PeerCredentials implements [poll.UnixEndpoint].
func (e *endpoint) PeerCredentials() (c poll.Credentials, err error) {
	if err := e.isUnix(); err != nil {
		return c, err
	}
	c.PID, c.UID, c.GID, err = sys.PeerCredentials(int(e.fd))
	return c, err
}

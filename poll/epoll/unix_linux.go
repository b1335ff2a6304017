package epoll

import (
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
		n, err = sys.SendFiles(int(e.fd), p, files, "")
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
		n, files, err = poll.TakeFiles(int(e.fd), p, max)
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

func (e *packetEndpoint) isUnix() error {
	switch {
	case e.fd < 0:
		return net.ErrClosed
	case e.family != sys.Unix:
		return poll.ErrUnsupported
	}
	return nil
}

// SendFiles implements [poll.UnixPacketEndpoint].
func (e *packetEndpoint) SendFiles(op *poll.Op, m *poll.Message, files []*os.File) (err error, ok bool) {
	if err = e.isUnix(); err == nil {
		err = poll.CheckReceiver(m, e.remote != nil)
	}
	if err != nil {
		return err, true
	}
	if e.bits&writable != 0 {
		_, err = sys.SendFiles(int(e.fd), m.Buffer, files, m.Path)
		if !sys.WouldBlock(err) || e.mute() {
			e.settle(&e.writing)
			return err, true
		}
		e.bits &^= writable
	}
	e.wait(&e.writing, op)
	return nil, false
}

// ReceiveFiles implements [poll.UnixPacketEndpoint].
func (e *packetEndpoint) ReceiveFiles(op *poll.Op, m *poll.Message, max int) (files []*os.File, err error, ok bool) {
	if err := e.isUnix(); err != nil {
		return nil, err, true
	}
	if e.bits&readable != 0 {
		files, err = m.TakeFiles(int(e.fd), max)
		if !sys.WouldBlock(err) {
			e.settle(&e.reading)
			return files, err, true
		}
		e.bits &^= readable
	}
	e.wait(&e.reading, op)
	return nil, nil, false
}

package rondo

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/rondo-go/rondo/loop"
	"github.com/rondo-go/rondo/poll"
)

// Credentials are a process and its user and group; see [Conn.PeerCredentials].
type Credentials = poll.Credentials

// ErrFilesTruncated says that more files came than were asked for. All are closed.
var ErrFilesTruncated = poll.ErrFilesTruncated

// errSeqPacket refuses SOCK_SEQPACKET: its records are neither a stream's bytes nor
// datagrams of a socket without a peer.
var errSeqPacket = fmt.Errorf("SOCK_SEQPACKET is not supported (use unix or unixgram): %w", errors.ErrUnsupported)

// pathInUse says what to do if a Unix socket's path is taken. As with package net,
// nothing is removed unasked: whether somebody still listens there, only they know.
func pathInUse(network, path string, err error) error {
	if strings.HasPrefix(network, "unix") && !strings.HasPrefix(path, "@") && errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w: %s exists; remove it if no process listens there any more", err, path)
	}
	return err
}

var errNoBytes = errors.New("files need at least one byte to go with (unix(7))")

// SendFiles writes all of p on a Unix socket and passes open files with its first
// byte, of which there must be one. The files stay open here. Like Write it parks
// the task, or blocks a goroutine off the loop.
//
// The peer has to take the bytes by ReceiveFiles, or the files are lost.
//
// Errors: those of Write; [errors.ErrUnsupported] on other sockets and on Windows.
func (c *Conn) SendFiles(p []byte, files ...*os.File) (n int, err error) {
	if len(p) == 0 || len(files) > poll.MaxFiles {
		err = errNoBytes
		if len(p) > 0 {
			err = fmt.Errorf("%d files, at most %d can be passed: %w", len(files), poll.MaxFiles, syscall.EINVAL)
		}
		return 0, c.opError("write", err)
	}
	t, off, err := c.place()
	switch {
	case err != nil:
		return 0, c.opError("write", err)
	case off != nil:
		n, err = sendFilesOff(off, p, files)
	default:
		n, err = c.sendFiles(t, p, files)
	}
	if err == nil && n < len(p) {
		var k int
		k, err = c.Write(p[n:])
		n += k
	}
	return n, c.opError("write", err)
}

func (c *Conn) sendFiles(t *loop.Task, p []byte, files []*os.File) (int, error) {
	e, ok := c.e.(poll.UnixEndpoint)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	s := c.writing()
	if err := s.enter(t); err != nil {
		return 0, err
	}
	defer s.leave()
	for {
		if err := c.usable(s); err != nil {
			return 0, err
		}
		n, err, ok := e.SendFiles(&s.op, p, files)
		if ok {
			return n, err
		}
		if err := s.wait(t); err != nil {
			return 0, err
		}
	}
}

func sendFilesOff(off net.Conn, p []byte, files []*os.File) (int, error) {
	switch u := off.(type) {
	case poll.UnixConn:
		return u.SendFiles(p, files)
	case *net.UnixConn:
		return poll.SendFiles(u, p, files)
	}
	return 0, errors.ErrUnsupported
}

// ReceiveFiles is Read that also takes the open files which were passed with the
// bytes, at most max. They are closed on exec, and are the caller's. If more came,
// all of them are closed and the error is [ErrFilesTruncated]; n bytes hold
// nevertheless. Like Read it parks the task, or blocks a goroutine off the loop.
//
// Errors: those of Read; [errors.ErrUnsupported] on other sockets and on Windows.
func (c *Conn) ReceiveFiles(p []byte, max int) (n int, files []*os.File, err error) {
	max = min(max, poll.MaxFiles)
	if len(p) == 0 || max < 0 {
		return 0, nil, c.opError("read", errNoBytes)
	}
	t, off, err := c.place()
	switch {
	case err != nil:
	case off != nil:
		n, files, err = receiveFilesOff(off, p, max)
	default:
		n, files, err = c.receiveFiles(t, p, max)
	}
	return n, files, c.opError("read", err)
}

func (c *Conn) receiveFiles(t *loop.Task, p []byte, max int) (int, []*os.File, error) {
	e, ok := c.e.(poll.UnixEndpoint)
	if !ok {
		return 0, nil, errors.ErrUnsupported
	}
	s := c.reading()
	if c.rest.on {
		return 0, nil, ErrResting
	}
	if err := s.enter(t); err != nil {
		return 0, nil, err
	}
	defer s.leave()
	for {
		if err := c.usable(s); err != nil {
			return 0, nil, err
		}
		n, files, err, ok := e.ReceiveFiles(&s.op, p, max)
		if ok {
			return n, files, err
		}
		if err := s.wait(t); err != nil {
			return 0, nil, err
		}
	}
}

func receiveFilesOff(off net.Conn, p []byte, max int) (int, []*os.File, error) {
	switch u := off.(type) {
	case poll.UnixConn:
		return u.ReceiveFiles(p, max)
	case *net.UnixConn:
		return poll.ReceiveFiles(u, p, max)
	}
	return 0, nil, errors.ErrUnsupported
}

// PeerCredentials returns the process at the other end of a Unix socket, as it was
// when it connected or listened. It may be called from any goroutine.
//
// Errors: [errors.ErrUnsupported] on other sockets, and where the system does not
// tell (all but Linux and macOS).
func (c *Conn) PeerCredentials() (Credentials, error) {
	c.mu.Lock()
	var cr Credentials
	err := errors.ErrUnsupported
	if c.closed.Load() {
		err = net.ErrClosed
	} else if e, ok := c.e.(poll.UnixEndpoint); ok {
		cr, err = e.PeerCredentials()
	}
	c.mu.Unlock()
	return cr, c.opError("credentials", err)
}

//go:build unix && !aix && !solaris && !illumos

package portable

import (
	"net"
	"os"
	"syscall"

	"github.com/rondo-go/rondo/internal/sys"
	"github.com/rondo-go/rondo/poll"
)

// Files are passed by a system call on the spot. Where it would block, a goroutine
// waits in its place, and takes and sends nothing: it holds the socket's side as one
// that reads or writes would, so that the bytes stay in order.

// SendFiles implements [poll.UnixEndpoint].
func (e *endpoint) SendFiles(op *poll.Op, p []byte, files []*os.File) (n int, err error, ok bool) {
	if err := e.usable(); err != nil {
		return 0, err, true
	}
	e.s.mu.Lock()
	n, err, ok = e.s.sendFiles(p, files)
	e.s.mu.Unlock()
	e.w.answer(op, ok)
	return n, err, ok
}

// ReceiveFiles implements [poll.UnixEndpoint].
func (e *endpoint) ReceiveFiles(op *poll.Op, p []byte, max int) (n int, files []*os.File, err error, ok bool) {
	if err := e.usable(); err != nil {
		return 0, nil, err, true
	}
	e.s.mu.Lock()
	n, files, err, ok = e.s.receiveFiles(p, max)
	e.s.mu.Unlock()
	e.r.answer(op, ok)
	return n, files, err, ok
}

// PeerCredentials implements [poll.UnixEndpoint].
func (e *endpoint) PeerCredentials() (c poll.Credentials, err error) {
	if err := e.usable(); err != nil {
		return c, err
	}
	rc, err := e.s.rawUnix()
	if err != nil {
		return c, err
	}
	if e := rc.Control(func(fd uintptr) { c.PID, c.UID, c.GID, err = sys.PeerCredentials(int(fd)) }); e != nil {
		err = cause(e)
	}
	return c, err
}

func (s *socket) rawUnix() (syscall.RawConn, error) {
	u, ok := s.conn.(*net.UnixConn)
	if !ok {
		return nil, poll.ErrUnsupported
	}
	rc, err := u.SyscallConn()
	return rc, cause(err)
}

// sendFiles is write with files. Called with mu held.
func (s *socket) sendFiles(p []byte, files []*os.File) (n int, err error, ok bool) {
	if err, ok := s.blocked(); err != nil || !ok {
		return 0, err, ok
	}
	rc, err := s.rawUnix()
	if err != nil {
		return 0, err, true
	}
	cerr := rc.Write(func(fd uintptr) bool {
		n, err = sys.SendFiles(int(fd), p, files, "")
		return true
	})
	if cerr != nil {
		return 0, cause(cerr), true
	}
	if !sys.WouldBlock(err) {
		return n, err, true
	}
	s.writing = true
	s.out = s.out[:0]
	go func() {
		await(rc.Write, sys.WantWrite)
		s.flush() // of nothing
	}()
	return 0, nil, false
}

// receiveFiles is read with files. Called with mu held.
func (s *socket) receiveFiles(p []byte, max int) (n int, files []*os.File, err error, ok bool) {
	rc, err := s.rawUnix()
	if err != nil {
		return 0, nil, err, true
	}
	if len(s.in) > 0 || s.readErr != nil || s.reading {
		n, err, ok = s.read(p)
		return n, nil, err, ok
	}
	cerr := rc.Read(func(fd uintptr) bool {
		n, files, err = poll.TakeFiles(int(fd), p, max)
		return true
	})
	switch {
	case cerr != nil:
		return 0, nil, cause(cerr), true
	case !sys.WouldBlock(err):
		return n, files, err, true
	}
	s.reading = true
	go func() {
		await(rc.Read, sys.WantRead)
		s.mu.Lock()
		s.reading = false
		s.change()
		s.tell(s.r)
	}()
	return 0, nil, nil, false
}

// await waits until a descriptor is ready, or closed.
func await(wait func(func(fd uintptr) bool) error, event int16) {
	wait(func(fd uintptr) bool { return sys.PollNow(int(fd), event) != 0 })
}

// SendFiles implements [poll.UnixConn].
func (d *detached) SendFiles(p []byte, files []*os.File) (n int, err error) {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	for {
		if err := d.stopped(&d.wend); err != nil {
			return 0, d.wrap("write", err)
		}
		if n, err, ok := d.s.sendFiles(p, files); ok {
			return n, d.wrap("write", err)
		}
		d.pause(&d.wend)
	}
}

// ReceiveFiles implements [poll.UnixConn].
func (d *detached) ReceiveFiles(p []byte, max int) (n int, files []*os.File, err error) {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	for {
		if err := d.stopped(&d.rend); err != nil {
			return 0, nil, d.wrap("read", err)
		}
		if n, files, err, ok := d.s.receiveFiles(p, max); ok {
			return n, files, d.wrap("read", err)
		}
		d.pause(&d.rend)
	}
}

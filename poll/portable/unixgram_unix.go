//go:build unix && !aix && !solaris && !illumos

package portable

import (
	"net"
	"os"
	"syscall"

	"github.com/rondo-go/rondo/internal/sys"
	"github.com/rondo-go/rondo/poll"
)

// SendFiles implements [poll.UnixPacketEndpoint].
func (e *packetEndpoint) SendFiles(op *poll.Op, m *poll.Message, files []*os.File) (err error, ok bool) {
	if e.closed {
		return net.ErrClosed, true
	}
	e.writer = op
	e.s.mu.Lock()
	err, ok = e.s.sendFiles(m, files)
	e.s.mu.Unlock()
	e.w.answer(op, ok)
	return err, ok
}

// ReceiveFiles implements [poll.UnixPacketEndpoint].
func (e *packetEndpoint) ReceiveFiles(op *poll.Op, m *poll.Message, max int) (files []*os.File, err error, ok bool) {
	if e.closed {
		return nil, net.ErrClosed, true
	}
	e.s.mu.Lock()
	files, err, ok = e.s.receiveFiles(m, max)
	e.s.mu.Unlock()
	e.r.answer(op, ok)
	return files, err, ok
}

func (s *packetSocket) rawUnix() (syscall.RawConn, error) {
	u, ok := s.conn.PacketConn.(*net.UnixConn)
	if !ok {
		return nil, poll.ErrUnsupported
	}
	rc, err := u.SyscallConn()
	return rc, cause(err)
}

// sendFiles sends on the spot, as [socket.sendFiles] does. Called with mu held.
func (s *packetSocket) sendFiles(m *poll.Message, files []*os.File) (err error, ok bool) {
	if s.sending {
		return nil, false
	}
	s.finished = false // of a send that was withdrawn, or a wait for room
	rc, err := s.rawUnix()
	if err == nil {
		err = poll.CheckReceiver(m, s.conn.Remote != nil)
	}
	if err != nil {
		return err, true
	}
	cerr := rc.Write(func(fd uintptr) bool {
		_, err = sys.SendFiles(int(fd), m.Buffer, files, m.Path)
		return true
	})
	switch {
	case cerr != nil:
		return cause(cerr), true
	case !sys.WouldBlock(err), s.conn.Remote == nil:
		return err, true // see [poll.PacketEndpoint] about EAGAIN
	}
	s.sending = true
	s.out = s.out[:0]
	go func() {
		await(rc.Write, sys.WantWrite)
		s.flush() // of nothing
	}()
	return nil, false
}

// receiveFiles is receive with files. Called with mu held.
func (s *packetSocket) receiveFiles(m *poll.Message, max int) (files []*os.File, err error, ok bool) {
	rc, err := s.rawUnix()
	if err != nil {
		return nil, err, true
	}
	if s.kept || s.readErr != nil || s.reading {
		err, ok = s.receive(m)
		return nil, err, ok
	}
	cerr := rc.Read(func(fd uintptr) bool {
		files, err = m.TakeFiles(int(fd), max)
		return true
	})
	switch {
	case cerr != nil:
		return nil, cause(cerr), true
	case !sys.WouldBlock(err):
		return files, err, true
	}
	s.reading = true
	go func() {
		await(rc.Read, sys.WantRead)
		s.mu.Lock()
		s.reading = false
		s.change()
		s.mu.Unlock()
		s.p.complete(s.r)
	}()
	return nil, nil, false
}

// SendFiles implements [poll.UnixPacketConn].
func (d *detachedPacket) SendFiles(m *poll.Message, files []*os.File) error {
	d.s.mu.Lock()
	err := d.stopped(&d.wend)
	d.s.mu.Unlock()
	if err != nil {
		return err
	}
	return d.s.conn.SendFiles(m, files)
}

// ReceiveFiles implements [poll.UnixPacketConn].
func (d *detachedPacket) ReceiveFiles(m *poll.Message, max int) ([]*os.File, error) {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	for {
		if err := d.stopped(&d.rend); err != nil {
			return nil, err
		}
		if files, err, ok := d.s.receiveFiles(m, max); ok {
			return files, err
		}
		d.pause()
	}
}

package epoll

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"

	"github.com/rondo-go/rondo/internal/sys"
	"github.com/rondo-go/rondo/poll"
)

// An endpoint is a stream socket, or a file.
type endpoint struct {
	watch
	file       bool          // no socket: read(2) and write(2); never changes
	connecting bool          // Connected has not been collected
	connectErr syscall.Errno // what connect(2) said: EINPROGRESS, 0 or an error

	peer          netip.AddrPort // of an accepted connection: remote, not made yet
	local, remote net.Addr       // nil until asked for
}

// Adopt implements [poll.Poller] for a [net.TCPConn] or a stream [net.UnixConn]. Others
// are refused with [poll.ErrUnsupported]: a type that wraps one of them may hold
// bytes of its own.
func (p *Poller) Adopt(c net.Conn) (poll.Endpoint, error) {
	var sc syscall.Conn
	switch c := c.(type) {
	case *net.TCPConn:
		sc = c
	case *net.UnixConn:
		sc = c
	default:
		return nil, fmt.Errorf("adopt %T: %w", c, poll.ErrUnsupported)
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("adopt %v: %w", c.RemoteAddr(), err)
	}
	fd := -1
	var dupErr error
	err = rc.Control(func(orig uintptr) {
		if !sys.IsStream(int(orig)) {
			dupErr = fmt.Errorf("not a stream: %w", poll.ErrUnsupported)
			return
		}
		fd, dupErr = sys.Dup(int(orig))
	})
	if err == nil {
		err = dupErr
	}
	if err != nil {
		return nil, fmt.Errorf("adopt %v: %w", c.RemoteAddr(), err)
	}
	e := &endpoint{
		watch: watch{p: p, fd: int32(fd), bits: readable | writable},
		local: c.LocalAddr(), remote: c.RemoteAddr(),
	}
	if !sys.IsTCP(fd) {
		e.bits |= probing
	}
	if err := e.add(); err != nil {
		sys.Close(fd)
		return nil, fmt.Errorf("adopt %v: %w", c.RemoteAddr(), err)
	}
	c.Close() // the socket lives on in the duplicate
	return e, nil
}

// Connected implements [poll.Endpoint].
func (e *endpoint) Connected(op *poll.Op) (err error, ok bool) {
	switch {
	case e.fd < 0:
		return net.ErrClosed, true
	case !e.connecting:
		return nil, true
	}
	switch e.connectErr {
	case 0:
	case syscall.EINPROGRESS:
		if e.bits&writable == 0 {
			e.wait(&e.writing, op)
			return nil, false
		}
		e.connectErr = sys.SocketError(int(e.fd))
	}
	e.settle(&e.writing)
	if e.connectErr == 0 && e.selfConnected() {
		e.connectErr = syscall.ECONNREFUSED
	}
	if e.connectErr != 0 {
		return e.connectErr, true
	}
	e.connecting = false
	e.bits |= writable
	return nil, true
}

// selfConnected finds a socket that was connected to itself, which happens if nobody
// listens at a port of the ephemeral range and the kernel chooses just that one as
// the local port (TCP's simultaneous open). Package net looks for it too.
func (e *endpoint) selfConnected() bool {
	remote, ok := e.remote.(*net.TCPAddr)
	if !ok || remote.Port < 1024 {
		return false
	}
	local, ok := e.LocalAddr().(*net.TCPAddr)
	return ok && local.Port == remote.Port && local.IP.Equal(remote.IP)
}

// Read implements [poll.Endpoint].
func (e *endpoint) Read(op *poll.Op, p []byte) (n int, err error, ok bool) {
	if len(p) == 0 {
		return 0, nil, true
	}
	return e.recv(op, p)
}

// Borrow implements [poll.Endpoint]. The buffer is of 256 KiB.
func (e *endpoint) Borrow(op *poll.Op) (p []byte, err error, ok bool) {
	if e.bits&readable == 0 && e.fd >= 0 {
		e.wait(&e.reading, op)
		return nil, nil, false
	}
	p = e.p.borrow()
	n, err, ok := e.recv(op, p)
	return p[:n], err, ok
}

func (e *endpoint) recv(op *poll.Op, p []byte) (n int, err error, ok bool) {
	if e.fd < 0 {
		return 0, net.ErrClosed, true
	}
	if e.bits&readable != 0 {
		n, errno := e.receive(p)
		switch {
		case n > 0:
			if n < len(p) && e.bits&probing == 0 {
				e.bits &^= readable
			}
			e.settle(&e.reading)
			return n, nil, true
		case errno == 0:
			e.settle(&e.reading)
			return 0, io.EOF, true
		case errno != syscall.EAGAIN:
			e.settle(&e.reading)
			return 0, os.NewSyscallError(e.call("recv", "read"), errno), true
		}
		e.bits &^= readable
	}
	e.wait(&e.reading, op)
	return 0, nil, false
}

// Readable implements [poll.Endpoint]. It asks the system only if it cannot know.
func (e *endpoint) Readable(op *poll.Op) (ok bool) {
	if e.fd < 0 {
		return true
	}
	if e.bits&readable != 0 {
		if sys.PollIn(int(e.fd)) {
			e.settle(&e.reading)
			return true
		}
		e.bits &^= readable
	}
	e.wait(&e.reading, op)
	return false
}

func (e *endpoint) receive(p []byte) (int, syscall.Errno) {
	if e.file {
		return sys.Read(int(e.fd), p)
	}
	return sys.Recv(int(e.fd), p)
}

func (e *endpoint) send(p []byte) (int, syscall.Errno) {
	if e.file {
		return sys.Write(int(e.fd), p)
	}
	return sys.Send(int(e.fd), p)
}

// call names the system call of a socket or of a file.
func (e *endpoint) call(socket, file string) string {
	if e.file {
		return file
	}
	return socket
}

// Write implements [poll.Endpoint].
func (e *endpoint) Write(op *poll.Op, p []byte) (n int, err error, ok bool) {
	if len(p) == 0 {
		return 0, nil, true
	}
	if e.fd < 0 {
		return 0, net.ErrClosed, true
	}
	if e.bits&writable != 0 {
		n, errno := e.send(p)
		switch {
		case errno == 0:
			if n < len(p) && !e.file {
				e.bits &^= writable
			}
			e.settle(&e.writing)
			return n, nil, true
		case errno != syscall.EAGAIN:
			e.settle(&e.writing)
			return 0, os.NewSyscallError(e.call("send", "write"), errno), true
		}
		e.bits &^= writable
	}
	e.wait(&e.writing, op)
	return 0, nil, false
}

// CloseRead implements [poll.Endpoint].
func (e *endpoint) CloseRead() error {
	if e.fd < 0 {
		return net.ErrClosed
	}
	if e.file {
		return e.closeSide(os.O_RDONLY)
	}
	e.bits |= readable | probing
	return sys.CloseRead(int(e.fd))
}

// CloseWrite implements [poll.Endpoint].
func (e *endpoint) CloseWrite() error {
	if e.fd < 0 {
		return net.ErrClosed
	}
	if e.file {
		return e.closeSide(os.O_WRONLY)
	}
	e.bits |= writable
	return sys.CloseWrite(int(e.fd))
}

// Detach implements [poll.Endpoint].
func (e *endpoint) Detach() (net.Conn, error) {
	f, err := e.dup()
	if err != nil {
		return nil, fmt.Errorf("detach %v: %w", e.RemoteAddr(), err)
	}
	if e.file {
		return e.fileConn(f)
	}
	defer f.Close()
	return net.FileConn(f)
}

// dup duplicates the descriptor for package net, which duplicates it once more.
func (w *watch) dup() (*os.File, error) {
	if w.fd < 0 {
		return nil, net.ErrClosed
	}
	fd, err := sys.Dup(int(w.fd))
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "socket"), nil
}

// LocalAddr implements [poll.Endpoint]. It is nil if the system does not know
// (any more), as after a Close before which nobody asked.
func (e *endpoint) LocalAddr() net.Addr {
	if e.local == nil && e.fd >= 0 {
		e.local, _ = sys.LocalAddr(int(e.fd))
	}
	return e.local
}

// RemoteAddr implements [poll.Endpoint]; see LocalAddr.
func (e *endpoint) RemoteAddr() net.Addr {
	if e.remote == nil && e.peer.IsValid() {
		e.remote = net.TCPAddrFromAddrPort(e.peer)
	}
	if e.remote == nil && e.fd >= 0 {
		e.remote, _ = sys.RemoteAddr(int(e.fd))
	}
	return e.remote
}

// Close implements [poll.Endpoint].
func (e *endpoint) Close() error { return e.watch.close() }

package epoll

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"github.com/rondo-go/rondo/internal/sys"
	"github.com/rondo-go/rondo/poll"
)

// Open implements [poll.Poller]. The descriptor is duplicated.
func (p *Poller) Open(f *os.File) (poll.Endpoint, error) {
	if err := poll.CheckStream(f); err != nil {
		return nil, err
	}
	rc, err := f.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", f.Name(), err)
	}
	var e *endpoint
	var inner error
	standard := false
	err = rc.Control(func(orig uintptr) {
		standard = orig <= 2
		e, inner = p.open(f, int(orig))
	})
	if err == nil {
		err = inner
	}
	switch {
	case errors.Is(err, syscall.EPERM): // of epoll_ctl: a device without poll(2), such as /dev/null
		return nil, poll.NotPollable(f)
	case err != nil:
		return nil, fmt.Errorf("open %s: %w", f.Name(), err)
	}
	if !standard {
		f.Close() // the open file lives on in the duplicate
	}
	return e, nil
}

func (p *Poller) open(f *os.File, orig int) (*endpoint, error) {
	fd, err := sys.Dup(orig)
	if err != nil {
		return nil, err
	}
	e := &endpoint{watch: watch{p: p, fd: int32(fd), bits: readable | writable | probing}}
	if sys.IsSocket(fd) {
		if !sys.IsStream(fd) {
			sys.Close(fd)
			return nil, fmt.Errorf("not a stream: %w", poll.ErrUnsupported)
		}
		if sys.IsTCP(fd) {
			e.bits &^= probing
		}
	} else {
		e.file = true
		e.local = poll.FileAddr(f.Name())
		e.remote = e.local
	}
	if err := e.add(); err != nil {
		sys.Close(fd)
		return nil, err
	}
	// Last of all, since it is seen through the original too.
	if err := sys.SetNonblock(fd); err != nil {
		e.watch.close()
		return nil, err
	}
	return e, nil
}

// closeSide closes the file if mode is all that it is open for. Its place in the
// watch is taken by the end of a pipe that nobody is at, which answers
// for all that follows (end of the stream, EPIPE), tells who waits, and
// is closed in the end.
func (e *endpoint) closeSide(mode int) error {
	has, err := sys.AccessMode(int(e.fd))
	switch {
	case err != nil:
		return err
	case has == os.O_RDWR:
		return poll.NoSides(e.local.String())
	case has != mode:
		return nil
	}
	dead, err := sys.DeadEnd(mode == os.O_WRONLY)
	if err != nil {
		return err
	}
	s := &e.p.slots[e.slot]
	if err := sys.EpollAdd(e.p.epfd, dead, edges, e.slot, s.gen); err != nil {
		sys.Close(dead)
		return err
	}
	err = sys.EpollDelete(e.p.epfd, int(e.fd))
	if cerr := sys.Close(int(e.fd)); err == nil {
		err = cerr
	}
	e.fd = int32(dead)
	e.bits |= readable | writable
	return err
}

// fileConn makes a connection of a duplicate, which it owns.
func (e *endpoint) fileConn(f *os.File) (net.Conn, error) {
	mode, err := sys.AccessMode(int(e.fd))
	if err != nil {
		f.Close()
		return nil, err
	}
	return poll.NewFileConn(f, mode), nil
}

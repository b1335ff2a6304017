package epoll

import (
	"fmt"
	"net"
	"os"
	"syscall"

	"github.com/rondo-go/rondo/internal/sys"
	"github.com/rondo-go/rondo/poll"
)

// A listener is a listening socket.
type listener struct {
	watch
	addr   net.Addr
	unlink string // the path of a Unix socket, removed by Close
}

// Listen implements [poll.Poller]. The backlog is 4096, or what the system allows. A
// Unix socket's path is removed by Close, unless the listener was detached.
func (p *Poller) Listen(network, address string, o poll.ListenOptions) (poll.Listener, error) {
	so := sys.ListenOptions{ReusePort: o.ReusePort, Backlog: o.Backlog, KeepAlive: o.KeepAlive}
	if o.Control != nil {
		so.Prepare = func(fd int, network, address string) error {
			return o.Control(network, address, rawSocket(fd))
		}
	}
	fd, err := sys.Listen(network, address, so)
	if err != nil {
		return nil, fmt.Errorf("listen %s: %w", address, err)
	}
	l := &listener{watch: watch{p: p, fd: int32(fd), bits: readable}}
	l.addr, err = sys.LocalAddr(fd)
	if err == nil {
		err = l.add()
	}
	if err != nil {
		sys.Close(fd)
		return nil, fmt.Errorf("listen %s: %w", address, err)
	}
	if network == "unix" && address != "" && address[0] != '@' {
		l.unlink = address
	}
	return l, nil
}

// Accept implements [poll.Listener]. After an error such as EMFILE the
// connection is still in the backlog, and the next Accept tries again at once.
func (l *listener) Accept(op *poll.Op) (poll.Endpoint, error, bool) {
	if l.fd < 0 {
		return nil, net.ErrClosed, true
	}
	for l.bits&readable != 0 {
		fd, peer, errno := sys.Accept(int(l.fd))
		switch errno {
		case 0:
			l.settle(&l.reading)
			e := &endpoint{watch: watch{p: l.p, fd: int32(fd), bits: readable | writable}, peer: peer}
			if !peer.IsValid() {
				e.bits |= probing
			}
			if err := e.add(); err != nil {
				sys.Close(fd)
				return nil, fmt.Errorf("accept %v: %w", l.addr, err), true
			}
			return e, nil, true
		case syscall.ECONNABORTED:
		case syscall.EAGAIN:
			l.bits &^= readable
		default:
			l.settle(&l.reading)
			return nil, os.NewSyscallError("accept4", errno), true
		}
	}
	l.wait(&l.reading, op)
	return nil, nil, false
}

// Detach implements [poll.Listener].
func (l *listener) Detach() (net.Listener, error) {
	f, err := l.dup()
	if err != nil {
		return nil, fmt.Errorf("detach %v: %w", l.addr, err)
	}
	defer f.Close()
	ln, err := net.FileListener(f)
	if err == nil {
		l.unlink = ""
	}
	return ln, err
}

// Addr implements [poll.Listener].
func (l *listener) Addr() net.Addr { return l.addr }

// Close implements [poll.Listener].
func (l *listener) Close() error {
	err := l.watch.close()
	if err == nil && l.unlink != "" {
		os.Remove(l.unlink)
	}
	return err
}

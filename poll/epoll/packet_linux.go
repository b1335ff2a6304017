package epoll

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"github.com/rondo-go/rondo/internal/sys"
	"github.com/rondo-go/rondo/poll"
)

// A packetEndpoint is a datagram socket. A datagram that was received says nothing
// of the next, so only EAGAIN clears a bit here.
type packetEndpoint struct {
	watch
	family        int
	local, remote net.Addr // remote is nil unless connected
}

// ListenPacket implements [poll.Poller].
func (p *Poller) ListenPacket(network, address string, o poll.PacketOptions) (poll.PacketEndpoint, error) {
	family, dual, sa, err := sys.ParsePacket(network, address)
	if err != nil {
		return nil, fmt.Errorf("listen %s: %w", address, err)
	}
	e, err := p.packet(network, address, family, dual, o)
	if err == nil {
		if err = sys.Bind(int(e.fd), sa); err != nil {
			sys.Close(int(e.fd))
		}
	}
	if dual && sys.IsUnavailable(err) { // a system without IPv6
		return p.ListenPacket("udp4", address, o)
	}
	if err != nil {
		return nil, fmt.Errorf("listen %s: %w", address, err)
	}
	return e.begin()
}

// ConnectPacket implements [poll.Poller].
func (p *Poller) ConnectPacket(network string, local, remote net.Addr, o poll.PacketOptions) (poll.PacketEndpoint, error) {
	family, sa, err := sys.PacketSockaddr(network, remote)
	if err != nil {
		return nil, fmt.Errorf("connect %v: %w", remote, err)
	}
	e, err := p.packet(network, remote.String(), family, false, o)
	if err != nil {
		return nil, fmt.Errorf("connect %v: %w", remote, err)
	}
	err = e.connect(network, local, remote, sa)
	if err != nil {
		sys.Close(int(e.fd))
		return nil, err
	}
	return e.begin()
}

func (e *packetEndpoint) connect(network string, local, remote net.Addr, sa sys.SocketAddress) error {
	if local != nil {
		if err := e.bind(network, local); err != nil {
			return fmt.Errorf("connect %v: bind %v: %w", remote, local, err)
		}
	}
	if err := sys.ConnectPacket(int(e.fd), sa); err != nil {
		return fmt.Errorf("connect %v: %w", remote, err)
	}
	a, err := sys.RemoteAddr(int(e.fd))
	e.remote = sys.PacketAddr(a)
	return err
}

func (e *packetEndpoint) bind(network string, local net.Addr) error {
	if a, ok := local.(*net.UDPAddr); ok && e.family != sys.Unix {
		sa, err := sys.InetSockaddr(e.family, a.AddrPort())
		if err != nil {
			return err
		}
		return sys.Bind(int(e.fd), sa)
	}
	_, sa, err := sys.PacketSockaddr(network, local)
	if err != nil {
		return err
	}
	return sys.Bind(int(e.fd), sa)
}

// packet makes a socket with its options set.
func (p *Poller) packet(network, address string, family int, dual bool, o poll.PacketOptions) (*packetEndpoint, error) {
	fd, err := sys.PacketSocket(family)
	if err != nil {
		return nil, err
	}
	e := &packetEndpoint{watch: watch{p: p, fd: int32(fd), bits: readable | writable}, family: family}
	if family == sys.Inet6 {
		err = sys.SetDualStack(fd, dual)
	}
	if err == nil && o.ReusePort {
		err = sys.SetReusePort(uintptr(fd))
	}
	if err == nil && o.Control != nil {
		err = o.Control(network, address, rawConn{&e.watch})
	}
	if err != nil {
		sys.Close(fd)
		return nil, err
	}
	return e, nil
}

func (e *packetEndpoint) begin() (poll.PacketEndpoint, error) {
	if err := e.add(); err != nil {
		sys.Close(int(e.fd))
		return nil, err
	}
	return e, nil
}

// ReadMessages implements [poll.PacketEndpoint].
func (e *packetEndpoint) ReadMessages(op *poll.Op, ms []poll.Message) (n int, err error, ok bool) {
	switch {
	case len(ms) == 0:
		return 0, nil, true
	case e.fd < 0:
		return 0, net.ErrClosed, true
	}
	if e.bits&readable != 0 {
		var errno syscall.Errno
		if len(ms) == 1 {
			errno = e.recv(&ms[0])
			n = 1
		} else {
			n, errno = e.recvBatch(ms)
		}
		if errno == 0 {
			e.settle(&e.reading)
			return n, nil, true
		}
		if errno != syscall.EAGAIN {
			e.settle(&e.reading)
			return 0, os.NewSyscallError("recvfrom", errno), true
		}
		e.bits &^= readable
	}
	e.wait(&e.reading, op)
	return 0, nil, false
}

func (e *packetEndpoint) recv(m *poll.Message) syscall.Errno {
	from := &e.p.name
	n, errno := sys.RecvFrom(int(e.fd), m.Buffer, from)
	if errno == 0 {
		e.received(m, n, n > len(m.Buffer), from)
	}
	return errno
}

func (e *packetEndpoint) recvBatch(ms []poll.Message) (n int, errno syscall.Errno) {
	b := e.p.packets()
	ms = ms[:min(len(ms), sys.BatchSize)]
	for i := range ms {
		b.Set(i, ms[i].Buffer)
	}
	n, errno = b.Recv(int(e.fd), len(ms))
	for i := range ms[:n] {
		e.received(&ms[i], b.Len(i), b.Truncated(i), b.Name(i))
	}
	return n, errno
}

func (e *packetEndpoint) received(m *poll.Message, n int, truncated bool, from *sys.Name) {
	m.N, m.Truncated = min(n, len(m.Buffer)), truncated
	if e.family == sys.Unix {
		m.Addr, m.Path = netip.AddrPort{}, from.Path()
	} else {
		m.Addr, m.Path = from.AddrPort(), ""
	}
}

// WriteMessages implements [poll.PacketEndpoint].
func (e *packetEndpoint) WriteMessages(op *poll.Op, ms []poll.Message) (n int, err error, ok bool) {
	switch {
	case len(ms) == 0:
		return 0, nil, true
	case e.fd < 0:
		return 0, net.ErrClosed, true
	}
	if e.bits&writable != 0 {
		var errno syscall.Errno
		if len(ms) == 1 {
			n, errno, err = e.send(&ms[0])
		} else {
			n, errno, err = e.sendBatch(ms)
		}
		if err == nil && errno != 0 && (errno != syscall.EAGAIN || e.mute()) {
			err = os.NewSyscallError("sendto", errno)
		}
		if n > 0 || err != nil {
			e.settle(&e.writing)
			return n, err, true
		}
		e.bits &^= writable
	}
	e.wait(&e.writing, op)
	return 0, nil, false
}

// mute says that there may be no edge after EAGAIN: what an unconnected Unix socket
// lacks is room in its receiver's queue, which poll(2) does not know.
func (e *packetEndpoint) mute() bool { return e.family == sys.Unix && e.remote == nil }

func (e *packetEndpoint) send(m *poll.Message) (n int, errno syscall.Errno, err error) {
	to := &e.p.name
	if err := e.address(to, m); err != nil {
		return 0, 0, err
	}
	if e.remote != nil {
		to = nil
	}
	if errno = sys.SendTo(int(e.fd), m.Buffer, to); errno != 0 {
		return 0, errno, nil
	}
	return 1, 0, nil
}

// sendBatch sends what comes before the first message whose address is wrong.
func (e *packetEndpoint) sendBatch(ms []poll.Message) (n int, errno syscall.Errno, err error) {
	b := e.p.packets()
	for n = range ms[:min(len(ms), sys.BatchSize)] {
		if err = e.address(b.Name(n), &ms[n]); err != nil {
			break
		}
		b.Set(n, ms[n].Buffer)
	}
	if err == nil {
		n++
	} else if n > 0 {
		err = nil // that of the next call
	} else {
		return 0, 0, err
	}
	n, errno = b.Send(int(e.fd), n, e.remote == nil)
	return n, errno, nil
}

func (e *packetEndpoint) address(to *sys.Name, m *poll.Message) error {
	if err := poll.CheckReceiver(m, e.remote != nil); err != nil || e.remote != nil {
		return err
	}
	if e.family == sys.Unix {
		return to.SetPath(m.Path)
	}
	if !m.Addr.IsValid() {
		return &net.AddrError{Err: "not an IP address", Addr: m.Path}
	}
	return to.SetAddrPort(e.family, m.Addr)
}

// Detach implements [poll.PacketEndpoint].
func (e *packetEndpoint) Detach() (poll.PacketConn, error) {
	f, err := e.dup()
	if err != nil {
		return nil, fmt.Errorf("detach %v: %w", e.LocalAddr(), err)
	}
	defer f.Close()
	c, err := net.FilePacketConn(f)
	if err != nil {
		return nil, err
	}
	return poll.NetPacket{PacketConn: c, Remote: e.remote}, nil
}

// LocalAddr implements [poll.PacketEndpoint].
func (e *packetEndpoint) LocalAddr() net.Addr {
	if e.local == nil && e.fd >= 0 {
		if a, err := sys.LocalAddr(int(e.fd)); err == nil {
			e.local = sys.PacketAddr(a)
		}
	}
	return e.local
}

// RemoteAddr implements [poll.PacketEndpoint].
func (e *packetEndpoint) RemoteAddr() net.Addr { return e.remote }

// SyscallConn implements [poll.PacketEndpoint].
func (e *packetEndpoint) SyscallConn() (syscall.RawConn, error) {
	if e.fd < 0 {
		return nil, net.ErrClosed
	}
	return rawConn{&e.watch}, nil
}

// Close implements [poll.PacketEndpoint]. A path stays in the file system, as with
// package net.
func (e *packetEndpoint) Close() error {
	e.LocalAddr()
	return e.watch.close()
}

// A rawConn gives the descriptor away. It does not wait.
type rawConn struct{ w *watch }

// Control implements [syscall.RawConn].
func (c rawConn) Control(f func(fd uintptr)) error {
	if c.w.fd < 0 {
		return net.ErrClosed
	}
	f(uintptr(c.w.fd))
	return nil
}

// Read implements [syscall.RawConn] for a function that is done at once.
func (c rawConn) Read(f func(fd uintptr) (done bool)) error { return c.once(f) }

// Write: see Read.
func (c rawConn) Write(f func(fd uintptr) (done bool)) error { return c.once(f) }

func (c rawConn) once(f func(fd uintptr) bool) error {
	if c.w.fd < 0 {
		return net.ErrClosed
	}
	if !f(uintptr(c.w.fd)) {
		return syscall.EAGAIN
	}
	return nil
}

func (p *Poller) packets() *sys.Batch {
	if p.batch == nil {
		p.batch = new(sys.Batch)
	}
	return p.batch
}

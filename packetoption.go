package rondo

import (
	"net"
	"net/netip"
	"syscall"

	"github.com/rondo-go/rondo/internal/sys"
)

// SyscallConn gives the descriptor to functions that set options of it, from any
// goroutine. They must not call methods of c. Read and Write do not wait.
func (c *PacketConn) SyscallConn() (syscall.RawConn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return nil, c.opErrorLocked(net.ErrClosed)
	}
	raw, err := c.e.SyscallConn()
	if err != nil {
		return nil, c.opErrorLocked(err)
	}
	return &packetRaw{c, raw}, nil
}

func (c *PacketConn) opErrorLocked(err error) error {
	return &net.OpError{Op: "raw-control", Net: "udp", Source: c.e.LocalAddr(), Err: err}
}

// A packetRaw keeps a descriptor from being closed while it is used.
type packetRaw struct {
	c   *PacketConn
	raw syscall.RawConn
}

// Control implements [syscall.RawConn].
func (r *packetRaw) Control(f func(fd uintptr)) error {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	if r.c.gone {
		return r.c.opErrorLocked(net.ErrClosed)
	}
	return r.raw.Control(f)
}

// Read implements [syscall.RawConn].
func (r *packetRaw) Read(f func(fd uintptr) bool) error { return r.once(f) }

// Write implements [syscall.RawConn].
func (r *packetRaw) Write(f func(fd uintptr) bool) error { return r.once(f) }

func (r *packetRaw) once(f func(fd uintptr) bool) error {
	done := false
	if err := r.Control(func(fd uintptr) { done = f(fd) }); err != nil || done {
		return err
	}
	return syscall.EAGAIN
}

// SetReadBuffer and SetWriteBuffer set the size of the system's buffers, in bytes. A
// burst that is larger than the receiver's loses datagrams.
func (c *PacketConn) SetReadBuffer(bytes int) error {
	return c.control(func(fd uintptr) error { return sys.SetReadBuffer(fd, bytes) })
}

// SetWriteBuffer is described at SetReadBuffer.
func (c *PacketConn) SetWriteBuffer(bytes int) error {
	return c.control(func(fd uintptr) error { return sys.SetWriteBuffer(fd, bytes) })
}

// JoinGroup makes the socket a member of a multicast group on an interface, nil for
// the system's choice; LeaveGroup ends that. The socket should be bound to the
// group's port (and with [PacketConfig.ReusePort], if others are too).
func (c *PacketConn) JoinGroup(ifi *net.Interface, group netip.Addr) error {
	return c.control(func(fd uintptr) error { return sys.JoinGroup(fd, ifi, group) })
}

// LeaveGroup is described at JoinGroup.
func (c *PacketConn) LeaveGroup(ifi *net.Interface, group netip.Addr) error {
	return c.control(func(fd uintptr) error { return sys.LeaveGroup(fd, ifi, group) })
}

func (c *PacketConn) control(set func(fd uintptr) error) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	if e := raw.Control(func(fd uintptr) { err = set(fd) }); e != nil {
		err = e
	}
	return c.opError("set", nil, err)
}

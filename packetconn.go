package rondo

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rondo-go/rondo/loop"
	"github.com/rondo-go/rondo/poll"
)

// A Message is one datagram of a batch; see [PacketConn.ReadBatch].
type Message = poll.Message

// A PacketConn is a datagram socket on the loop, and a net.PacketConn: called by a
// task of its loop it parks the task, called by a goroutine off the loop it blocks
// that goroutine. If it is connected, by [DialPacket], it is a net.Conn too, which
// receives from its peer only. All methods may be called at the same time.
//
// An empty datagram is a read of 0 bytes, not an end. What is longer than the
// buffer is cut, without an error; ReadBatch tells of it. If a connected peer's host
// says that nobody listens, the next call returns ECONNREFUSED, once.
//
// A read that parks ends early if its task is canceled, with the [CanceledError]
// wrapped in a *net.OpError, and takes no datagram. A canceled write has sent
// nothing, except that on the portable backend the datagram may be on its way.
type PacketConn struct {
	member
	loop    *Loop
	e       poll.PacketEndpoint
	rd, wr  side
	in, out [1]Message // of the task that is inside
	closed  atomic.Bool

	mu        sync.Mutex // guards off, and the endpoint's descriptor and addresses off the loop
	gone      bool       // the endpoint is closed
	off       poll.PacketConn
	offErr    error
	rdl, wdl  time.Time // as set, for off
	closeCall loop.Handle
}

func newPacketConn(l *Loop, e poll.PacketEndpoint) *PacketConn {
	c := &PacketConn{loop: l, e: e}
	c.rd.init(l.k, e)
	c.wr.init(l.k, e)
	c.closeCall.Init(loop.Func(c.closeNow))
	l.enlist(c)
	return c
}

// place says where the caller is: a task of c's loop, or else a goroutine that
// is served by the detached socket.
func (c *PacketConn) place() (*loop.Task, poll.PacketConn, error) {
	here, t := loop.Current()
	switch {
	case here == nil:
		off, err := c.detached()
		return nil, off, err
	case here != c.loop.k:
		return nil, nil, ErrOtherLoop
	case t == nil:
		return nil, nil, ErrNotTask
	case c.closed.Load():
		return nil, nil, net.ErrClosed
	}
	return t, nil, nil
}

// detached returns the socket that serves goroutines off the loop.
func (c *PacketConn) detached() (poll.PacketConn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed.Load() {
		return nil, net.ErrClosed
	}
	if c.off == nil && c.offErr == nil {
		c.off, c.offErr = c.e.Detach()
		if c.offErr == nil {
			c.off.SetReadDeadline(c.rdl)
			c.off.SetWriteDeadline(c.wdl)
		}
	}
	return c.off, c.offErr
}

// opError wraps err. To is whom a datagram was for, if that is not the peer.
func (c *PacketConn) opError(op string, to net.Addr, err error) error {
	if err == nil {
		return nil
	}
	var oe *net.OpError
	if errors.As(err, &oe) {
		return err
	}
	if isClosed(err) {
		err = net.ErrClosed
	}
	local := c.LocalAddr()
	oe = &net.OpError{Op: op, Source: local, Addr: to, Err: err}
	if to == nil {
		oe.Addr = c.RemoteAddr()
	}
	if local != nil {
		oe.Net = local.Network()
	}
	return oe
}

func (c *PacketConn) usable(s *side) error {
	if c.closed.Load() {
		return net.ErrClosed
	}
	if s.expired() {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// receive receives into ms, as the task that is inside.
func (c *PacketConn) receive(t *loop.Task, ms []Message) (int, error) {
	s := &c.rd
	for {
		if err := c.usable(s); err != nil {
			return 0, err
		}
		n, err, ok := c.e.ReadMessages(&s.op, ms)
		if ok {
			return n, err
		}
		if err := s.wait(t); err != nil {
			return 0, err
		}
	}
}

// busyPause is how long a sender waits for a queue of which the system does not
// say when there is room.
const busyPause = time.Millisecond

// send sends some of ms, as the task that is inside.
func (c *PacketConn) send(t *loop.Task, ms []Message) (int, error) {
	s := &c.wr
	for {
		if err := c.usable(s); err != nil {
			return 0, err
		}
		n, err, ok := c.e.WriteMessages(&s.op, ms)
		switch {
		case !ok:
			err = s.wait(t)
		case errors.Is(err, syscall.EAGAIN):
			err = t.SleepUntil(s.loop.Now().Add(busyPause))
		default:
			return n, err
		}
		if err != nil {
			c.e.Cancel(&s.op) // also what has been sent and not been collected
			return 0, err
		}
	}
}

// messages are for goroutines off the loop.
var messages = sync.Pool{New: func() any { return new(Message) }}

// read receives one datagram into p.
func (c *PacketConn) read(p []byte) (n int, from netip.AddrPort, path string, err error) {
	t, off, err := c.place()
	if err != nil {
		return 0, from, "", err
	}
	var m *Message
	if off != nil {
		m = messages.Get().(*Message)
		m.Reset(p)
		err = off.ReadMessage(m)
	} else {
		if err := c.rd.enter(t); err != nil {
			return 0, from, "", err
		}
		defer c.rd.leave()
		m = &c.in[0]
		m.Reset(p)
		_, err = c.receive(t, c.in[:])
	}
	if err == nil {
		n, from, path = m.N, m.Addr, m.Path
	}
	m.Reset(nil)
	if off != nil {
		messages.Put(m)
	}
	return n, from, path, err
}

// write sends one datagram.
func (c *PacketConn) write(p []byte, to netip.AddrPort, path string) (int, error) {
	t, off, err := c.place()
	if err != nil {
		return 0, err
	}
	var m *Message
	if off != nil {
		m = messages.Get().(*Message)
		*m = Message{Buffer: p, Addr: to, Path: path}
		err = off.WriteMessage(m)
	} else {
		if err := c.wr.enter(t); err != nil {
			return 0, err
		}
		defer c.wr.leave()
		m = &c.out[0]
		*m = Message{Buffer: p, Addr: to, Path: path}
		_, err = c.send(t, c.out[:])
	}
	m.Reset(nil)
	if off != nil {
		messages.Put(m)
	}
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// ReadFromAddrPort receives one datagram of UDP. It allocates nothing.
func (c *PacketConn) ReadFromAddrPort(p []byte) (n int, from netip.AddrPort, err error) {
	n, from, _, err = c.read(p)
	return n, from, c.opError("read", nil, err)
}

// WriteToAddrPort sends one datagram by UDP. It allocates nothing.
func (c *PacketConn) WriteToAddrPort(p []byte, to netip.AddrPort) (int, error) {
	n, err := c.write(p, to, "")
	if err != nil {
		err = c.opError("write", net.UDPAddrFromAddrPort(to), err)
	}
	return n, err
}

// ReadFrom implements net.PacketConn. The address is of type [net.UDPAddr] or
// [net.UnixAddr], or nil for a Unix socket without one.
func (c *PacketConn) ReadFrom(p []byte) (int, net.Addr, error) {
	n, from, path, err := c.read(p)
	if err != nil {
		return 0, nil, c.opError("read", nil, err)
	}
	switch {
	case from.IsValid():
		return n, net.UDPAddrFromAddrPort(from), nil
	case path != "":
		return n, &net.UnixAddr{Net: "unixgram", Name: path}, nil
	}
	return n, nil, nil
}

// WriteTo implements net.PacketConn. A connected socket refuses it, with
// [net.ErrWriteToConnected].
func (c *PacketConn) WriteTo(p []byte, to net.Addr) (n int, err error) {
	switch a := to.(type) {
	case *net.UDPAddr:
		ap := a.AddrPort()
		n, err = c.write(p, netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), "")
	case *net.UnixAddr:
		n, err = c.write(p, netip.AddrPort{}, a.Name)
	default:
		err = fmt.Errorf("address of type %T: %w", to, errors.ErrUnsupported)
	}
	return n, c.opError("write", to, err)
}

// Read implements net.Conn: it receives one datagram.
func (c *PacketConn) Read(p []byte) (int, error) {
	n, _, _, err := c.read(p)
	return n, c.opError("read", nil, err)
}

// Write implements net.Conn: it sends one datagram to the peer.
func (c *PacketConn) Write(p []byte) (int, error) {
	n, err := c.write(p, netip.AddrPort{}, "")
	return n, c.opError("write", nil, err)
}

// ReadBatch receives at least one datagram, and at most len(ms) of those that are
// there, by one system call (on Linux). N says how many; they go into the Buffers,
// and the other fields tell of each.
func (c *PacketConn) ReadBatch(ms []Message) (n int, err error) {
	t, off, err := c.place()
	switch {
	case err != nil:
	case len(ms) == 0:
		return 0, nil
	case off != nil:
		if err = off.ReadMessage(&ms[0]); err == nil {
			return 1, nil
		}
	default:
		if err = c.rd.enter(t); err != nil {
			break
		}
		n, err = c.receive(t, ms)
		c.rd.leave()
	}
	return n, c.opError("read", nil, err)
}

// WriteBatch sends all of ms in their order, by few system calls (on Linux), each to
// its Addr or Path, or to the peer. On an error n says how many were sent.
func (c *PacketConn) WriteBatch(ms []Message) (n int, err error) {
	t, off, err := c.place()
	if err == nil && off == nil {
		if err = c.wr.enter(t); err == nil {
			defer c.wr.leave()
		}
	}
	for err == nil && n < len(ms) {
		k := 1
		if off != nil {
			err = off.WriteMessage(&ms[n])
		} else {
			k, err = c.send(t, ms[n:])
		}
		if err == nil {
			n += k
		}
	}
	return n, c.opError("write", nil, err)
}

// Close closes the socket. Calls in progress end with net.ErrClosed. The path of a
// Unix socket stays in the file system, as with package net.
func (c *PacketConn) Close() error {
	if c.closed.Swap(true) {
		return c.opError("close", nil, net.ErrClosed)
	}
	if c.loop.k.OnLoop() {
		c.closeNow()
		return nil
	}
	c.mu.Lock()
	off := c.off
	c.mu.Unlock()
	if off != nil {
		off.Close()
	}
	if c.loop.k.Post(&c.closeCall) != nil {
		c.closeEndpoint() // the loop is over, and nobody else will
	}
	return nil
}

// closeNow closes the endpoint, on the loop.
func (c *PacketConn) closeNow() {
	c.closed.Store(true)
	if !c.closeEndpoint() {
		return
	}
	c.loop.delist(c)
	c.rd.fail(net.ErrClosed)
	c.wr.fail(net.ErrClosed)
}

// closeEndpoint closes both descriptors. It returns false if it was done before.
func (c *PacketConn) closeEndpoint() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return false
	}
	c.gone = true
	c.e.Close()
	if c.off != nil {
		c.off.Close()
	}
	return true
}

func (c *PacketConn) closeWithLoop() { c.closeNow() }

func (c *PacketConn) isClosed() bool { return c.closed.Load() }

// String names the socket, for humans.
func (c *PacketConn) String() string {
	if a := c.RemoteAddr(); a != nil {
		return fmt.Sprintf("datagram socket %v -> %v", c.LocalAddr(), a)
	}
	return fmt.Sprintf("datagram socket %v", c.LocalAddr())
}

// LocalAddr implements net.PacketConn.
func (c *PacketConn) LocalAddr() net.Addr {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.e.LocalAddr()
}

// RemoteAddr implements net.Conn. It is nil unless the socket is connected.
func (c *PacketConn) RemoteAddr() net.Addr {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.e.RemoteAddr()
}

// SetDeadline implements net.PacketConn.
func (c *PacketConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline implements net.PacketConn.
func (c *PacketConn) SetReadDeadline(t time.Time) error {
	return c.setDeadline(&c.rd, &c.rdl, t, poll.PacketConn.SetReadDeadline)
}

// SetWriteDeadline implements net.PacketConn.
func (c *PacketConn) SetWriteDeadline(t time.Time) error {
	return c.setDeadline(&c.wr, &c.wdl, t, poll.PacketConn.SetWriteDeadline)
}

func (c *PacketConn) setDeadline(s *side, kept *time.Time, t time.Time, set func(poll.PacketConn, time.Time) error) error {
	if c.closed.Load() {
		return c.opError("set", nil, net.ErrClosed)
	}
	c.mu.Lock()
	*kept = t
	off := c.off
	c.mu.Unlock()
	if c.loop.k.OnLoop() {
		s.setDeadline(t)
	} else {
		h := new(loop.Handle)
		h.Init(loop.Func(func() { s.setDeadline(t) }))
		c.loop.k.Post(h)
	}
	if off != nil {
		return set(off, t)
	}
	return nil
}

package portable

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/rondo-go/rondo/poll"
)

// maxDatagram is the largest datagram that a socket can carry.
const maxDatagram = 64 << 10

// A packetEndpoint is a user of a datagram socket, on the loop's thread.
//
// A receive that has been started cannot be recalled: what it gets is kept by the
// socket for whoever asks next. Datagrams to be sent are copied, and in flight until
// they are sent, so that an error is told of the datagram it belongs to.
type packetEndpoint struct {
	s      *packetSocket
	r, w   slot
	writer *poll.Op // of the latest WriteMessages
	closed bool
}

// A packetSocket is shared by an endpoint and what was detached from it. It is
// closed when all of them are.
type packetSocket struct {
	p    *Poller
	conn poll.NetPacket
	r, w *slot // the endpoint's, named to the poller as completed

	mu      sync.Mutex
	changed chan struct{} // closed at the next change, for users off the loop; nil if nobody waits
	refs    int           // open users

	buf     []byte       // what the goroutine receives into
	in      poll.Message // received, not taken yet, if kept
	kept    bool
	readErr error // not reported yet
	reading bool  // a goroutine receives

	out      []poll.Message // the goroutine's copy of what it sends
	sent     int
	writeErr error
	sending  bool // a goroutine sends
	finished bool // and is done, which has not been collected
	dropped  bool // whoever would collect it has been withdrawn
}

// ListenPacket implements [poll.Poller].
func (p *Poller) ListenPacket(network, address string, o poll.PacketOptions) (poll.PacketEndpoint, error) {
	c, err := listenPacket(network, address, o)
	if err != nil {
		return nil, fmt.Errorf("listen %s: %w", address, err)
	}
	return p.openPacket(poll.NetPacket{PacketConn: c}), nil
}

func listenPacket(network, address string, o poll.PacketOptions) (net.PacketConn, error) {
	switch network {
	case "unixgram":
	case "udp", "udp4", "udp6":
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		if _, err := netip.ParseAddr(host); err != nil && host != "" {
			return nil, &net.AddrError{Err: "not a literal IP address", Addr: host}
		}
	default:
		return nil, net.UnknownNetworkError(network)
	}
	lc := net.ListenConfig{Control: packetControl(o)}
	c, err := lc.ListenPacket(context.Background(), network, address)
	return c, cause(err)
}

// ConnectPacket implements [poll.Poller].
func (p *Poller) ConnectPacket(network string, local, remote net.Addr, o poll.PacketOptions) (poll.PacketEndpoint, error) {
	switch network {
	case "udp", "udp4", "udp6", "unixgram":
	default:
		return nil, fmt.Errorf("connect %v: %w", remote, net.UnknownNetworkError(network))
	}
	d := net.Dialer{LocalAddr: local, Control: packetControl(o)}
	c, err := d.Dial(network, remote.String())
	if err != nil {
		return nil, fmt.Errorf("connect %v: %w", remote, cause(err))
	}
	return p.openPacket(poll.NetPacket{PacketConn: c.(net.PacketConn), Remote: c.RemoteAddr()}), nil
}

func packetControl(o poll.PacketOptions) func(network, address string, c syscall.RawConn) error {
	return func(network, address string, c syscall.RawConn) error {
		if o.ReusePort {
			if err := setReusePort(network, address, c); err != nil {
				return err
			}
		}
		if o.Control != nil {
			return o.Control(network, address, c)
		}
		return nil
	}
}

func (p *Poller) openPacket(c poll.NetPacket) *packetEndpoint {
	e := &packetEndpoint{}
	e.s = &packetSocket{p: p, conn: c, r: &e.r, w: &e.w, refs: 1}
	return e
}

// ReadMessages implements [poll.PacketEndpoint]. It receives one at a time: package
// net cannot say whether there is another.
func (e *packetEndpoint) ReadMessages(op *poll.Op, ms []poll.Message) (n int, err error, ok bool) {
	switch {
	case len(ms) == 0:
		return 0, nil, true
	case e.closed:
		return 0, net.ErrClosed, true
	}
	e.s.mu.Lock()
	err, ok = e.s.receive(&ms[0])
	e.s.mu.Unlock()
	e.r.answer(op, ok)
	if ok && err == nil {
		n = 1
	}
	return n, err, ok
}

// receive takes what has been received, or starts to receive. Called with mu held.
func (s *packetSocket) receive(m *poll.Message) (err error, ok bool) {
	switch {
	case s.kept:
		s.kept = false
		p := m.Buffer
		*m = s.in
		m.N = copy(p, s.in.Buffer[:s.in.N])
		m.Truncated = s.in.Truncated || m.N < s.in.N
		m.Buffer = p
		return nil, true
	case s.readErr != nil:
		err, s.readErr = s.readErr, nil
		return err, true
	case !s.reading:
		s.reading = true
		if s.buf == nil {
			s.buf = make([]byte, maxDatagram)
		}
		go s.fill()
	}
	return nil, false
}

// fill is the goroutine of a receive.
func (s *packetSocket) fill() {
	m := poll.Message{Buffer: s.buf}
	err := s.conn.ReadMessage(&m)
	s.mu.Lock()
	s.reading = false
	if err != nil {
		s.readErr = cause(err)
	} else {
		s.in, s.kept = m, true
	}
	s.change()
	s.mu.Unlock()
	s.p.complete(s.r)
}

func (s *packetSocket) change() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// WriteMessages implements [poll.PacketEndpoint].
func (e *packetEndpoint) WriteMessages(op *poll.Op, ms []poll.Message) (n int, err error, ok bool) {
	switch {
	case len(ms) == 0:
		return 0, nil, true
	case e.closed:
		return 0, net.ErrClosed, true
	}
	e.writer = op
	e.s.mu.Lock()
	n, err, ok = e.s.transmit(ms)
	e.s.mu.Unlock()
	e.w.answer(op, ok)
	return n, err, ok
}

// transmit collects what has been sent, or starts to send. Called with mu held.
func (s *packetSocket) transmit(ms []poll.Message) (n int, err error, ok bool) {
	switch {
	case s.sending:
		return 0, nil, false
	case s.finished && !s.dropped && (s.sent > 0 || s.writeErr != nil):
		s.finished = false
		if s.sent > 0 {
			return s.sent, nil, true // an error is the next call's
		}
		return 0, s.writeErr, true
	}
	s.finished, s.dropped = false, false
	size := 0
	s.out = s.out[:0]
	for i := range ms {
		size += len(ms[i].Buffer)
		if i > 0 && size > maxDatagram {
			break
		}
		s.out = append(s.out, ms[i])
		s.out[i].Buffer = append([]byte(nil), ms[i].Buffer...)
	}
	s.sending = true
	go s.flush()
	return 0, nil, false
}

// flush is the goroutine of a send.
func (s *packetSocket) flush() {
	sent := 0
	var err error
	for ; sent < len(s.out) && err == nil; sent++ {
		err = s.conn.WriteMessage(&s.out[sent])
	}
	if err != nil {
		sent--
		err = cause(err)
	}
	s.mu.Lock()
	s.sending, s.finished = false, true
	s.sent, s.writeErr = sent, err
	s.mu.Unlock()
	s.p.complete(s.w)
}

// Cancel implements [poll.PacketEndpoint]. A result that its owner was told of, but
// did not collect, is dropped too.
func (e *packetEndpoint) Cancel(op *poll.Op) {
	switch op {
	case e.r.op:
		e.r.settle()
	case e.writer:
		e.w.settle()
		e.drop()
	}
}

// drop has nobody collect what is being sent.
func (e *packetEndpoint) drop() {
	e.s.mu.Lock()
	e.s.dropped = true
	e.s.mu.Unlock()
}

// Detach implements [poll.PacketEndpoint]. The two share what has been received.
func (e *packetEndpoint) Detach() (poll.PacketConn, error) {
	if e.closed {
		return nil, fmt.Errorf("detach %v: %w", e.LocalAddr(), net.ErrClosed)
	}
	e.s.mu.Lock()
	defer e.s.mu.Unlock()
	e.s.refs++
	return &detachedPacket{s: e.s}, nil
}

// LocalAddr implements [poll.PacketEndpoint].
func (e *packetEndpoint) LocalAddr() net.Addr { return e.s.conn.LocalAddr() }

// RemoteAddr implements [poll.PacketEndpoint].
func (e *packetEndpoint) RemoteAddr() net.Addr { return e.s.conn.Remote }

// SyscallConn implements [poll.PacketEndpoint].
func (e *packetEndpoint) SyscallConn() (syscall.RawConn, error) {
	return e.s.conn.PacketConn.(syscall.Conn).SyscallConn()
}

// Close implements [poll.PacketEndpoint]. A datagram that is being sent may be lost.
func (e *packetEndpoint) Close() error {
	if e.closed {
		return net.ErrClosed
	}
	e.closed = true
	e.r.settle()
	e.w.settle()
	return e.s.release()
}

func (s *packetSocket) release() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refs--
	s.change()
	if s.refs > 0 {
		return nil
	}
	return cause(s.conn.Close())
}

// A detachedPacket is a user of a datagram socket off the loop's thread. Sending
// needs no order with the loop's, and goes straight to the system.
type detachedPacket struct {
	s *packetSocket

	// Guarded by s.mu.
	closed     bool
	rend, wend time.Time
}

// ReadMessage implements [poll.PacketConn].
func (d *detachedPacket) ReadMessage(m *poll.Message) error {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	for {
		if err := d.stopped(&d.rend); err != nil {
			return err
		}
		if err, ok := d.s.receive(m); ok {
			return err
		}
		d.pause()
	}
}

func (d *detachedPacket) stopped(deadline *time.Time) error {
	if d.closed {
		return net.ErrClosed
	}
	if !deadline.IsZero() && !time.Now().Before(*deadline) {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// pause waits until the socket has changed or the deadline for reading has passed.
func (d *detachedPacket) pause() {
	if d.s.changed == nil {
		d.s.changed = make(chan struct{})
	}
	changed := d.s.changed
	var timeout <-chan time.Time
	if !d.rend.IsZero() {
		timer := time.NewTimer(time.Until(d.rend))
		defer timer.Stop()
		timeout = timer.C
	}
	d.s.mu.Unlock()
	defer d.s.mu.Lock()
	select {
	case <-changed:
	case <-timeout:
	}
}

// WriteMessage implements [poll.PacketConn]. The deadline counts as it begins: the
// system takes datagrams at once, and the socket's own deadline is the loop's too.
func (d *detachedPacket) WriteMessage(m *poll.Message) error {
	d.s.mu.Lock()
	err := d.stopped(&d.wend)
	d.s.mu.Unlock()
	if err != nil {
		return err
	}
	return d.s.conn.WriteMessage(m)
}

// SetReadDeadline implements [poll.PacketConn].
func (d *detachedPacket) SetReadDeadline(t time.Time) error { return d.setDeadline(&d.rend, t) }

// SetWriteDeadline implements [poll.PacketConn].
func (d *detachedPacket) SetWriteDeadline(t time.Time) error { return d.setDeadline(&d.wend, t) }

func (d *detachedPacket) setDeadline(deadline *time.Time, t time.Time) error {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	if d.closed {
		return net.ErrClosed
	}
	*deadline = t
	d.s.change()
	return nil
}

// Close implements [poll.PacketConn].
func (d *detachedPacket) Close() error {
	d.s.mu.Lock()
	was := d.closed
	d.closed = true
	d.s.mu.Unlock()
	if was {
		return net.ErrClosed
	}
	return d.s.release()
}

package rondo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"

	"github.com/rondo-go/rondo/loop"
	"github.com/rondo-go/rondo/poll"
)

// A DatagramProtocol is told of what happens to a socket, in callbacks on the loop.
// They must not park.
type DatagramProtocol interface {
	// ReceivedDatagram gives one datagram. P holds until the method returns. From
	// is not valid if the socket is not of UDP.
	ReceivedDatagram(p []byte, from netip.AddrPort)
	// ErrorReceived tells of an error of an earlier send or of a receive, such as
	// ECONNREFUSED. The socket goes on.
	ErrorReceived(err error)
	// Lost is the last call: the socket is closed, by Close with a nil error.
	Lost(err error)
}

// A DatagramTransport is the socket of a [DatagramProtocol]. While it is idle it
// holds no coroutine and no buffer. It is for the loop's thread.
type DatagramTransport struct {
	member
	loop     *Loop
	e        poll.PacketEndpoint
	protocol DatagramProtocol

	rop, wop     poll.Op
	receive      *loop.Handle // calls the protocol
	transmit     *loop.Handle
	retry        loop.Timer
	in           [1]Message
	out          [1]Message // SendTo's
	queue        []Message  // not sent yet
	queued       int        // bytes of queue
	closing      bool       // once the queue is sent
	closed, lost bool
}

// OpenDatagram makes a datagram socket that calls p: bound to local, or connected to
// remote, or both. It is asyncio's create_datagram_endpoint, and parks only for
// hosts that are names.
//
// Errors: as those of [ListenPacket].
func OpenDatagram(ctx context.Context, network, local, remote string, p DatagramProtocol) (*DatagramTransport, error) {
	return new(PacketConfig).OpenDatagram(ctx, network, local, remote, p)
}

// ServePacket is [OpenDatagram] for a socket that is bound to an address.
func ServePacket(ctx context.Context, network, address string, p DatagramProtocol) (*DatagramTransport, error) {
	return OpenDatagram(ctx, network, address, "", p)
}

// OpenDatagram is described at the function [OpenDatagram].
func (o *PacketConfig) OpenDatagram(ctx context.Context, network, local, remote string, p DatagramProtocol) (*DatagramTransport, error) {
	l, e, err := o.open(ctx, network, local, remote)
	if err != nil {
		return nil, err
	}
	t := &DatagramTransport{loop: l, e: e, protocol: p}
	t.rop.Owner, t.wop.Owner = t, t
	t.receive = l.callback(t.received)
	t.transmit = l.callback(t.flush)
	t.retry.Init(loop.Func(t.flush))
	l.enlist(t)
	l.k.Inflight(1)
	l.k.Schedule(t.receive)
	return t, nil
}

// Ready implements [poll.Owner].
func (t *DatagramTransport) Ready(op *poll.Op) {
	if op == &t.rop {
		t.loop.k.Schedule(t.receive)
	} else {
		t.loop.k.Schedule(t.transmit)
	}
}

const (
	// maxDatagram is the size of the buffer that a loop's transports share.
	maxDatagram = 64 << 10
	// datagramTurn is how many datagrams a transport takes before others have their turn.
	datagramTurn = 64
)

// received gives the protocol what is there.
func (t *DatagramTransport) received() {
	for range datagramTurn {
		if t.closed || t.closing {
			return
		}
		if t.loop.datagram == nil {
			t.loop.datagram = make([]byte, maxDatagram)
		}
		m := &t.in[0]
		m.Reset(t.loop.datagram)
		_, err, ok := t.e.ReadMessages(&t.rop, t.in[:])
		p, from := m.Buffer[:m.N], m.Addr
		m.Reset(nil)
		switch {
		case !ok:
			return
		case errors.Is(err, net.ErrClosed):
			t.finish(err)
			return
		case err != nil:
			t.protocol.ErrorReceived(err)
		default:
			t.deliver(p, from)
		}
	}
	t.loop.k.Schedule(t.receive)
}

// deliver calls the protocol, and goes on after a panic.
func (t *DatagramTransport) deliver(p []byte, from netip.AddrPort) {
	done := false
	defer func() {
		if !done && !t.closed {
			t.loop.k.Schedule(t.receive)
		}
	}()
	t.protocol.ReceivedDatagram(p, from)
	done = true
}

// SendTo sends p to an address, or to the peer if to is not valid. It never parks:
// what the system does not take now is copied and sent later; Buffered says how much
// that is. An error of a later send is the protocol's to receive.
func (t *DatagramTransport) SendTo(p []byte, to netip.AddrPort) error {
	if t.closed || t.closing {
		return fmt.Errorf("send %v: %w", to, net.ErrClosed)
	}
	m := Message{Buffer: p, Addr: to}
	if err := poll.CheckReceiver(&m, t.e.RemoteAddr() != nil); err != nil {
		return fmt.Errorf("send %v: %w", to, err)
	}
	if len(t.queue) == 0 && !t.wop.Pending {
		t.out[0] = m
		_, err, ok := t.e.WriteMessages(&t.wop, t.out[:])
		t.out[0].Reset(nil)
		if ok && !errors.Is(err, syscall.EAGAIN) {
			if err != nil {
				return fmt.Errorf("send %v: %w", to, err)
			}
			return nil
		}
		if ok {
			t.loop.k.StartTimer(&t.retry, t.loop.k.Now().Add(busyPause))
		}
	}
	m.Buffer = slices.Clone(p)
	t.queue = append(t.queue, m)
	t.queued += len(p)
	return nil
}

// Buffered returns how many bytes have not been sent yet.
func (t *DatagramTransport) Buffered() int { return t.queued }

// flush sends what is queued.
func (t *DatagramTransport) flush() {
	for len(t.queue) > 0 && !t.closed && !t.wop.Pending {
		n, err, ok := t.e.WriteMessages(&t.wop, t.queue)
		if !ok {
			return
		}
		if errors.Is(err, syscall.EAGAIN) {
			t.loop.k.StartTimer(&t.retry, t.loop.k.Now().Add(busyPause))
			return
		}
		if err != nil {
			n = 1 // the one that it is of
		}
		for i := range t.queue[:n] {
			t.queued -= len(t.queue[i].Buffer)
			t.queue[i].Reset(nil)
		}
		t.queue = t.queue[n:]
		if len(t.queue) == 0 {
			t.queue = nil
		}
		if err != nil {
			t.protocol.ErrorReceived(err)
		}
	}
	if t.closing && !t.closed && len(t.queue) == 0 {
		t.finish(nil)
	}
}

// Close sends what is queued, then closes the socket; Abort closes it at once. No
// datagram is received any more; Lost is called in an iteration to come.
func (t *DatagramTransport) Close() {
	if t.closed || t.closing {
		return
	}
	if len(t.queue) == 0 {
		t.finish(nil)
		return
	}
	t.closing = true
	t.e.Cancel(&t.rop)
}

// Abort is described at Close.
func (t *DatagramTransport) Abort() { t.finish(nil) }

// finish closes the socket and tells the protocol.
func (t *DatagramTransport) finish(err error) {
	if t.release() {
		t.loop.k.Schedule(t.loop.callback(func() { t.lose(err) }))
	}
}

func (t *DatagramTransport) lose(err error) {
	if !t.lost {
		t.lost = true
		t.protocol.Lost(err)
	}
}

// release closes the socket. It returns false if it was closed before.
func (t *DatagramTransport) release() bool {
	if t.closed {
		return false
	}
	t.closed = true
	t.e.Close()
	t.loop.k.StopTimer(&t.retry)
	t.loop.k.Inflight(-1)
	t.loop.delist(t)
	return true
}

// LocalAddr returns the address that the socket is bound to.
func (t *DatagramTransport) LocalAddr() net.Addr { return t.e.LocalAddr() }

// RemoteAddr returns the peer's address, nil unless the socket is connected.
func (t *DatagramTransport) RemoteAddr() net.Addr { return t.e.RemoteAddr() }

// closeWithLoop is for a loop that will not call anything back any more.
func (t *DatagramTransport) closeWithLoop() {
	if t.release() {
		t.lose(ErrClosed)
	}
}

func (t *DatagramTransport) isClosed() bool { return t.closed }

// String names the socket, for humans.
func (t *DatagramTransport) String() string {
	return fmt.Sprintf("datagram transport %v", t.LocalAddr())
}

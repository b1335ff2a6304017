package poll

import (
	"net"
	"net/netip"
	"syscall"
	"time"
)

// A Message is one datagram, to be sent or to be received into.
type Message struct {
	// Buffer is what is sent, or where what is received goes.
	Buffer []byte

	// N is how many bytes of Buffer were filled by a receive. It may be 0: an
	// empty datagram is one.
	N int

	// Truncated says that the datagram was longer than Buffer: its rest is lost.
	Truncated bool

	// Addr is UDP's sender, or whom to send to; not valid: the connected peer.
	// An IPv4 address is never in its IPv6-mapped form when received.
	Addr netip.AddrPort

	// Path is what Addr is, for unixgram. A sender without an address has "".
	Path string
}

// Reset readies m for another receive into p.
func (m *Message) Reset(p []byte) { *m = Message{Buffer: p} }

// PacketOptions are options of a datagram socket. The zero PacketOptions are the
// system's.
type PacketOptions struct {
	// ReusePort lets several sockets bind to one address (SO_REUSEPORT).
	ReusePort bool
	// Control, if not nil, sets further options, before the socket is bound.
	Control func(network, address string, c syscall.RawConn) error
}

// A PacketPoller is the part of a [Poller] that makes datagram sockets. Network is
// udp, udp4, udp6 or unixgram.
type PacketPoller interface {
	// ListenPacket makes a socket that is bound to address: host:port with a
	// literal IP or no host, or a path ("@name": Linux's abstract namespace).
	// It may send broadcasts.
	ListenPacket(network, address string, o PacketOptions) (PacketEndpoint, error)

	// ConnectPacket makes a socket that sends to remote and receives from there
	// only. Local may be nil. Nothing is sent, so it is done at once.
	ConnectPacket(network string, local, remote net.Addr, o PacketOptions) (PacketEndpoint, error)
}

// A PacketEndpoint is a datagram socket. It has one reading and one writing Op at
// most in flight at a time, as an [Endpoint] has.
//
// An error that the network reports of a datagram sent earlier (ECONNREFUSED, from
// an ICMP message) is returned by the next operation of a connected endpoint, once.
type PacketEndpoint interface {
	// ReadMessages receives at least one datagram, and without waiting further
	// ones, at most len(ms). N says how many. With no ms it is done at once.
	ReadMessages(op *Op, ms []Message) (n int, err error, ok bool)

	// WriteMessages sends at least one of ms, in their order, each as a whole or
	// not at all. An error is that of ms[n]. EAGAIN is returned where the system
	// will not say when there is room: an unconnected unixgram socket whose
	// receiver's queue is full.
	WriteMessages(op *Op, ms []Message) (n int, err error, ok bool)

	// Cancel withdraws op: its owner is not told of it any more. A datagram that
	// had been received already is kept for the next ReadMessages. One that a
	// goroutine of the backend is sending is sent.
	Cancel(op *Op)

	// Detach returns a user of the same socket for any goroutine, without the
	// loop. The socket is closed when both are.
	Detach() (PacketConn, error)

	// LocalAddr and RemoteAddr are of type [net.UDPAddr] or [net.UnixAddr].
	// RemoteAddr is nil unless the socket is connected.
	LocalAddr() net.Addr
	RemoteAddr() net.Addr

	// SyscallConn is the descriptor, for options. It is nil if the backend has none.
	SyscallConn() (syscall.RawConn, error)

	// Close takes the endpoint out of the poller, then closes it.
	Close() error
}

// A PacketConn is a datagram socket that blocks goroutines. All methods may be
// called from any goroutine.
type PacketConn interface {
	ReadMessage(m *Message) error
	WriteMessage(m *Message) error
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
	Close() error
}

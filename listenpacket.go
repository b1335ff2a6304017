package rondo

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"syscall"

	"github.com/rondo-go/rondo/poll"
)

// A PacketConfig holds options of datagram sockets. The zero PacketConfig is that of
// [ListenPacket] and [DialPacket].
type PacketConfig struct {
	// LocalAddr is the address to send from, or nil. It is for Dial.
	LocalAddr net.Addr
	// ReusePort lets several sockets bind to one address (SO_REUSEPORT): the system
	// spreads datagrams over them, and gives each a copy of a multicast one.
	ReusePort bool
	// Control sets further options before the socket is bound, as that of
	// net.ListenConfig.
	Control func(network, address string, c syscall.RawConn) error
	// Resolver looks names up, off the loop. Nil: net.DefaultResolver.
	Resolver *net.Resolver
}

// ListenPacket makes a datagram socket that is bound to an address, on network udp,
// udp4, udp6 or unixgram, as net.ListenPacket does. It may broadcast. It parks only
// for a host that is a name. The socket is closed with the loop if it is not before.
//
// Errors: a *net.OpError with the system's error; [ErrNotTask] outside of tasks.
func ListenPacket(ctx context.Context, network, address string) (*PacketConn, error) {
	return new(PacketConfig).Listen(ctx, network, address)
}

// DialPacket makes a datagram socket that is connected to address: it sends there,
// and receives from there only. Nothing is sent yet. It parks only for a host that
// is a name, of which the first address counts.
//
// Errors: as those of [ListenPacket].
func DialPacket(ctx context.Context, network, address string) (*PacketConn, error) {
	return new(PacketConfig).Dial(ctx, network, address)
}

// Listen is described at the function [ListenPacket].
func (o *PacketConfig) Listen(ctx context.Context, network, address string) (*PacketConn, error) {
	l, e, err := o.open(ctx, network, address, "")
	if err != nil {
		return nil, err
	}
	return newPacketConn(l, e), nil
}

// Dial is described at the function [DialPacket].
func (o *PacketConfig) Dial(ctx context.Context, network, address string) (*PacketConn, error) {
	l, e, err := o.open(ctx, network, "", address)
	if err != nil {
		return nil, err
	}
	return newPacketConn(l, e), nil
}

// open makes the endpoint of a socket that is connected if there is a remote
// address, and else bound to a local one.
func (o *PacketConfig) open(ctx context.Context, network, local, remote string) (*Loop, poll.PacketEndpoint, error) {
	op, address := "listen", local
	if remote != "" {
		op, address = "dial", remote
	}
	l, e, err := o.endpoint(ctx, network, local, remote)
	if err != nil {
		return nil, nil, &net.OpError{Op: op, Net: network, Addr: textAddr{network, address}, Err: pathInUse(network, address, err)}
	}
	return l, e, nil
}

func (o *PacketConfig) endpoint(ctx context.Context, network, local, remote string) (*Loop, poll.PacketEndpoint, error) {
	l := RunningLoop()
	if l == nil {
		return nil, nil, ErrNotTask
	}
	p := l.k.Poller()
	options := poll.PacketOptions{ReusePort: o.ReusePort, Control: o.Control}
	if remote == "" {
		if a, err := o.resolve(ctx, network, local, true); err != nil {
			return nil, nil, err
		} else if a != nil {
			local = a.String()
		}
		e, err := p.ListenPacket(network, local, options)
		return l, e, err
	}
	to, err := o.resolve(ctx, network, remote, false)
	if err != nil {
		return nil, nil, err
	}
	from := o.LocalAddr
	if local != "" {
		if from, err = o.resolve(ctx, network, local, false); err != nil {
			return nil, nil, err
		}
	}
	e, err := p.ConnectPacket(network, from, to, options)
	return l, e, err
}

// resolve finds the address of a datagram socket. It is nil if address is to be
// taken as it is, which only may be where one listens.
func (o *PacketConfig) resolve(ctx context.Context, network, address string, listens bool) (net.Addr, error) {
	switch network {
	case "unixgram":
		return &net.UnixAddr{Net: network, Name: address}, nil
	case "udp", "udp4", "udp6":
	case "unixpacket":
		return nil, errSeqPacket
	default:
		return nil, net.UnknownNetworkError(network)
	}
	if ap, err := netip.ParseAddrPort(address); err == nil {
		return net.UDPAddrFromAddrPort(ap), nil
	}
	if listens && strings.HasPrefix(address, ":") {
		return nil, nil
	}
	d := Dialer{Resolver: o.Resolver}
	addrs, err := d.resolve(ctx, "tcp"+network[3:], address)
	if err != nil {
		return nil, err
	}
	return net.UDPAddrFromAddrPort(addrs[0].(*net.TCPAddr).AddrPort()), nil
}

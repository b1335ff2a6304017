package poll

import (
	"errors"
	"net"
	"net/netip"

	"github.com/rondo-go/rondo/internal/sys"
)

// A NetPacket is a [PacketConn] on a socket of package net.
type NetPacket struct {
	net.PacketConn          // a *net.UDPConn or a *net.UnixConn
	Remote         net.Addr // its peer, nil unless it is connected
}

// ReadMessage implements [PacketConn].
func (c NetPacket) ReadMessage(m *Message) (err error) {
	var flags int
	m.Truncated, m.Addr, m.Path = false, netip.AddrPort{}, ""
	switch u := c.PacketConn.(type) {
	case *net.UDPConn:
		var from netip.AddrPort
		m.N, _, flags, from, err = u.ReadMsgUDPAddrPort(m.Buffer, nil)
		if from.IsValid() {
			m.Addr = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		}
	case *net.UnixConn:
		var from *net.UnixAddr
		m.N, _, flags, from, err = u.ReadMsgUnix(m.Buffer, nil)
		if from != nil {
			m.Path = from.Name
		}
	default:
		return ErrUnsupported
	}
	if err != nil && sys.IsTruncation(err) {
		m.N, flags, err = len(m.Buffer), sys.MsgTrunc, nil
	}
	m.Truncated = flags&sys.MsgTrunc != 0
	return err
}

// WriteMessage implements [PacketConn].
func (c NetPacket) WriteMessage(m *Message) error {
	err := CheckReceiver(m, c.Remote != nil)
	if err != nil {
		return err
	}
	switch u := c.PacketConn.(type) {
	case *net.UDPConn:
		if c.Remote != nil {
			_, err = u.Write(m.Buffer)
		} else {
			_, err = u.WriteToUDPAddrPort(m.Buffer, m.Addr)
		}
	case *net.UnixConn:
		if c.Remote != nil {
			_, err = u.Write(m.Buffer)
		} else {
			_, err = u.WriteToUnix(m.Buffer, &net.UnixAddr{Net: "unixgram", Name: m.Path})
		}
	default:
		err = ErrUnsupported
	}
	return err
}

var errNoReceiver = errors.New("no address to send to, and the socket is not connected")

// CheckReceiver says whether a message to m's address can be sent by a socket that
// is connected or not, as package net does.
func CheckReceiver(m *Message, connected bool) error {
	switch named := m.Addr.IsValid() || m.Path != ""; {
	case named && connected:
		return net.ErrWriteToConnected
	case !named && !connected:
		return errNoReceiver
	}
	return nil
}

package sys

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Address families, the answer of [Sockaddr] and [ListenSockaddr].
const (
	Inet4 = unix.AF_INET
	Inet6 = unix.AF_INET6
	Unix  = unix.AF_UNIX
)

// Sockaddr converts an address to connect to. Network is tcp, tcp4, tcp6 or
// unix, and decides whether the address fits.
//
// Errors: [errors.ErrUnsupported] for another network or type of address, a
// [net.AddrError] for an address that is not of the network.
func Sockaddr(network string, addr net.Addr) (family int, sa unix.Sockaddr, err error) {
	switch a := addr.(type) {
	case *net.TCPAddr:
		ip, ok := netip.AddrFromSlice(a.IP)
		if !ok && len(a.IP) > 0 {
			break
		}
		ip = ip.Unmap()
		if !ok { // no host is this host
			if network == "tcp6" {
				ip = netip.IPv6Unspecified()
			} else {
				ip = netip.IPv4Unspecified()
			}
		}
		family = Inet6
		if ip.Is4() {
			family = Inet4
		}
		switch network {
		case "tcp":
		case "tcp4", "tcp6":
			if (network == "tcp4") != ip.Is4() {
				return 0, nil, &net.AddrError{Err: "address is not of network " + network, Addr: a.String()}
			}
		default:
			return 0, nil, fmt.Errorf("network %s: %w", network, errors.ErrUnsupported)
		}
		sa, err = InetSockaddr(family, netip.AddrPortFrom(ip.WithZone(a.Zone), uint16(a.Port)))
		return family, sa, err
	case *net.UnixAddr:
		if network != "unix" {
			return 0, nil, fmt.Errorf("network %s: %w", network, errors.ErrUnsupported)
		}
		return Unix, &unix.SockaddrUnix{Name: a.Name}, nil
	}
	return 0, nil, fmt.Errorf("address %v: %w", addr, errors.ErrUnsupported)
}

// InetSockaddr converts an IP address to a socket address of a family. An IPv4
// address is mapped into IPv6 if need be; none or an unspecified one is that of
// the family.
func InetSockaddr(family int, ap netip.AddrPort) (unix.Sockaddr, error) {
	ip := ap.Addr()
	if !ip.IsValid() {
		ip = netip.IPv6Unspecified()
	}
	if family == Inet6 {
		sa := &unix.SockaddrInet6{Port: int(ap.Port()), Addr: ip.As16()}
		if ip.Unmap() == netip.IPv4Unspecified() {
			sa.Addr = netip.IPv6Unspecified().As16()
		}
		if zone := ip.Zone(); zone != "" {
			id, err := zoneID(zone)
			if err != nil {
				return nil, err
			}
			sa.ZoneId = id
		}
		return sa, nil
	}
	ip = ip.Unmap()
	switch {
	case ip == netip.IPv6Unspecified():
		ip = netip.IPv4Unspecified()
	case !ip.Is4():
		return nil, &net.AddrError{Err: "IPv6 address with an IPv4 one", Addr: ip.String()}
	}
	return &unix.SockaddrInet4{Port: int(ap.Port()), Addr: ip.As4()}, nil
}

// LocalAddr is the address that a socket is bound to, RemoteAddr that of its
// peer: a [net.TCPAddr] or a [net.UnixAddr].
func LocalAddr(fd int) (net.Addr, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return nil, os.NewSyscallError("getsockname", err)
	}
	return netAddr(sa), nil
}

// RemoteAddr: see [LocalAddr].
func RemoteAddr(fd int) (net.Addr, error) {
	sa, err := unix.Getpeername(fd)
	if err != nil {
		return nil, os.NewSyscallError("getpeername", err)
	}
	return netAddr(sa), nil
}

func netAddr(sa unix.Sockaddr) net.Addr {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)))
	case *unix.SockaddrInet6:
		return net.TCPAddrFromAddrPort(addrPort6(sa.Addr, sa.ZoneId, uint16(sa.Port)))
	case *unix.SockaddrUnix:
		return &net.UnixAddr{Net: "unix", Name: sa.Name}
	}
	return nil
}

// rawAddrPort reads the address that accept wrote. It allocates nothing, except
// for a zone. It is the zero AddrPort for a socket of another family.
func rawAddrPort(rsa *unix.RawSockaddrAny) netip.AddrPort {
	switch rsa.Addr.Family {
	case unix.AF_INET:
		sa := (*unix.RawSockaddrInet4)(unsafe.Pointer(rsa))
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), swapPort(&sa.Port))
	case unix.AF_INET6:
		sa := (*unix.RawSockaddrInet6)(unsafe.Pointer(rsa))
		return addrPort6(sa.Addr, sa.Scope_id, swapPort(&sa.Port))
	}
	return netip.AddrPort{}
}

// addrPort6 shows a mapped address as the IPv4 address that it is.
func addrPort6(a [16]byte, zone uint32, port uint16) netip.AddrPort {
	ip := netip.AddrFrom16(a).Unmap()
	if zone != 0 {
		ip = ip.WithZone(zoneName(zone))
	}
	return netip.AddrPortFrom(ip, port)
}

// swapPort reads a port, which is in network order whatever the machine's.
func swapPort(p *uint16) uint16 {
	b := (*[2]byte)(unsafe.Pointer(p))
	return uint16(b[0])<<8 | uint16(b[1])
}

// zoneID finds the number of a zone, by the name of an interface or as written.
func zoneID(name string) (uint32, error) {
	if ifi, err := net.InterfaceByName(name); err == nil {
		return uint32(ifi.Index), nil
	}
	id, err := strconv.ParseUint(name, 10, 32)
	if err != nil {
		return 0, &net.AddrError{Err: "no such zone", Addr: name}
	}
	return uint32(id), nil
}

// zoneName is the reverse of zoneID.
func zoneName(id uint32) string {
	if ifi, err := net.InterfaceByIndex(int(id)); err == nil {
		return ifi.Name
	}
	return strconv.FormatUint(uint64(id), 10)
}

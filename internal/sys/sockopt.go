//go:build (unix && !aix && !solaris && !illumos) || windows

package sys

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
)

// SetReadBuffer and SetWriteBuffer set the size of a socket's buffers in bytes, of
// which Linux takes twice, and clips it to net.core.rmem_max and wmem_max.
func SetReadBuffer(fd uintptr, size int) error { return setInt(fd, solSocket, soRcvbuf, size) }

// SetWriteBuffer: see [SetReadBuffer].
func SetWriteBuffer(fd uintptr, size int) error { return setInt(fd, solSocket, soSndbuf, size) }

func setInt(fd uintptr, level, option, value int) error {
	return os.NewSyscallError("setsockopt", syscall.SetsockoptInt(handle(fd), level, option, value))
}

// JoinGroup makes a socket a member of a multicast group on an interface, nil for
// the system's choice. LeaveGroup ends that.
func JoinGroup(fd uintptr, ifi *net.Interface, group netip.Addr) error {
	return member(fd, ifi, group, joinGroup4, joinGroup6)
}

// LeaveGroup: see [JoinGroup].
func LeaveGroup(fd uintptr, ifi *net.Interface, group netip.Addr) error {
	return member(fd, ifi, group, leaveGroup4, leaveGroup6)
}

func member(fd uintptr, ifi *net.Interface, group netip.Addr, option4, option6 int) error {
	group = group.Unmap()
	if !group.IsMulticast() {
		return fmt.Errorf("%v is not a multicast address: %w", group, syscall.EINVAL)
	}
	if group.Is6() {
		request := &syscall.IPv6Mreq{Multiaddr: group.As16()}
		if ifi != nil {
			request.Interface = uint32(ifi.Index)
		}
		return os.NewSyscallError("setsockopt", syscall.SetsockoptIPv6Mreq(handle(fd), ipprotoIPv6, option6, request))
	}
	request := &syscall.IPMreq{Multiaddr: group.As4()}
	if ifi != nil {
		ip, err := address4(ifi)
		if err != nil {
			return err
		}
		request.Interface = ip.As4()
	}
	return os.NewSyscallError("setsockopt", syscall.SetsockoptIPMreq(handle(fd), ipprotoIP, option4, request))
}

// address4 is an IPv4 address of an interface, which names it to the system.
func address4(ifi *net.Interface) (netip.Addr, error) {
	addrs, err := ifi.Addrs()
	if err != nil {
		return netip.Addr{}, err
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok && ip.Unmap().Is4() {
				return ip.Unmap(), nil
			}
		}
	}
	return netip.Addr{}, fmt.Errorf("interface %s has no IPv4 address: %w", ifi.Name, syscall.EADDRNOTAVAIL)
}

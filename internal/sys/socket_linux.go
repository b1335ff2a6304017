package sys

import (
	"net"
	"net/netip"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The backlog that listen is asked for by default. The kernel clips it to
// net.core.somaxconn.
const backlog = 4096

// ListenOptions are those of [Listen]. Prepare, if not nil, is called before the socket
// is bound, with its network (tcp4, tcp6 or unix).
type ListenOptions struct {
	ReusePort bool
	Backlog   int // 0: the default
	KeepAlive *net.KeepAliveConfig
	Prepare   func(fd int, network, address string) error
}

// Socket makes a stream socket that is non-blocking and closed on exec. A TCP socket
// is set as package net sets its connections: Nagle's delay is off, and keep-alive on
// unless keepAlive says otherwise.
func Socket(family int, keepAlive *net.KeepAliveConfig) (fd int, err error) {
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if family != Unix {
		// A listener's connections inherit all of them.
		err := SetNoDelay(fd, true)
		switch {
		case err != nil:
		case keepAlive != nil:
			err = SetKeepAlive(fd, *keepAlive)
		default:
			err = SetKeepAlive(fd, net.KeepAliveConfig{Enable: true})
		}
		if err != nil {
			Close(fd)
			return -1, err
		}
	}
	return fd, nil
}

// Bind binds a socket to a local address.
func Bind(fd int, sa unix.Sockaddr) error {
	return os.NewSyscallError("bind", unix.Bind(fd, sa))
}

// Connect begins to connect a non-blocking socket. It answers 0 if the socket is
// connected, EINPROGRESS if it will become writable when it is decided (see
// [SocketError]), or the error.
func Connect(fd int, sa unix.Sockaddr) syscall.Errno {
	err := unix.Connect(fd, sa)
	if err == unix.EINTR {
		// The kernel goes on by itself: connect(2), "Errors".
		return unix.EINPROGRESS
	}
	errno, ok := err.(syscall.Errno)
	if err != nil && !ok {
		return unix.EINVAL
	}
	return errno
}

// SocketError takes the pending error off a socket, 0 if there is none
// (SO_ERROR, which says how a connect went).
func SocketError(fd int) syscall.Errno {
	n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		errno, _ := err.(syscall.Errno)
		return errno
	}
	return syscall.Errno(n)
}

// IsTCP says whether fd is a plain TCP socket (Unix sockets, and Multipath TCP, which
// is a protocol of its own, are not).
func IsTCP(fd int) bool {
	n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL)
	return err == nil && n == unix.IPPROTO_TCP
}

// Listen makes a listening socket. Network is tcp, tcp4, tcp6 or unix; address is
// host:port with a literal IP or no host, or a path. As in package net, tcp with
// an unspecified IP or none takes IPv4 and IPv6 in one socket.
func Listen(network, address string, o ListenOptions) (fd int, err error) {
	if network == "unix" {
		fd, err = Socket(Unix, nil)
		if err != nil {
			return -1, err
		}
		return listen(fd, &unix.SockaddrUnix{Name: address}, network, address, o)
	}
	ap, err := parseListen(network, address)
	if err != nil {
		return -1, err
	}
	if network == "tcp" && ap.Addr().IsUnspecified() {
		fd, err := listenInet(Inet6, true, ap, o)
		if err == nil {
			return fd, nil
		}
		if errno := errnoOf(err); errno != unix.EAFNOSUPPORT && errno != unix.EADDRNOTAVAIL {
			return -1, err
		}
		return listenInet(Inet4, false, ap, o) // a system without IPv6
	}
	if ap.Addr().Is4() {
		return listenInet(Inet4, false, ap, o)
	}
	return listenInet(Inet6, false, ap, o)
}

func parseListen(network, address string) (netip.AddrPort, error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return netip.AddrPort{}, err
	}
	port, err := net.LookupPort(network, service)
	if err != nil {
		return netip.AddrPort{}, err
	}
	ip := netip.IPv6Unspecified()
	if network == "tcp4" {
		ip = netip.IPv4Unspecified()
	}
	if host != "" {
		ip, err = netip.ParseAddr(host)
		if err != nil {
			return netip.AddrPort{}, &net.AddrError{Err: "not a literal IP address", Addr: host}
		}
		ip = ip.Unmap()
	}
	switch network {
	case "tcp":
	case "tcp4", "tcp6":
		if (network == "tcp4") != ip.Is4() {
			return netip.AddrPort{}, &net.AddrError{Err: "address is not of network " + network, Addr: address}
		}
	default:
		return netip.AddrPort{}, net.UnknownNetworkError(network)
	}
	return netip.AddrPortFrom(ip, uint16(port)), nil
}

func listenInet(family int, dual bool, ap netip.AddrPort, o ListenOptions) (fd int, err error) {
	sa, err := InetSockaddr(family, ap)
	if err != nil {
		return -1, err
	}
	fd, err = Socket(family, o.KeepAlive)
	if err != nil {
		return -1, err
	}
	err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if err == nil && o.ReusePort {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	}
	if err == nil && family == Inet6 {
		only := 1
		if dual {
			only = 0
		}
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only)
	}
	if err != nil {
		Close(fd)
		return -1, os.NewSyscallError("setsockopt", err)
	}
	return listen(fd, sa, InetNetwork(family), ap.String(), o)
}

// InetNetwork names a family as a network of TCP.
func InetNetwork(family int) string {
	if family == Inet4 {
		return "tcp4"
	}
	return "tcp6"
}

func listen(fd int, sa unix.Sockaddr, network, address string, o ListenOptions) (int, error) {
	var err error
	if o.Prepare != nil {
		err = o.Prepare(fd, network, address)
	}
	if err == nil {
		err = Bind(fd, sa)
	}
	if err == nil {
		n := o.Backlog
		if n <= 0 {
			n = backlog
		}
		err = os.NewSyscallError("listen", unix.Listen(fd, n))
	}
	if err != nil {
		Close(fd)
		return -1, err
	}
	return fd, nil
}

// Accept takes a connection off a non-blocking listener's backlog, with the
// address of its peer (zero for a Unix socket).
func Accept(fd int) (conn int, peer netip.AddrPort, errno syscall.Errno) {
	for {
		var rsa unix.RawSockaddrAny
		size := uint32(unix.SizeofSockaddrAny)
		r, _, errno := syscall.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd),
			uintptr(unsafe.Pointer(&rsa)), uintptr(unsafe.Pointer(&size)),
			unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
		switch errno {
		case 0:
			return int(r), rawAddrPort(&rsa), 0
		case unix.EINTR:
		default:
			return -1, netip.AddrPort{}, errno
		}
	}
}

// CloseRead and CloseWrite shut one side of a connection down.
func CloseRead(fd int) error {
	return os.NewSyscallError("shutdown", unix.Shutdown(fd, unix.SHUT_RD))
}

// CloseWrite: see [CloseRead].
func CloseWrite(fd int) error {
	return os.NewSyscallError("shutdown", unix.Shutdown(fd, unix.SHUT_WR))
}

func errnoOf(err error) syscall.Errno {
	if se, ok := err.(*os.SyscallError); ok {
		errno, _ := se.Err.(syscall.Errno)
		return errno
	}
	return 0
}

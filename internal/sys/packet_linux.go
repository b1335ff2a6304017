package sys

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// SocketAddress is what [Sockaddr] makes.
type SocketAddress = unix.Sockaddr

// A Name is a socket address in the form in which the kernel takes and gives it.
// The zero Name is none.
type Name struct {
	raw  unix.RawSockaddrAny
	size uint32
}

// AddrPort is the name as an IP address, which is not valid for other families.
func (n *Name) AddrPort() netip.AddrPort {
	if n.size < 2 {
		return netip.AddrPort{}
	}
	return rawAddrPort(&n.raw)
}

// Path is the name as a Unix socket's: "@name" in the abstract namespace, "" if the
// socket has none.
func (n *Name) Path() string {
	const head = 2 // the family
	if n.size <= head || n.raw.Addr.Family != unix.AF_UNIX {
		return ""
	}
	sa := (*unix.RawSockaddrUnix)(unsafe.Pointer(&n.raw))
	path := make([]byte, 0, len(sa.Path))
	for _, c := range sa.Path[:min(int(n.size)-head, len(sa.Path))] {
		path = append(path, byte(c))
	}
	if path[0] == 0 {
		path[0] = '@'
		return string(path)
	}
	for i, c := range path {
		if c == 0 {
			return string(path[:i])
		}
	}
	return string(path)
}

// SetAddrPort makes the name an address for a socket of a family. It allocates
// nothing, except for a zone.
func (n *Name) SetAddrPort(family int, ap netip.AddrPort) error {
	ip := ap.Addr()
	if family == Inet6 {
		sa := (*unix.RawSockaddrInet6)(unsafe.Pointer(&n.raw))
		*sa = unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: ip.As16()}
		if ip.Unmap() == netip.IPv4Unspecified() {
			sa.Addr = netip.IPv6Unspecified().As16()
		}
		putPort(&sa.Port, ap.Port())
		if ip.Zone() != "" {
			id, err := zoneID(ip.Zone())
			if err != nil {
				return err
			}
			sa.Scope_id = id
		}
		n.size = unix.SizeofSockaddrInet6
		return nil
	}
	ip = ip.Unmap()
	if ip == netip.IPv6Unspecified() {
		ip = netip.IPv4Unspecified()
	}
	if !ip.Is4() {
		return &net.AddrError{Err: "IPv6 address with an IPv4 one", Addr: ip.String()}
	}
	sa := (*unix.RawSockaddrInet4)(unsafe.Pointer(&n.raw))
	*sa = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: ip.As4()}
	putPort(&sa.Port, ap.Port())
	n.size = unix.SizeofSockaddrInet4
	return nil
}

// SetPath makes the name a Unix socket's.
func (n *Name) SetPath(path string) error {
	sa := (*unix.RawSockaddrUnix)(unsafe.Pointer(&n.raw))
	if len(path) >= len(sa.Path) {
		return fmt.Errorf("path of %d bytes, at most %d fit: %w", len(path), len(sa.Path)-1, unix.EINVAL)
	}
	*sa = unix.RawSockaddrUnix{Family: unix.AF_UNIX}
	for i := range len(path) {
		sa.Path[i] = int8(path[i])
	}
	n.size = uint32(2 + len(path))
	switch {
	case path == "":
	case path[0] == '@':
		sa.Path[0] = 0
	default:
		n.size++ // the terminating zero
	}
	return nil
}

func putPort(p *uint16, port uint16) {
	b := (*[2]byte)(unsafe.Pointer(p))
	b[0], b[1] = byte(port>>8), byte(port)
}

// RecvFrom receives one datagram without blocking (see [Recv]). N is the datagram's
// length, which is more than len(p) if it was cut.
func RecvFrom(fd int, p []byte, from *Name) (n int, errno syscall.Errno) {
	for {
		from.size = unix.SizeofSockaddrAny
		r, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd),
			uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_DONTWAIT|unix.MSG_TRUNC,
			uintptr(unsafe.Pointer(&from.raw)), uintptr(unsafe.Pointer(&from.size)))
		if errno == 0 {
			return int(r), 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// SendTo sends one datagram without blocking. To is nil for the connected peer.
func SendTo(fd int, p []byte, to *Name) syscall.Errno {
	for {
		var name unsafe.Pointer
		var size uint32
		if to != nil {
			name, size = unsafe.Pointer(&to.raw), to.size
		}
		_, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd),
			uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL,
			uintptr(name), uintptr(size))
		if errno != unix.EINTR {
			return errno
		}
	}
}

// BatchSize is how many datagrams a [Batch] holds.
const BatchSize = 64

// A Batch is the datagrams of one recvmmsg(2) or sendmmsg(2). It is large, and
// reused.
type Batch struct {
	heads [BatchSize]messageHeader
	parts [BatchSize]unix.Iovec
	names [BatchSize]Name
}

// messageHeader is the kernel's struct mmsghdr.
type messageHeader struct {
	head unix.Msghdr
	size uint32
}

// Set makes p the buffer of datagram i.
func (b *Batch) Set(i int, p []byte) {
	part := &b.parts[i]
	part.Base = unsafe.SliceData(p)
	part.SetLen(len(p))
	b.heads[i] = messageHeader{head: unix.Msghdr{Iov: part}}
	b.heads[i].head.SetIovlen(1)
}

// Name is datagram i's sender or receiver.
func (b *Batch) Name(i int) *Name { return &b.names[i] }

// Len is the length of datagram i, which was received, and Truncated says whether
// it was longer than its buffer.
func (b *Batch) Len(i int) int { return int(b.heads[i].size) }

// Truncated: see [Batch.Len].
func (b *Batch) Truncated(i int) bool { return b.heads[i].head.Flags&unix.MSG_TRUNC != 0 }

// Recv receives up to n datagrams into the buffers that were set, without blocking.
// If there is one at least, errno is 0.
func (b *Batch) Recv(fd, n int) (got int, errno syscall.Errno) {
	for i := range n {
		name := &b.names[i]
		b.heads[i].head.Name = (*byte)(unsafe.Pointer(&name.raw))
		b.heads[i].head.Namelen = unix.SizeofSockaddrAny
	}
	got, errno = b.call(unix.SYS_RECVMMSG, fd, n, unix.MSG_DONTWAIT)
	for i := range got {
		b.names[i].size = b.heads[i].head.Namelen
	}
	return got, errno
}

// Send sends n datagrams without blocking, to their names, or to the connected peer.
// If one at least was sent, errno is 0.
func (b *Batch) Send(fd, n int, named bool) (sent int, errno syscall.Errno) {
	if named {
		for i := range n {
			name := &b.names[i]
			b.heads[i].head.Name = (*byte)(unsafe.Pointer(&name.raw))
			b.heads[i].head.Namelen = name.size
		}
	}
	return b.call(unix.SYS_SENDMMSG, fd, n, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
}

func (b *Batch) call(trap uintptr, fd, n int, flags uintptr) (done int, errno syscall.Errno) {
	for {
		r, _, errno := syscall.RawSyscall6(trap, uintptr(fd), uintptr(unsafe.Pointer(&b.heads)), uintptr(n), flags, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		for i := range n {
			b.parts[i].Base = nil // not to be kept alive
		}
		if errno != 0 {
			return 0, errno
		}
		return int(r), 0
	}
}

// PacketSocket makes a datagram socket that is non-blocking, closed on exec, and
// allowed to broadcast.
func PacketSocket(family int) (fd int, err error) {
	fd, err = unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if family != Unix {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1); err != nil {
			Close(fd)
			return -1, os.NewSyscallError("setsockopt", err)
		}
	}
	return fd, nil
}

// SetDualStack says whether an IPv6 socket takes IPv4 too.
func SetDualStack(fd int, on bool) error {
	only := 1
	if on {
		only = 0
	}
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only))
}

// IsUnavailable says whether err tells that an address family is not there, as on a
// system without IPv6.
func IsUnavailable(err error) bool {
	errno := errnoOf(err)
	return errno == unix.EAFNOSUPPORT || errno == unix.EADDRNOTAVAIL
}

// ConnectPacket connects a datagram socket, which takes no time.
func ConnectPacket(fd int, sa unix.Sockaddr) error {
	return os.NewSyscallError("connect", unix.Connect(fd, sa))
}

// PacketSockaddr is [Sockaddr] for udp, udp4, udp6 and unixgram.
func PacketSockaddr(network string, addr net.Addr) (family int, sa unix.Sockaddr, err error) {
	switch a := addr.(type) {
	case *net.UDPAddr:
		if len(network) >= 3 && network[:3] == "udp" {
			return Sockaddr("tcp"+network[3:], (*net.TCPAddr)(a))
		}
	case *net.UnixAddr:
		if network == "unixgram" {
			return Unix, &unix.SockaddrUnix{Name: a.Name}, nil
		}
	}
	return 0, nil, fmt.Errorf("network %s, address %v: %w", network, addr, unix.EAFNOSUPPORT)
}

// PacketAddr turns an address of [LocalAddr] or [RemoteAddr] into a datagram
// socket's.
func PacketAddr(addr net.Addr) net.Addr {
	switch a := addr.(type) {
	case *net.TCPAddr:
		return (*net.UDPAddr)(a)
	case *net.UnixAddr:
		return &net.UnixAddr{Net: "unixgram", Name: a.Name}
	}
	return addr
}

// ParsePacket reads an address to listen at, as [Listen] does. Dual says that the
// socket is to take IPv4 and IPv6.
func ParsePacket(network, address string) (family int, dual bool, sa unix.Sockaddr, err error) {
	switch network {
	case "unixgram":
		return Unix, false, &unix.SockaddrUnix{Name: address}, nil
	case "udp", "udp4", "udp6":
	default:
		return 0, false, nil, net.UnknownNetworkError(network)
	}
	ap, err := parseListen("tcp"+network[3:], address)
	if err != nil {
		return 0, false, nil, err
	}
	family = Inet6
	dual = network == "udp" && ap.Addr().IsUnspecified()
	if ap.Addr().Is4() && !dual {
		family = Inet4
	}
	sa, err = InetSockaddr(family, ap)
	return family, dual, sa, err
}

//go:build unix && !aix && !solaris && !illumos

package sys

import "golang.org/x/sys/unix"

type handle = int

const (
	solSocket   = unix.SOL_SOCKET
	soRcvbuf    = unix.SO_RCVBUF
	soSndbuf    = unix.SO_SNDBUF
	ipprotoIP   = unix.IPPROTO_IP
	ipprotoIPv6 = unix.IPPROTO_IPV6
	joinGroup4  = unix.IP_ADD_MEMBERSHIP
	leaveGroup4 = unix.IP_DROP_MEMBERSHIP
	joinGroup6  = unix.IPV6_JOIN_GROUP
	leaveGroup6 = unix.IPV6_LEAVE_GROUP
)

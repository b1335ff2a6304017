package sys

import (
	"syscall"

	"golang.org/x/sys/windows"
)

type handle = syscall.Handle

const (
	solSocket   = windows.SOL_SOCKET
	soRcvbuf    = windows.SO_RCVBUF
	soSndbuf    = windows.SO_SNDBUF
	ipprotoIP   = windows.IPPROTO_IP
	ipprotoIPv6 = windows.IPPROTO_IPV6
	joinGroup4  = windows.IP_ADD_MEMBERSHIP
	leaveGroup4 = windows.IP_DROP_MEMBERSHIP
	joinGroup6  = windows.IPV6_JOIN_GROUP
	leaveGroup6 = windows.IPV6_LEAVE_GROUP
)

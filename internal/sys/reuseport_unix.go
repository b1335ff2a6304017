//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package sys

import (
	"os"

	"golang.org/x/sys/unix"
)

// SetReusePort lets several sockets listen at one address (SO_REUSEPORT). It
// fails with [errors.ErrUnsupported] where there is no such option.
func SetReusePort(fd uintptr) error {
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
}

// Relisten gives a listening socket another backlog. Not every system takes it.
func Relisten(fd uintptr, backlog int) error {
	return os.NewSyscallError("listen", unix.Listen(int(fd), backlog))
}

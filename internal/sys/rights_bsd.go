//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package sys

import "golang.org/x/sys/unix"

const (
	sendFlags    = unix.MSG_DONTWAIT
	receiveFlags = unix.MSG_DONTWAIT
)

// closeOnExec comes late: a process that is started at this moment inherits fd.
func closeOnExec(fd int) { unix.CloseOnExec(fd) }

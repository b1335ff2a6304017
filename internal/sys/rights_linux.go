package sys

import (
	"os"

	"golang.org/x/sys/unix"
)

const (
	sendFlags    = unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL
	receiveFlags = unix.MSG_DONTWAIT | unix.MSG_CMSG_CLOEXEC
)

func closeOnExec(int) {}

// PeerCredentials returns the process, user and group at the other end of a Unix
// socket (SO_PEERCRED, unix(7)).
func PeerCredentials(fd int) (pid, uid, gid int, err error) {
	c, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, 0, 0, os.NewSyscallError("getsockopt", err)
	}
	return int(c.Pid), int(c.Uid), int(c.Gid), nil
}

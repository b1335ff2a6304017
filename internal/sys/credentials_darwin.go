package sys

import (
	"os"

	"golang.org/x/sys/unix"
)

// PeerCredentials returns the process, user and group at the other end of a Unix
// socket (LOCAL_PEERPID and LOCAL_PEERCRED, unix(4)).
func PeerCredentials(fd int) (pid, uid, gid int, err error) {
	c, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	if err == nil {
		pid, err = unix.GetsockoptInt(fd, unix.SOL_LOCAL, unix.LOCAL_PEERPID)
	}
	if err != nil {
		return 0, 0, 0, os.NewSyscallError("getsockopt", err)
	}
	if c.Ngroups > 0 {
		gid = int(c.Groups[0])
	}
	return pid, int(c.Uid), gid, nil
}

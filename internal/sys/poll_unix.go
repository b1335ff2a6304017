//go:build unix && !aix && !solaris && !illumos

package sys

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Events of a descriptor in [Poll].
const (
	WantRead  = unix.POLLIN
	WantWrite = unix.POLLOUT
	NotOpen   = unix.POLLNVAL // the descriptor is not open
)

// A PollFd is a descriptor that [Poll] waits for, the events it is to wait for, and
// those it has seen.
type PollFd = unix.PollFd

// Poll waits without a limit until one of the descriptors is ready (poll(2)).
func Poll(fds []PollFd) error {
	_, err := poll(fds, -1)
	return err
}

// PollNow says which events of a descriptor are there, without waiting.
func PollNow(fd int, events int16) int16 {
	fds := []PollFd{{Fd: int32(fd), Events: events}}
	poll(fds, 0)
	return fds[0].Revents
}

func poll(fds []PollFd, timeout int) (int, error) {
	for {
		n, err := unix.Poll(fds, timeout)
		if err != unix.EINTR && err != unix.EAGAIN {
			return n, os.NewSyscallError("poll", err)
		}
	}
}

// CheckWatchable says whether a descriptor can be waited for: a regular file or a
// folder is always ready, and has no readiness.
func CheckWatchable(fd int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	switch uint32(st.Mode) & unix.S_IFMT {
	case unix.S_IFREG:
		return fmt.Errorf("it is a regular file, which is always ready; read it off the loop: %w", errors.ErrUnsupported)
	case unix.S_IFDIR:
		return fmt.Errorf("it is a directory: %w", errors.ErrUnsupported)
	}
	return nil
}

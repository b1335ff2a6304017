package sys

import "golang.org/x/sys/unix"

// WaitExited blocks until a child has ended, and leaves it to be reaped:
// waitid(2) with WNOWAIT.
func WaitExited(pid int) error {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return err
		}
	}
}

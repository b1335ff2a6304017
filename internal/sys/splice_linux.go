package sys

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// Pipe makes a pipe without blocking ends, of about size bytes if the system grants as
// much: a user's pipes together may hold no more than pipe-user-pages-soft (pipe(7)).
func Pipe(size int) (r, w int, err error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		return -1, -1, err
	}
	unix.FcntlInt(uintptr(p[0]), unix.F_SETPIPE_SZ, size)
	return p[0], p[1], nil
}

// Splice moves at most n bytes between a pipe and a socket, either of which may be the
// source, without blocking. It returns 0 at the end of the source.
func Splice(from, to, n int) (moved int, errno syscall.Errno) {
	const flags = unix.SPLICE_F_MOVE | unix.SPLICE_F_NONBLOCK
	for {
		r, _, errno := syscall.RawSyscall6(unix.SYS_SPLICE, uintptr(from), 0, uintptr(to), 0, uintptr(n), flags)
		if errno == 0 {
			return int(r), 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

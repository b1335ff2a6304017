package sys

import (
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Recv receives from a connected socket, without blocking whatever its mode: the
// file status flags belong to the open socket, so a duplicate of the descriptor
// can change them (os.File.Fd does) behind the loop's back. P must not be empty.
// N is 0 at the end of the stream.
func Recv(fd int, p []byte) (n int, errno syscall.Errno) {
	for {
		r, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd),
			uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_DONTWAIT, 0, 0)
		if errno == 0 {
			return int(r), 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// PollIn says, without blocking, whether a read of fd would find anything: bytes,
// the end or an error (poll(2)).
func PollIn(fd int) bool {
	var now unix.Timespec
	for {
		p := unix.PollFd{Fd: int32(fd), Events: unix.POLLIN | unix.POLLRDHUP}
		n, _, errno := syscall.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1,
			uintptr(unsafe.Pointer(&now)), 0, 0, 0)
		if errno != unix.EINTR {
			return errno != 0 || n > 0
		}
	}
}

// Send sends on a connected socket, without blocking (see [Recv]) and without
// SIGPIPE. P must not be empty.
func Send(fd int, p []byte) (n int, errno syscall.Errno) {
	for {
		r, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd),
			uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		if errno == 0 {
			return int(r), 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// Read reads from a descriptor that is no socket, in non-blocking mode: there is no
// flag that makes one read so. P must not be empty. N is 0 at the end of the stream.
func Read(fd int, p []byte) (n int, errno syscall.Errno) {
	return transfer(unix.SYS_READ, fd, p)
}

// Write writes to such a descriptor. To a pipe without readers it answers EPIPE, and
// the SIGPIPE that comes along is dropped by Go's handler. P must not be empty.
func Write(fd int, p []byte) (n int, errno syscall.Errno) {
	return transfer(unix.SYS_WRITE, fd, p)
}

func transfer(call uintptr, fd int, p []byte) (n int, errno syscall.Errno) {
	for {
		r, _, errno := syscall.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		if errno == 0 {
			return int(r), 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// Dup duplicates a descriptor. The duplicate is closed on exec, and its number is none
// of the standard three, whatever of those is closed.
func Dup(fd int) (int, error) {
	d, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return -1, os.NewSyscallError("fcntl", err)
	}
	return d, nil
}

// Close closes a descriptor. It is not repeated on EINTR: Linux has released the
// descriptor by then, and another thread may have got its number (close(2)).
func Close(fd int) error {
	err := unix.Close(fd)
	if err == unix.EINTR {
		return nil
	}
	return os.NewSyscallError("close", err)
}

// DeadEnd makes an end of a pipe whose other end is closed: the writing end, if
// writing, on which each write fails with EPIPE, or else the reading end, which is at
// the end of the stream.
func DeadEnd(writing bool) (fd int, err error) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return -1, os.NewSyscallError("pipe2", err)
	}
	if writing {
		Close(ends[0])
		return ends[1], nil
	}
	Close(ends[1])
	return ends[0], nil
}

// Eventfd makes a non-blocking event counter (eventfd(2)).
func Eventfd() (fd int, err error) {
	fd, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return -1, os.NewSyscallError("eventfd", err)
	}
	return fd, nil
}

// Notify adds 1 to an event counter, which makes it readable anew. The counter is
// never read back: at a thousand million a second it would be full after 584 years.
func Notify(fd int) {
	one := uint64(1)
	for {
		_, _, errno := syscall.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&one)), 8)
		if errno != unix.EINTR {
			return
		}
	}
}

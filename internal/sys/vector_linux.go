package sys

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// MaxVector is the most buffers that one call writes (IOV_MAX).
const MaxVector = 1024

// A Vector is the form in which the kernel wants several buffers. The zero Vector is
// empty, and one may be filled again and again.
type Vector struct{ list []unix.Iovec }

// Fill takes in buffers up to [MaxVector], without empty ones. It returns how many
// bytes they hold.
func (v *Vector) Fill(bufs [][]byte) (bytes int) {
	v.list = v.list[:0]
	for _, b := range bufs {
		if len(b) == 0 {
			continue
		}
		if len(v.list) == MaxVector {
			break
		}
		io := unix.Iovec{Base: unsafe.SliceData(b)}
		io.SetLen(len(b))
		v.list = append(v.list, io)
		bytes += len(b)
	}
	return bytes
}

// Clear lets go of the buffers.
func (v *Vector) Clear() {
	clear(v.list)
	v.list = v.list[:0]
}

// SendVector is [Send] of a vector, which must not be empty.
func SendVector(fd int, v *Vector) (n int, errno syscall.Errno) {
	msg := unix.Msghdr{Iov: unsafe.SliceData(v.list)}
	msg.SetIovlen(len(v.list))
	for {
		r, _, errno := syscall.RawSyscall(unix.SYS_SENDMSG, uintptr(fd),
			uintptr(unsafe.Pointer(&msg)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		if errno == 0 {
			return int(r), 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// WriteVector is [Write] of a vector, which must not be empty.
func WriteVector(fd int, v *Vector) (n int, errno syscall.Errno) {
	for {
		r, _, errno := syscall.RawSyscall(unix.SYS_WRITEV, uintptr(fd),
			uintptr(unsafe.Pointer(unsafe.SliceData(v.list))), uintptr(len(v.list)))
		if errno == 0 {
			return int(r), 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// SendFile sends at most n bytes of file to a non-blocking descriptor, from offset on.
// N is 0 at the file's end. It may sleep on the disk, and the scheduler is told.
func SendFile(fd, file int, offset int64, n int) (sent int, errno syscall.Errno) {
	for {
		r, err := unix.Sendfile(fd, file, &offset, n)
		if err == nil {
			return r, 0
		}
		if err != unix.EINTR {
			errno, _ := err.(syscall.Errno)
			return 0, errno
		}
	}
}

// ReadAhead has the kernel begin to read a part of a file from the disk. What it says
// is of no consequence.
func ReadAhead(file int, offset int64, n int) {
	unix.Fadvise(file, offset, int64(n), unix.FADV_WILLNEED)
}

package sys

import (
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Events of a descriptor (epoll_ctl(2)).
const (
	EpollIn    = unix.EPOLLIN
	EpollPri   = unix.EPOLLPRI
	EpollOut   = unix.EPOLLOUT
	EpollErr   = unix.EPOLLERR
	EpollHup   = unix.EPOLLHUP
	EpollRDHup = unix.EPOLLRDHUP
	EpollEdge  = unix.EPOLLET
	EpollOnce  = unix.EPOLLONESHOT
)

// An EpollEvent is what the kernel reports: Events, and the data that the
// descriptor was added with, its halves in Fd and Pad.
type EpollEvent = unix.EpollEvent

// EpollCreate makes an epoll instance.
func EpollCreate() (fd int, err error) {
	fd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return -1, os.NewSyscallError("epoll_create1", err)
	}
	return fd, nil
}

// EpollAdd adds a descriptor. The events reported for it carry lo and hi in Fd
// and Pad.
func EpollAdd(epfd, fd int, events uint32, lo, hi int32) error {
	ev := EpollEvent{Events: events, Fd: lo, Pad: hi}
	return epollCtl(epfd, unix.EPOLL_CTL_ADD, fd, &ev)
}

// EpollModify changes what a descriptor is watched for.
func EpollModify(epfd, fd int, events uint32, lo, hi int32) error {
	ev := EpollEvent{Events: events, Fd: lo, Pad: hi}
	return epollCtl(epfd, unix.EPOLL_CTL_MOD, fd, &ev)
}

// EpollDelete removes a descriptor.
func EpollDelete(epfd, fd int) error {
	var ev EpollEvent // not read, but kernels before 2.6.9 wanted a pointer
	return epollCtl(epfd, unix.EPOLL_CTL_DEL, fd, &ev)
}

func epollCtl(epfd, op, fd int, ev *EpollEvent) error {
	_, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(epfd), uintptr(op), uintptr(fd),
		uintptr(unsafe.Pointer(ev)), 0, 0)
	if errno != 0 {
		return os.NewSyscallError("epoll_ctl", errno)
	}
	return nil
}

// noPwait2 is set when the kernel (before 5.11) or a seccomp filter has refused
// epoll_pwait2.
var noPwait2 atomic.Bool

// EpollWait waits for events: not at all if d is 0, for ever if d is negative, else
// for d, to the nanosecond where the kernel can and else rounded up to a
// millisecond.
func EpollWait(epfd int, events []EpollEvent, d time.Duration) (n int, err error) {
	if d <= 0 {
		for {
			n, errno := epollWaitMillis(epfd, events, int(max(d, -1)))
			if errno == 0 {
				return n, nil
			}
			if errno != unix.EINTR {
				return 0, os.NewSyscallError("epoll_pwait", errno)
			}
		}
	}
	start := time.Now()
	for left := d; ; {
		n, errno := epollWaitTimeout(epfd, events, left)
		if errno == 0 {
			return n, nil
		}
		if errno != unix.EINTR {
			return 0, os.NewSyscallError("epoll_pwait2", errno)
		}
		left = max(d-time.Since(start), 1)
	}
}

func epollWaitTimeout(epfd int, events []EpollEvent, d time.Duration) (int, syscall.Errno) {
	if !noPwait2.Load() {
		// Always 64 bits: the call is younger than the year-2038 reform.
		ts := struct{ sec, nsec int64 }{int64(d / time.Second), int64(d % time.Second)}
		r, _, errno := syscall.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(epfd),
			uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)),
			uintptr(unsafe.Pointer(&ts)), 0, 0)
		if errno != unix.ENOSYS && errno != unix.EPERM {
			return int(r), errno
		}
		noPwait2.Store(true)
	}
	return epollWaitMillis(epfd, events, millis(d))
}

// millis rounds up, so that a timer is never found early, and caps at the
// longest timeout that the kernel takes (24 days).
func millis(d time.Duration) int {
	const most = 1<<31 - 1
	ms := int64(d / time.Millisecond)
	if d%time.Millisecond != 0 {
		ms++
	}
	return int(min(ms, most))
}

// epollWaitMillis uses epoll_pwait, without a signal mask, because the newer
// architectures have no epoll_wait.
func epollWaitMillis(epfd int, events []EpollEvent, ms int) (int, syscall.Errno) {
	p := unsafe.Pointer(unsafe.SliceData(events))
	if ms == 0 {
		r, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epfd), uintptr(p), uintptr(len(events)), 0, 0, 0)
		return int(r), errno
	}
	r, _, errno := syscall.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(epfd), uintptr(p), uintptr(len(events)), uintptr(ms), 0, 0)
	return int(r), errno
}

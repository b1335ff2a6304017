package sys

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// Gettid returns the id of the calling thread.
func Gettid() int {
	//lint:ignore SA1019 the call that libSystem offers instead (pthread_threadid_np) needs cgo
	id, _, _ := syscall.RawSyscall(unix.SYS_THREAD_SELFID, 0, 0, 0)
	return int(id)
}

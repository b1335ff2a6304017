//go:build unix

package load

import (
	"syscall"
	"time"
)

// cpuTime returns what this process has used, getrusage(2).
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

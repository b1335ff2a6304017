//go:build unix

package rondo

import (
	"os"
	"syscall"
)

// uncatchable are the signals that always have their usual effect.
var uncatchable = []os.Signal{syscall.SIGKILL, syscall.SIGSTOP}

package sys

import "golang.org/x/sys/windows"

// Gettid returns the id of the calling thread.
func Gettid() int { return int(windows.GetCurrentThreadId()) }

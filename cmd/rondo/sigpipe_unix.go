//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// ignoreBrokenPipes keeps SIGPIPE from killing this process. A handler does it and not signal.Ignore, which the worker
// processes would inherit.
func ignoreBrokenPipes() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }

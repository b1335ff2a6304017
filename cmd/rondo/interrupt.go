package main

import (
	"context"
	"errors"
	"os"
	"sync/atomic"

	"github.com/rondo-go/rondo/fetch"
)

var (
	errInterrupted = errors.New("interrupted: what was in hand is done, the rest of the URLs is not")
	errAborted     = errors.New("interrupted twice: what was in hand is canceled")
)

// interruptible runs f so that the first signal stops it, the second cancels what it has in hand, and a third ends the
// process.
func interruptible(ctx context.Context, cancel context.CancelCauseFunc, f *fetch.Fetcher, signals <-chan os.Signal) (*fetch.Summary, error) {
	var stopped atomic.Bool
	done := make(chan struct{})
	defer close(done)
	go func() {
		for _, act := range []func(){
			func() { stopped.Store(true); f.Stop() },
			func() { cancel(errAborted) },
			func() { os.Exit(exitFailed) },
		} {
			select {
			case <-signals:
				act()
			case <-done:
				return
			}
		}
	}()
	sum, err := f.Run(ctx)
	if err == nil && stopped.Load() {
		err = errInterrupted
	}
	return sum, err
}

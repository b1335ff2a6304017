// Package file reads and writes files without holding the loop.
//
// No system tells when a file is ready: reading one blocks the thread until the
// disk has answered. So every call here runs on a goroutine off the loop, of
// which there are a bounded number, and parks the task meanwhile. The hop there
// and back costs about 15 us; what is done often therefore goes in batches: a
// [File] is read in blocks of up to 256 KiB, the next one ahead of the reader, and
// [Walk] reads many directories in one hop.
//
// Called off the loop, everything here blocks the goroutine, as package os does.
//
// # Cancellation
//
// What only looks (ReadFile, Stat, ReadDir, a File's Read) is left at once, and
// changes nothing: a block that is on its way is kept for the next Read. What
// changes something (WriteFile, Rename, a File's Write) is waited for, so that its
// outcome is known; a cancellation that comes meanwhile is delivered by the task's
// next park. Errors are package os': they name the operation and the file.
package file

import (
	"context"
	"runtime"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/loop"
)

// workers runs what blocks. Disks serve several requests at once better than one;
// more than so many threads in system calls bring nothing.
var workers = rondo.NewThreadPool(max(8, 2*runtime.NumCPU()))

func offLoop() bool {
	here, _ := loop.Current()
	return here == nil
}

// look runs fn, which changes nothing, off the loop.
func look[T any](ctx context.Context, fn func() (T, error)) (T, error) {
	if offLoop() {
		return fn()
	}
	return rondo.InExecutor(ctx, workers, fn)
}

// change runs fn off the loop, and waits for its outcome.
func change[T any](ctx context.Context, fn func() (T, error)) (T, error) {
	if offLoop() {
		return fn()
	}
	return rondo.InExecutorShielded(ctx, workers, fn)
}

func changed(ctx context.Context, fn func() error) error {
	_, err := change(ctx, func() (struct{}, error) { return struct{}{}, fn() })
	return err
}

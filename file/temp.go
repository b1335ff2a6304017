package file

import (
	"context"
	"os"

	"github.com/rondo-go/rondo"
)

// TempDir makes a folder in the system's place for temporary files, calls fn with
// its name, and removes it with all that is in it when fn returns, also after a
// cancellation. Pattern is that of os.MkdirTemp.
//
// Errors: that of fn; else what went wrong with the folder.
func TempDir(ctx context.Context, pattern string, fn func(ctx context.Context, dir string) error) (err error) {
	dir, err := change(ctx, func() (string, error) { return os.MkdirTemp("", pattern) })
	if err != nil {
		return err
	}
	defer func() {
		if e := cleanUp(ctx, func() error { return os.RemoveAll(dir) }); err == nil {
			err = e
		}
	}()
	return fn(ctx, dir)
}

// Temp is [TempDir] for a file, open for reading and writing. Fn may close it.
func Temp(ctx context.Context, pattern string, fn func(ctx context.Context, f *File) error) (err error) {
	f, err := change(ctx, func() (*File, error) {
		o, err := os.CreateTemp("", pattern)
		if err != nil {
			return nil, err
		}
		return newFile(o, false), nil
	})
	if err != nil {
		return err
	}
	defer func() {
		if e := cleanUp(ctx, func() error { f.os.Close(); return os.Remove(f.Name()) }); err == nil {
			err = e
		}
	}()
	return fn(ctx, f)
}

// cleanUp runs fn off the loop even if the task has been canceled.
func cleanUp(ctx context.Context, fn func() error) error {
	if offLoop() {
		return fn()
	}
	return rondo.Cleanup(ctx, rondo.Forever, func(ctx context.Context) error { return changed(ctx, fn) })
}

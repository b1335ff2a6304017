package file

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/rondo-go/rondo"
)

// ReadFile reads the whole file.
func ReadFile(ctx context.Context, name string) ([]byte, error) {
	return look(ctx, func() ([]byte, error) { return os.ReadFile(name) })
}

// WriteFile makes the file, or replaces its contents. If it fails (ENOSPC), a part
// may be written; see [WriteFileAtomic].
func WriteFile(ctx context.Context, name string, data []byte, perm fs.FileMode) error {
	return changed(ctx, func() error { return os.WriteFile(name, data, perm) })
}

// WriteFileAtomic is [WriteFile] such that the file holds either all of the data
// or what it held before, even after a crash: the data goes to a temporary file in
// the same folder, is synced to the disk, and takes the file's place. The mode is
// perm, also of a file that was there. A name that is a symbolic link is replaced,
// not followed.
func WriteFileAtomic(ctx context.Context, name string, data []byte, perm fs.FileMode) error {
	return changed(ctx, func() error {
		return replace(name, perm, func(f *os.File) error {
			_, err := f.Write(data)
			return err
		})
	})
}

// replace puts a file that write has filled in the place of another.
func replace(name string, perm fs.FileMode, write func(*os.File) error) (err error) {
	dir, base := filepath.Split(name)
	f, err := os.CreateTemp(dir, "."+base+".*")
	if err != nil {
		return named(err, "", name)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
			err = named(err, f.Name(), name)
		}
	}()
	if err := write(f); err != nil {
		return err
	}
	if err := f.Chmod(perm); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	return syncDir(dir)
}

// named makes an error about the temporary file one about the file itself.
func named(err error, temp, name string) error {
	var pe *fs.PathError
	if errors.As(err, &pe) && (temp == "" || pe.Path == temp) {
		return &fs.PathError{Op: pe.Op, Path: name, Err: pe.Err}
	}
	return err
}

// syncDir has the system write a folder to the disk: until then a crash undoes a
// rename. Some file systems, and Windows, cannot.
func syncDir(dir string) error {
	if dir == "" {
		dir = "."
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !cannotSyncDir(err) {
		return err
	}
	return nil
}

// Copy copies a file, with its permissions, and returns its size. The copy takes
// its name's place when it is complete, as with [WriteFileAtomic]: if Copy fails
// or is canceled, what was there before is untouched. Within a file system the
// kernel copies by itself, or shares the blocks: copy_file_range(2).
func Copy(ctx context.Context, to, from string) (n int64, err error) {
	const step = 16 << 20 // between two looks at the context
	stop := make(chan struct{})
	copyAll := func() (n int64, err error) {
		src, err := os.Open(from)
		if err != nil {
			return 0, err
		}
		defer src.Close()
		info, err := src.Stat()
		if err != nil {
			return 0, err
		}
		err = replace(to, info.Mode().Perm(), func(dst *os.File) error {
			for {
				select {
				case <-stop:
					return context.Canceled
				default:
				}
				k, err := io.CopyN(dst, src, step)
				n += k
				if err == io.EOF {
					return nil
				}
				if err != nil {
					return err
				}
			}
		})
		return n, err
	}
	if offLoop() {
		defer context.AfterFunc(ctx, func() { close(stop) })()
		n, err = copyAll()
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return n, err
	}
	x := rondo.Spawn(context.WithoutCancel(ctx), func(ctx context.Context) (int64, error) { return change(ctx, copyAll) })
	n, err = rondo.Shield(x).Await(ctx)
	if err == nil || x.Done() {
		return n, err
	}
	close(stop) // what is copied is taken back before we leave
	_ = rondo.Cleanup(ctx, rondo.Forever, func(ctx context.Context) error {
		_, err := x.Await(ctx)
		return err
	})
	return 0, err
}

// Stat is os.Stat.
func Stat(ctx context.Context, name string) (fs.FileInfo, error) {
	return look(ctx, func() (fs.FileInfo, error) { return os.Stat(name) })
}

// Lstat is os.Lstat.
func Lstat(ctx context.Context, name string) (fs.FileInfo, error) {
	return look(ctx, func() (fs.FileInfo, error) { return os.Lstat(name) })
}

// ReadDir returns the entries of a folder, sorted by name.
func ReadDir(ctx context.Context, name string) ([]fs.DirEntry, error) {
	return look(ctx, func() ([]fs.DirEntry, error) { return os.ReadDir(name) })
}

// Glob returns the names that match pattern, as filepath.Glob.
func Glob(ctx context.Context, pattern string) ([]string, error) {
	return look(ctx, func() ([]string, error) { return filepath.Glob(pattern) })
}

// Readlink returns where a symbolic link points.
func Readlink(ctx context.Context, name string) (string, error) {
	return look(ctx, func() (string, error) { return os.Readlink(name) })
}

// Remove removes a file or an empty folder.
func Remove(ctx context.Context, name string) error {
	return changed(ctx, func() error { return os.Remove(name) })
}

// RemoveAll removes name and all below it. That there is no such file is no error.
func RemoveAll(ctx context.Context, name string) error {
	return changed(ctx, func() error { return os.RemoveAll(name) })
}

// Rename moves a file, in the place of one that is there.
func Rename(ctx context.Context, from, to string) error {
	return changed(ctx, func() error { return os.Rename(from, to) })
}

// Mkdir makes a folder.
func Mkdir(ctx context.Context, name string, perm fs.FileMode) error {
	return changed(ctx, func() error { return os.Mkdir(name, perm) })
}

// MkdirAll makes a folder and those above it that are missing.
func MkdirAll(ctx context.Context, name string, perm fs.FileMode) error {
	return changed(ctx, func() error { return os.MkdirAll(name, perm) })
}

// Symlink makes link a symbolic link to target.
func Symlink(ctx context.Context, target, link string) error {
	return changed(ctx, func() error { return os.Symlink(target, link) })
}

// Chmod changes a file's mode.
func Chmod(ctx context.Context, name string, mode fs.FileMode) error {
	return changed(ctx, func() error { return os.Chmod(name, mode) })
}

// Chtimes changes the times of a file's last use and last change. A zero time
// stays as it is.
func Chtimes(ctx context.Context, name string, atime, mtime time.Time) error {
	return changed(ctx, func() error { return os.Chtimes(name, atime, mtime) })
}

package file

import (
	"context"
	"io"
	"io/fs"
	"os"
	"sync"
)

// A File is an open file. A task that uses it parks, a goroutine off the loop
// blocks. All methods may be called at the same time, and from anywhere.
//
// Reading is buffered: the file is read in blocks, which grow from 32 KiB to 256
// KiB while it is read in order, and then one block ahead. So a Read of a few
// bytes is cheap. Writing is not buffered: put a bufio.Writer around it for many
// small writes. What this File writes its readers see; what others write to the
// file is seen by blocks that are read afterwards.
type File struct {
	os     *os.File
	seeks  bool // it has positions
	append bool

	mu     sync.Mutex // guards what follows; never held across a park or a system call
	pos    int64      // where the next Read or Write is to happen; if !seeks, how much was read
	block  []byte     // data at pos
	base   []byte     // the buffer that block is in
	spare  []byte     // a buffer that nobody uses
	flight *flight    // the block that is being read, or was and is not taken yet
	size   int        // of the next block
	end    error      // what comes after block
	closed bool
}

// Open opens a file for reading.
//
// Errors: an *fs.PathError; those of [rondo.Sleep], and nothing stays open.
func Open(ctx context.Context, name string) (*File, error) {
	return OpenFile(ctx, name, os.O_RDONLY, 0)
}

// Create makes a file, or empties the one that is there, for reading and writing.
func Create(ctx context.Context, name string) (*File, error) {
	return OpenFile(ctx, name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o666)
}

// OpenFile is os.OpenFile. A task that is canceled meanwhile leaves at once (a
// named pipe may have no other end); a file that is opened all the same is closed.
func OpenFile(ctx context.Context, name string, flag int, perm fs.FileMode) (*File, error) {
	var mu sync.Mutex
	var opened *os.File
	gone := false
	f, err := look(ctx, func() (*File, error) {
		o, err := os.OpenFile(name, flag, perm)
		if err != nil {
			return nil, err
		}
		mu.Lock()
		defer mu.Unlock()
		if gone {
			return nil, o.Close()
		}
		opened = o
		return newFile(o, flag&os.O_APPEND != 0), nil
	})
	if err == nil {
		return f, nil
	}
	mu.Lock()
	defer mu.Unlock()
	if gone = true; opened != nil {
		opened.Close()
	}
	return nil, err
}

func newFile(o *os.File, appends bool) *File {
	_, err := o.Seek(0, io.SeekCurrent)
	return &File{os: o, seeks: err == nil, append: appends, size: firstBlock}
}

// Name returns the name that the file was opened with.
func (f *File) Name() string { return f.os.Name() }

// Write writes p at the file's position, or at the end if it was opened with
// O_APPEND. It is not cut short by a cancellation.
//
// Errors: an *fs.PathError, which names the file (ENOSPC and so on); n tells how
// much was written.
func (f *File) Write(p []byte) (n int, err error) {
	return change(context.Background(), func() (int, error) { return f.write(p) })
}

// write is Write, off the loop.
func (f *File) write(p []byte) (n int, err error) {
	if !f.seeks {
		return f.os.Write(p)
	}
	if f.append {
		n, err = f.os.Write(p)
		if end, e := f.os.Seek(0, io.SeekCurrent); e == nil {
			f.move(end)
		}
		return n, err
	}
	// The place is taken before the write, so that two of them do not meet.
	f.mu.Lock()
	at := f.pos
	f.moveLocked(at + int64(len(p)))
	f.mu.Unlock()
	n, err = f.os.WriteAt(p, at)
	f.mu.Lock()
	if n < len(p) && f.pos == at+int64(len(p)) {
		f.pos = at + int64(n)
	}
	f.forget() // a block may have been read between
	f.mu.Unlock()
	return n, err
}

// move makes to the position.
func (f *File) move(to int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.moveLocked(to)
}

func (f *File) moveLocked(to int64) {
	f.pos = to
	f.forget()
}

// forget drops what was read ahead, under f.mu.
func (f *File) forget() {
	if f.seeks {
		f.block, f.base, f.flight, f.end, f.size = nil, nil, nil, nil, firstBlock
	}
}

// WriteAt implements io.WriterAt. It is not cut short by a cancellation.
func (f *File) WriteAt(p []byte, off int64) (int, error) {
	return change(context.Background(), func() (int, error) {
		n, err := f.os.WriteAt(p, off)
		f.mu.Lock()
		f.forget()
		f.mu.Unlock()
		return n, err
	})
}

// ReadAt implements io.ReaderAt, past the buffer. Several go on at once. It is not
// cut short by a cancellation.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	return change(context.Background(), func() (int, error) { return f.os.ReadAt(p, off) })
}

// Seek implements io.Seeker. Only from io.SeekEnd it parks.
func (f *File) Seek(offset int64, whence int) (int64, error) {
	if !f.seeks {
		return f.os.Seek(offset, whence) // which says why not
	}
	if whence == io.SeekEnd {
		size, err := change(context.Background(), func() (int64, error) { return f.os.Seek(0, io.SeekEnd) })
		if err != nil {
			return 0, err
		}
		offset += size
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if whence == io.SeekCurrent {
		offset += f.pos
	}
	if offset < 0 || whence < io.SeekStart || whence > io.SeekEnd {
		return 0, &fs.PathError{Op: "seek", Path: f.Name(), Err: fs.ErrInvalid}
	}
	if f.closed {
		return 0, &fs.PathError{Op: "seek", Path: f.Name(), Err: fs.ErrClosed}
	}
	if ahead := offset - f.pos; ahead >= 0 && ahead <= int64(len(f.block)) {
		f.block, f.pos = f.block[ahead:], offset // it is here already
	} else {
		f.moveLocked(offset)
	}
	return offset, nil
}

// Sync has the system write the file to the disk: fsync(2).
func (f *File) Sync() error { return changed(context.Background(), f.os.Sync) }

// Truncate changes the file's size.
func (f *File) Truncate(size int64) error {
	return changed(context.Background(), func() error {
		err := f.os.Truncate(size)
		f.mu.Lock()
		f.forget()
		f.mu.Unlock()
		return err
	})
}

// Stat is os.File's Stat.
func (f *File) Stat() (fs.FileInfo, error) { return look(context.Background(), f.os.Stat) }

// Chmod changes the file's mode.
func (f *File) Chmod(mode fs.FileMode) error {
	return changed(context.Background(), func() error { return f.os.Chmod(mode) })
}

// Close closes the file. Reads in progress fail with fs.ErrClosed.
func (f *File) Close() error {
	f.mu.Lock()
	f.closed = true
	f.block, f.base, f.spare = nil, nil, nil
	f.mu.Unlock()
	return changed(context.Background(), f.os.Close)
}

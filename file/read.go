package file

import (
	"context"
	"io"
	"io/fs"

	"github.com/rondo-go/rondo"
)

const (
	firstBlock = 32 << 10
	lastBlock  = 256 << 10
)

// A flight is a block on its way from the disk. It goes on when those who wait
// for it leave, and is kept for the next who comes.
type flight struct {
	buf     []byte
	n       int
	err     error
	done    bool     // of the file's lock, as is what follows
	waiters []func() // to be called when it has landed
}

// Read implements io.Reader. If the task is canceled, nothing is consumed.
//
// Errors: an *fs.PathError; io.EOF at the end, after which a file that has grown
// can be read on; a [rondo.CanceledError].
func (f *File) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	f.mu.Lock()
	if err := f.fill(context.Background()); err != nil {
		f.mu.Unlock()
		return 0, err
	}
	n := copy(p, f.block)
	f.take(n)
	f.mu.Unlock()
	return n, nil
}

// WriteTo implements io.WriterTo: it passes the rest of the file on, block by
// block. What w did not take is there for the next Read.
func (f *File) WriteTo(w io.Writer) (n int64, err error) {
	for {
		f.mu.Lock()
		if err := f.fill(context.Background()); err != nil {
			f.mu.Unlock()
			if err == io.EOF {
				err = nil
			}
			return n, err
		}
		block, base := f.block, f.base
		f.block, f.base, f.pos = nil, nil, f.pos+int64(len(block))
		f.mu.Unlock()
		k, err := w.Write(block)
		n += int64(k)
		if k < len(block) {
			if err == nil {
				err = io.ErrShortWrite
			}
			f.mu.Lock()
			f.moveLocked(f.pos - int64(len(block)-k))
			f.mu.Unlock()
		}
		if err != nil {
			return n, err
		}
		f.mu.Lock()
		f.spare = base
		f.mu.Unlock()
	}
}

// take consumes n bytes of the block, under f.mu.
func (f *File) take(n int) {
	f.pos += int64(n)
	f.block = f.block[n:]
	if len(f.block) == 0 {
		f.block, f.base, f.spare = nil, nil, f.base
	}
}

// fill sees to it that there is a block, under f.mu, which it gives up while it
// waits. A block that is followed by another sets that one out.
func (f *File) fill(ctx context.Context) error {
	for len(f.block) == 0 {
		if f.closed {
			return &fs.PathError{Op: "read", Path: f.Name(), Err: fs.ErrClosed}
		}
		if err := f.end; err != nil {
			f.end = nil
			return err
		}
		if f.flight == nil {
			f.depart(f.pos)
		}
		x := f.flight
		if !x.done {
			if err := f.await(ctx, x); err != nil {
				return err
			}
			continue // others may have taken it, or moved
		}
		f.flight = nil
		f.base, f.block, f.end = x.buf, x.buf[:x.n], x.err
		if f.seeks && x.err == nil && x.n == len(x.buf) {
			f.size = min(2*f.size, lastBlock)
			f.depart(f.pos + int64(x.n))
		}
	}
	return nil
}

// depart sends for the block at a position, under f.mu.
func (f *File) depart(at int64) {
	x := &flight{buf: f.spare}
	f.spare = nil
	if len(x.buf) < f.size {
		x.buf = make([]byte, f.size)
	}
	f.flight = x
	workers.Execute(func() {
		n, err := 0, error(nil)
		if f.seeks {
			n, err = f.os.ReadAt(x.buf, at)
		} else {
			n, err = f.os.Read(x.buf)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		x.n, x.err, x.done = n, err, true
		for _, wake := range x.waiters {
			wake()
		}
	})
}

// await waits until x has landed, under f.mu, which it gives up meanwhile.
func (f *File) await(ctx context.Context, x *flight) error {
	f.mu.Unlock()
	defer f.mu.Lock()
	if offLoop() {
		ch := make(chan struct{})
		landing{f, x}.Execute(func() { close(ch) })
		select {
		case <-ch:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	_, err := rondo.InExecutor(ctx, landing{f, x}, func() (struct{}, error) { return struct{}{}, nil })
	return err
}

// A landing is the [rondo.Executor] that runs what it is given when the flight has
// landed: so a task waits for it as it waits for any other thread.
type landing struct {
	f *File
	x *flight
}

// Execute implements [rondo.Executor]. Fn must not block.
func (l landing) Execute(fn func()) {
	l.f.mu.Lock()
	defer l.f.mu.Unlock()
	if l.x.done {
		fn()
	} else {
		l.x.waiters = append(l.x.waiters, fn)
	}
}

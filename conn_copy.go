package rondo

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"sync"
	"syscall"

	"github.com/rondo-go/rondo/loop"
	"github.com/rondo-go/rondo/poll"
)

const (
	// How much of a file one system call sends. It bounds how long a disk can hold
	// the loop, and what the system is asked to read ahead.
	fileSlice = 512 << 10

	// How much a copy moves without having parked, before others have their turn.
	copyTurn = 4 << 20

	// The size of a buffer for bytes on their way.
	copyBuffer = 64 << 10
)

// copyBuffers holds buffers for bytes that are on their way while a task is parked.
var copyBuffers = sync.Pool{New: func() any { return &buffer{make([]byte, copyBuffer)} }}

type buffer struct{ b []byte }

// A diskFile is an *os.File, or what io.Copy makes of one (a type of package os that
// hides its WriteTo).
type diskFile interface {
	fs.File
	io.Seeker
	io.ReaderAt
	syscall.Conn
}

// ReadFrom implements io.ReaderFrom, for io.Copy: it writes what it reads from r, until
// the end, which is no error.
//
// From a regular file, also within an *io.LimitedReader, the system sends by itself
// (sendfile(2)), half a megabyte at a time, so that a slow disk holds the loop for no
// longer than that; if the task is canceled, n tells how much was sent, and the
// file's position is behind it. From another *Conn of the loop bytes go by the loop's
// own buffer, and in bulk by a pipe (splice(2)); see [Conn.WriteTo]. Other files are
// read off the loop.
func (c *Conn) ReadFrom(r io.Reader) (n int64, err error) {
	t, off, err := c.place()
	if err != nil {
		return 0, c.opError("write", err)
	}
	if off != nil {
		return io.Copy(writerFrom(off), r)
	}
	src, limit := r, int64(-1)
	lr, limited := r.(*io.LimitedReader)
	if limited {
		src, limit = lr.R, max(lr.N, 0)
		defer func() { lr.N -= n }()
	}
	switch src := src.(type) {
	case *Conn:
		if src.loop == c.loop && !limited { // a borrowed buffer has no limit
			return copyConn(t, c, src)
		}
	case diskFile:
		fi, err := src.Stat()
		if err != nil {
			return 0, err
		}
		if !fi.Mode().IsRegular() {
			return c.copyFrom(t, src, limit, true)
		}
		at, err := src.Seek(0, io.SeekCurrent)
		if err != nil {
			return 0, err
		}
		n, err = c.sendFile(t, src, at, limit)
		if _, serr := src.Seek(at+n, io.SeekStart); err == nil {
			err = serr
		}
		return n, err
	}
	return c.copyFrom(t, src, limit, false)
}

// writerFrom hides all but what io.Copy is to use of a detached connection.
func writerFrom(off net.Conn) io.Writer {
	if _, ok := off.(io.ReaderFrom); ok {
		return off
	}
	return struct{ io.Writer }{off}
}

// WriteTo implements io.WriterTo, for io.Copy: it writes what it reads to w, until the
// end, which is no error. While it waits for bytes it holds no buffer. W may be c
// itself: io.Copy(c, c) is an echo server.
//
// If the task is canceled while w takes bytes, or w fails, those that were read and not
// written are lost, as with io.Copy everywhere: at most what the loop's buffer holds,
// or a pipe, which is a megabyte.
func (c *Conn) WriteTo(w io.Writer) (n int64, err error) {
	t, off, err := c.place()
	if err != nil {
		return 0, c.opError("read", err)
	}
	if off != nil {
		return io.Copy(w, readerFrom(off))
	}
	if dst, ok := w.(*Conn); ok && dst.loop == c.loop {
		return copyConn(t, dst, c)
	}
	for {
		p, err := c.Borrow()
		if err != nil {
			return n, endIsNil(err)
		}
		k, err := writeCopy(w, p)
		n += int64(k)
		if err != nil {
			return n, err
		}
	}
}

// readerFrom: see writerFrom.
func readerFrom(off net.Conn) io.Reader {
	if _, ok := off.(io.WriterTo); ok {
		return off
	}
	return struct{ io.Reader }{off}
}

func endIsNil(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

// writeCopy writes borrowed bytes to a writer that may park, when they would be
// overwritten.
func writeCopy(w io.Writer, p []byte) (n int, err error) {
	b := copyBuffers.Get().(*buffer)
	defer copyBuffers.Put(b)
	b.b = append(b.b[:0], p...)
	n, err = w.Write(b.b)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return n, err
}

// copyFrom copies from any reader: on the task, which may park in it, or off the loop.
func (c *Conn) copyFrom(t *loop.Task, r io.Reader, limit int64, away bool) (n int64, err error) {
	b := copyBuffers.Get().(*buffer)
	defer func() {
		if b != nil {
			copyBuffers.Put(b)
		}
	}()
	for limit < 0 || n < limit {
		p := b.b[:cap(b.b)]
		if limit >= 0 {
			p = p[:min(int64(len(p)), limit-n)]
		}
		var k int
		var rerr error
		if away {
			read := func() (int, error) { return r.Read(p) }
			var done bool
			if k, rerr, done = awayFrom(t, read); !done {
				b = nil // still being read into
				return n, c.opError("write", rerr)
			}
		} else {
			k, rerr = r.Read(p)
		}
		w, err := c.Write(p[:k])
		n += int64(w)
		if err != nil {
			return n, err
		}
		if rerr != nil {
			return n, endIsNil(rerr)
		}
	}
	return n, nil
}

// awayFrom is ToThread without a context. It says whether fn is done.
func awayFrom(t *loop.Task, fn func() (int, error)) (n int, err error, done bool) {
	l := t.Loop()
	j := &job[int]{fn: fn, loop: l, task: t}
	j.back.Init(j)
	l.External(1)
	go j.run()
	if err := t.Park(j); err != nil {
		j.task = nil
		return 0, err, false
	}
	return j.value, j.err, true
}

// SendFile writes count bytes of a file from offset on, or all from there if count is
// negative, by the system itself where it can (sendfile(2)), and returns how many
// were sent. The file's position is behind them then, as with asyncio's
// loop.sendfile. It is for tasks. If the task is canceled, n tells how much was sent.
//
// Half a megabyte is sent at a time, and the system asked to read as much ahead: a
// file that comes from a slow disk holds the loop for no longer than that takes.
//
// Errors: io.ErrUnexpectedEOF for a file that is too short; errors.ErrUnsupported for
// one that is no regular file; a *net.OpError with the system's; those of [Sleep].
func SendFile(ctx context.Context, c *Conn, f *os.File, offset, count int64) (n int64, err error) {
	t, err := taskFor(ctx)
	if err != nil {
		return 0, c.opError("write", err)
	}
	if here, off, err := c.place(); err != nil {
		return 0, c.opError("write", err)
	} else if off != nil || here != t {
		return 0, c.opError("write", ErrNotTask)
	}
	fi, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if !fi.Mode().IsRegular() {
		return 0, c.opError("write", &fs.PathError{Op: "sendfile", Path: f.Name(), Err: errors.ErrUnsupported})
	}
	stop, err := under(ctx, t)
	if err == nil {
		n, err = c.sendFile(t, f, offset, count)
	} else {
		err = c.opError("write", err)
	}
	if stop != nil {
		stop()
	}
	if _, serr := f.Seek(offset+n, io.SeekStart); err == nil {
		err = serr
	}
	if err == nil && n < count {
		err = c.opError("write", io.ErrUnexpectedEOF)
	}
	return n, err
}

// sendFile sends count bytes of a regular file, or all if count is negative. That the
// file ends before is no error.
func (c *Conn) sendFile(t *loop.Task, f diskFile, offset, count int64) (n int64, err error) {
	file, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	s := c.writing()
	if err := s.enter(t); err != nil {
		return 0, c.opError("write", err)
	}
	defer s.leave()
	moved := 0
	for count < 0 || n < count {
		if err := c.usable(s); err != nil {
			return n, c.opError("write", err)
		}
		slice := fileSlice
		if count >= 0 {
			slice = int(min(int64(slice), count-n))
		}
		k, err, ok := c.e.SendFile(&s.op, file, offset+n, slice)
		switch {
		case !ok:
			if err := s.wait(t); err != nil {
				return n, c.opError("write", err)
			}
			moved = 0
			continue
		case err == io.EOF:
			return n, nil
		case errors.Is(err, poll.ErrUnsupported):
			k, err := c.copyFile(t, f, offset+n, count-n)
			return n + k, c.opError("write", err)
		case err != nil:
			return n, c.opError("write", err)
		}
		n += int64(k)
		if moved += k; moved >= copyTurn {
			moved = 0
			if err := t.Yield(); err != nil {
				return n, c.opError("write", err)
			}
		}
	}
	return n, nil
}

// copyFile is sendFile where the system cannot: the file is read off the loop. The
// caller has the writing side's turn.
func (c *Conn) copyFile(t *loop.Task, f io.ReaderAt, offset, count int64) (n int64, err error) {
	b := copyBuffers.Get().(*buffer)
	for count < 0 || n < count {
		p := b.b[:cap(b.b)]
		if count >= 0 {
			p = p[:min(int64(len(p)), count-n)]
		}
		k, rerr, done := awayFrom(t, func() (int, error) { return f.ReadAt(p, offset+n) })
		if !done {
			return n, rerr // the buffer is still being read into
		}
		w, err := c.writeInTurn(t, p[:k])
		n += int64(w)
		if err == nil {
			err = rerr
		}
		if err != nil {
			copyBuffers.Put(b)
			return n, endIsNil(err)
		}
	}
	copyBuffers.Put(b)
	return n, nil
}

// writeInTurn is the inner part of Write.
func (c *Conn) writeInTurn(t *loop.Task, p []byte) (n int, err error) {
	s := c.writing()
	for n < len(p) {
		if err := c.usable(s); err != nil {
			return n, err
		}
		k, err, ok := c.e.Write(&s.op, p[n:])
		if !ok {
			if err := s.wait(t); err != nil {
				return n, err
			}
			continue
		}
		n += k
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/rondo-go/rondo"
)

// chunk is how much is read or written at a time.
const chunk = 64 << 10

// Lines is a stream of the lines of r, without their ends ("\n" or "\r\n"). R is
// read on a goroutine off the loop, unless it is a reader of memory or a
// [rondo.Conn]; a read that is under way when the run ends goes on, and what it
// gets is lost. Lines may be of any length.
func Lines(r io.Reader) Stream[string] {
	return generate("lines", func(ctx context.Context, _ *runState, emit func(string) error) error {
		var l lineSplitter
		buf := make([]byte, chunk)
		for {
			n, err := readSome(ctx, r, buf)
			if e := l.add(buf[:n], emit); e != nil {
				return e
			}
			if err == io.EOF {
				return l.end(emit)
			}
			if err != nil {
				return fmt.Errorf("read lines: %w", err)
			}
		}
	})
}

// readSome reads once. After an error other than io.EOF, buf may still be written to.
func readSome(ctx context.Context, r io.Reader, buf []byte) (int, error) {
	switch r.(type) {
	case *strings.Reader, *bytes.Reader, *bytes.Buffer, *rondo.Conn:
		return r.Read(buf)
	}
	type result struct {
		n   int
		err error
	}
	x, err := rondo.ToThread(ctx, func() (result, error) {
		n, err := r.Read(buf)
		return result{n, err}, nil
	})
	if err != nil {
		return 0, err
	}
	return x.n, x.err
}

// A lineSplitter cuts chunks into lines.
type lineSplitter struct{ rest []byte }

func (l *lineSplitter) add(b []byte, emit func(string) error) error {
	for {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			l.rest = append(l.rest, b...)
			return nil
		}
		line := b[:i]
		if len(l.rest) > 0 {
			l.rest = append(l.rest, line...)
			line = l.rest
		}
		s := string(bytes.TrimSuffix(line, []byte("\r")))
		l.rest, b = l.rest[:0], b[i+1:]
		if err := emit(s); err != nil {
			return err
		}
	}
}

// end passes on a last line that has no end.
func (l *lineSplitter) end(emit func(string) error) error {
	if len(l.rest) == 0 {
		return nil
	}
	return emit(string(l.rest))
}

// Tail follows the file at path as tail -F does: it is a stream of the lines that
// are added from now on. It looks every poll, off the loop. A file that has been
// replaced is read from its start, once the old one has been read to its end; one
// that has become shorter too. While there is no file it waits for one. The
// stream has no end of its own.
func Tail(path string, poll time.Duration) Stream[string] {
	s := generate("tail", func(ctx context.Context, _ *runState, emit func(string) error) error {
		t := &tail{path: path}
		defer t.close()
		if err := t.onThread(ctx, func() error { return t.open(io.SeekEnd) }); err != nil {
			return err
		}
		for {
			if err := t.onThread(ctx, t.more); err != nil {
				return err
			}
			if len(t.data) == 0 {
				if err := rondo.Sleep(ctx, poll); err != nil {
					return err
				}
				continue
			}
			if err := t.lines.add(t.data, emit); err != nil {
				return err
			}
		}
	}).Named(path)
	s.n.must(poll > 0, "Tail every %v; it must be above zero", poll)
	return s
}

// A tail is a file that is followed.
type tail struct {
	path  string
	file  *os.File
	at    int64
	buf   []byte
	data  []byte // what more has read
	lines lineSplitter
	gone  bool // the run is over while a thread works
}

// onThread runs f off the loop.
func (t *tail) onThread(ctx context.Context, f func() error) error {
	failed, err := rondo.ToThread(ctx, func() (error, error) { return f(), nil })
	if err != nil {
		t.gone = true
		return err
	}
	return failed
}

// close closes the file, unless a thread may still be at it: then it is closed
// when it is collected.
func (t *tail) close() {
	if !t.gone && t.file != nil {
		_ = t.file.Close()
	}
}

// open opens the file, if there is one.
func (t *tail) open(whence int) error {
	f, err := os.Open(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	t.file = f
	t.at, err = f.Seek(0, whence)
	return err
}

// more reads what has been added into data.
func (t *tail) more() error {
	t.data = nil
	if t.file == nil {
		if err := t.open(io.SeekStart); err != nil || t.file == nil {
			return err
		}
	}
	if t.buf == nil {
		t.buf = make([]byte, chunk)
	}
	n, err := t.file.Read(t.buf)
	t.at += int64(n)
	t.data = t.buf[:n]
	if n > 0 || err != nil && err != io.EOF {
		return err
	}
	is, err := t.file.Stat()
	if err != nil {
		return err
	}
	if is.Size() < t.at { // truncated
		t.at, err = t.file.Seek(0, io.SeekStart)
		return err
	}
	if now, err := os.Stat(t.path); err == nil && !os.SameFile(is, now) { // replaced
		_ = t.file.Close()
		t.file, t.lines.rest = nil, nil
		return t.open(io.SeekStart)
	}
	return nil
}

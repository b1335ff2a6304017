package rondohttp

import (
	"bytes"
	"context"
	"io"
	"iter"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/rondo-go/rondo"
)

// Chunks ranges over the rest of the body as [Response.Next] returns it. An error comes last, with no
// piece. The body is closed when the loop over it ends, at whatever point.
func (r *Response) Chunks(ctx context.Context) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		defer r.Close()
		for {
			p, err := r.Next(ctx)
			if err == io.EOF || !yield(p, err) || err != nil {
				return
			}
		}
	}
}

const maxLine = 1 << 20

// Lines ranges over the lines of the rest of the body, without their ends, LF or CRLF; the last need
// not have one. A line holds until the next is asked for, even if the task parks. One of more than 1 MiB
// fails with [KindTooLarge]. An error comes last, with what was read of the line. The body is closed when the
// loop over it ends.
func (r *Response) Lines(ctx context.Context) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		defer r.Close()
		var b []byte // the lines that are here, and the beginning of one
		for {
			rest := b
			for {
				line, after, whole := bytes.Cut(rest, []byte{'\n'})
				if !whole {
					break
				}
				if !yield(bytes.TrimSuffix(line, []byte{'\r'}), nil) {
					return
				}
				rest = after
			}
			b = append(b[:0], rest...)
			if len(b) > maxLine {
				yield(nil, r.fail(faultf(KindTooLarge, "a line is longer than %d bytes", maxLine)))
				return
			}
			p, err := r.Next(ctx)
			switch {
			case err == nil:
				b = append(b, p...)
			case err != io.EOF:
				yield(b, err)
				return
			default:
				if len(b) > 0 {
					yield(b, nil)
				}
				return
			}
		}
	}
}

// Save writes the rest of the body to a file at path, and closes r. The file appears there, or takes the place of an older one,
// when it is whole: until then, and if the body breaks off or the task is canceled, path is as it
// was. Writing happens off the loop. It returns the number of bytes.
func (r *Response) Save(ctx context.Context, path string) (n int64, err error) {
	defer r.Close()
	f, err := createTemp(ctx, path)
	if err != nil {
		return 0, err
	}
	// Local files are closed and removed in no time; and this has to happen in a task that is canceled.
	defer func() {
		if err != nil {
			discard(f)
		}
	}()
	buf := make([]byte, 0, fileBuffer)
	flush := func() error {
		_, err := rondo.ToThread(ctx, func() (int, error) { return f.Write(buf) })
		buf = buf[:0]
		return err
	}
	for {
		p, err := r.Next(ctx)
		if err == io.EOF {
			break
		}
		if err != nil {
			return n, err
		}
		n += int64(len(p))
		for len(p) > 0 {
			m := min(len(p), cap(buf)-len(buf))
			buf, p = append(buf, p[:m]...), p[m:]
			if len(buf) == cap(buf) {
				rest := append([]byte(nil), p...) // the piece ends when the task parks
				if err := flush(); err != nil {
					return n, err
				}
				p = rest
			}
		}
	}
	if err := flush(); err != nil {
		return n, err
	}
	_, err = rondo.ToThread(ctx, func() (struct{}, error) {
		if err := f.Chmod(0o644); err != nil {
			return struct{}{}, err
		}
		if err := f.Close(); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, os.Rename(f.Name(), path)
	})
	return n, err
}

// createTemp makes a file beside path, off the loop. A task that is canceled meanwhile leaves none.
func createTemp(ctx context.Context, path string) (*os.File, error) {
	var made atomic.Pointer[os.File]
	var left atomic.Bool
	f, err := rondo.ToThread(ctx, func() (*os.File, error) {
		f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
		if made.Store(f); err == nil && left.Load() {
			discard(f)
		}
		return f, err
	})
	if err != nil {
		left.Store(true)
		if f := made.Load(); f != nil {
			discard(f) // twice does no harm
		}
	}
	return f, err
}

func discard(f *os.File) {
	f.Close()
	os.Remove(f.Name())
}

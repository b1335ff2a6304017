package file

import (
	"bytes"
	"context"
	"io"
	"iter"
	"strings"

	"github.com/rondo-go/rondo"
)

// slab is how many bytes of lines are made into one string, which the lines are
// then cut from: a line that is kept keeps no more than that, or itself.
const slab = 4 << 10

// Lines opens the file, yields its lines without their ends ("\n" or "\r\n"),
// and closes it. Lines may be of any length. An error is yielded once and last.
//
// A line that is kept keeps its neighbours, up to 4 KiB of them, in memory;
// strings.Clone parts them.
func Lines(ctx context.Context, name string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		f, err := Open(ctx, name)
		if err != nil {
			yield("", err)
			return
		}
		defer f.Close()
		f.Lines(ctx)(yield)
	}
}

// Lines yields the lines from the file's position on, as the function [Lines]
// does. When the loop over it is left, the position is behind the last line that
// was yielded, if the file has positions at all.
func (f *File) Lines(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		l := lineCutter{yield: yield}
		for {
			if err := giveWay(ctx); err != nil {
				yield("", err)
				return
			}
			f.mu.Lock()
			if err := f.fill(ctx); err != nil {
				f.mu.Unlock()
				if err != io.EOF {
					yield("", err)
				} else if len(l.rest) > 0 {
					yield(string(trimCR(l.rest)), nil)
				}
				return
			}
			block, base := f.block, f.base
			f.block, f.base, f.pos = nil, nil, f.pos+int64(len(block))
			f.mu.Unlock()
			left, ok := l.cut(block)
			f.mu.Lock()
			if ok {
				f.spare = base
			} else if f.seeks {
				f.moveLocked(f.pos - int64(left))
			} else {
				f.base, f.block = base, block[len(block)-left:]
			}
			f.mu.Unlock()
			if !ok {
				return
			}
		}
	}
}

// giveWay gives the other tasks their turn: blocks that are always there in time
// would keep them from it.
func giveWay(ctx context.Context) error {
	if offLoop() {
		return ctx.Err()
	}
	return rondo.Sleep(ctx, 0)
}

// A lineCutter cuts blocks into lines.
type lineCutter struct {
	rest  []byte // the start of a line whose end is not there yet
	yield func(string, error) bool
}

// cut yields the lines that end in b. It returns false if the loop was left, and
// how many bytes of b were left over then.
func (l *lineCutter) cut(b []byte) (left int, ok bool) {
	if len(l.rest) > 0 {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			l.rest = append(l.rest, b...)
			return 0, true
		}
		l.rest = append(l.rest, b[:i]...)
		line := string(trimCR(l.rest))
		l.rest, b = l.rest[:0], b[i+1:]
		if !l.yield(line, nil) {
			return len(b), false
		}
	}
	for len(b) > 0 {
		// As many whole lines as fit into a slab, or one.
		end := bytes.LastIndexByte(b[:min(slab, len(b))], '\n')
		if end < 0 {
			end = bytes.IndexByte(b, '\n')
		}
		if end < 0 {
			l.rest = append(l.rest, b...)
			return 0, true
		}
		s := string(b[:end+1])
		b = b[end+1:]
		for len(s) > 0 {
			i := strings.IndexByte(s, '\n')
			line := s[:i]
			s = s[i+1:]
			if i > 0 && line[i-1] == '\r' {
				line = line[:i-1]
			}
			if !l.yield(line, nil) {
				return len(b) + len(s), false
			}
		}
	}
	return 0, true
}

func trimCR(b []byte) []byte { return bytes.TrimSuffix(b, []byte("\r")) }

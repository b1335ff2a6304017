package pipeline_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/pipeline"
)

func TestTailFollowsTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	write := func(flag int, s string) {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|flag, 0o600)
		if err == nil {
			_, err = f.WriteString(s)
		}
		if err := errors.Join(err, f.Close()); err != nil {
			t.Error(err)
		}
	}
	write(0, "old\n")
	virtual(t, func(ctx context.Context) {
		rondo.Spawn(ctx, func(ctx context.Context) (struct{}, error) {
			for _, step := range []func(){
				func() { write(os.O_APPEND, "one\ntw") },
				func() { write(os.O_APPEND, "o\n") },
				func() { write(os.O_TRUNC, "3\n") },
				func() {
					if err := os.Rename(path, path+".1"); err != nil {
						t.Error(err)
					}
				},
				func() { write(0, "four\n") },
			} {
				if err := rondo.Sleep(ctx, time.Second); err != nil {
					return struct{}{}, err
				}
				step()
			}
			return struct{}{}, nil
		})
		got, err := pipeline.Collect(ctx, pipeline.Take(pipeline.Tail(path, 100*time.Millisecond), 4))
		want(t, "tail", got, []string{"one", "two", "3", "four"}, err)
	})
}

func TestLinesReturnsTheReadersError(t *testing.T) {
	virtual(t, func(ctx context.Context) {
		boom := errors.New("boom")
		got, err := pipeline.Collect(ctx, pipeline.Lines(iotest.ErrReader(boom)))
		if len(got) != 0 || !errors.Is(err, boom) {
			t.Errorf("%v, %v", got, err)
		}
	})
}

// FuzzLines compares Lines with strings.Lines, in pieces of any size.
func FuzzLines(f *testing.F) {
	f.Add("a\nb\r\n\nc", uint8(3))
	f.Add("\r\n\r", uint8(1))
	f.Fuzz(func(t *testing.T, text string, size uint8) {
		var ws []string
		for line := range strings.Lines(text) {
			line, ended := strings.CutSuffix(line, "\n")
			if ended {
				line = strings.TrimSuffix(line, "\r")
			}
			ws = append(ws, line)
		}
		virtual(t, func(ctx context.Context) {
			r := &pieces{text, int(size)%8 + 1}
			got, err := pipeline.Collect(ctx, pipeline.Lines(r))
			want(t, "lines", got, ws, err)
		})
	})
}

// pieces is a reader that reads a few bytes at a time.
type pieces struct {
	rest string
	size int
}

func (p *pieces) Read(b []byte) (int, error) {
	n, err := strings.NewReader(p.rest).Read(b[:min(len(b), p.size)])
	p.rest = p.rest[n:]
	return n, err
}

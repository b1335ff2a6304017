package file_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/file"
)

// both runs fn as a task and off the loop.
func both(t *testing.T, fn func(t *testing.T, ctx context.Context)) {
	t.Run("task", func(t *testing.T) {
		if err := rondo.Run(func(ctx context.Context) error { fn(t, ctx); return nil }); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("goroutine", func(t *testing.T) { fn(t, context.Background()) })
}

func run(t *testing.T, fn func(ctx context.Context) error) {
	t.Helper()
	if err := rondo.Run(fn); err != nil {
		t.Fatal(err)
	}
}

func random(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b)
	return b
}

// write makes a file with data.
func write(t testing.TB, data []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestFileReadsWhatIsThere(t *testing.T) {
	for _, size := range []int{0, 1, 32 << 10, 32<<10 + 1, 1<<20 + 17} {
		want := random(size)
		name := write(t, want)
		both(t, func(t *testing.T, ctx context.Context) {
			f, err := file.Open(ctx, name)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			got, err := io.ReadAll(f)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("size %d: read %d bytes, error %v; equal: %v", size, len(got), err, bytes.Equal(got, want))
			}
			if n, err := f.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Errorf("size %d: at the end: %d, %v", size, n, err)
			}
			if pos, err := f.Seek(int64(size/2), io.SeekStart); err != nil || pos != int64(size/2) {
				t.Errorf("seek: %d, %v", pos, err)
			}
			var rest bytes.Buffer
			if n, err := f.WriteTo(&rest); err != nil || n != int64(size-size/2) || !bytes.Equal(rest.Bytes(), want[size/2:]) {
				t.Errorf("size %d: WriteTo: %d, %v", size, n, err)
			}
		})
	}
}

// TestFileIsLikeAnOSFile does the same to a File and to an os.File.
func TestFileIsLikeAnOSFile(t *testing.T) {
	seed := rand.Uint64()
	both(t, func(t *testing.T, ctx context.Context) {
		r := rand.New(rand.NewPCG(seed, 1))
		dir := t.TempDir()
		f, err := file.Create(ctx, filepath.Join(dir, "ours"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		o, err := os.Create(filepath.Join(dir, "theirs"))
		if err != nil {
			t.Fatal(err)
		}
		defer o.Close()
		for step := range 400 {
			var got, want string
			switch n := r.IntN(100_000); r.IntN(6) {
			case 0:
				p := random(n)
				a, e := f.Write(p)
				b, oe := o.Write(p)
				got, want = fmt.Sprint("write ", a, e), fmt.Sprint("write ", b, oe)
			case 1:
				a, e := f.Seek(int64(n), io.SeekStart)
				b, oe := o.Seek(int64(n), io.SeekStart)
				got, want = fmt.Sprint("seek ", a, e), fmt.Sprint("seek ", b, oe)
			case 2:
				a, e := f.Seek(-int64(n%50), io.SeekEnd)
				b, oe := o.Seek(-int64(n%50), io.SeekEnd)
				got, want = fmt.Sprint("end ", a, e != nil), fmt.Sprint("end ", b, oe != nil)
				if e != nil {
					f.Seek(0, io.SeekStart)
					o.Seek(0, io.SeekStart)
				}
			case 3:
				p, q := make([]byte, n), make([]byte, n)
				a, e := io.ReadFull(f, p)
				b, oe := io.ReadFull(o, q)
				got, want = fmt.Sprint("read ", a, e), fmt.Sprint("read ", b, oe)
				if !bytes.Equal(p, q) {
					t.Fatalf("seed %d, step %d: other bytes", seed, step)
				}
			case 4:
				a, e := f.WriteAt([]byte("hello"), int64(n))
				b, oe := o.WriteAt([]byte("hello"), int64(n))
				got, want = fmt.Sprint("at ", a, e), fmt.Sprint("at ", b, oe)
			case 5:
				if n%10 == 0 {
					got, want = fmt.Sprint(f.Truncate(int64(n))), fmt.Sprint(o.Truncate(int64(n)))
				}
				a, e := f.Seek(0, io.SeekCurrent)
				b, oe := o.Seek(0, io.SeekCurrent)
				got, want = got+fmt.Sprint("where ", a, e), want+fmt.Sprint("where ", b, oe)
			}
			if got != want {
				t.Fatalf("seed %d, step %d: %s; want %s", seed, step, got, want)
			}
		}
	})
}

func TestFileAppends(t *testing.T) {
	name := write(t, []byte("one\n"))
	both(t, func(t *testing.T, ctx context.Context) {
		f, err := file.OpenFile(ctx, name, os.O_RDWR|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		f.Seek(0, io.SeekStart)
		if n, err := fmt.Fprint(f, "two\n"); n != 4 || err != nil {
			t.Errorf("Write: %d, %v", n, err)
		}
		if err := errors.Join(f.Sync(), f.Chmod(0o644)); err != nil {
			t.Error(err)
		}
		info, err := f.Stat()
		if err != nil || info.Mode().Perm() != 0o644 && runtime.GOOS != "windows" {
			t.Errorf("Stat: %v, %v", info, err)
		}
		if got, _ := file.ReadFile(ctx, name); !strings.HasSuffix(string(got), "two\n") || !strings.HasPrefix(string(got), "one\n") {
			t.Errorf("the file holds %q", got)
		}
	})
}

func TestFileReadKeepsDataWhenCanceled(t *testing.T) {
	name := filepath.Join(t.TempDir(), "fifo")
	mkfifo(t, name)
	// A pipe lets the test say when data comes.
	w, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	run(t, func(ctx context.Context) error {
		f, err := file.Open(ctx, name)
		if err != nil {
			return err
		}
		defer f.Close()
		buf := make([]byte, 10)
		x := rondo.Spawn(ctx, func(context.Context) (int, error) { return f.Read(buf) })
		_ = rondo.Sleep(ctx, 0)
		x.Cancel("")
		if n, err := x.Await(ctx); n != 0 || !errors.Is(err, context.Canceled) {
			t.Errorf("canceled Read: %d, %v", n, err)
		}
		if _, err := w.WriteString("data"); err != nil {
			return err
		}
		n, err := f.Read(buf)
		if string(buf[:n]) != "data" || err != nil {
			t.Errorf("the next Read: %q, %v", buf[:n], err)
		}
		if _, err := f.Seek(0, io.SeekStart); err == nil {
			t.Error("a pipe can be sought in")
		}
		return nil
	})
}

func TestOpenLeavesNothingOpenWhenCanceled(t *testing.T) {
	name := filepath.Join(t.TempDir(), "fifo")
	mkfifo(t, name)
	run(t, func(ctx context.Context) error {
		// Nobody writes, so it blocks.
		x := rondo.Spawn(ctx, func(ctx context.Context) (*file.File, error) { return file.Open(ctx, name) })
		_ = rondo.Sleep(ctx, 0)
		x.Cancel("")
		if f, err := x.Await(ctx); f != nil || !errors.Is(err, context.Canceled) {
			t.Errorf("canceled Open: %v, %v", f, err)
		}
		w, err := os.OpenFile(name, os.O_WRONLY, 0) // lets it through
		if err != nil {
			return err
		}
		defer w.Close()
		for { // until the reader is gone, which a write tells
			if _, err := w.WriteString("x"); err != nil {
				return nil
			}
			runtime.Gosched()
		}
	})
}

func TestFileWriteIsNotCutShort(t *testing.T) {
	name := filepath.Join(t.TempDir(), "fifo")
	mkfifo(t, name)
	// A pipe lets the test say when the write ends.
	r, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data := random(1 << 20)
	run(t, func(ctx context.Context) error {
		var n int
		var werr error
		x := rondo.Spawn(ctx, func(ctx context.Context) (struct{}, error) {
			f, err := file.OpenFile(ctx, name, os.O_WRONLY, 0)
			if err != nil {
				return struct{}{}, err
			}
			defer f.Close()
			n, werr = f.Write(data)
			return struct{}{}, rondo.Sleep(ctx, 0) // delivers what came meanwhile
		})
		buf := make([]byte, len(data))
		k, err := rondo.ToThread(ctx, func() (int, error) { return r.Read(buf) }) // so it has begun
		if err != nil {
			return err
		}
		x.Cancel("")
		if _, err := rondo.ToThread(ctx, func() (int, error) { return io.ReadFull(r, buf[k:]) }); err != nil {
			return err
		}
		if _, err := x.Await(ctx); !errors.Is(err, context.Canceled) || n != len(data) || werr != nil || !bytes.Equal(buf, data) {
			t.Errorf("Write: %d, %v; then %v", n, werr, err)
		}
		return nil
	})
}

func TestFileErrorsNameTheFile(t *testing.T) {
	full := "/dev/full"
	if _, err := os.Stat(full); err != nil {
		t.Skip("there is no /dev/full, whose writes fail with ENOSPC")
	}
	both(t, func(t *testing.T, ctx context.Context) {
		f, err := file.OpenFile(ctx, full, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		_, werr := f.Write([]byte("x"))
		for _, err := range []error{werr, file.WriteFile(ctx, full, []byte("x"), 0)} {
			if !errors.Is(err, noSpace) || !strings.Contains(err.Error(), full) {
				t.Errorf("error %v does not name %s and ENOSPC", err, full)
			}
		}
		if _, err := file.Open(ctx, "/no/such/file"); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "/no/such/file") {
			t.Errorf("Open: %v", err)
		}
	})
}

func TestFileFailsWhenClosed(t *testing.T) {
	name := write(t, random(100))
	both(t, func(t *testing.T, ctx context.Context) {
		f, err := file.Open(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		f.Read(make([]byte, 1))
		f.Close()
		_, r := f.Read(make([]byte, 1))
		_, w := f.Write(make([]byte, 1))
		_, s := f.Seek(0, io.SeekStart)
		for i, err := range []error{r, w, s, f.Close(), f.Sync()} {
			if !errors.Is(err, fs.ErrClosed) {
				t.Errorf("call %d on a closed file: %v", i, err)
			}
		}
	})
}

func TestFileServesManyReadersAtOnce(t *testing.T) {
	data := random(1 << 20)
	name := write(t, data)
	run(t, func(ctx context.Context) error {
		f, err := file.Open(ctx, name)
		if err != nil {
			return err
		}
		defer f.Close()
		total := 0
		return errors.Join(rondo.WithGroup(ctx, func(g *rondo.Group) error {
			for i := range 8 {
				g.Go(func(ctx context.Context) error {
					p := make([]byte, 10_000)
					for {
						n, err := f.Read(p)
						total += n
						if err == io.EOF {
							return nil
						}
						if err != nil {
							return err
						}
					}
				})
				g.Go(func(ctx context.Context) error {
					p := make([]byte, 100_000)
					if n, err := f.ReadAt(p, int64(i*100_000)); err != nil || !bytes.Equal(p[:n], data[i*100_000:][:n]) {
						return fmt.Errorf("ReadAt %d: %d, %v", i, n, err)
					}
					return nil
				})
			}
			return nil
		}), func() error {
			if total != len(data) {
				return fmt.Errorf("the readers got %d bytes of %d", total, len(data))
			}
			return nil
		}())
	})
}

func scan(data []byte) []string {
	var lines []string
	s := bufio.NewScanner(bytes.NewReader(data))
	s.Buffer(nil, len(data)+1)
	for s.Scan() {
		lines = append(lines, s.Text())
	}
	return lines
}

func FuzzLinesAreBufiosLines(f *testing.F) {
	f.Add([]byte("a\nb\r\n\nc"), uint16(3))
	f.Add([]byte(strings.Repeat("0123456789\n", 5000)), uint16(2))
	f.Add([]byte(strings.Repeat("x", 100_000)+"\n\n"+strings.Repeat("y", 5000)+"\r"), uint16(40))
	f.Fuzz(func(t *testing.T, data []byte, times uint16) {
		data = bytes.Repeat(data, min(int(times), 1+300_000/(len(data)+1)))
		want := scan(data)
		name := write(t, data)
		both(t, func(t *testing.T, ctx context.Context) {
			var got []string
			for line, err := range file.Lines(ctx, name) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, line)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%d lines, want %d", len(got), len(want))
			}
		})
	})
}

func TestFileLinesLeavesThePositionBehindTheLine(t *testing.T) {
	name := write(t, []byte(strings.Repeat("first\n", 10_000)+"second\nthird"))
	both(t, func(t *testing.T, ctx context.Context) {
		f, err := file.Open(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for line, err := range f.Lines(ctx) {
			if err != nil {
				t.Fatal(err)
			}
			if line == "second" {
				break
			}
		}
		if rest, err := io.ReadAll(f); string(rest) != "third" || err != nil {
			t.Errorf("the rest is %q, %v", rest, err)
		}
	})
}

func TestLinesEndsWithTheContext(t *testing.T) {
	name := write(t, bytes.Repeat([]byte("line\n"), 500_000))
	run(t, func(ctx context.Context) error {
		std, cancel := context.WithCancel(ctx)
		defer cancel()
		n := 0
		var last error
		for _, err := range file.Lines(std, name) {
			n++
			last = err
			cancel()
		}
		if !errors.Is(last, context.Canceled) || n >= 500_000 {
			t.Errorf("%d lines, error %v", n, last)
		}
		x := rondo.Spawn(ctx, func(ctx context.Context) (int, error) {
			n := 0
			for _, err := range file.Lines(ctx, name) {
				if err != nil {
					return n, err
				}
				if n++; n == 10 {
					rondo.CurrentTask().Cancel("enough")
				}
			}
			return n, nil
		})
		if n, err := x.Await(ctx); !errors.Is(err, context.Canceled) || n < 10 {
			t.Errorf("canceled: %d lines, error %v", n, err)
		}
		return nil
	})
}

func benchmarkData(b *testing.B) string {
	b.Helper()
	line := strings.Repeat("0123456789", 6) + "\n"
	return write(b, bytes.Repeat([]byte(line), 10<<20/len(line)))
}

func BenchmarkLines10MB(b *testing.B) {
	name := benchmarkData(b)
	b.Run("file", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(10 << 20)
		if err := rondo.Run(func(ctx context.Context) error {
			for b.Loop() {
				n := 0
				for line, err := range file.Lines(ctx, name) {
					if err != nil {
						return err
					}
					n += len(line)
				}
			}
			return nil
		}); err != nil {
			b.Fatal(err)
		}
	})
	b.Run("bufio", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(10 << 20)
		for b.Loop() {
			f, err := os.Open(name)
			if err != nil {
				b.Fatal(err)
			}
			n := 0
			for s := bufio.NewScanner(f); s.Scan(); {
				n += len(s.Text())
			}
			f.Close()
		}
	})
}

func BenchmarkRead64K(b *testing.B) {
	name := benchmarkData(b)
	b.Run("file", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(64 << 10)
		if err := rondo.Run(func(ctx context.Context) error {
			f, err := file.Open(ctx, name)
			if err != nil {
				return err
			}
			defer f.Close()
			p := make([]byte, 64<<10)
			for b.Loop() {
				if _, err := io.ReadFull(f, p); err != nil {
					f.Seek(0, io.SeekStart)
				}
			}
			return nil
		}); err != nil {
			b.Fatal(err)
		}
	})
	b.Run("os", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(64 << 10)
		f, err := os.Open(name)
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		p := make([]byte, 64<<10)
		for b.Loop() {
			if _, err := io.ReadFull(f, p); err != nil {
				f.Seek(0, io.SeekStart)
			}
		}
	})
}

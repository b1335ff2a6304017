package rondo

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// pattern is n bytes in which each place is recognizable.
func pattern(n int) []byte {
	p := make([]byte, n)
	x := uint32(1)
	for i := range p {
		x = x*1664525 + 1013904223
		p[i] = byte(x >> 24)
	}
	return p
}

func fileOf(t testing.TB, content []byte) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := f.Write(content); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	return f
}

// peer makes a connection of the loop whose other end is package net's.
func peer(t testing.TB, ctx context.Context) (*Conn, *net.TCPConn, error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer ln.Close()
	c, err := Dial(ctx, "tcp", ln.Addr().String())
	if err != nil {
		return nil, nil, err
	}
	other, err := ln.Accept()
	if err != nil {
		return nil, nil, err
	}
	t.Cleanup(func() { other.Close() })
	other.SetDeadline(time.Now().Add(20 * time.Second))
	return c, other.(*net.TCPConn), nil
}

// collected reads all that arrives at c, off the loop.
func collected(ctx context.Context, c net.Conn) *Task[[]byte] {
	return Spawn(ctx, func(ctx context.Context) ([]byte, error) {
		return ToThread(ctx, func() ([]byte, error) { return io.ReadAll(c) })
	})
}

func TestConnEchoesItself(t *testing.T) {
	runMain(t, func(ctx context.Context) error {
		a, b, err := SocketPair()
		if err != nil {
			return err
		}
		defer a.Close()
		defer b.Close()
		const size = 8 << 20
		echo := Spawn(ctx, func(context.Context) (int64, error) {
			n, err := io.Copy(b, b)
			return n, errors.Join(err, b.CloseWrite())
		})
		want := pattern(size)
		wrote := Spawn(ctx, func(context.Context) (int, error) {
			n, err := a.Write(want)
			return n, errors.Join(err, a.CloseWrite())
		})
		got, err := io.ReadAll(struct{ io.Reader }{a})
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes of %d came back, or others: %v", len(got), size, err)
		}
		if _, err := wrote.Await(ctx); err != nil {
			t.Error(err)
		}
		if n, err := echo.Await(ctx); n != size || err != nil {
			t.Errorf("echoed %d, %v", n, err)
		}
		return nil
	})
}

// A proxy with a slow receiver: bytes that were borrowed and not taken at once stay
// what they were, though others use the loop's buffer meanwhile.
func TestConnCopyKeepsBytesWhileParked(t *testing.T) {
	runMain(t, func(ctx context.Context) error {
		const size, pairs = 3 << 20, 4
		return WithGroup(ctx, func(g *Group) error {
			for i := range pairs {
				g.Go(func(ctx context.Context) error {
					a, b, err := SocketPair()
					if err != nil {
						return err
					}
					defer a.Close()
					defer b.Close()
					c, d, err := SocketPair()
					if err != nil {
						return err
					}
					defer c.Close()
					defer d.Close()
					want := bytes.Repeat([]byte{byte(i), 1, 2, 3, 4, 5, 6}, size/7)
					Spawn(ctx, func(context.Context) (int, error) {
						n, err := a.Write(want)
						return n, errors.Join(err, a.CloseWrite())
					})
					proxy := Spawn(ctx, func(context.Context) (int64, error) {
						n, err := io.Copy(c, b)
						return n, errors.Join(err, c.CloseWrite())
					})
					var got []byte
					p := make([]byte, 20_000)
					for err == nil {
						var n int
						n, err = d.Read(p)
						got = append(got, p[:n]...)
						Sleep(ctx, 0)
					}
					if err != io.EOF || !bytes.Equal(got, want) {
						t.Errorf("%d bytes of %d came through, or others: %v", len(got), len(want), err)
					}
					if n, err := proxy.Await(ctx); n != int64(len(want)) || err != nil {
						t.Errorf("copied %d, %v", n, err)
					}
					return nil
				})
			}
			return nil
		})
	})
}

func TestConnReadFromSendsFiles(t *testing.T) {
	want := pattern(6<<20 + 11)
	cases := map[string]struct {
		reader   func(f *os.File) io.Reader
		from, to int
	}{
		"all":     {func(f *os.File) io.Reader { return f }, 0, len(want)},
		"rest":    {func(f *os.File) io.Reader { f.Seek(1000, io.SeekStart); return f }, 1000, len(want)},
		"limited": {func(f *os.File) io.Reader { f.Seek(10, io.SeekStart); return io.LimitReader(f, 1<<20) }, 10, 10 + 1<<20},
		"short":   {func(f *os.File) io.Reader { return io.LimitReader(f, 1<<40) }, 0, len(want)},
		"hidden":  {func(f *os.File) io.Reader { return struct{ io.Reader }{f} }, 0, len(want)},
	}
	for name, k := range cases {
		for _, where := range []string{"on", "off"} {
			t.Run(name+"/"+where, func(t *testing.T) {
				f := fileOf(t, want)
				runMain(t, func(ctx context.Context) error {
					c, other, err := peer(t, ctx)
					if err != nil {
						return err
					}
					got := collected(ctx, other)
					r := k.reader(f)
					var n int64
					if where == "on" {
						n, err = io.Copy(c, r)
					} else {
						n, err = ToThread(ctx, func() (int64, error) { return io.Copy(c, r) })
					}
					if n != int64(k.to-k.from) || err != nil {
						t.Errorf("copied %d of %d, %v", n, k.to-k.from, err)
					}
					if at, _ := f.Seek(0, io.SeekCurrent); at != int64(k.to) {
						t.Errorf("the file is at %d, want %d", at, k.to)
					}
					if lr, ok := r.(*io.LimitedReader); ok {
						if left := int64(k.to-k.from) + lr.N; left != 1<<20 && left != 1<<40 {
							t.Errorf("limit is at %d", lr.N)
						}
					}
					c.Close()
					if p, err := got.Await(ctx); err != nil || !bytes.Equal(p, want[k.from:k.to]) {
						t.Errorf("%d bytes came, or others: %v", len(p), err)
					}
					return nil
				})
			})
		}
	}
}

func TestConnReadFromOtherReaders(t *testing.T) {
	want := pattern(300_000)
	runMain(t, func(ctx context.Context) error {
		c, other, err := peer(t, ctx)
		if err != nil {
			return err
		}
		got := collected(ctx, other)
		pr, pw, err := os.Pipe()
		if err != nil {
			return err
		}
		defer pr.Close()
		go func() {
			pw.Write(want)
			pw.Close()
		}()
		a, b, err := SocketPair()
		if err != nil {
			return err
		}
		defer a.Close()
		defer b.Close()
		Spawn(ctx, func(context.Context) (int, error) { return a.Write(want) })
		for _, r := range []io.Reader{
			bytes.NewReader(want), struct{ io.Reader }{bytes.NewReader(want)}, pr, io.LimitReader(b, int64(len(want))),
		} {
			if n, err := c.ReadFrom(r); n != int64(len(want)) || err != nil {
				t.Errorf("%T: %d, %v", r, n, err)
			}
		}
		broken := errors.New("broken")
		if n, err := c.ReadFrom(io.MultiReader(strings.NewReader("x"), errReader{broken})); n != 1 || err != broken {
			t.Errorf("a reader that fails: %d, %v", n, err)
		}
		c.Close()
		if p, err := got.Await(ctx); err != nil || !bytes.Equal(p, append(bytes.Repeat(want, 4), 'x')) {
			t.Errorf("%d bytes came, or others: %v", len(p), err)
		}
		return nil
	})
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func TestConnWriteToOtherWriters(t *testing.T) {
	want := pattern(1 << 20)
	for _, where := range []string{"on", "off"} {
		t.Run(where, func(t *testing.T) {
			runMain(t, func(ctx context.Context) error {
				c, other, err := peer(t, ctx)
				if err != nil {
					return err
				}
				defer c.Close()
				go func() {
					other.Write(want)
					other.CloseWrite()
				}()
				var got bytes.Buffer
				var n int64
				if where == "on" {
					n, err = io.Copy(struct{ io.Writer }{&got}, c)
				} else {
					n, err = ToThread(ctx, func() (int64, error) { return io.Copy(struct{ io.Writer }{&got}, c) })
				}
				if n != int64(len(want)) || err != nil || !bytes.Equal(got.Bytes(), want) {
					t.Errorf("copied %d, %v, or others", n, err)
				}
				return nil
			})
		})
	}
}

func TestSendFileSendsARange(t *testing.T) {
	want := pattern(2 << 20)
	f := fileOf(t, want)
	runMain(t, func(ctx context.Context) error {
		c, other, err := peer(t, ctx)
		if err != nil {
			return err
		}
		got := collected(ctx, other)
		for _, k := range []struct {
			offset, count, sent int64
			err                 error
		}{
			{0, -1, 2 << 20, nil},
			{5, 10, 10, nil},
			{7, 0, 0, nil},
			{1 << 20, 2 << 20, 1 << 20, io.ErrUnexpectedEOF},
			{3 << 20, 1, 0, io.ErrUnexpectedEOF},
			{3 << 20, -1, 0, nil},
		} {
			n, err := SendFile(ctx, c, f, k.offset, k.count)
			if n != k.sent || !errors.Is(err, k.err) || (err == nil) != (k.err == nil) {
				t.Errorf("%d of %d: %d, %v", k.count, k.offset, n, err)
			}
			if at, _ := f.Seek(0, io.SeekCurrent); at != k.offset+k.sent {
				t.Errorf("the file is at %d", at)
			}
		}
		if _, err := SendFile(ctx, c, os.Stdin, 0, 1); err == nil {
			t.Error("sent what is no file")
		}
		c.Close()
		if _, err := SendFile(ctx, c, f, 0, 1); !errors.Is(err, net.ErrClosed) {
			t.Errorf("to a closed connection: %v", err)
		}
		all := append(append(append([]byte{}, want...), want[5:15]...), want[1<<20:]...)
		if p, err := got.Await(ctx); err != nil || !bytes.Equal(p, all) {
			t.Errorf("%d bytes came, or others: %v", len(p), err)
		}
		return nil
	})
	runMain(t, func(ctx context.Context) error {
		c, _, err := peer(t, ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = ToThread(ctx, func() (int64, error) { return SendFile(context.Background(), c, f, 0, 1) })
		if !errors.Is(err, ErrNotTask) {
			t.Errorf("off the loop: %v", err)
		}
		return nil
	})
}

// Whoever is canceled, or meets a deadline or a reset, in the middle knows how far the
// file got.
func TestSendFileInterrupted(t *testing.T) {
	want := pattern(32 << 20)
	for _, how := range []string{"canceled", "deadline", "reset"} {
		t.Run(how, func(t *testing.T) {
			f := fileOf(t, want)
			runMain(t, func(ctx context.Context) error {
				c, other, err := peer(t, ctx)
				if err != nil {
					return err
				}
				defer c.Close()
				var n int64
				task := Spawn(ctx, func(ctx context.Context) (int64, error) {
					var err error
					n, err = SendFile(ctx, c, f, 0, -1)
					return n, err
				})
				Sleep(ctx, 20*time.Millisecond) // real, until the socket is full
				switch how {
				case "canceled":
					task.Cancel("enough")
				case "deadline":
					c.SetWriteDeadline(time.Now())
				case "reset":
					other.SetLinger(0)
					other.Close()
				}
				_, err = task.Await(ctx)
				switch how {
				case "canceled":
					if !errors.Is(err, context.Canceled) {
						t.Errorf("%v", err)
					}
				case "deadline":
					if !errors.Is(err, os.ErrDeadlineExceeded) {
						t.Errorf("%v", err)
					}
				case "reset":
					if runtime.GOOS != "windows" && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
						t.Errorf("%v", err)
					}
				}
				if n <= 0 || n >= int64(len(want)) {
					t.Errorf("sent %d", n)
				}
				if at, _ := f.Seek(0, io.SeekCurrent); at != n {
					t.Errorf("sent %d, the file is at %d", n, at)
				}
				if how == "reset" {
					return nil
				}
				// Nothing is lost: the rest makes it whole.
				c.SetWriteDeadline(time.Time{})
				got := collected(ctx, other)
				if k, err := io.Copy(c, f); k != int64(len(want))-n || err != nil {
					t.Errorf("the rest: %d, %v", k, err)
				}
				c.Close()
				if p, err := got.Await(ctx); err != nil || !bytes.Equal(p, want) {
					t.Errorf("%d bytes came, or others: %v", len(p), err)
				}
				return nil
			})
		})
	}
}

// A big transfer to a fast peer lets other tasks run.
func TestSendFileLetsOthersRun(t *testing.T) {
	f := fileOf(t, make([]byte, 64<<20))
	runMain(t, func(ctx context.Context) error {
		c, other, err := peer(t, ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		go io.Copy(io.Discard, other)
		turns := 0
		ticker := Spawn(ctx, func(ctx context.Context) (int, error) {
			for {
				turns++
				if err := Sleep(ctx, 0); err != nil {
					return 0, err
				}
			}
		})
		if _, err := SendFile(ctx, c, f, 0, -1); err != nil {
			t.Error(err)
		}
		ticker.Cancel("done")
		if turns < 8 {
			t.Errorf("others had %d turns", turns)
		}
		return nil
	})
}

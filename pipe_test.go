package rondo

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/nettest"
)

// runMain runs fn as a task of a loop of its own.
func runMain(t testing.TB, fn func(ctx context.Context) error) {
	t.Helper()
	if err := Run(fn, WithoutSignals()); err != nil {
		t.Fatal(err)
	}
}

func TestPipeCarriesBytesBetweenTasks(t *testing.T) {
	runMain(t, func(ctx context.Context) error {
		r, w, err := Pipe()
		if err != nil {
			return err
		}
		want := strings.Repeat("pipe ", 100_000)
		wrote := Spawn(ctx, func(context.Context) (int, error) {
			n, err := io.WriteString(w, want)
			return n, errors.Join(err, w.CloseWrite(), w.Close())
		})
		got, err := io.ReadAll(r)
		if err != nil || string(got) != want {
			t.Errorf("read %d bytes, %v", len(got), err)
		}
		if n, err := wrote.Await(ctx); n != len(want) || err != nil {
			t.Errorf("wrote %d, %v", n, err)
		}
		return r.Close()
	})
}

func TestPipeWithoutReaderBreaks(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("another error there")
	}
	runMain(t, func(ctx context.Context) error {
		r, w, err := Pipe()
		if err != nil {
			return err
		}
		r.Close()
		for err == nil { // the portable backend takes some bytes before it notices
			_, err = w.Write([]byte("x"))
		}
		if !errors.Is(err, syscall.EPIPE) {
			t.Errorf("write: %v, want EPIPE", err)
		}
		return w.Close()
	})
}

func TestPipeReadDeadlineAndCancellation(t *testing.T) {
	runMain(t, func(ctx context.Context) error {
		r, w, err := Pipe()
		if err != nil {
			return err
		}
		defer w.Close()
		defer r.Close()
		r.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := r.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read after the deadline: %v", err)
		}
		r.SetReadDeadline(time.Time{})
		reader := Spawn(ctx, func(context.Context) (int, error) { return r.Read(make([]byte, 1)) })
		Sleep(ctx, 0)
		reader.Cancel("enough")
		if _, err := reader.Await(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("canceled read: %v", err)
		}
		w.Write([]byte("k"))
		p := make([]byte, 1)
		if _, err := r.Read(p); err != nil || p[0] != 'k' {
			t.Errorf("read %q, %v", p, err)
		}
		return nil
	})
}

// Both of a pipe's descriptors, the loop's and the one that serves goroutines, close
// with a half.
func TestPipeCloseWriteReachesBothDescriptors(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a handle cannot be asked what it is open for")
	}
	for _, where := range []string{"on", "off"} {
		t.Run(where, func(t *testing.T) {
			runMain(t, func(ctx context.Context) error {
				r, w, err := Pipe()
				if err != nil {
					return err
				}
				defer r.Close()
				defer w.Close()
				_, err = ToThread(ctx, func() (int, error) { return w.Write([]byte("off")) })
				if err != nil {
					return err
				}
				if where == "off" {
					_, err = ToThread(ctx, func() (int, error) { return 0, w.CloseWrite() })
				} else {
					err = w.CloseWrite()
				}
				if err != nil {
					return err
				}
				got, err := io.ReadAll(r)
				if string(got) != "off" || err != nil {
					t.Errorf("read %q, %v", got, err)
				}
				if _, err := w.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
					t.Errorf("write behind the end: %v", err)
				}
				return nil
			})
		})
	}
}

func TestOpenPipeRefusesRegularFile(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	runMain(t, func(ctx context.Context) error {
		_, err := OpenPipe(f)
		if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "package file") {
			t.Errorf("open: %v", err)
		}
		return nil
	})
	if _, err := f.WriteString("untouched"); err != nil {
		t.Error(err)
	}
	if _, err := OpenPipe(f); !errors.Is(err, ErrNotTask) {
		t.Errorf("open off the loop: %v", err)
	}
}

func TestSocketPairIsANetConn(t *testing.T) {
	l, stop := background(t)
	defer stop()
	type ends struct{ a, b *Conn }
	mk := func() (a, b *Conn, err error) {
		x, err := SpawnThreadsafe(context.Background(), l, func(context.Context) (e ends, err error) {
			e.a, e.b, err = SocketPair()
			return e, err
		})
		if err != nil {
			return nil, nil, err
		}
		e, err := x.Await(context.Background())
		return e.a, e.b, err
	}
	t.Run("off", func(t *testing.T) {
		nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
			a, b, err := mk()
			return a, b, func() { a.Close(); b.Close() }, err
		})
	})
	t.Run("on", func(t *testing.T) {
		nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
			a, b, err := mk()
			return inLoop{a}, inLoop{b}, func() { inLoop{a}.Close(); inLoop{b}.Close() }, err
		})
	})
}

func TestLoopbackPairIsConnected(t *testing.T) {
	a, b, err := loopbackPair()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	defer b.Close()
	if a.LocalAddr().String() != b.RemoteAddr().String() || b.LocalAddr().String() != a.RemoteAddr().String() {
		t.Errorf("%v to %v, %v to %v", a.LocalAddr(), a.RemoteAddr(), b.LocalAddr(), b.RemoteAddr())
	}
}

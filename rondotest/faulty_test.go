package rondotest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/rondo-go/rondo"
)

func TestFaultyConnReadsShort(t *testing.T) {
	Run(t, func(ctx context.Context) {
		a, b := Pipe(t)
		f := NewFaultyConn(b, Faults{AtMost: 3}, Faults{})
		io.WriteString(a, "hello, world")
		p := make([]byte, 100)
		if n, err := f.Read(p); n != 3 || err != nil {
			t.Errorf("read %d, %v", n, err)
		}
		a.Close()
		if got, err := io.ReadAll(f); string(got) != "lo, world" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

func TestFaultyConnCuts(t *testing.T) {
	for _, c := range []struct {
		name    string
		reset   bool
		readErr error // of the faulty side
		peer    error // of the other's read, once it has all that came; nil: its end
		write   error
	}{
		{"end", false, nil, nil, syscall.EPIPE},
		{"reset", true, syscall.ECONNRESET, syscall.ECONNRESET, syscall.ECONNRESET},
	} {
		t.Run("read/"+c.name, func(t *testing.T) {
			Run(t, func(ctx context.Context) {
				a, b := Pipe(t)
				f := NewFaultyConn(b, Faults{Cut: 5, Reset: c.reset}, Faults{})
				io.WriteString(a, "hello")
				got, err := io.ReadAll(f)
				if string(got) != "hello" || !errors.Is(err, c.readErr) {
					t.Errorf("got %q, %v", got, err)
				}
				if _, err := io.ReadAll(a); !errors.Is(err, c.peer) {
					t.Errorf("the peer: %v", err)
				}
			})
		})
		t.Run("write/"+c.name, func(t *testing.T) {
			Run(t, func(ctx context.Context) {
				a, b := Pipe(t)
				f := NewFaultyConn(b, Faults{}, Faults{Cut: 5, Reset: c.reset})
				n, err := io.WriteString(f, "hello, world")
				var oe *net.OpError
				if n != 5 || !errors.Is(err, c.write) || !errors.As(err, &oe) {
					t.Errorf("wrote %d, %v", n, err)
				}
				if _, err := io.ReadAll(a); !errors.Is(err, c.peer) {
					t.Errorf("the peer: %v", err)
				}
			})
		})
	}
	Run(t, func(ctx context.Context) {
		_, b := Pipe(t)
		if _, err := NewFaultyConn(b, Faults{Cut: -1}, Faults{}).Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("cut at once: %v", err)
		}
	})
}

func TestFaultyConnDelaysOnTheLoopsClock(t *testing.T) {
	Run(t, func(ctx context.Context) {
		a, b := Pipe(t)
		f := NewFaultyConn(b, Faults{}, Faults{Delay: time.Hour, AtMost: 2})
		from := rondo.RunningLoop().Time()
		io.WriteString(f, "hello")
		if d := rondo.RunningLoop().Time() - from; d < 3*time.Hour || d > 4*time.Hour {
			t.Errorf("took %v", d)
		}
		b.Close()
		if got, err := io.ReadAll(a); string(got) != "hello" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
		x := rondo.Spawn(ctx, func(context.Context) (int, error) { return f.Write([]byte("x")) })
		rondo.Sleep(ctx, time.Second)
		x.Cancel("")
		if _, err := x.Await(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("canceled: %v", err)
		}
	})
}

func TestProxyPassesAllThatItMay(t *testing.T) {
	big := bytes.Repeat([]byte("0123456789abcdef"), 20000)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Write(body)
	})
	test := func(t *testing.T, post func(addr string) ([]byte, error)) {
		s := NewServer(t, h)
		for _, f := range []Faults{{}, {AtMost: 1000}, {AtMost: 7000, Delay: time.Microsecond}} {
			got, err := post(NewProxy(t, s.Addr, f, f).Addr)
			if !bytes.Equal(got, big) || err != nil {
				t.Errorf("%+v: %d bytes, %v", f, len(got), err)
			}
		}
		for _, f := range []Faults{{Cut: 100000}, {Cut: 100000, Reset: true}} {
			if got, err := post(NewProxy(t, s.Addr, Faults{}, f).Addr); err == nil {
				t.Errorf("%+v: %d bytes, and no error", f, len(got))
			}
			if got, err := post(NewProxy(t, s.Addr, f, Faults{}).Addr); err == nil {
				t.Errorf("%+v to the server: %d bytes, and no error", f, len(got))
			}
		}
	}
	t.Run("goroutines", func(t *testing.T) {
		test(t, func(addr string) ([]byte, error) {
			tr := new(http.Transport)
			defer tr.CloseIdleConnections()
			r, err := (&http.Client{Transport: tr}).Post("http://"+addr, "text/plain", bytes.NewReader(big))
			if err != nil {
				return nil, err
			}
			defer r.Body.Close()
			return io.ReadAll(r.Body)
		})
	})
	t.Run("tasks", func(t *testing.T) {
		Run(t, func(ctx context.Context) {
			test(t, func(addr string) ([]byte, error) {
				c, err := rondo.Dial(ctx, "tcp", addr)
				if err != nil {
					return nil, err
				}
				defer c.Close()
				r, _ := http.NewRequest(http.MethodPost, "http://"+addr, bytes.NewReader(big))
				r.Close = true
				if err := r.Write(c); err != nil {
					return nil, err
				}
				answer, err := http.ReadResponse(bufio.NewReader(c), r)
				if err != nil {
					return nil, err
				}
				return io.ReadAll(answer.Body)
			})
		})
	})
}

package rondo

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"
)

func TestConnOptionsOnAndOffTheLoop(t *testing.T) {
	runMain(t, func(ctx context.Context) error {
		c, _, err := peer(t, ctx)
		if err != nil {
			return err
		}
		set := func() (int, error) {
			return 0, errors.Join(c.SetKeepAlive(false), c.SetKeepAlive(true), c.SetKeepAlivePeriod(time.Minute),
				c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true}), c.SetNoDelay(false), c.SetNoDelay(true),
				c.SetLinger(1), c.SetLinger(-1), c.SetReadBuffer(64<<10), c.SetWriteBuffer(64<<10))
		}
		if _, err := set(); err != nil {
			t.Error(err)
		}
		if _, err := ToThread(ctx, set); err != nil {
			t.Errorf("off the loop: %v", err)
		}
		c.Close()
		for _, err := range []error{c.SetKeepAlive(true), c.SetNoDelay(true), c.SetLinger(0), c.SetReadBuffer(1), c.SetWriteBuffer(1)} {
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("of a closed connection: %v", err)
			}
		}
		return nil
	})
}

func TestConnSetLingerResets(t *testing.T) {
	runMain(t, func(ctx context.Context) error {
		c, other, err := peer(t, ctx)
		if err != nil {
			return err
		}
		if err := c.SetLinger(0); err != nil {
			return err
		}
		c.Close()
		if _, err := other.Read(make([]byte, 1)); err == nil || err == io.EOF {
			t.Errorf("the peer read %v, want a reset", err)
		}
		return nil
	})
}

func TestConnSyscallConn(t *testing.T) {
	runMain(t, func(ctx context.Context) error {
		c, other, err := peer(t, ctx)
		if err != nil {
			return err
		}
		rc, err := c.SyscallConn()
		if err != nil {
			return err
		}
		control := func() (called int, err error) {
			err = rc.Control(func(uintptr) { called++ })
			return called, err
		}
		if n, err := control(); n != 1 || err != nil {
			t.Errorf("control: %d, %v", n, err)
		}
		if n, err := ToThread(ctx, control); n != 1 || err != nil {
			t.Errorf("control off the loop: %d, %v", n, err)
		}
		if c.loop.k.Poller().Name() == "portable" {
			if err := rc.Read(func(uintptr) bool { return true }); !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("raw read: %v", err)
			}
			return c.Close()
		}
		// A raw read parks until there is something.
		calls := 0
		reader := Spawn(ctx, func(context.Context) (int, error) {
			return calls, rc.Read(func(uintptr) bool { calls++; return calls > 2 })
		})
		for range 2 {
			Sleep(ctx, time.Millisecond) // real, so that the edge arrives
			other.Write([]byte("x"))
		}
		if _, err := reader.Await(ctx); err != nil || calls < 3 {
			t.Errorf("raw read: %d calls, %v", calls, err)
		}
		if err := rc.Write(func(uintptr) bool { return true }); err != nil {
			t.Errorf("raw write: %v", err)
		}
		// Off the loop it blocks.
		_, err = ToThread(ctx, func() (int, error) { return 0, rc.Read(func(uintptr) bool { return true }) })
		if err != nil {
			t.Errorf("raw read off the loop: %v", err)
		}
		// The cancellation of one that waits.
		reader = Spawn(ctx, func(context.Context) (int, error) { return 0, rc.Read(func(uintptr) bool { return false }) })
		Sleep(ctx, 0)
		reader.Cancel("enough")
		if _, err := reader.Await(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("raw read: %v", err)
		}
		c.Close()
		if err := rc.Control(func(uintptr) {}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("control when closed: %v", err)
		}
		if _, err := c.SyscallConn(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("closed: %v", err)
		}
		return nil
	})
}

var _ syscall.Conn = (*Conn)(nil)

func TestConnWriteBuffersConsumes(t *testing.T) {
	for _, where := range []string{"on", "off"} {
		t.Run(where, func(t *testing.T) {
			runMain(t, func(ctx context.Context) error {
				c, other, err := peer(t, ctx)
				if err != nil {
					return err
				}
				got := collected(ctx, other)
				var bufs net.Buffers
				var want []byte
				for i := range 5000 {
					b := bytes.Repeat([]byte{byte(i)}, i%700)
					bufs, want = append(bufs, b), append(want, b...)
				}
				write := func() (int64, error) { return c.WriteBuffers(&bufs) }
				var n int64
				if where == "on" {
					n, err = write()
				} else {
					n, err = ToThread(ctx, write)
				}
				if n != int64(len(want)) || err != nil || len(bufs) != 0 {
					t.Errorf("wrote %d of %d, %v; %d buffers are left", n, len(want), err, len(bufs))
				}
				if n, err := write(); n != 0 || where == "on" && err != nil {
					t.Errorf("of nothing: %d, %v", n, err)
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

func TestConnWriteBuffersCanceledKeepsTheRest(t *testing.T) {
	runMain(t, func(ctx context.Context) error {
		c, other, err := peer(t, ctx)
		if err != nil {
			return err
		}
		want := pattern(32 << 20)
		var bufs net.Buffers
		for p := want; len(p) > 0; p = p[64<<10:] {
			bufs = append(bufs, p[:64<<10])
		}
		var n int64
		task := Spawn(ctx, func(context.Context) (int64, error) {
			var err error
			n, err = c.WriteBuffers(&bufs)
			return n, err
		})
		Sleep(ctx, 20*time.Millisecond) // real, until the socket is full
		task.Cancel("enough")
		if _, err := task.Await(ctx); !errors.Is(err, context.Canceled) || n == 0 {
			t.Errorf("wrote %d, %v", n, err)
		}
		got := collected(ctx, other)
		if k, err := c.WriteBuffers(&bufs); k != int64(len(want))-n || err != nil {
			t.Errorf("the rest: %d, %v", k, err)
		}
		c.Close()
		if p, err := got.Await(ctx); err != nil || !bytes.Equal(p, want) {
			t.Errorf("%d bytes came, or others: %v", len(p), err)
		}
		return nil
	})
}

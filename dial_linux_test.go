package rondo

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// probes are a connection's settings for probing a silent peer, in seconds.
type probes struct{ on, idle, interval, count int }

func probesOf(t *testing.T, c syscall.Conn) (p probes) {
	t.Helper()
	rc, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = rc.Control(func(fd uintptr) {
		get := func(level, name int) int {
			n, err := syscall.GetsockoptInt(int(fd), level, name)
			if err != nil {
				t.Error(err)
			}
			return n
		}
		p.on = get(syscall.SOL_SOCKET, syscall.SO_KEEPALIVE)
		if p.on == 1 {
			p.idle = get(syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE)
			p.interval = get(syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL)
			p.count = get(syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The same options mean the same as with package net.
func TestDialerKeepAliveIsThatOfNet(t *testing.T) {
	for name, o := range map[string]struct {
		d time.Duration
		c net.KeepAliveConfig
	}{
		"default":  {},
		"off":      {d: -1},
		"idle":     {d: 42 * time.Second},
		"config":   {c: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 6 * time.Second, Count: 7}},
		"partly":   {c: net.KeepAliveConfig{Enable: true, Count: 3}},
		"negative": {c: net.KeepAliveConfig{Enable: true, Idle: -1, Interval: -1, Count: -1}},
		"both":     {d: -1, c: net.KeepAliveConfig{Enable: true, Idle: 9 * time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			runMain(t, func(ctx context.Context) error {
				nl, err := (&net.ListenConfig{KeepAlive: o.d, KeepAliveConfig: o.c}).Listen(ctx, "tcp4", "127.0.0.1:0")
				if err != nil {
					return err
				}
				defer nl.Close()
				nc, err := (&net.Dialer{KeepAlive: o.d, KeepAliveConfig: o.c}).DialContext(ctx, "tcp4", nl.Addr().String())
				if err != nil {
					return err
				}
				defer nc.Close()
				want := probesOf(t, nc.(*net.TCPConn))

				l, err := (&ListenConfig{KeepAlive: o.d, KeepAliveConfig: o.c}).Listen(ctx, "tcp4", "127.0.0.1:0")
				if err != nil {
					return err
				}
				defer l.Close()
				c, err := (&Dialer{KeepAlive: o.d, KeepAliveConfig: o.c}).Dial(ctx, "tcp4", l.Addr().String())
				if err != nil {
					return err
				}
				defer c.Close()
				a, err := l.Accept()
				if err != nil {
					return err
				}
				defer a.Close()
				if got := probesOf(t, c); got != want {
					t.Errorf("dialed: %+v, want %+v", got, want)
				}
				if got := probesOf(t, a.(*Conn)); got != want {
					t.Errorf("accepted: %+v, want %+v", got, want)
				}
				return nil
			})
		})
	}
}

func TestDialerControlSetsOptions(t *testing.T) {
	runMain(t, func(ctx context.Context) error {
		type key struct{}
		ctx = context.WithValue(ctx, key{}, "value")
		control := func(ctx context.Context, network, address string, c syscall.RawConn) error {
			if ctx.Value(key{}) != "value" || network != "tcp4" || !strings.HasPrefix(address, "127.0.0.1:") {
				t.Errorf("called with %v, %s, %s", ctx, network, address)
			}
			return c.Control(func(fd uintptr) {
				if err := syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, syscall.IP_TOS, 0x10); err != nil {
					t.Error(err)
				}
			})
		}
		l, err := (&ListenConfig{Control: control}).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer l.Close()
		c, err := (&Dialer{Control: control}).Dial(ctx, "tcp", l.Addr().String())
		if err != nil {
			return err
		}
		defer c.Close()
		rc, err := c.SyscallConn()
		if err != nil {
			return err
		}
		rc.Control(func(fd uintptr) {
			if n, err := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_IP, syscall.IP_TOS); n != 0x10 || err != nil {
				t.Errorf("IP_TOS is %d, %v", n, err)
			}
		})
		no := errors.New("no")
		_, err = (&Dialer{Control: func(context.Context, string, string, syscall.RawConn) error { return no }}).Dial(ctx, "tcp", l.Addr().String())
		if oe := new(net.OpError); !errors.Is(err, no) || !errors.As(err, &oe) || oe.Op != "dial" {
			t.Errorf("error %v", err)
		}
		return nil
	})
}

// A backlog of 1 takes two: listen(2) counts what is more than that.
func TestListenConfigBacklog(t *testing.T) {
	runMain(t, func(ctx context.Context) error {
		l, err := (&ListenConfig{Backlog: 1}).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer l.Close()
		d := Dialer{Timeout: 100 * time.Millisecond} // real: the third gets no answer
		for i := range 3 {
			c, err := d.Dial(ctx, "tcp", l.Addr().String())
			if (err == nil) != (i < 2) {
				t.Errorf("connection %d: %v", i+1, err)
			}
			if err == nil {
				defer c.Close()
			}
		}
		return nil
	})
}

// A server listens with the options that it was given, on each loop.
func TestServerListensWithItsConfig(t *testing.T) {
	var calls atomic.Int32
	cfg := ListenConfig{Control: func(context.Context, string, string, syscall.RawConn) error {
		calls.Add(1)
		return nil
	}}
	err := Run(func(ctx context.Context) error {
		s := NewServer(func(context.Context, *Conn) error { return nil }, WithListenConfig(cfg))
		err := s.ListenAndServe(ctx, "tcp", "127.0.0.1:0", func(net.Addr) { s.Close() })
		if !errors.Is(err, ErrServerClosed) {
			t.Error(err)
		}
		return nil
	}, WithoutSignals(), WithLoops(2))
	if n := calls.Load(); n != 2 || err != nil {
		t.Errorf("%d sockets were told of, %v", n, err)
	}
}

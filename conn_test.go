package rondo

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/nettest"
)

// inLoop runs the calls of a Conn that come from any goroutine as tasks on its
// loop, so that nettest's goroutines test the loop's side.
type inLoop struct{ *Conn }

func call[T any](c inLoop, fn func() (T, error)) (T, error) {
	x, err := SpawnThreadsafe(context.Background(), c.loop, func(context.Context) (T, error) { return fn() })
	if err != nil {
		var zero T
		return zero, err
	}
	return x.Await(context.Background())
}

func (c inLoop) Read(p []byte) (int, error) {
	return call(c, func() (int, error) { return c.Conn.Read(p) })
}
func (c inLoop) Write(p []byte) (int, error) {
	return call(c, func() (int, error) { return c.Conn.Write(p) })
}
func (c inLoop) Close() error {
	_, err := call(c, func() (int, error) { return 0, c.Conn.Close() })
	return err
}

// background runs a loop on a goroutine of its own until stop is called.
func background(t testing.TB) (l *Loop, stop func()) {
	t.Helper()
	up := make(chan *Loop)
	quit := NewFuture[int]()
	var wg sync.WaitGroup
	wg.Go(func() {
		err := Run(func(ctx context.Context) error {
			up <- RunningLoop()
			_, err := quit.Await(ctx)
			return err
		}, WithoutSignals())
		if err != nil {
			t.Errorf("loop: %v", err)
		}
	})
	return <-up, func() {
		quit.Set(0)
		wg.Wait()
	}
}

// pair makes two connected Conns on l.
func pair(l *Loop, network, address string) (a, b *Conn, err error) {
	type ends struct{ a, b *Conn }
	x, err := SpawnThreadsafe(context.Background(), l, func(ctx context.Context) (e ends, err error) {
		ln, err := Listen(ctx, network, address)
		if err != nil {
			return e, err
		}
		defer ln.Close()
		dialed := Spawn(ctx, func(ctx context.Context) (*Conn, error) {
			return Dial(ctx, network, ln.Addr().String())
		})
		c, err := ln.Accept()
		if err != nil {
			return e, err
		}
		e.b = c.(*Conn)
		e.a, err = dialed.Await(ctx)
		return e, err
	})
	if err != nil {
		return nil, nil, err
	}
	e, err := x.Await(context.Background())
	return e.a, e.b, err
}

func TestConnIsANetConn(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		address := func(t *testing.T) string {
			if network == "unix" {
				return t.TempDir() + "/s"
			}
			return "127.0.0.1:0"
		}
		t.Run(network+"/off", func(t *testing.T) {
			l, stop := background(t)
			defer stop()
			nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
				a, b, err := pair(l, network, address(t))
				return a, b, func() { a.Close(); b.Close() }, err
			})
		})
		t.Run(network+"/on", func(t *testing.T) {
			l, stop := background(t)
			defer stop()
			nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
				a, b, err := pair(l, network, address(t))
				return inLoop{a}, inLoop{b}, func() { inLoop{a}.Close(); inLoop{b}.Close() }, err
			})
		})
		t.Run(network+"/mixed", func(t *testing.T) {
			l, stop := background(t)
			defer stop()
			nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
				a, b, err := pair(l, network, address(t))
				return inLoop{a}, b, func() { inLoop{a}.Close(); b.Close() }, err
			})
		})
	}
}

func TestConnReadDeadlineParks(t *testing.T) {
	l, stop := background(t)
	defer stop()
	a, b, err := pair(l, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	a.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	_, err = inLoop{a}.Read(make([]byte, 1))
	if ne, ok := err.(net.Error); !ok || !ne.Timeout() {
		t.Errorf("read after the deadline: %v", err)
	}
}

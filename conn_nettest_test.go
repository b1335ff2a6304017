package rondo

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/nettest"
)

// whollyInLoop is an inLoop whose deadlines are set by tasks too.
type whollyInLoop struct{ inLoop }

func (c whollyInLoop) SetDeadline(t time.Time) error {
	_, err := call(c.inLoop, func() (int, error) { return 0, c.Conn.SetDeadline(t) })
	return err
}
func (c whollyInLoop) SetReadDeadline(t time.Time) error {
	_, err := call(c.inLoop, func() (int, error) { return 0, c.Conn.SetReadDeadline(t) })
	return err
}
func (c whollyInLoop) SetWriteDeadline(t time.Time) error {
	_, err := call(c.inLoop, func() (int, error) { return 0, c.Conn.SetWriteDeadline(t) })
	return err
}

func TestConnIsANetConnForTasksAlone(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			l, stop := background(t)
			defer stop()
			nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
				address := "127.0.0.1:0"
				if network == "unix" {
					address = t.TempDir() + "/s"
				}
				a, b, err := pair(l, network, address)
				x, y := whollyInLoop{inLoop{a}}, whollyInLoop{inLoop{b}}
				return x, y, func() { x.Close(); y.Close() }, err
			})
		})
	}
}

// lateInLoop is a lateConn that tasks read and write.
type lateInLoop struct{ *lateConn }

func lateCall(c lateInLoop, fn func() (int, error)) (int, error) {
	x, err := SpawnThreadsafe(context.Background(), c.loop, func(context.Context) (int, error) { return fn() })
	if err != nil {
		return 0, err
	}
	return x.Await(context.Background())
}

func (c lateInLoop) Read(p []byte) (int, error) {
	return lateCall(c, func() (int, error) { return c.lateConn.Read(p) })
}
func (c lateInLoop) Write(p []byte) (int, error) {
	return lateCall(c, func() (int, error) { return c.lateConn.Write(p) })
}

// latePair makes a connection by Loop.DialContext off the loop. Its other end is package net's.
func latePair(t testing.TB, l *Loop) (*lateConn, net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := l.DialContext(context.Background(), "tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	peer, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return c.(*lateConn), peer
}

func TestLoopDialContextMakesANetConn(t *testing.T) {
	for _, where := range []string{"off", "on"} {
		t.Run(where, func(t *testing.T) {
			l, stop := background(t)
			defer stop()
			nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
				c, peer := latePair(t, l)
				end := func() { c.Close(); peer.Close() }
				if where == "on" {
					return lateInLoop{c}, peer, end, nil
				}
				return c, peer, end, nil
			})
		})
	}
}

// A goroutine that reads goes on when a task has written, and so has the loop take the connection over.
func TestLoopDialContextKeepsReadInProgress(t *testing.T) {
	l, stop := background(t)
	defer stop()
	c, peer := latePair(t, l)
	defer c.Close()
	defer peer.Close()
	var wg sync.WaitGroup
	got := make([]byte, 5)
	reading := make(chan struct{})
	var rerr error
	wg.Go(func() {
		close(reading)
		_, rerr = io.ReadFull(c, got)
	})
	<-reading
	for range 100 {
		if n, err := (lateInLoop{c}).Write([]byte("x")); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	if _, err := io.ReadFull(peer, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	for i := range 5 { // the first bytes end the read on what was first, the others come by the loop's
		if _, err := peer.Write([]byte{byte('a' + i)}); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	if string(got) != "abcde" || rerr != nil {
		t.Errorf("read %q, %v", got, rerr)
	}
	if c.conn.Load() == nil {
		t.Error("the loop has not taken the connection over")
	}
}

func TestLoopDialContextCarriesDeadlinesOver(t *testing.T) {
	l, stop := background(t)
	defer stop()
	c, peer := latePair(t, l)
	defer c.Close()
	defer peer.Close()
	c.SetReadDeadline(time.Unix(1, 0))
	_, err := lateInLoop{c}.Read(make([]byte, 1))
	if ne, ok := err.(net.Error); !ok || !ne.Timeout() {
		t.Errorf("read after the deadline: %v", err)
	}
	c.SetDeadline(time.Time{})
	if _, err := (lateInLoop{c}).Write([]byte("x")); err != nil {
		t.Error(err)
	}
}

func TestLoopDialContextBelongsToOneLoop(t *testing.T) {
	l, stop := background(t)
	defer stop()
	c, peer := latePair(t, l)
	defer peer.Close()
	err := Run(func(ctx context.Context) error {
		if _, err := l.DialContext(ctx, "tcp", peer.LocalAddr().String()); !errors.Is(err, ErrOtherLoop) {
			t.Errorf("dial on another loop: %v", err)
		}
		if _, err := c.Write([]byte("x")); !errors.Is(err, ErrOtherLoop) {
			t.Errorf("write on another loop: %v", err)
		}
		return nil
	}, WithoutSignals())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	for _, err := range []error{c.Close(), func() error { _, err := c.Read(make([]byte, 1)); return err }(),
		func() error { _, err := lateInLoop{c}.Read(make([]byte, 1)); return err }()} {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("after close: %v", err)
		}
	}
}

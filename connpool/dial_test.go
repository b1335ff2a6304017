package connpool_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/connpool"
)

// dial connects to a server that serve is.
func dial(t *testing.T, ctx context.Context, serve func(c net.Conn)) net.Conn {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	accepted := make(chan struct{})
	go func() {
		c, err := ln.Accept()
		close(accepted)
		if err == nil {
			serve(c)
			c.Close()
		}
	}()
	c, err := connpool.DialContext(ctx, "tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	<-accepted
	return c
}

// The server writes all before it reads anything, and so does the client.
func TestDialContextReadsWhileAWriteIsStuck(t *testing.T) {
	const size = 32 << 20 // more than the system's buffers take
	err := rondo.Run(func(ctx context.Context) error {
		up, down := bytes.Repeat([]byte("0123456789"), size/10), bytes.Repeat([]byte("abcdefghijk"), size/11)
		same := make(chan bool, 1)
		c := dial(t, ctx, func(c net.Conn) {
			c.Write(down)
			got, err := io.ReadAll(c)
			same <- err == nil && bytes.Equal(got, up)
		})
		defer c.Close()
		if n, err := c.Write(up); n != len(up) || err != nil {
			t.Errorf("wrote %d, %v", n, err)
		}
		c.(interface{ CloseWrite() error }).CloseWrite()
		got, err := io.ReadAll(c)
		if err != nil || !bytes.Equal(got, down) {
			t.Errorf("read %d of %d bytes, %v", len(got), len(down), err)
		}
		if !<-same {
			t.Error("the server read something else")
		}
		return nil
	}, rondo.WithoutSignals())
	if err != nil {
		t.Fatal(err)
	}
}

func TestDialContextLeavesACanceledWrite(t *testing.T) {
	err := rondo.Run(func(ctx context.Context) error {
		quit := make(chan struct{})
		defer close(quit)
		c := dial(t, ctx, func(c net.Conn) {
			c.Write([]byte("hello"))
			<-quit
		})
		defer c.Close()
		x := rondo.Spawn(ctx, func(ctx context.Context) (int, error) { return c.Write(make([]byte, 64<<20)) })
		// Real time, that of the kernel's buffers: the write is stuck by then, and the other task has read.
		if err := rondo.Sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
		x.Cancel("")
		if _, err := x.Await(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("write: %v", err)
		}
		p := make([]byte, 5)
		if _, err := io.ReadFull(c, p); err != nil || string(p) != "hello" {
			t.Errorf("read %q, %v", p, err)
		}
		return nil
	}, rondo.WithoutSignals())
	if err != nil {
		t.Fatal(err)
	}
}

func TestDialContextKeepsTheEndForTheReader(t *testing.T) {
	err := rondo.Run(func(ctx context.Context) error {
		quit := make(chan struct{})
		c := dial(t, ctx, func(c net.Conn) {
			c.Write([]byte("bye"))
			c.(*net.TCPConn).CloseWrite()
			time.Sleep(50 * time.Millisecond) // so that the client's write is stuck for real
			io.Copy(io.Discard, c)
			<-quit
		})
		defer c.Close()
		defer close(quit)
		if _, err := c.Write(make([]byte, 16<<20)); err != nil {
			return err
		}
		got, err := io.ReadAll(c)
		if string(got) != "bye" || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
		return nil
	}, rondo.WithoutSignals())
	if err != nil {
		t.Fatal(err)
	}
}

func TestDialContextLetsGoroutinesReadTheirAnswersAlone(t *testing.T) {
	err := rondo.Run(func(ctx context.Context) error {
		c := dial(t, ctx, func(c net.Conn) { io.Copy(c, c) })
		defer c.Close()
		if _, err := c.Write([]byte("echo")); err != nil {
			return err
		}
		_, err := rondo.ToThread(ctx, func() (int, error) {
			p := make([]byte, 4)
			_, err := c.Read(p)
			if ne, ok := err.(net.Error); !errors.Is(err, connpool.ErrAskedByTask) || !errors.Is(err, os.ErrDeadlineExceeded) || !ok || !ne.Timeout() {
				t.Errorf("read of a task's answer: %v", err)
			}
			return 0, nil
		})
		p := make([]byte, 4)
		if _, err := io.ReadFull(c, p); err != nil || string(p) != "echo" {
			t.Errorf("read %q, %v", p, err)
		}
		if err != nil {
			return err
		}
		_, err = rondo.ToThread(ctx, func() (int, error) {
			if _, err := c.Write([]byte("back")); err != nil {
				return 0, err
			}
			return io.ReadFull(c, p)
		})
		if string(p) != "back" {
			t.Errorf("read %q", p)
		}
		return err
	}, rondo.WithoutSignals())
	if err != nil {
		t.Fatal(err)
	}
	if c, err := connpool.DialContext(t.Context(), "tcp", "127.0.0.1:1"); err == nil {
		c.Close()
		t.Error("somebody listens at port 1")
	}
}

package rondotls

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/rondo-go/rondo"
)

var dev = sync.OnceValue(func() *DevCertificate {
	d, err := SelfSigned("localhost", "127.0.0.1", "example.test")
	if err != nil {
		panic(err)
	}
	return d
})

func serverConfig(t testing.TB, opts ...Option) *tls.Config {
	t.Helper()
	cfg, err := ServerConfig("", "", append([]Option{WithKeyPair(dev().Certificate)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func clientConfig(t testing.TB, opts ...Option) *tls.Config {
	t.Helper()
	cfg, err := ClientConfig(append([]Option{WithRoots(dev().Roots), WithServerName("localhost")}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// run runs main on a loop of its own.
func run(t testing.TB, main func(ctx context.Context) error) {
	t.Helper()
	if err := rondo.Run(main, rondo.WithoutSignals()); err != nil {
		t.Error(err)
	}
}

// startLoop runs a loop until the end of the test.
func startLoop(t testing.TB) *rondo.Loop {
	t.Helper()
	started := make(chan *rondo.Loop)
	done := make(chan struct{})
	stop := rondo.NewFuture[struct{}]()
	go func() {
		defer close(done)
		err := rondo.Run(func(ctx context.Context) error {
			started <- rondo.RunningLoop()
			_, err := stop.Await(ctx)
			return err
		}, rondo.WithoutSignals(), rondo.WithExceptionHandler(func(r rondo.Report) { t.Errorf("report: %+v", r) }))
		if err != nil {
			t.Errorf("the loop: %v", err)
		}
	}()
	t.Cleanup(func() {
		stop.Set(struct{}{})
		<-done
	})
	return <-started
}

// do calls fn as a task of l.
func do[T any](l *rondo.Loop, fn func(ctx context.Context) (T, error)) (T, error) {
	task, err := rondo.SpawnThreadsafe(context.Background(), l, fn)
	if err != nil {
		var zero T
		return zero, err
	}
	return task.Await(context.Background())
}

// A taskConn is a connection each of whose calls is a task of the loop.
type taskConn struct {
	*Conn
	loop *rondo.Loop
}

func (c *taskConn) Read(p []byte) (int, error) {
	return do(c.loop, func(context.Context) (int, error) { return c.Conn.Read(p) })
}

func (c *taskConn) Write(p []byte) (int, error) {
	return do(c.loop, func(context.Context) (int, error) { return c.Conn.Write(p) })
}

func (c *taskConn) call(fn func() error) error {
	_, err := do(c.loop, func(context.Context) (struct{}, error) { return struct{}{}, fn() })
	return err
}

func (c *taskConn) Close() error { return c.call(c.Conn.Close) }
func (c *taskConn) SetDeadline(t time.Time) error {
	return c.call(func() error { return c.Conn.SetDeadline(t) })
}
func (c *taskConn) SetReadDeadline(t time.Time) error {
	return c.call(func() error { return c.Conn.SetReadDeadline(t) })
}
func (c *taskConn) SetWriteDeadline(t time.Time) error {
	return c.call(func() error { return c.Conn.SetWriteDeadline(t) })
}

// pair makes a connection on the running loop, handshake done.
func pair(ctx context.Context, client, server *tls.Config, opts ...ConnOption) (c, s *Conn, err error) {
	ln, err := rondo.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer ln.Close()
	err = rondo.WithGroup(ctx, func(g *rondo.Group) error {
		g.Go(func(ctx context.Context) error {
			raw, err := ln.Accept()
			if err == nil {
				s, err = Server(ctx, raw, server, opts...)
			}
			return err
		})
		g.Go(func(ctx context.Context) error {
			raw, err := rondo.Dial(ctx, "tcp", ln.Addr().String())
			if err == nil {
				c, err = Client(ctx, raw, client, opts...)
			}
			return err
		})
		return nil
	})
	return c, s, err
}

// withPair calls fn with both ends of a connection.
func withPair(t testing.TB, fn func(ctx context.Context, c, s *Conn) error, opts ...ConnOption) {
	t.Helper()
	client, server := clientConfig(t), serverConfig(t)
	run(t, func(ctx context.Context) error {
		c, s, err := pair(ctx, client, server, opts...)
		if err != nil {
			return err
		}
		defer s.Close()
		defer c.Close()
		return fn(ctx, c, s)
	})
}

// echo serves each connection of ln until it is closed.
func echo(ctx context.Context, ln net.Listener) error {
	for {
		c, err := ln.Accept()
		if err != nil {
			return nil
		}
		rondo.Spawn(ctx, func(context.Context) (struct{}, error) {
			defer c.Close()
			io.Copy(c, c)
			return struct{}{}, nil
		})
	}
}

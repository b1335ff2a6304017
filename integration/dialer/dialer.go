// Package dialer makes connections of a loop that runs in the background. It is what the test suites of other
// libraries are given in place of net.Dialer, by an overlay.
package dialer

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"github.com/rondo-go/rondo"
)

// A Dialer stands in for a net.Dialer.
type Dialer struct {
	Timeout time.Duration
}

// background starts the loop, which runs until the process ends.
var background = sync.OnceValues(func() (*rondo.Loop, error) {
	// Who runs a suite wants to know that it went this way.
	if name := os.Getenv("RONDO_DIALER_MARK"); name != "" {
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			return nil, err
		}
	}
	l, err := rondo.NewLoop()
	if err == nil {
		go l.RunForever()
	}
	return l, err
})

// DialContext connects by a task of the loop, and ends that if ctx is done. The connection is then used off the loop,
// as it is; or with RONDO_DIALER=tasks on it: each call is made by a task.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	l, err := background()
	if err != nil {
		return nil, err
	}
	x, err := rondo.SpawnThreadsafe(context.Background(), l, func(context.Context) (*rondo.Conn, error) {
		c, err := (&rondo.Dialer{Timeout: d.Timeout}).Dial(ctx, network, address)
		if err != nil && ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
			err = &net.OpError{Op: "dial", Net: network, Err: ctx.Err()}
		}
		return c, err
	})
	if err != nil {
		return nil, err
	}
	c, err := x.Await(context.Background()) // it ends when ctx does
	if err != nil {
		return nil, err
	}
	if os.Getenv("RONDO_DIALER") == "tasks" {
		return byTasks{c, l}, nil
	}
	return c, nil
}

// byTasks has each call that can park made by a task of the connection's loop.
type byTasks struct {
	*rondo.Conn
	loop *rondo.Loop
}

func (c byTasks) do(fn func() (int, error)) (int, error) {
	x, err := rondo.SpawnThreadsafe(context.Background(), c.loop, func(context.Context) (int, error) { return fn() })
	if err != nil {
		return 0, err
	}
	return x.Await(context.Background())
}

func (c byTasks) Read(p []byte) (int, error) {
	return c.do(func() (int, error) { return c.Conn.Read(p) })
}

func (c byTasks) Write(p []byte) (int, error) {
	return c.do(func() (int, error) { return c.Conn.Write(p) })
}

func (c byTasks) Close() error {
	_, err := c.do(func() (int, error) { return 0, c.Conn.Close() })
	return err
}

package connpool

import (
	"context"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/rondo-go/rondo"
)

// A client that only writes while its server does the same comes to a stop with
// it once all buffers are full. Database clients that pipeline guard against that:
// pgx has a goroutine read if a write takes 15 ms, and later waits for that
// goroutine where it should park. Here a task reads instead, and pgx's goroutine is
// told that it is out of time, upon which it leaves.
//
// A task can do it because a read that is canceled has consumed nothing.

// slow is how long a write may take until a task reads meanwhile.
const slow = 10 * time.Millisecond

// ErrAskedByTask is a timeout for those who ask, pgx's goroutine among them.
var ErrAskedByTask error = askedByTask{}

type askedByTask struct{}

func (askedByTask) Error() string {
	return "a goroutine reads the answer to what a task has asked (make the whole call off the loop)"
}
func (askedByTask) Timeout() bool        { return true }
func (askedByTask) Temporary() bool      { return true }
func (askedByTask) Is(target error) bool { return target == os.ErrDeadlineExceeded }

// DialContext is [rondo.DialContext] for database clients such as pgx. While a
// task's write to the connection is stuck, a task of the connection's own reads
// what the server sends and keeps it for the next Read. Off the loop, a goroutine
// can read the answer to what was written there; the answer to what a task has
// written is for tasks, and Read fails with [ErrAskedByTask].
func DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if rondo.RunningLoop() == nil {
		return rondo.DialContext(ctx, network, address)
	}
	c, err := rondo.Dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &duplex{Conn: c, loop: rondo.RunningLoop()}, nil
}

// A duplex is a connection that goes on reading while it writes.
type duplex struct {
	*rondo.Conn
	loop    *rondo.Loop
	foreign atomic.Bool // the last write was off the loop

	// For tasks.
	kept     []byte // read while a write was stuck
	keptErr  error  // what came after kept
	enough   bool   // the write is done
	overtime *rondo.Task[struct{}]
}

func (c *duplex) Read(p []byte) (int, error) {
	switch {
	case rondo.RunningLoop() == nil:
		if !c.foreign.Load() {
			return 0, &net.OpError{Op: "read", Net: c.RemoteAddr().Network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: ErrAskedByTask}
		}
	case len(c.kept) > 0:
		n := copy(p, c.kept)
		if c.kept = c.kept[n:]; len(c.kept) == 0 {
			c.kept = nil
		}
		return n, nil
	case c.keptErr != nil:
		err := c.keptErr
		c.keptErr = nil
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c *duplex) Write(p []byte) (int, error) {
	if rondo.RunningLoop() == nil {
		c.foreign.Store(true)
		return c.Conn.Write(p)
	}
	c.foreign.Store(false)
	c.enough = false
	timer := c.loop.CallLater(slow, func() {
		c.overtime = rondo.Spawn(context.Background(), func(ctx context.Context) (struct{}, error) {
			c.readOn(ctx)
			return struct{}{}, nil
		})
	})
	n, err := c.Conn.Write(p)
	timer.Cancel()
	c.enough = true
	if x := c.overtime; x != nil {
		c.overtime = nil
		x.Cancel("")
		rondo.Cleanup(context.Background(), time.Minute, func(ctx context.Context) error {
			_, err := x.Await(ctx)
			return err
		})
	}
	return n, err
}

// readOn is the task that reads while a write is stuck. It does not keep the loop
// from others, however much there is.
func (c *duplex) readOn(ctx context.Context) {
	for !c.enough && c.keptErr == nil {
		p, err := c.Conn.Borrow()
		c.kept = append(c.kept, p...)
		if c.enough || err != nil && ctx.Err() != nil {
			return
		}
		if c.keptErr = err; err == nil {
			err = rondo.Sleep(ctx, 0)
		}
		if err != nil {
			return
		}
	}
}

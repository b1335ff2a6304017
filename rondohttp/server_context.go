package rondohttp

import (
	"context"
	"net/http"
	"sync"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/loop"
)

// A requestContext is the context of a request to a handler of net/http's. It is done when the handler
// has returned, the task is canceled, or the client has left. To notice the last, somebody has to
// read from the connection meanwhile; that begins when somebody first asks for Done.
type requestContext struct {
	context.Context // of the task
	v               *visit

	mu    sync.Mutex // guards what follows
	inner context.Context
	quit  context.CancelFunc
	over  bool
}

// live returns the context that does the work, made when it is first needed.
func (c *requestContext) live() context.Context {
	c.mu.Lock()
	inner, watch := c.inner, false
	if inner == nil {
		inner, c.quit = context.WithCancel(c.Context)
		c.inner = inner
		if watch = !c.over; !watch {
			c.quit()
		}
	}
	c.mu.Unlock()
	if watch {
		c.askWatch()
	}
	return inner
}

// askWatch begins to watch the client, on the loop, when its request has been read.
func (c *requestContext) askWatch() {
	k := c.v.shard.kernel
	if k.OnLoop() {
		c.startWatch()
		return
	}
	h := new(loop.Handle)
	h.Init(loop.Func(c.startWatch))
	k.Post(h)
}

// startWatch begins to watch the client, unless the handler has returned meanwhile.
func (c *requestContext) startWatch() {
	v := c.v
	if v.stream != nil {
		return // the connection tells
	}
	if v.watched != c || v.watcher != nil || v.taken || c.Err() != nil {
		return
	}
	if v.body.watch.Store(true); !v.body.ended.Load() {
		return
	}
	v.watcher = rondo.Spawn(context.Background(), func(context.Context) (struct{}, error) {
		for v.w < len(v.in) {
			n, _ := v.conn.Read(v.in[v.w:])
			v.w += n
			if n == 0 {
				if rondo.CurrentTask().Cancelling() == 0 {
					c.end()
				}
				return struct{}{}, nil
			}
		}
		return struct{}{}, nil
	})
}

// stopWatch ends the watching of the client. What it has read meanwhile is in the buffer.
func (v *visit) stopWatch() {
	x := v.watcher
	if x == nil {
		return
	}
	v.watcher = nil
	x.Cancel("")
	for !x.Done() {
		if _, err := x.Await(context.Background()); err != nil && !x.Done() {
			v.res.keep = false // this task has been canceled itself
		}
	}
}

// end makes c done.
func (c *requestContext) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	if c.quit != nil {
		c.quit()
	}
}

// Done implements [context.Context].
func (c *requestContext) Done() <-chan struct{} { return c.live().Done() }

// Err implements [context.Context].
func (c *requestContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.inner != nil:
		return c.inner.Err()
	case c.over:
		return context.Canceled
	}
	return c.Context.Err()
}

// Value implements [context.Context]. It knows [http.LocalAddrContextKey].
func (c *requestContext) Value(key any) any {
	if key == http.LocalAddrContextKey {
		return c.v.x.raw.LocalAddr()
	}
	c.mu.Lock()
	inner := c.inner
	c.mu.Unlock()
	if inner != nil {
		return inner.Value(key)
	}
	return c.Context.Value(key)
}

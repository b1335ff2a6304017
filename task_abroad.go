package rondo

import (
	"context"
	"sync"

	"github.com/rondo-go/rondo/loop"
)

// abroad is who waits, off a loop or on another one, for its tasks. Such a waiter counts
// from when it begins to wait: the task may end, and the loop look for errors that
// nobody wants, before its question has arrived.
type abroad struct {
	mu      sync.Mutex
	waiting map[*core]int
}

// add adds n to those who wait for c.
func (a *abroad) add(c *core, n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.waiting == nil {
		a.waiting = make(map[*core]int)
	}
	if a.waiting[c] += n; a.waiting[c] == 0 {
		delete(a.waiting, c)
	}
}

func (a *abroad) awaits(c *core) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.waiting[c] > 0
}

// awaitAbroad waits for a task of another loop than the caller's, if the caller has
// one: that loop tells when the task is done.
func (c *core) awaitAbroad(ctx context.Context, here *loop.Loop, t *loop.Task) error {
	if here != nil && t == nil {
		return ErrNotTask
	}
	l, a := c.k.Loop(), &c.runtime.abroad
	a.add(c, 1)
	told := make(chan struct{})
	parked := false // of here's thread
	wake := new(loop.Handle)
	wake.Init(loop.Func(func() {
		if parked { // else it has found out by itself
			t.Unpark()
		}
	}))
	tell := func() {
		close(told)
		if t != nil {
			here.Post(wake)
		}
	}
	ask := new(loop.Handle)
	ask.Init(loop.Func(func() {
		if c.k.Finished() {
			c.retrieved = true
			tell()
			return
		}
		h := new(loop.Handle)
		h.Init(loop.Func(func() {
			c.retrieved = true
			tell()
		}))
		c.k.Done.Add(l, h)
	}))
	closing := l.Post(ask) != nil
	if closing {
		go func() { // to whom the loop will not answer any more
			<-l.Over()
			tell()
		}()
	}
	if err := awaitTold(ctx, told, t, &parked); err != nil {
		a.add(c, -1)
		return err
	}
	if closing {
		// Its loop is closed, and has no use for the count any more.
		if !c.k.Finished() {
			return ErrClosed
		}
		return nil
	}
	a.add(c, -1)
	return nil
}

// awaitTold waits for told; of a task it says in parked that it is to be woken.
func awaitTold(ctx context.Context, told <-chan struct{}, t *loop.Task, parked *bool) error {
	if t == nil {
		select {
		case <-told:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	for {
		select {
		case <-told:
			return nil
		default:
		}
		*parked = true
		err := park(ctx, t, loop.AbortFunc(func() {}))
		*parked = false
		if err != nil {
			return err
		}
	}
}

package rondo

import (
	"context"
	"fmt"
	"math"

	"github.com/rondo-go/rondo/loop"
)

// A Condition is a [Lock] together with tasks that wait, without holding it, for
// a change of what it guards. It is asyncio's Condition.
//
// A Condition is for the tasks of one loop; elsewhere it fails with [ErrNotTask]
// or [ErrOtherLoop]. The zero Condition has a lock of its own and is ready for
// use. It must not be copied.
type Condition struct {
	own     Lock
	given   *Lock
	waiters loop.WaitList
}

// NewCondition returns a condition with the lock l, or one of its own if l is
// nil.
func NewCondition(l *Lock) *Condition { return &Condition{given: l} }

// Lock returns the condition's lock.
func (c *Condition) Lock() *Lock {
	if c.given != nil {
		return c.given
	}
	return &c.own
}

// Acquire takes the lock: see [Lock.Acquire].
func (c *Condition) Acquire(ctx context.Context) error { return c.Lock().Acquire(ctx) }

// TryAcquire takes the lock if that is possible at once.
func (c *Condition) TryAcquire() bool { return c.Lock().TryAcquire() }

// Release gives the lock back: see [Lock.Release].
func (c *Condition) Release() error { return c.Lock().Release() }

// Locked says whether the lock is held. It is for the loop's thread.
func (c *Condition) Locked() bool { return c.Lock().Locked() }

// With calls fn while it holds the lock: see [Lock.With].
func (c *Condition) With(ctx context.Context, fn func() error) error {
	return c.Lock().With(ctx, fn)
}

// Wait releases the lock, parks until it is notified, and takes the lock again.
// It takes it whatever happens: if the task is canceled, Wait returns only when
// it holds the lock, and has passed on a notification that it may have got.
//
// A notification says that something changed, not what: see WaitFor.
//
// Errors: [ErrNotLocked]; those of [Sleep]; [ErrOtherLoop].
func (c *Condition) Wait(ctx context.Context) error {
	l := c.Lock()
	t, err := l.enter(ctx)
	if err == nil && !l.locked {
		err = ErrNotLocked
	}
	if err != nil {
		return fmt.Errorf("wait for condition: %w", err)
	}
	stop, err := under(ctx, t)
	if err != nil {
		return err
	}
	l.release()
	w := t.Waiter()
	c.waiters.Add(w)
	err = t.Park(w)
	if stop != nil {
		stop()
	}
	if !w.Granted() {
		c.waiters.Remove(w)
	}
	for {
		again := l.retake(t)
		if again == nil {
			break
		}
		err = again
	}
	if err != nil {
		grantFirst(&c.waiters, t.Loop())
	}
	return err
}

// WaitFor waits until pred, which is called with the lock held, is true. If it
// is at once, nothing parks.
//
// Errors: those of Wait.
func (c *Condition) WaitFor(ctx context.Context, pred func() bool) error {
	for !pred() {
		if err := c.Wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Notify wakes the first n tasks that wait. They go on one by one, when they
// have the lock, which the caller holds and keeps. It never parks.
//
// Errors: [ErrNotLocked]; [ErrNotTask] or [ErrOtherLoop] off the condition's loop.
func (c *Condition) Notify(n int) error {
	l := c.Lock()
	err := l.check()
	if err == nil && !l.locked {
		err = ErrNotLocked
	}
	if err != nil {
		return fmt.Errorf("notify condition: %w", err)
	}
	grantSome(&c.waiters, l.home.Load(), n)
	return nil
}

// NotifyAll wakes all tasks that wait: see Notify.
func (c *Condition) NotifyAll() error { return c.Notify(math.MaxInt) }

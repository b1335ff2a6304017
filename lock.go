package rondo

import (
	"context"
	"errors"
	"fmt"

	"github.com/rondo-go/rondo/loop"
)

// ErrNotLocked says that what was to be released, waited on or notified is not locked.
var ErrNotLocked = errors.New("rondo: not locked")

// A Lock is held by one task at a time, across parks. It passes to waiting tasks
// in the order in which they came: one that is released is free, but nobody can
// get in before the first that waits. It has no owner: any task of the loop may
// release it. It is asyncio's Lock.
//
// A Lock is for the tasks of one loop, the first that uses it; elsewhere it
// fails with [ErrNotTask] or [ErrOtherLoop]. The zero Lock is free and ready for
// use. It must not be copied.
type Lock struct {
	loopBound
	locked  bool
	waiters loop.WaitList
}

// NewLock returns a free lock.
func NewLock() *Lock { return new(Lock) }

// Locked says whether the lock is held. It is for the loop's thread.
func (l *Lock) Locked() bool { return l.locked }

// TryAcquire takes the lock if that is possible at once. It panics off the
// lock's loop.
func (l *Lock) TryAcquire() bool {
	l.must("Lock.TryAcquire")
	return l.take()
}

// Acquire takes the lock, parking until it is free and everybody who came
// before had it. If the task is canceled meanwhile, it does not hold the lock.
//
// Errors: those of [Sleep]; [ErrOtherLoop].
func (l *Lock) Acquire(ctx context.Context) error {
	t, err := l.enter(ctx)
	if err != nil {
		return fmt.Errorf("acquire lock: %w", err)
	}
	if l.take() {
		return nil
	}
	stop, err := under(ctx, t)
	if err != nil {
		return err
	}
	w := t.Waiter()
	l.waiters.Add(w)
	err = t.Park(w)
	if stop != nil {
		stop()
	}
	l.leave(w, err)
	return err
}

// Release gives the lock back. It never parks.
//
// Errors: [ErrNotLocked]; [ErrNotTask] or [ErrOtherLoop] off the lock's loop.
func (l *Lock) Release() error {
	if err := l.check(); err != nil {
		return fmt.Errorf("release lock: %w", err)
	}
	return l.release()
}

// With calls fn while it holds the lock, and releases it whatever happens.
//
// Errors: those of Acquire, of fn, and of Release.
func (l *Lock) With(ctx context.Context, fn func() error) error {
	if err := l.Acquire(ctx); err != nil {
		return err
	}
	return held(fn, l.release)
}

// take locks l if it is free and everybody who waits was canceled.
func (l *Lock) take() bool {
	// Only the first can have been woken.
	if w := l.waiters.First(); l.locked || w != nil && (!w.Canceled() || w.Next() != nil) {
		return false
	}
	l.locked = true
	return true
}

// retake is Acquire for a task that was let go and must hold l again: only
// cancellations can interrupt it.
func (l *Lock) retake(t *loop.Task) error {
	if l.take() {
		return nil
	}
	w := t.Waiter()
	l.waiters.Add(w)
	err := t.Park(w)
	l.leave(w, err)
	return err
}

func (l *Lock) release() error {
	if !l.locked {
		return fmt.Errorf("release lock: %w", ErrNotLocked)
	}
	l.locked = false
	l.wake()
	return nil
}

// wake tells the first that waits that it is its turn, unless it knows that or
// was canceled: then it will wake the next when it runs.
func (l *Lock) wake() {
	if w := l.waiters.First(); w != nil && w.Waiting() {
		w.Grant(l.home.Load())
	}
}

// leave ends a wait: it locks l, or if there was an error, sees that a lock that
// is free is not forgotten.
func (l *Lock) leave(w *loop.Waiter, err error) {
	l.waiters.Remove(w)
	if err == nil {
		l.locked = true
	} else if !l.locked {
		l.wake()
	}
}

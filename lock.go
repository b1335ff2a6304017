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
	locked      bool
	first, last *lockWaiter
	free        *lockWaiter // used ones, linked by next
}

// A lockWaiter is asyncio's future in a lock's list. It is not a [loop.Waiter],
// since who releases a lock looks at the first in the list only, also if that
// was canceled, and leaves it to that one to go on.
type lockWaiter struct {
	task       *loop.Task
	state      lockState
	prev, next *lockWaiter
}

type lockState uint8

const (
	lockPending lockState = iota
	lockGranted
	lockCanceled
)

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
	w := l.add(t)
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
	if l.locked {
		return false
	}
	for w := l.first; w != nil; w = w.next {
		if w.state != lockCanceled {
			return false
		}
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
	w := l.add(t)
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
	if w := l.first; w != nil && w.state == lockPending {
		w.state = lockGranted
		w.task.Unpark()
	}
}

// add appends t to those who wait.
func (l *Lock) add(t *loop.Task) *lockWaiter {
	w := l.free
	if w != nil {
		l.free = w.next
	} else {
		w = new(lockWaiter)
	}
	*w = lockWaiter{task: t, prev: l.last}
	if l.last != nil {
		l.last.next = w
	} else {
		l.first = w
	}
	l.last = w
	return w
}

// leave ends a wait: it locks l, or if there was an error, sees that a lock that
// is free is not forgotten.
func (l *Lock) leave(w *lockWaiter, err error) {
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		l.first = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		l.last = w.prev
	}
	*w = lockWaiter{next: l.free}
	l.free = w
	if err == nil {
		l.locked = true
	} else if !l.locked {
		l.wake()
	}
}

// Abort implements [loop.Aborter].
func (w *lockWaiter) Abort(*loop.Task, loop.Reason, error) loop.Verdict {
	if w.state != lockPending {
		return loop.Refused
	}
	w.state = lockCanceled
	return loop.Aborted
}

package rondo

import (
	"context"
	"sync"

	"github.com/rondo-go/rondo/loop"
)

// A Future is a result that is set later, once, from any goroutine. The zero
// Future is not done and ready for use. It must not be copied.
type Future[T any] struct {
	mu      sync.Mutex
	done    bool
	value   T
	err     error
	waiters []*futureWaiter
}

// NewFuture returns a future that is not done.
func NewFuture[T any]() *Future[T] { return new(Future[T]) }

type futureWaiter struct {
	task   *loop.Task    // parked on its loop
	ch     chan struct{} // or a goroutine
	call   *loop.Handle  // or a callback
	loop   *loop.Loop    // of call
	future interface {
		abort(*futureWaiter, loop.Reason, error) loop.Verdict
	}
}

// Set sets the result. It returns [ErrDone] if the future is done already.
func (f *Future[T]) Set(v T) error { return f.finish(v, nil) }

// Fail sets an error as the result; see Set.
func (f *Future[T]) Fail(err error) error {
	var zero T
	return f.finish(zero, err)
}

// Cancel makes the future done with a [CanceledError]. It returns false if it
// is done already.
func (f *Future[T]) Cancel(message string) bool {
	return f.Fail(loop.Canceled(message)) == nil
}

func (f *Future[T]) finish(v T, err error) error {
	here, _ := loop.Current()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done {
		return ErrDone
	}
	f.done, f.value, f.err = true, v, err
	for _, w := range f.waiters {
		w.wake(here)
	}
	f.waiters = nil
	return nil
}

func (w *futureWaiter) wake(here *loop.Loop) {
	l, h := w.loop, w.call
	switch {
	case w.ch != nil:
		close(w.ch)
		return
	case w.task != nil:
		l, h = w.task.Loop(), w.task.Step()
	}
	if l == here {
		l.Schedule(h)
	} else {
		l.Post(h)
	}
}

// Done says whether the result is set.
func (f *Future[T]) Done() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.done
}

// Result returns the result if it is set; else the error is [ErrNotDone].
func (f *Future[T]) Result() (T, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.done {
		var zero T
		return zero, ErrNotDone
	}
	return f.value, f.err
}

// OnDone schedules fn on the calling task's loop once the future is done: at
// once if it is done already, and always in the loop's next iteration, never
// directly. It panics off the loop.
func (f *Future[T]) OnDone(fn func()) {
	here, _ := loop.Current()
	if here == nil {
		panic("rondo: Future.OnDone off the loop")
	}
	h := loop.NewCallback(loop.Func(fn))
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done {
		here.Schedule(h)
		return
	}
	f.waiters = append(f.waiters, &futureWaiter{call: h, loop: here})
}

// Await parks the calling task until the future is done, and returns its
// result; if it is done already, at once. A caller that is canceled meanwhile
// cancels the future, as asyncio does; one whose context ends leaves it alone.
// On a goroutine off the loop, Await blocks it, and a done context leaves the
// future alone.
//
// Errors: that of the future; those of [Sleep].
func (f *Future[T]) Await(ctx context.Context) (T, error) {
	var zero T
	here, t := locate(ctx)
	f.mu.Lock()
	if f.done {
		defer f.mu.Unlock()
		return f.value, f.err
	}
	if here != nil && t == nil {
		f.mu.Unlock()
		return zero, ErrNotTask
	}
	w := &futureWaiter{task: t, future: f}
	if t == nil {
		w.ch = make(chan struct{})
	}
	f.waiters = append(f.waiters, w)
	f.mu.Unlock()
	var err error
	if t != nil {
		err = park(ctx, t, w)
	} else {
		select {
		case <-w.ch:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.remove(w)
		return zero, err
	}
	return f.value, f.err
}

func (f *Future[T]) remove(w *futureWaiter) bool {
	for i, x := range f.waiters {
		if x == w {
			f.waiters = append(f.waiters[:i], f.waiters[i+1:]...)
			return true
		}
	}
	return false
}

// Abort implements [loop.Aborter].
func (w *futureWaiter) Abort(_ *loop.Task, reason loop.Reason, err error) loop.Verdict {
	return w.future.abort(w, reason, err)
}

func (f *Future[T]) abort(w *futureWaiter, reason loop.Reason, err error) loop.Verdict {
	if reason == loop.Cancel {
		if f.Fail(loop.Canceled(message(err))) == nil {
			return loop.Passed
		}
		return loop.Refused
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.remove(w) {
		return loop.Aborted
	}
	return loop.Refused
}

package rondo

import (
	"context"
	"sync"

	"github.com/rondo-go/rondo/loop"
)

// A Waitable is something that will be done: a *[Task] or a *[Future] of any
// type.
type Waitable interface {
	// Done says whether it is done.
	Done() bool
	// Canceled says whether it is done and was canceled.
	Canceled() bool
	// Cancel asks for its end. It returns false if it is done already.
	Cancel(message string) bool
	// OnDone has fn called on the loop of the caller, in an iteration of its
	// own, once it is done; at the soonest in the loop's next iteration.
	OnDone(fn func()) *DoneCallback
	// Err returns its error once it is done, and nil before.
	Err() error

	waitable() waitable
}

// A waitable is what this package knows of a Waitable.
type waitable interface {
	// add has h scheduled on here, the loop of the caller, once it is done.
	add(here *loop.Loop, h *loop.Handle)
	// remove takes h out, and says whether it was there.
	remove(here *loop.Loop, h *loop.Handle) bool
	// outcome returns the error without counting as somebody who has seen it.
	outcome() error
}

// An Awaitable is a [Waitable] with a result.
type Awaitable[T any] interface {
	Waitable
	// Await parks until it is done, and returns its result.
	Await(ctx context.Context) (T, error)
	// Result returns the result if it is done, and else [ErrNotDone].
	Result() (T, error)
	// peek returns the result as outcome returns the error.
	peek() (T, error)
}

// A DoneCallback is a function to be called when something is done.
type DoneCallback struct {
	handle *loop.Handle
	of     waitable
	loop   *loop.Loop
}

// Remove takes the callback back, and says whether that was in time: whether it
// had not been scheduled yet. It is for the loop on which OnDone was called.
func (d *DoneCallback) Remove() bool { return d.of.remove(d.loop, d.handle) }

// Of says whether it is a callback of w.
func (d *DoneCallback) Of(w Waitable) bool { return d.of == w.waitable() }

func onDone(w waitable, fn func()) *DoneCallback {
	here, t := loop.Current()
	if here == nil {
		panic("rondo: OnDone off the loop")
	}
	d := &DoneCallback{callback(here, t, fn), w, here}
	w.add(here, d.handle)
	return d
}

// A Future is a result that is set later, once, from any goroutine. The zero
// Future is not done and ready for use. It must not be copied.
type Future[T any] struct {
	future
	value T
}

// A future is a Future without the type of its result.
type future struct {
	mu       sync.Mutex
	done     bool
	canceled bool
	looked   bool // somebody has asked for its result, or waits for it
	err      error
	waiters  []futureWaiter
	debug    *debugging // to be told of the first look, or nil
	// onCancel, if set, takes requests to cancel instead (of a gathering).
	onCancel func(message string) bool
}

// A futureWaiter is a handle on a loop, or a goroutine.
type futureWaiter struct {
	loop   *loop.Loop
	handle *loop.Handle
	ch     chan struct{}
}

// NewFuture returns a future that is not done.
func NewFuture[T any]() *Future[T] { return new(Future[T]) }

// Set sets the result. It returns [ErrDone] if the future is done already.
func (f *Future[T]) Set(v T) error {
	return f.finish(func() { f.value = v })
}

// Fail sets an error as the result; see Set.
func (f *future) Fail(err error) error {
	return f.finish(func() { f.err = err })
}

// Cancel makes the future done with a [CanceledError]. It returns false if it
// is done already.
func (f *future) Cancel(message string) bool {
	if f.onCancel != nil {
		return !f.Done() && f.onCancel(message)
	}
	return f.finish(func() { f.err, f.canceled = loop.Canceled(message), true }) == nil
}

func (f *future) finish(set func()) error {
	here, _ := loop.Current()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done {
		return ErrDone
	}
	set()
	f.done = true
	if f.err != nil && !f.looked && here != nil {
		noteFailed(here, f)
	}
	for _, w := range f.waiters {
		switch {
		case w.ch != nil:
			close(w.ch)
		case w.loop == here:
			here.Schedule(w.handle)
		default:
			w.loop.Post(w.handle)
		}
	}
	f.waiters = nil
	return nil
}

// Done says whether the future is done.
func (f *future) Done() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.done
}

// Canceled says whether the future was canceled.
func (f *future) Canceled() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.canceled
}

// look notes, under the lock, that somebody asks.
func (f *future) look() {
	f.looked = true
	if f.debug != nil {
		f.debug.forget(f)
		f.debug = nil
	}
}

// Err returns the future's error once it is done, and nil before.
func (f *future) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done {
		f.look()
	}
	return f.err
}

func (f *future) waitable() waitable { return f }

func (f *future) outcome() error { return f.Err() }

// OnDone has fn called on the loop of the caller, in an iteration of its own,
// once the future is done; at the soonest in the next iteration. It panics off
// the loop.
func (f *future) OnDone(fn func()) *DoneCallback { return onDone(f, fn) }

func (f *future) add(here *loop.Loop, h *loop.Handle) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.look()
	if f.done {
		here.Schedule(h)
		return
	}
	f.waiters = append(f.waiters, futureWaiter{loop: here, handle: h})
}

func (f *future) remove(_ *loop.Loop, h *loop.Handle) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, w := range f.waiters {
		if w.handle == h {
			f.waiters = append(f.waiters[:i], f.waiters[i+1:]...)
			return true
		}
	}
	return false
}

// Result returns the result if it is set, and else [ErrNotDone].
func (f *Future[T]) Result() (T, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.done {
		return f.value, ErrNotDone
	}
	f.look()
	return f.value, f.err
}

func (f *Future[T]) peek() (T, error) { return f.Result() }

// Await parks the calling task until the future is done, and returns its
// result; if it is done already, at once. A caller that is canceled meanwhile
// cancels the future, as asyncio does; one whose context ends leaves it alone.
// On a goroutine off the loop, Await blocks it, and a context that ends leaves
// the future alone.
//
// Errors: that of the future; those of [Sleep].
func (f *Future[T]) Await(ctx context.Context) (T, error) {
	here, t := locate(ctx)
	if !f.Done() {
		var err error
		switch {
		case here == nil:
			err = f.block(ctx)
		case t == nil:
			err = ErrNotTask
		default:
			f.add(here, t.Step())
			var stop func()
			if stop, err = under(ctx, t); err == nil {
				err = t.Park((*futureAborter)(&f.future))
			}
			if stop != nil {
				stop()
			}
			if err != nil {
				f.remove(here, t.Step())
				if isCancellation(err) && isCancellation(f.Err()) {
					err = nil // the future's own message goes first
				}
			}
		}
		if err != nil {
			var zero T
			return zero, err
		}
	}
	return f.Result()
}

// block blocks a goroutine off the loop until the future is done.
func (f *future) block(ctx context.Context) error {
	ch := make(chan struct{})
	f.mu.Lock()
	f.look()
	if f.done {
		f.mu.Unlock()
		return nil
	}
	f.waiters = append(f.waiters, futureWaiter{ch: ch})
	f.mu.Unlock()
	select {
	case <-ch:
		return nil
	case <-ctx.Done():
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, w := range f.waiters {
		if w.ch == ch {
			f.waiters = append(f.waiters[:i], f.waiters[i+1:]...)
			break
		}
	}
	return context.Cause(ctx)
}

// futureAborter is a future for the tasks that await it.
type futureAborter future

func (a *futureAborter) Abort(t *loop.Task, reason loop.Reason, err error) loop.Verdict {
	f := (*future)(a)
	if reason == loop.Leave {
		if f.remove(t.Loop(), t.Step()) {
			return loop.Aborted
		}
		return loop.Refused
	}
	if f.onCancel != nil {
		return coreOf(t).passOnTo(f, message(err))
	}
	if f.Cancel(message(err)) {
		return loop.Passed
	}
	return loop.Refused
}

package rondo

import (
	"time"

	"github.com/rondo-go/rondo/loop"
)

// callback returns a handle that runs fn, user code, on the loop's own goroutine,
// in a copy of the context variables that hold now.
func callback(l *loop.Loop, t *loop.Task, fn func()) *loop.Handle {
	return loop.NewCallback(contextual(l, t, fn))
}

func contextual(l *loop.Loop, t *loop.Task, fn func()) loop.Call {
	r := l.Data.(*Loop)
	vars := r.vars
	if t != nil {
		vars = coreOf(t).vars
	}
	if vars == nil {
		return loop.Func(fn)
	}
	return &contextCall{r, vars, fn}
}

// A contextCall is a callback with context variables.
type contextCall struct {
	loop *Loop
	vars *varMap
	fn   func()
}

func (c *contextCall) Call() {
	c.loop.vars = c.vars
	defer func() { c.loop.vars = nil }()
	c.fn()
}

// A Handle is a callback that is scheduled. It is for the loop's thread.
type Handle struct{ h *loop.Handle }

// Cancel keeps the callback from running, if it has not run yet.
func (h *Handle) Cancel() { h.h.Cancel() }

// Canceled says whether Cancel has been called.
func (h *Handle) Canceled() bool { return h.h.Canceled() }

// A TimerHandle is a callback that is scheduled for a point in time.
type TimerHandle struct {
	timer loop.Timer
	loop  *loop.Loop
}

// Cancel keeps the callback from running, if it has not run yet.
func (h *TimerHandle) Cancel() { h.loop.StopTimer(&h.timer) }

// Canceled says whether Cancel has been called.
func (h *TimerHandle) Canceled() bool { return h.timer.Canceled() }

// When returns when the callback is due, on the loop's clock.
func (h *TimerHandle) When() time.Duration { return time.Duration(h.timer.When()) }

// CallSoon has fn called in the loop's next iteration, outside of every task. It
// is for the loop's thread. What fn calls must not park. If fn panics, the
// loop's exception handler is told.
func (l *Loop) CallSoon(fn func()) *Handle {
	h := l.callback(fn)
	l.k.Schedule(h)
	return &Handle{h}
}

// callback returns a handle for fn, called from here.
func (l *Loop) callback(fn func()) *loop.Handle {
	here, t := loop.Current()
	if here != l.k {
		t = nil
		if l.debug != nil {
			l.checkThread("Loop.CallSoon")
		}
	}
	return callback(l.k, t, fn)
}

// CallSoonThreadsafe is [Loop.CallSoon] for any goroutine: it wakes the loop. From a
// task or callback of any loop, fn takes the context variables along. The error is
// [ErrClosed] if the loop is closed; fn is not called then.
func (l *Loop) CallSoonThreadsafe(fn func()) error {
	var call loop.Call = loop.Func(fn)
	if vars := varsHere(); vars != nil && *vars != nil {
		call = &contextCall{l, *vars, fn}
	}
	return l.k.Post(loop.NewCallback(call))
}

// CallLater has fn called after d; see [Loop.CallSoon].
func (l *Loop) CallLater(d time.Duration, fn func()) *TimerHandle {
	return l.callAt(l.k.Now().Add(d), fn)
}

// CallAt has fn called when the loop's clock shows at; see [Loop.Time].
func (l *Loop) CallAt(at time.Duration, fn func()) *TimerHandle {
	return l.callAt(loop.Time(at), fn)
}

func (l *Loop) callAt(at loop.Time, fn func()) *TimerHandle {
	here, t := loop.Current()
	if here != l.k {
		t = nil
		if l.debug != nil {
			l.checkThread("Loop.CallAt")
		}
	}
	h := &TimerHandle{loop: l.k}
	h.timer.InitCallback(contextual(l.k, t, fn))
	l.k.StartTimer(&h.timer, at)
	return h
}

// Time returns what the loop's clock shows: the time since the loop was made.
func (l *Loop) Time() time.Duration { return time.Duration(l.k.Now()) }

// Iteration returns the number of the loop's present iteration; the first is 1.
func (l *Loop) Iteration() uint64 { return l.k.Iteration() }

// Kernel returns the untyped loop below, on whose park and unpark everything
// here is written, and peers of it can be.
func (l *Loop) Kernel() *loop.Loop { return l.k }

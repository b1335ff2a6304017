package rondo

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/rondo-go/rondo/loop"
)

// A TimeoutError is what [Timeout] returns when the time is up. It is
// os.ErrDeadlineExceeded and context.DeadlineExceeded to errors.Is, and a
// net.Error whose Timeout is true.
type TimeoutError struct{ After time.Duration }

func (e *TimeoutError) Error() string   { return fmt.Sprintf("rondo: timeout after %v", e.After) }
func (e *TimeoutError) Timeout() bool   { return true }
func (e *TimeoutError) Temporary() bool { return true }

// Unwrap returns both of Go's words for it.
func (e *TimeoutError) Unwrap() []error {
	return []error{os.ErrDeadlineExceeded, context.DeadlineExceeded}
}

type timeoutState uint8

const (
	timeoutEntered timeoutState = iota
	timeoutExpiring
	timeoutOver
)

type timeout struct {
	scope
	owner *core
	timer loop.Timer
	at    loop.Time
	until time.Time
	state timeoutState
	next  loop.Call // OnPark of the block outside
}

// Timeout calls fn. If that takes longer than d, the call in fn that parks then
// returns a [CanceledError], and so does Timeout return a [TimeoutError] when fn
// returns with it. It is asyncio's timeout.
//
// The clock runs from the call on, but a timer is armed only when the task
// parks: around what is ready, a Timeout costs next to nothing.
//
// Errors: that of fn; a [TimeoutError].
func Timeout(ctx context.Context, d time.Duration, fn func(ctx context.Context) error) error {
	t, err := taskFor(ctx)
	if err != nil {
		return err
	}
	o := &timeout{owner: coreOf(t)}
	l := t.Loop()
	o.at = l.Now().Add(d)
	o.until = time.Now().Add(d)
	o.scope.parent, o.scope.task, o.scope.until = ctx, t, &o.until
	o.outer, o.owner.inner = o.owner.inner, &o.scope
	before := t.Cancelling()
	o.timer.Init(o)
	if d <= 0 {
		l.Schedule(&o.timer.Handle)
	} else if l.Virtual() {
		l.StartTimer(&o.timer, o.at)
	} else {
		o.next = t.OnPark(armTimeout{o})
	}
	defer o.leave()
	err = fn(&o.scope)
	l.StopTimer(&o.timer)
	if o.state == timeoutExpiring && t.Uncancel() <= before && isCancellation(err) {
		err = &TimeoutError{d}
	}
	o.state = timeoutOver
	return err
}

// leave ends the block, also when a panic leaves it.
func (o *timeout) leave() {
	l := o.owner.k.Loop()
	l.StopTimer(&o.timer)
	if before := o.owner.k.OnPark(o.next); before != (armTimeout{o}) {
		o.owner.k.OnPark(before) // the timer was armed, or never was to be
	}
	o.close(context.Canceled)
	o.owner.inner = o.outer
}

// An armTimeout starts the timer of a block, and of those outside it, when the
// task parks for the first time.
type armTimeout struct{ o *timeout }

func (a armTimeout) Call() {
	if a.o.next != nil {
		a.o.next.Call()
		a.o.next = nil
	}
	a.o.owner.k.Loop().StartTimer(&a.o.timer, a.o.at)
}

// Call is the timer: the time is up.
func (o *timeout) Call() {
	o.state = timeoutExpiring
	o.closeFrom(o.owner.inner, context.DeadlineExceeded)
	o.owner.k.Cancel("")
}

package rondo

import (
	"context"
	"errors"
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

// ErrTimeoutOver is returned by Reschedule when the block has ended, or its time
// is up.
var ErrTimeoutOver = errors.New("rondo: timeout has expired or ended")

type timeoutState uint8

const (
	timeoutEntered timeoutState = iota
	timeoutExpiring
	timeoutExpired
	timeoutExited
)

// A TimeoutBlock is a call of [Timeout] in progress. It is for the loop's thread.
type TimeoutBlock struct {
	scope  scope
	owner  *core
	timer  *loop.Timer
	first  loop.Timer // what timer is until the block is rescheduled
	at     loop.Time  // forever: never
	state  timeoutState
	before int       // the owner's count of requests to cancel, at the start
	next   loop.Call // what the block outside has to do before the task parks
}

const forever loop.Time = 1<<63 - 1

// Timeout calls fn. If that takes longer than d, the call in fn that parks then
// returns a [CanceledError], and so does Timeout return a [TimeoutError] when fn
// returns with it. [Forever] is no bound; a d of zero or less expires at the
// first park. It is asyncio's timeout.
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
	at := forever
	if d != Forever {
		at = t.Loop().Now().Add(d)
	}
	return timeoutAt(ctx, t, at, d, fn)
}

// TimeoutAt is [Timeout] until the loop's clock shows at; see [Loop.Time].
func TimeoutAt(ctx context.Context, at time.Duration, fn func(ctx context.Context) error) error {
	t, err := taskFor(ctx)
	if err != nil {
		return err
	}
	return timeoutAt(ctx, t, loop.Time(at), loop.Time(at).Sub(t.Loop().Now()), fn)
}

func timeoutAt(ctx context.Context, t *loop.Task, at loop.Time, d time.Duration, fn func(ctx context.Context) error) error {
	o := &TimeoutBlock{owner: coreOf(t), before: t.Cancelling()}
	o.scope.parent, o.scope.task, o.scope.block = ctx, t, o
	o.scope.outer, o.owner.inner = o.owner.inner, &o.scope
	o.timer = &o.first
	o.timer.Init((*timeoutCall)(o))
	o.arm(at)
	defer o.leave()
	err := fn(&o.scope)
	t.Loop().StopTimer(o.timer)
	if o.state == timeoutExpiring {
		o.state = timeoutExpired
		if t.Uncancel() <= o.before && isCancellation(err) {
			err = &TimeoutError{d}
		}
	} else {
		o.state = timeoutExited
	}
	return err
}

// TimeoutOf returns the innermost [Timeout] of the running task that ctx belongs
// to, or nil.
func TimeoutOf(ctx context.Context) *TimeoutBlock {
	for s := scopeOf(ctx); s != nil; s = s.outer {
		if s.block != nil {
			return s.block
		}
	}
	return nil
}

// Reschedule moves the end to d from now; [Forever] is no end.
//
// Errors: [ErrTimeoutOver].
func (o *TimeoutBlock) Reschedule(d time.Duration) error {
	if o.state != timeoutEntered {
		return ErrTimeoutOver
	}
	l := o.owner.k.Loop()
	l.StopTimer(o.timer)
	o.timer = new(loop.Timer) // the old one may be in the ready queue
	o.timer.Init((*timeoutCall)(o))
	at := forever
	if d != Forever {
		at = l.Now().Add(d)
	}
	o.arm(at)
	return nil
}

// When returns when the time is up, on the loop's clock, or [Forever].
func (o *TimeoutBlock) When() time.Duration { return time.Duration(o.at) }

// Expired says whether the time was up before the block ended.
func (o *TimeoutBlock) Expired() bool {
	return o.state == timeoutExpiring || o.state == timeoutExpired
}

// arm starts the timer, or sees to it that it is started before the task parks.
// On the virtual clock timers start at once: their order is asyncio's.
func (o *TimeoutBlock) arm(at loop.Time) {
	t := &o.owner.k
	l := t.Loop()
	o.at = at
	switch {
	case at == forever:
	case l.Virtual():
		if at <= l.Now() {
			l.Schedule(&o.timer.Handle)
		} else {
			l.StartTimer(o.timer, at)
		}
	case t.Parked(): // somebody else reschedules it
		l.StartTimer(o.timer, at)
	default:
		if before := t.OnPark(armTimeout{o}); before != loop.Call(armTimeout{o}) {
			o.next = before
		}
	}
}

// leave ends the block, also when a panic leaves it.
func (o *TimeoutBlock) leave() {
	t := &o.owner.k
	t.Loop().StopTimer(o.timer)
	if before := t.OnPark(o.next); before != loop.Call(armTimeout{o}) {
		t.OnPark(before) // the timer was armed, or never was to be
	}
	o.scope.close(context.Canceled)
	o.owner.inner = o.scope.outer
}

// An armTimeout starts the timer of a block, and of those outside it, when the
// task parks for the first time.
type armTimeout struct{ o *TimeoutBlock }

func (a armTimeout) Call() {
	if a.o.next != nil {
		a.o.next.Call()
		a.o.next = nil
	}
	if a.o.at != forever {
		a.o.owner.k.Loop().StartTimer(a.o.timer, a.o.at)
	}
}

// timeoutCall is the timer: the time is up.
type timeoutCall TimeoutBlock

func (c *timeoutCall) Call() {
	c.state = timeoutExpiring
	c.scope.closeFrom(c.owner.inner, context.DeadlineExceeded)
	c.owner.k.Cancel("")
}

package rondo

import (
	"context"
	"fmt"
	"math"

	"github.com/rondo-go/rondo/loop"
)

// An Event is a flag that tasks wait for. It is asyncio's Event.
//
// An Event is for the tasks of one loop, the first that uses it; elsewhere it
// fails with [ErrNotTask] or [ErrOtherLoop]. What is set off the loop is a
// [Future]. The zero Event is clear and ready for use. It must not be copied.
type Event struct {
	loopBound
	set     bool
	waiters loop.WaitList
}

// NewEvent returns an event that is clear.
func NewEvent() *Event { return new(Event) }

// IsSet says whether the event is set. It is for the loop's thread.
func (e *Event) IsSet() bool { return e.set }

// Set sets the event and wakes all tasks that wait for it, in the order in which
// they came. It never parks. It panics off the event's loop.
func (e *Event) Set() {
	e.must("Event.Set")
	if !e.set {
		e.set = true
		grantAll(&e.waiters, e.home.Load())
	}
}

// Clear clears the event: Wait parks until the next Set. Tasks that were woken
// already are not concerned. It panics off the event's loop.
func (e *Event) Clear() {
	e.must("Event.Clear")
	e.set = false
}

// Wait parks the task until the event is set. If it is set already, Wait returns
// at once.
//
// Errors: those of [Sleep]; [ErrOtherLoop].
func (e *Event) Wait(ctx context.Context) error {
	t, err := e.enter(ctx)
	if err != nil {
		return fmt.Errorf("wait for event: %w", err)
	}
	if e.set {
		return nil
	}
	stop, err := under(ctx, t)
	if err != nil {
		return err
	}
	w := t.Waiter()
	e.waiters.Add(w)
	err = t.Park(w)
	if stop != nil {
		stop()
	}
	if !w.Granted() {
		e.waiters.Remove(w)
	}
	return err
}

// Who is granted something is taken out of the list at once, so that the next
// grant need not pass it by. Those who were canceled take themselves out.

// grantFirst grants the first pending waiter, and says whether there was one.
// Here is the loop on whose thread the caller runs, or nil.
func grantFirst(list *loop.WaitList, here *loop.Loop) bool {
	if list.Empty() {
		return false
	}
	w := list.Pending()
	if w == nil {
		return false
	}
	list.Remove(w)
	w.Grant(here)
	return true
}

// grantSome grants the first n pending waiters.
func grantSome(list *loop.WaitList, here *loop.Loop, n int) {
	if list.Empty() {
		return
	}
	for w := list.Pending(); w != nil && n > 0; n-- {
		next := w.Next()
		list.Remove(w)
		w.Grant(here)
		w = next
	}
}

// grantAll grants all pending waiters.
func grantAll(list *loop.WaitList, here *loop.Loop) { grantSome(list, here, math.MaxInt) }

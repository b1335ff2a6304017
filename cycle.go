package rondo

import (
	"context"
	"fmt"
	"strings"

	"github.com/rondo-go/rondo/loop"
)

// Requests to cancel on their way
//
// A task that is canceled while it awaits another passes the request on, and so
// on down to what waits for something else. That way may be long, so it is walked
// in a loop, not by recursion; and it may lead back to where it has been: tasks
// that await one another in a circle, which nothing but a cancel ever ends.
// asyncio then runs out of stack, in whoever called cancel. Here the task whose
// await closes the circle leaves it, with an error that names all of them.
//
// That error is no cancellation. A circle is a mistake in the program, and what
// swallows cancellations (a group, Run) must not swallow the one hint at it.

// A CycleError is what a task gets that awaits itself, or that is canceled while
// it and others await one another in a circle. It is [ErrCycle] to errors.Is, and
// it is not a cancellation: a task that returns it has failed.
type CycleError struct {
	// Tasks are the tasks' names, or addresses, each before the one that it
	// awaits. The last one awaits the first, and is the one that got the error
	// first.
	Tasks []string
}

// mostNamed is how many tasks of a cycle an error message names.
const mostNamed = 16

func (e *CycleError) Error() string {
	if len(e.Tasks) == 1 {
		return fmt.Sprintf("%v: task %s awaits itself", ErrCycle, e.Tasks[0])
	}
	named := e.Tasks
	left := ""
	if len(named) > mostNamed {
		left = fmt.Sprintf(" awaits (%d more)", len(named)-mostNamed)
		named = named[:mostNamed]
	}
	return fmt.Sprintf("%v: %s%s awaits %s", ErrCycle, strings.Join(named, " awaits "), left, e.Tasks[0])
}

// Unwrap returns [ErrCycle].
func (e *CycleError) Unwrap() error { return ErrCycle }

// passOn hands a request to cancel from c, where it is counted, to next, which c
// awaits, and on to what that awaits.
func (c *core) passOn(next *core, message string) {
	if c.canceling { // it came here through a gathering
		c.leaveCycle(c)
		return
	}
	l := c.runtime
	mark := l.beginPass(c)
	for {
		if next.canceling {
			c.leaveCycle(next)
			break
		}
		after := next.awaits()
		if after == nil {
			next.Cancel(message)
			break
		}
		next.scope.closeFrom(next.inner, context.Canceled)
		next.k.Request()
		l.beginPass(next)
		c, next = next, after
	}
	l.endPass(mark)
}

// passOnTo hands a request from c to f, a gathering, which c awaits.
func (c *core) passOnTo(f *future, message string) loop.Verdict {
	if c.canceling {
		c.leaveCycle(c)
		return loop.Passed
	}
	mark := c.runtime.beginPass(c)
	defer c.runtime.endPass(mark)
	if f.Cancel(message) {
		return loop.Passed
	}
	return loop.Refused
}

// awaits returns the task that c is parked for, if that is not done, or nil.
func (c *core) awaits() *core {
	if a, ok := c.k.Waits().(*coreAborter); ok && !a.k.Finished() {
		return (*core)(a)
	}
	return nil
}

// beginPass notes that a request has come to c and goes on.
func (l *Loop) beginPass(c *core) (mark int) {
	mark = len(l.canceling)
	c.canceling = true
	l.canceling = append(l.canceling, c)
	return mark
}

func (l *Loop) endPass(mark int) {
	for _, c := range l.canceling[mark:] {
		c.canceling = false
	}
	clear(l.canceling[mark:])
	if l.canceling = l.canceling[:mark]; mark == 0 && cap(l.canceling) > 1024 {
		l.canceling = nil
	}
}

// leaveCycle makes c, which awaits first and so closes a cycle, leave it with an
// error that names the tasks in it.
func (c *core) leaveCycle(first *core) {
	way := c.runtime.canceling
	for way[0] != first {
		way = way[1:]
	}
	err := &CycleError{make([]string, len(way))}
	for i, x := range way {
		err.Tasks[i] = x.label()
	}
	c.k.Leave(c.k.Parks(), err)
}

// Package rondo is asyncio for Go: an event loop on which straight-line code
// awaits. Tasks are stackful coroutines on one OS thread a loop; they live in
// scopes, every cancellation is delivered, and a parked task costs about 3 KB.
//
// A program starts with [Run]. Inside, [Spawn] starts tasks, [WithGroup] starts
// them in a scope, [Task.Await] waits for one; [Sleep], [Timeout], [Gather],
// [Semaphore] and [Queue] are asyncio's. [Dial] and [Listen] make [Conn]s, which
// are real net.Conns: called by a task they park the task, called by any other
// goroutine they block that goroutine, so that crypto/tls, bufio, HTTP and
// database libraries run on the loop unmodified.
//
// # Who parks, and under what context
//
// What parks is always the task that is running on the loop; the context says
// under what scope. A call under the context of the task itself, or of one of
// its blocks ([Timeout], [WithGroup]), ends early when the task is canceled: it
// returns an error that wraps [context.Canceled], once, as asyncio does. A
// context that the standard library derived (context.WithTimeout and so on) is
// honoured as Go does: every call under it that parks fails once it is done.
//
// # Off the loop
//
// Futures, tasks, queues and connections may be used from any goroutine, which
// then blocks. Everything else says in its comment that it is for tasks; called
// elsewhere it returns [ErrNotTask].
package rondo

import (
	"errors"

	"github.com/rondo-go/rondo/loop"
)

// Errors.
var (
	// ErrNotTask: a call that parks was made where there is no task to park:
	// in a callback, or off the loop by something that works on it only.
	ErrNotTask = errors.New("rondo: not in a task (call it from a task that rondo.Run, Spawn or Group.Go started)")
	// ErrOtherLoop: a task used something that belongs to another loop.
	ErrOtherLoop = errors.New("rondo: it belongs to another loop")
	// ErrNotDone: the result of something that is not done was asked for.
	ErrNotDone = errors.New("rondo: result is not ready")
	// ErrDone: a future was set that is done already.
	ErrDone = errors.New("rondo: future is done already")
	// ErrCycle: tasks await one another in a circle; see [CycleError].
	ErrCycle = loop.ErrCycle
	// ErrInterrupted is what Run returns after SIGINT.
	ErrInterrupted = errors.New("rondo: interrupted")
	// ErrClosed: the loop is closed.
	ErrClosed = loop.ErrClosed
	// ErrGoexit is the error of a task that called runtime.Goexit.
	ErrGoexit = loop.ErrGoexit
)

// A CanceledError is what a call that parks returns in a task that was
// canceled. It wraps [context.Canceled].
type CanceledError = loop.CanceledError

// A PanicError is a panic that ended a task, with its stack.
type PanicError = loop.PanicError

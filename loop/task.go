package loop

import (
	"context"
	"errors"
	"fmt"

	"github.com/rondo-go/rondo/internal/getg"
)

// A Body is the program of a task.
type Body interface {
	// Run runs on the task's coroutine. It may park.
	Run(t *Task)
	// Failed is called in place of Run's end, if a panic or runtime.Goexit
	// left Run: err is a *[PanicError] or [ErrGoexit].
	Failed(t *Task, err error)
	// Ended is called on the loop after Run or Failed, when the task is done
	// and before its Done signal is set. It must not park.
	Ended(t *Task)
}

// A Task is the untyped kernel of a task: a body on a coroutine, which parks
// and is unparked, and can be canceled. It belongs to its loop's thread.
//
// It follows asyncio's Task: a cancellation is delivered once, at the park in
// progress or at the next one; requests are counted, and may be taken back.
//
// The fields that a switch touches come first, in one cache line.
type Task struct {
	step   Handle
	worker *worker // the coroutine it runs on, between start and end
	loop   *Loop
	parks  uint64 // how often it has parked
	state  taskState
	must   bool // a cancellation is to be delivered at the next opportunity
	left   bool // the worker's wake is set
	armed  bool // the worker's onPark is set

	g       uintptr // of the coroutine
	body    Body
	due     *CanceledError // what is to be delivered if must is set
	cancels int32
	index   int32 // in loop.tasks
	// Done is set when the task has ended.
	Done Signal
}

type taskState uint8

const (
	taskFresh taskState = iota
	taskRunning
	taskParked
	taskReady // unparked, or yielding: its step is in the ready queue
	taskDone
)

// An Aborter undoes what a park waits for when the task is to leave it early.
type Aborter interface {
	// Abort is called on the loop's thread while t is parked and nobody has
	// unparked it. Reason tells why t is to leave, and err what Park would
	// return.
	Abort(t *Task, reason Reason, err error) Verdict
}

// A Reason tells why a task is to leave a park.
type Reason uint8

const (
	// Cancel: the task was canceled.
	Cancel Reason = iota
	// Leave: the block that the task is in is over (its context is done), but
	// what it waits for is not concerned.
	Leave
)

// A Verdict is an Aborter's answer.
type Verdict uint8

const (
	// Aborted: the wait is undone. Park returns the error in the loop's next
	// iteration.
	Aborted Verdict = iota
	// Passed: the request was passed on to what the task waits for, which will
	// unpark the task in its own time.
	Passed
	// Refused: too late or not possible. A cancellation stays due for the next
	// opportunity.
	Refused
)

// AbortFunc adapts a function that undoes a wait to [Aborter]. The verdict is
// Aborted.
type AbortFunc func()

// Abort calls f.
func (f AbortFunc) Abort(*Task, Reason, error) Verdict { f(); return Aborted }

// A CanceledError is what a park returns in a task that was canceled. It is
// [context.Canceled] to errors.Is.
type CanceledError struct {
	// Message is what Cancel was given.
	Message string
}

var plainCanceled = &CanceledError{}

// Canceled returns a cancellation error with a message, which may be empty.
func Canceled(message string) *CanceledError {
	if message == "" {
		return plainCanceled
	}
	return &CanceledError{message}
}

func (e *CanceledError) Error() string {
	if e.Message == "" {
		return "rondo: task canceled"
	}
	return "rondo: task canceled: " + e.Message
}

// Unwrap returns [context.Canceled].
func (e *CanceledError) Unwrap() error { return context.Canceled }

// A PanicError is a panic that ended a task.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string {
	return fmt.Sprintf("rondo: panic in task: %v\n\n%s", e.Value, e.Stack)
}

// Unwrap returns the panic's value if that is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// ErrGoexit is the error of a task that called runtime.Goexit (a test's
// FailNow does).
var ErrGoexit = errors.New("rondo: task called runtime.Goexit")

// ErrCycle says that tasks await one another in a circle. A park that returns it
// has delivered a cancellation: one that comes before the task goes on adds
// nothing.
var ErrCycle = errors.New("rondo: await cycle")

// Init makes t, which must be zero, a task of l with the given body. It may be
// called on any goroutine, before Start.
func (t *Task) Init(l *Loop, body Body) {
	t.loop, t.body = l, body
	t.step = Handle{kind: kindStart, task: t}
}

// Start schedules the first step of t, on the loop's thread.
func (l *Loop) Start(t *Task) {
	t.index = int32(len(l.tasks))
	l.tasks = append(l.tasks, t)
	l.push(&t.step)
}

// Loop returns the task's loop.
func (t *Task) Loop() *Loop { return t.loop }

// Finished says whether the task has ended.
func (t *Task) Finished() bool { return t.state == taskDone }

// RunsHere says whether t is the task that calls it. It may be called on any
// goroutine that was given t.
func (t *Task) RunsHere() bool {
	return getg.Supported && t.g == getg.Current() && t.state == taskRunning
}

// Body returns the task's body.
func (t *Task) Body() Body { return t.body }

// Waiter returns the running task's place in a [WaitList].
func (t *Task) Waiter() *Waiter {
	w := &t.worker.waiter
	w.Task = t
	return w
}

// Parked says whether the task is parked or ready, and not running.
func (t *Task) Parked() bool { return t.state == taskParked || t.state == taskReady }

// Parks returns how often the task has parked: it names the present park for
// [Task.Leave].
func (t *Task) Parks() uint64 { return t.parks }

// Park parks t, which must be the running task, until somebody unparks it. It
// returns nil then. If the task is canceled, or was already when it came here,
// or is made to leave, a is asked to undo the wait, and Park returns the error.
//
// Even if Park returns an error, t may have been unparked before: who hands
// something over must look at its own record of that, and pass it on.
func (t *Task) Park(a Aborter) error {
	t.parks++
	if t.armed {
		t.beforePark()
	}
	t.state = taskParked
	t.worker.aborter = a
	if t.must {
		err := t.due
		switch a.Abort(t, Cancel, err) {
		case Aborted:
			t.must = false
			t.leave(err)
		case Passed:
			t.must = false
		case Refused:
		}
	}
	// The usual case of dispatch, without its frame: see coro's Switch.
	l, w := t.loop, t.worker
	if w.back != nil {
		w.goBack()
	} else if to, h := l.next(); to == nil {
		l.dispatch(w, h)
	} else if to != w {
		w.sp = stackPointer()
		w.co.Switch(&to.co)
	}
	return t.resumed()
}

// Yield gives the other ready tasks their turn, once.
func (t *Task) Yield() error {
	t.parks++
	if t.armed {
		t.beforePark()
	}
	t.ready()
	// The usual case of dispatch, without its frame: see coro's Switch.
	l, w := t.loop, t.worker
	if w.back != nil {
		w.goBack()
	} else if to, h := l.next(); to == nil {
		l.dispatch(w, h)
	} else if to != w {
		w.sp = stackPointer()
		w.co.Switch(&to.co)
	}
	return t.resumed()
}

// OnPark has c called once, before the next park or yield or the end. It returns what was
// to be called until now, or nil. A nil c takes it back.
func (t *Task) OnPark(c Call) (before Call) {
	w := t.worker
	before = w.onPark
	w.onPark, t.armed = c, c != nil
	return before
}

func (t *Task) beforePark() { t.OnPark(nil).Call() }

// leave makes the park return err.
func (t *Task) leave(err error) {
	t.worker.wake, t.left = err, true
	t.ready()
}

func (t *Task) ready() { t.loop.push(&t.step) }

// resumed is what a park ends with, back on the task's own stack.
func (t *Task) resumed() error {
	t.state = taskRunning
	if !t.left && !t.must {
		return nil
	}
	err := t.worker.wake
	t.worker.wake, t.left = nil, false
	if t.must {
		t.must = false
		if _, ok := err.(*CanceledError); !ok && !errors.Is(err, ErrCycle) {
			err = t.due
		}
	}
	return err
}

// Unpark schedules a parked task's next step. It does nothing if the task is
// not parked or was unparked already, and says whether it did something. Any
// other task's Unpark, timers and callbacks may call it, on the loop's thread.
func (t *Task) Unpark() bool {
	if t.state != taskParked {
		return false
	}
	t.ready()
	return true
}

// Step returns the handle that unparks t, for registration in a [Signal]: the
// signal then resumes the task in its turn. The task must be parked when the
// signal is set, and an Aborter must remove it.
func (t *Task) Step() *Handle { return &t.step }

// Cancel asks t to end: the park in progress, or else the next one, returns a
// [CanceledError] with the message, once. It returns false if t is done.
func (t *Task) Cancel(message string) bool {
	if t.state == taskDone {
		return false
	}
	t.cancels++
	if t.state == taskParked {
		err := Canceled(message)
		switch t.worker.aborter.Abort(t, Cancel, err) {
		case Aborted:
			t.leave(err)
			return true
		case Passed:
			return true
		case Refused:
		}
	}
	t.must, t.due = true, Canceled(message)
	return true
}

// Waits returns what t is parked with, or nil if it is not parked.
func (t *Task) Waits() Aborter {
	if t.state != taskParked {
		return nil
	}
	return t.worker.aborter
}

// Request counts a request to cancel that somebody else sees to.
func (t *Task) Request() { t.cancels++ }

// Uncancel takes one request back, and returns how many are left. If none is,
// a cancellation that was not delivered yet will not be.
func (t *Task) Uncancel() int {
	if t.cancels > 0 {
		t.cancels--
		if t.cancels == 0 {
			t.must = false
		}
	}
	return int(t.cancels)
}

// CancelPending returns the cancellation that is due and that no park has
// returned yet, or nil.
func (t *Task) CancelPending() *CanceledError {
	if t.must {
		return t.due
	}
	return nil
}

// Owe has a cancellation that a park returned delivered once more, by the next.
func (t *Task) Owe(err *CanceledError) { t.must, t.due = true, err }

// AtEnd schedules c, in place, before all that waits on Done. It is for
// [Body.Ended], and costs nothing: the handle is that of the task's steps.
func (t *Task) AtEnd(c Call) {
	t.step.kind, t.step.call = kindInternal, c
	t.loop.push(&t.step)
}

// Cancelling returns the number of requests that were not taken back.
func (t *Task) Cancelling() int { return int(t.cancels) }

// Leave makes t leave the park with the given number (see [Task.Parks]) with
// err, if it is still in it. It is not counted as a cancellation.
func (t *Task) Leave(park uint64, err error) {
	if t.state == taskParked && t.parks == park &&
		t.worker.aborter.Abort(t, Leave, err) == Aborted {
		t.leave(err)
	}
}

// sleepAborter ends a sleep early.
type sleepAborter struct{}

func (sleepAborter) Abort(t *Task, _ Reason, _ error) Verdict {
	t.loop.StopTimer(&t.worker.timer)
	return Aborted
}

// SleepUntil parks t until the loop's clock shows when.
func (t *Task) SleepUntil(when Time) error {
	t.worker.timer.task = t
	t.loop.timers.start(&t.worker.timer, when)
	return t.Park(sleepAborter{})
}

// NoAbort is the Aborter of a wait that cannot be cut short: a cancellation
// stays due until the park after it.
var NoAbort Aborter = noAbort{}

type noAbort struct{}

func (noAbort) Abort(*Task, Reason, error) Verdict { return Refused }

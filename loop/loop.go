// Package loop is the event loop: a ready queue of handles, timers, and tasks on
// coroutines that park and are unparked. It knows nothing of the types of tasks'
// results, of contexts or of protocols; package rondo is built on it.
//
// A loop runs on one locked OS thread. Everything here belongs to that thread
// unless its comment says otherwise.
package loop

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rondo-go/rondo/coro"
	"github.com/rondo-go/rondo/internal/getg"
	"github.com/rondo-go/rondo/poll"
)

// A Loop is an event loop.
type Loop struct {
	// The ready queue, and the present iteration.
	ready     ring
	left      int // handles of the present iteration still to be run
	snapshot  int // handles that the present iteration began with
	iteration uint64
	slept     bool // the iteration has begun, and found nothing ready
	stopping  bool
	idle      bool // on the virtual clock: nothing can ever happen
	callback  *Handle
	fresh     *Task // to be started on a new coroutine
	debug     *debugger

	// Tasks and coroutines.
	hub     *coro.Coroutine
	current *Task
	workers []*worker
	free    []*worker
	tasks   []*Task // not done

	// Time.
	timers    timers
	epoch     time.Time
	now       Time // when the loop last looked; on the virtual clock, the time
	virtual   bool
	budget    int // handles that may run before the kernel is asked
	budgetSet int

	// The outside world.
	poller   poll.Poller
	inflight int // operations that the poller will complete
	external int // threads that work for tasks
	exitIdle bool
	onPanic  func(error)
	onJump   func()
	locked   bool    // the loop's goroutine is locked to its thread
	home     uintptr // the g of that goroutine
	// Data is for the layer above.
	Data any

	running  atomic.Bool
	closed   atomic.Bool
	sleeping atomic.Bool
	hasInbox atomic.Bool
	mu       sync.Mutex // guards inbox and requests, and changes of running
	inbox    []*Handle
	requests []*Lock // that are wanted by others
	over     chan struct{}
}

// Errors of a loop's life cycle.
var (
	ErrRunning = errors.New("rondo: loop is running already")
	ErrClosed  = errors.New("rondo: loop is closed")
	// ErrDeadlock: on the virtual clock, nothing is ready, no timer is running
	// and nothing is awaited from outside, but the task is not done.
	ErrDeadlock = errors.New("rondo: deadlock: every task waits, and nothing can wake one")
)

// Options are what a loop is made with.
type Options struct {
	// Poller is the backend. It is closed with the loop.
	Poller poll.Poller
	// Virtual makes time a number: it stands still while anything is ready,
	// and jumps to the next deadline when nothing is.
	Virtual bool
	// ExitIdle makes Run return [ErrDeadlock] when, on the virtual clock,
	// nothing is ready, no timer runs, and no I/O or thread is awaited.
	// Otherwise the loop then waits for other goroutines.
	ExitIdle bool
	// BeforeJump is called on the virtual clock when nothing is ready, before
	// time jumps. What it schedules runs first.
	BeforeJump func()
	// OnPanic is told of panics in callbacks, as *[PanicError]s. They never
	// stop the loop.
	OnPanic func(error)
	// Debug turns the debug mode on.
	Debug *Debug
}

// New makes a loop. It may be called on any goroutine.
func New(o Options) *Loop {
	l := &Loop{poller: o.Poller, virtual: o.Virtual, exitIdle: o.ExitIdle, onPanic: o.OnPanic, onJump: o.BeforeJump, epoch: time.Now(), debug: newDebugger(o.Debug), over: make(chan struct{})}
	if l.onPanic == nil {
		l.onPanic = func(error) {}
	}
	if l.onJump == nil {
		l.onJump = func() {}
	}
	return l
}

// Poller returns the loop's backend.
func (l *Loop) Poller() poll.Poller { return l.poller }

// Iteration returns the number of the present iteration; the first is 1.
func (l *Loop) Iteration() uint64 { return l.iteration }

// Running says whether the loop runs. It may be called from any goroutine.
func (l *Loop) Running() bool { return l.running.Load() }

// Closed says whether the loop is closed. It may be called from any goroutine.
func (l *Loop) Closed() bool { return l.closed.Load() }

// Over is closed when Close is done: no task runs any more.
func (l *Loop) Over() <-chan struct{} { return l.over }

// Tasks returns the tasks that are not done, in no order.
func (l *Loop) Tasks() []*Task { return append([]*Task(nil), l.tasks...) }

// Run runs the loop on the calling goroutine until Stop is called. It locks the
// goroutine to its OS thread meanwhile. It returns ErrDeadlock if, on the
// virtual clock, nothing can happen any more.
func (l *Loop) Run() error {
	if l.closed.Load() {
		return ErrClosed
	}
	if here, _ := Current(); here != nil {
		return fmt.Errorf("%w (a loop cannot run inside a loop)", ErrRunning)
	}
	l.mu.Lock()
	first := l.running.CompareAndSwap(false, true)
	l.mu.Unlock()
	if !first {
		return ErrRunning
	}
	leave, err := l.enter()
	if err != nil {
		l.running.Store(false)
		return err
	}
	defer leave()
	l.stopping, l.idle = false, false
	l.run()
	l.stopping = false
	if l.idle {
		return ErrDeadlock
	}
	return nil
}

// enter makes the calling goroutine the loop's. Coroutines live on one thread,
// and only while it is locked just as it was when they were made; a task's own
// generators are such coroutines too. So a loop stays with the goroutine that ran
// it first, which stays locked to its thread, until it is closed.
func (l *Loop) enter() (leave func(), err error) {
	g := getg.Current()
	if l.locked && l.home != g {
		return nil, errors.New("rondo: a loop can only be run by the goroutine that ran it first")
	}
	if !l.locked {
		runtime.LockOSThread()
		l.locked, l.home = true, g
		l.hub = coro.NewRoot()
	}
	register(&place{loop: l})
	setThread(l)
	stopWatch := l.debug.watch()
	return func() {
		stopWatch()
		l.current = nil
		setThread(nil)
		unregister()
		l.mu.Lock()
		l.grantRequests()
		l.running.Store(false)
		l.mu.Unlock()
	}, nil
}

// Stop makes Run return after the present iteration.
func (l *Loop) Stop() { l.stopping = true }

// Close ends the loop: every task that is not done is resumed with ErrClosed,
// again at each park, until it ends; then the poller is closed. It must be
// called on the goroutine that called Run, which has returned. A task that does
// not end within 1,000 parks is abandoned, and named in the error.
func (l *Loop) Close() error {
	if l.running.Load() {
		return ErrRunning
	}
	l.mu.Lock()
	again := l.closed.Swap(true)
	rest := len(l.inbox)
	l.mu.Unlock()
	if again {
		return nil
	}
	defer close(l.over)
	if len(l.tasks) > 0 || rest > 0 || l.ready.len > 0 {
		l.mu.Lock()
		l.running.Store(true)
		l.mu.Unlock()
		leave, err := l.enter()
		if err != nil {
			l.running.Store(false)
			return err
		}
		// One round more than there are tasks is for those who wait for them.
		for round, quiet := 0, 0; quiet < 2 && round < 1000; round++ {
			for _, t := range l.Tasks() {
				l.expel(t)
			}
			l.stopping = false
			l.CallSoon(Func(l.Stop))
			l.run()
			if quiet++; len(l.tasks) > 0 {
				quiet = 0
			}
		}
		leave()
	}
	abandoned := len(l.tasks)
	if l.locked && l.home == getg.Current() {
		l.retire(len(l.free))
		l.locked = false
		runtime.UnlockOSThread()
	}
	err := l.poller.Close()
	if abandoned > 0 {
		err = errors.Join(err, fmt.Errorf("rondo: %d tasks did not end when the loop was closed", abandoned))
	}
	return err
}

// expel makes a task leave whatever it waits for with ErrClosed.
func (l *Loop) expel(t *Task) {
	switch t.state {
	case taskFresh:
		t.must, t.due = true, Canceled(ErrClosed.Error())
	case taskParked:
		if t.worker.aborter.Abort(t, Leave, ErrClosed) == Aborted {
			t.leave(ErrClosed)
		}
	}
}

// CallSoon schedules c to run in the loop's next iteration, on the loop's own
// goroutine.
func (l *Loop) CallSoon(c Call) *Handle {
	h := &Handle{kind: kindCallback, call: c}
	l.push(h)
	return h
}

// Schedule puts h into the ready queue.
func (l *Loop) Schedule(h *Handle) { l.push(h) }

// StartTimer starts t, or starts it anew with another deadline.
func (l *Loop) StartTimer(t *Timer, when Time) { l.timers.start(t, when) }

// StopTimer stops t. It also keeps it from running if it is in the ready queue
// already.
func (l *Loop) StopTimer(t *Timer) {
	l.timers.stop(t)
	t.canceled = true
}

// Post schedules h from any goroutine, and wakes the loop. The handle must not be
// scheduled already. It returns ErrClosed if the loop is closed, and h will not
// run.
func (l *Loop) Post(h *Handle) error {
	l.mu.Lock()
	if l.closed.Load() {
		l.mu.Unlock()
		return ErrClosed
	}
	l.inbox = append(l.inbox, h)
	first := len(l.inbox) == 1
	l.hasInbox.Store(true)
	l.mu.Unlock()
	// The loop looks at the inbox after it has said that it sleeps, so one of
	// the two sees the other.
	if first && l.sleeping.Load() {
		l.poller.Wake()
	}
	return nil
}

func (l *Loop) takeInbox() {
	l.mu.Lock()
	inbox := l.inbox
	l.inbox = nil
	l.grantRequests()
	l.hasInbox.Store(false)
	l.mu.Unlock()
	for _, h := range inbox {
		l.push(h)
	}
}

// Inflight adds n to the number of operations that the poller will complete,
// External to the number of threads that work for tasks. On the virtual clock
// they are waited for; see [Options].
func (l *Loop) Inflight(n int) { l.inflight += n }

// External is described at Inflight.
func (l *Loop) External(n int) { l.external += n }

// invoke runs a user callback. A panic goes to the handler.
func (l *Loop) invoke(h *Handle) {
	if h.canceled {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			l.onPanic(&PanicError{p, debug.Stack()})
		}
	}()
	h.call.Call()
}

package rondo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/rondo-go/rondo/loop"
)

// A Loop is an event loop: it runs tasks and callbacks on one locked OS thread.
// Most programs only need [Run], which makes one. Its methods are for its own
// thread, or for the goroutine that is to run it, unless they say otherwise.
type Loop struct {
	k          *loop.Loop
	ctx        context.Context      // the parent of what is run
	handler    func(Report)         // is told of what has no other place
	vars       *varMap              // of the callback that runs
	conns      []closer             // open connections and listeners
	sides      []*sides             // of connections that rest now
	lent       []byte               // what Borrow returned last
	scratch    []byte               // of BorrowAtMost
	watched    []*watched           // on the virtual clock
	failures   []*core              // failed tasks whose errors nobody has seen yet
	sweeping   bool                 // failures will be looked through soon
	abroad     abroad               // who waits elsewhere
	datagram   []byte               // shared by the transports, nil until one receives
	watches    map[uintptr]*fdWatch // of the program's descriptors
	generators openGenerators
	debug      *debugging // or nil
	logs       bool       // the handler is logReport
	family     []*Loop    // of the run, the first being main's; nil: just this one
	signals    map[os.Signal]*signalWatch
	interrupts atomic.Int32 // how many take SIGINT from Run; of any goroutine
	canceling  []*core      // on whose behalf a request to cancel is on its way; see cycle.go
}

// A closer is something with a descriptor, closed at the latest with the loop.
type closer interface {
	closeWithLoop()
	isClosed() bool
	placed() *int32
}

// A member is the place of a closer among its loop's.
type member struct{ index int32 }

func (m *member) placed() *int32 { return &m.index }

// enlist takes c in, and delist takes it out.
func (l *Loop) enlist(c closer) {
	*c.placed() = int32(len(l.conns))
	l.conns = append(l.conns, c)
	l.noteOpened(c)
}

func (l *Loop) delist(c closer) {
	i, last := *c.placed(), len(l.conns)-1
	l.conns[i] = l.conns[last]
	*l.conns[i].placed() = i
	l.conns[last] = nil
	l.conns = l.conns[:last]
	l.noteClosed(c)
}

// NewLoop makes a loop that does not run yet. It must be closed. It may be called
// from any goroutine.
func NewLoop(opts ...Option) (*Loop, error) {
	o := options{ctx: context.Background()}
	for _, f := range opts {
		f(&o)
	}
	if o.poller == nil {
		p, err := newPoller()
		if err != nil {
			return nil, fmt.Errorf("rondo: new loop: %w", err)
		}
		o.poller = p
	}
	l := &Loop{ctx: o.ctx, handler: o.handler}
	if l.handler == nil {
		l.handler, l.logs = logReport, true
	}
	l.k = loop.New(loop.Options{
		Poller: o.poller, Virtual: o.virtual, ExitIdle: o.exitIdle, BeforeJump: l.leaveDone,
		OnPanic: func(err error) { l.handler(Report{Message: "a callback panicked", Err: err}) },
		Debug:   l.enableDebug(o.debug),
	})
	l.k.Data = l
	return l, nil
}

// lends says whether p is in the buffer that Borrow lends: a slice of it has the
// same last byte of capacity.
func (l *Loop) lends(p []byte) bool {
	q := l.lent
	return cap(p) > 0 && cap(q) > 0 && &p[:cap(p)][cap(p)-1] == &q[:cap(q)][cap(q)-1]
}

// RunForever runs the loop on the calling goroutine until [Loop.Stop]. On the
// virtual clock it returns [ErrDeadlock] when nothing can happen any more, if the
// loop was made with [WithExitWhenIdle].
func (l *Loop) RunForever() error {
	defer needProcs()()
	return l.k.Run()
}

// RunUntilComplete runs the loop on the calling goroutine, with main as a task,
// until that is done, and returns its error. Other tasks stay where they are.
func (l *Loop) RunUntilComplete(main func(ctx context.Context) error) error {
	return l.runMain(main, nil)
}

// runMain is RunUntilComplete. Started is called on the loop with the task.
func (l *Loop) runMain(main func(ctx context.Context) error, started func(*core)) error {
	var task *core
	l.CallSoon(func() {
		task = spawnCore(l.ctx, l.k, main, nil, []TaskOption{WithName("main")})
		task.retrieved = true
		task.start(nil)
		h := new(loop.Handle)
		h.Init(loop.Func(l.k.Stop))
		task.k.Done.Add(l.k, h)
		if started != nil {
			started(task)
		}
	})
	if err := l.RunForever(); err != nil {
		return err
	}
	if !task.Done() {
		return errors.New("rondo: loop was stopped before main was done")
	}
	return task.err
}

// Stop makes the loop return from RunForever after the present iteration.
func (l *Loop) Stop() {
	if l.debug != nil {
		l.checkThread("Loop.Stop")
	}
	l.k.Stop()
}

// Running says whether the loop runs. It may be called from any goroutine.
func (l *Loop) Running() bool { return l.k.Running() }

// Closed says whether the loop is closed. It may be called from any goroutine.
func (l *Loop) Closed() bool { return l.k.Closed() }

// Close ends the tasks that are left: whatever they park in fails with
// [ErrClosed]. Then it closes the connections that are open, and reports errors
// of tasks that nobody has seen. It must be called on the goroutine that ran the
// loop, when that does not run. A second Close does nothing.
//
// Errors: a task did not end; the poller's.
func (l *Loop) Close() error {
	if l.k.Running() {
		return loop.ErrRunning
	}
	if l.k.Closed() {
		return nil
	}
	err := l.closeGenerators()
	l.closeSignals()
	if l.debug != nil {
		l.reportLeft()
	}
	// Descriptors first: their endpoints belong to the poller.
	for len(l.conns) > 0 {
		l.conns[len(l.conns)-1].closeWithLoop()
	}
	err = errors.Join(err, l.k.Close())
	l.report()
	return err
}

// cancelAll cancels the tasks that are left and runs the loop until they are
// done, as asyncio's run does.
func (l *Loop) cancelAll() error {
	for tasks := l.k.Tasks(); len(tasks) > 0; tasks = l.k.Tasks() {
		left := len(tasks)
		for _, t := range tasks {
			h := new(loop.Handle)
			h.Init(loop.Func(func() {
				if left--; left == 0 {
					l.k.Stop()
				}
			}))
			t.Done.Add(l.k, h)
			coreOf(t).Cancel("")
		}
		if err := l.RunForever(); err != nil {
			return err
		}
	}
	return nil
}

// failed notes a task that ended with an error. Those that nobody wants are told of
// when there are many, to keep memory bounded; not at once, since who awaits one has its
// error in the next iteration.
func (l *Loop) failed(c *core) {
	l.failures = append(l.failures, c)
	if len(l.failures) < mostFailures || l.sweeping {
		return
	}
	l.sweeping = true
	last, next := new(loop.Handle), new(loop.Handle)
	last.Init(loop.Func(l.sweep))
	next.Init(loop.Func(func() { l.k.Schedule(last) }))
	l.k.Schedule(next)
}

// mostFailures is how many failed tasks are kept before they are looked through.
const mostFailures = 256

// sweep drops the failures that somebody has seen, and reports what is left if that is
// much.
func (l *Loop) sweep() {
	l.sweeping = false
	kept := l.failures[:0]
	for _, c := range l.failures {
		if !c.retrieved {
			kept = append(kept, c)
		}
	}
	clear(l.failures[len(kept):])
	l.failures = kept
	if len(kept) > mostFailures/2 {
		l.report()
	}
}

// report tells of the errors of failed tasks that nobody has seen.
func (l *Loop) report() {
	for _, c := range l.failures {
		if !c.retrieved && !l.abroad.awaits(c) {
			l.handler(Report{
				Kind: ReportError, Message: "a task's error was never retrieved",
				Err: c.err, Task: c.label(), Site: c.site().String(),
			})
		}
	}
	l.failures = nil
}

// RunningLoop returns the loop on whose thread the caller runs, or nil.
func RunningLoop() *Loop {
	l, _ := loop.Current()
	if l == nil {
		return nil
	}
	r, _ := l.Data.(*Loop)
	return r
}

// SpawnThreadsafe is [Spawn] for any goroutine: it starts fn as a task on l and
// returns at once. Its result is had with Await, which blocks a goroutine. If
// the loop is closed, the error is [ErrClosed].
func SpawnThreadsafe[T any](ctx context.Context, l *Loop, fn func(context.Context) (T, error), opts ...TaskOption) (*Task[T], error) {
	x := &Task[T]{fn: fn}
	x.init(ctx, l.k, nil, (*taskBody[T])(x), opts)
	if vars := varsHere(); vars != nil {
		x.vars = *vars // of whichever loop
	}
	h := new(loop.Handle)
	h.Init(loop.Func(func() { x.start(opts) }))
	if err := l.k.Post(h); err != nil {
		return nil, fmt.Errorf("spawn: %w", err)
	}
	return x, nil
}

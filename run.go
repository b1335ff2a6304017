package rondo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"sync"

	"github.com/rondo-go/rondo/loop"
	"github.com/rondo-go/rondo/poll"
)

// A Loop is the event loop of one [Run], with what its tasks own.
type Loop struct {
	k        *loop.Loop
	vars     *varMap             // of the callback that runs
	conns    map[closer]struct{} // open connections and listeners
	scratch  [1]byte
	watched  []*watched // on the virtual clock
	failures []*core    // failed tasks whose errors nobody has seen yet
}

// A closer is something with a descriptor, closed at the latest with the loop.
type closer interface{ closeWithLoop() }

// An Option is an option of [Run].
type Option func(*options)

type options struct {
	ctx     context.Context
	virtual bool
	signals bool
	poller  poll.Poller
}

// WithContext gives Run a parent context. Its end cancels main.
func WithContext(ctx context.Context) Option { return func(o *options) { o.ctx = ctx } }

// WithVirtualTime runs on a virtual clock: time stands still while anything is
// ready, and jumps to the next deadline when nothing is. A program that sleeps
// for hours then runs in microseconds, in the same order every time. I/O in
// flight is waited for a millisecond of real time before a jump, functions of
// [ToThread] until they are done.
func WithVirtualTime() Option { return func(o *options) { o.virtual = true } }

// WithoutSignals leaves SIGINT alone.
func WithoutSignals() Option { return func(o *options) { o.signals = false } }

// WithPoller runs on a given backend, which is closed with the loop.
func WithPoller(p poll.Poller) Option { return func(o *options) { o.poller = p } }

// Run runs main as a task on a new loop, on the calling goroutine, and returns
// its error. When main ends, the tasks that are left are canceled and waited
// for. It is asyncio's run.
//
// The first SIGINT cancels main, and Run then returns [ErrInterrupted] (joined
// with main's error); the second ends the process as usual. Several Runs may go
// on at once, on goroutines of their own.
//
// If main calls runtime.Goexit, as a test's FailNow does, Run cleans up and does
// the same on its goroutine.
func Run(main func(ctx context.Context) error, opts ...Option) error {
	o := options{ctx: context.Background(), signals: true}
	for _, f := range opts {
		f(&o)
	}
	if o.poller == nil {
		p, err := newPoller()
		if err != nil {
			return err
		}
		o.poller = p
	}
	leaveProcs := needProcs()
	defer leaveProcs()
	l := &Loop{conns: make(map[closer]struct{})}
	l.k = loop.New(loop.Options{Poller: o.poller, Virtual: o.virtual, BeforeJump: l.leaveDone, OnPanic: func(err error) {
		slog.Error("rondo: callback panicked", "error", err)
	}})
	l.k.Data = l
	var task *core
	l.CallSoon(func() {
		task = spawnCore(o.ctx, l.k, main, nil, []TaskOption{WithName("main")})
		task.retrieved = true
		task.start(nil)
		l.stopAfter(task)
	})
	interrupted := false
	if o.signals {
		stop := l.onInterrupt(func() {
			interrupted = true
			task.Cancel("interrupted")
		})
		defer stop()
	}
	err := l.k.Run()
	if err == nil {
		err = l.finish()
		if task.err != nil {
			err = errors.Join(task.err, err)
		}
	}
	err = errors.Join(err, l.k.Close())
	if errors.Is(task.err, ErrGoexit) {
		runtime.Goexit()
	}
	if interrupted {
		err = errors.Join(ErrInterrupted, err)
	}
	if task.err != nil && err.Error() == task.err.Error() {
		return task.err
	}
	return err
}

// stopAfter stops the loop once a task is done.
func (l *Loop) stopAfter(c *core) {
	h := new(loop.Handle)
	h.Init(loop.Func(l.k.Stop))
	c.k.Done.Add(l.k, h)
}

// finish cancels the tasks that are left, runs the loop until they are done,
// closes what they left open, and reports the errors that nobody has seen.
func (l *Loop) finish() error {
	var err error
	for len(l.k.Tasks()) > 0 && err == nil {
		tasks := l.k.Tasks()
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
		err = l.k.Run()
	}
	for c := range l.conns {
		c.closeWithLoop()
	}
	l.report()
	return err
}

// failed notes a task that ended with an error.
func (l *Loop) failed(c *core) {
	const most = 256
	if len(l.failures) == most {
		kept := l.failures[:0]
		for _, f := range l.failures {
			if !f.retrieved {
				kept = append(kept, f)
			}
		}
		clear(l.failures[len(kept):])
		l.failures = kept
		if len(kept) > most/2 { // keep memory bounded: say it now
			l.report()
		}
	}
	l.failures = append(l.failures, c)
}

// report logs the errors of failed tasks that nobody has seen.
func (l *Loop) report() {
	for _, c := range l.failures {
		if !c.retrieved {
			slog.Error("rondo: a task's error was never retrieved", "task", c.label(), "error", c.err)
		}
	}
	l.failures = nil
}

// onInterrupt calls f on the loop at the first SIGINT, and leaves the second to
// the system.
func (l *Loop) onInterrupt(f func()) (stop func()) {
	c := make(chan os.Signal, 1)
	quit := make(chan struct{})
	var wg sync.WaitGroup
	signal.Notify(c, os.Interrupt)
	wg.Go(func() {
		select {
		case <-c:
			signal.Stop(c)
			h := new(loop.Handle)
			h.Init(loop.Func(f))
			l.k.Post(h)
		case <-quit:
		}
	})
	return func() {
		signal.Stop(c)
		close(quit)
		wg.Wait()
	}
}

// A loop's thread may sleep in the kernel or compute without a pause; the rest
// of the program needs a processor besides.
var procs struct {
	mu           sync.Mutex
	loops, added int
}

func needProcs() (leave func()) {
	procs.mu.Lock()
	defer procs.mu.Unlock()
	procs.loops++
	if n := runtime.GOMAXPROCS(0); n < procs.loops+1 {
		procs.added += procs.loops + 1 - n
		runtime.GOMAXPROCS(procs.loops + 1)
	}
	return func() {
		procs.mu.Lock()
		defer procs.mu.Unlock()
		procs.loops--
		if procs.loops == 0 && procs.added > 0 {
			runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) - procs.added)
			procs.added = 0
		}
	}
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
	h := new(loop.Handle)
	h.Init(loop.Func(func() { x.start(opts) }))
	if err := l.k.Post(h); err != nil {
		return nil, fmt.Errorf("spawn: %w", err)
	}
	return x, nil
}

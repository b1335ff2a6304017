package rondo

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"runtime"
	"sync"

	"github.com/rondo-go/rondo/loop"
	"github.com/rondo-go/rondo/poll"
)

// An Option is an option of [Run], [NewRunner] and [NewLoop].
type Option func(*options)

type options struct {
	ctx       context.Context
	virtual   bool
	exitIdle  bool
	noSignals bool
	poller    poll.Poller
	handler   func(Report)
	debug     *Debug
	loops     int
}

// WithContext gives a parent context. Its end cancels main.
func WithContext(ctx context.Context) Option { return func(o *options) { o.ctx = ctx } }

// WithVirtualTime runs on a virtual clock: time stands still while anything is
// ready, and jumps to the next deadline when nothing is. A program that sleeps
// for hours then runs in microseconds, in the same order every time. I/O in
// flight is waited for a millisecond of real time before a jump, functions of
// [ToThread] until they are done.
func WithVirtualTime() Option { return func(o *options) { o.virtual = true } }

// WithExitWhenIdle makes a loop on the virtual clock return [ErrDeadlock] when
// nothing is ready, no timer runs and nothing outside is awaited. Without it,
// such a loop waits for other goroutines.
func WithExitWhenIdle() Option { return func(o *options) { o.exitIdle = true } }

// WithoutSignals leaves SIGINT alone.
func WithoutSignals() Option { return func(o *options) { o.noSignals = true } }

// WithPoller runs on a given backend, which is closed with the loop.
func WithPoller(p poll.Poller) Option { return func(o *options) { o.poller = p } }

// WithExceptionHandler has h told of what goes wrong where no caller is to be
// told: panics of callbacks, errors that nobody retrieved. It replaces the
// default, which writes to slog. H runs on the loop's thread and must not park.
func WithExceptionHandler(h func(Report)) Option { return func(o *options) { o.handler = h } }

// ErrDeadlock says that on the virtual clock nothing can ever happen any more.
var ErrDeadlock = loop.ErrDeadlock

// Run runs main as a task on a new loop, on the calling goroutine, and returns
// its error. When main ends, the tasks that are left are canceled and waited
// for. It is asyncio's run.
//
// The first SIGINT cancels main, and Run then returns [ErrInterrupted] (joined
// with main's error); the second ends the process as usual. A handler of one's own
// ([Loop.AddSignalHandler], [Signals]) replaces that. Several Runs may go
// on at once, on goroutines of their own.
//
// If main calls runtime.Goexit, as a test's FailNow does, Run cleans up and does
// the same on its goroutine.
func Run(main func(ctx context.Context) error, opts ...Option) error {
	r, err := NewRunner(opts...)
	if err != nil {
		return err
	}
	err = r.Run(main)
	if cerr := r.Close(); cerr != nil {
		err = errors.Join(err, cerr)
	}
	if errors.Is(err, ErrGoexit) {
		runtime.Goexit()
	}
	return err
}

// A Runner runs one main after another on one loop. It belongs to one goroutine.
type Runner struct {
	loop    *Loop
	signals bool
	others  *otherLoops
}

// NewRunner makes a runner and its loop. It must be closed.
func NewRunner(opts ...Option) (*Runner, error) {
	l, err := NewLoop(opts...)
	if err != nil {
		return nil, err
	}
	o := options{}
	for _, f := range opts {
		f(&o)
	}
	r := &Runner{loop: l, signals: !o.noSignals}
	if o.loops > 1 {
		if r.others, err = startLoops(l, o, opts); err != nil {
			return nil, errors.Join(err, l.Close())
		}
	}
	return r, nil
}

// Loop returns the runner's loop.
func (r *Runner) Loop() *Loop { return r.loop }

// Run runs main as a task until it is done, and returns its error. Tasks that it
// started and did not await stay where they are, for the next Run or until
// Close. SIGINT is treated as the function [Run] says.
func (r *Runner) Run(main func(ctx context.Context) error) error {
	interrupted := false
	stop := func() {}
	err := r.loop.runMain(main, func(task *core) {
		if r.signals {
			stop = r.loop.onInterrupt(func() {
				interrupted = true
				task.Cancel("interrupted")
			})
		}
	})
	stop()
	if interrupted {
		return errors.Join(ErrInterrupted, err)
	}
	return err
}

// Close cancels the tasks that are left, runs the loop until they are done, and
// closes it.
func (r *Runner) Close() error {
	if r.loop.Closed() {
		return nil
	}
	err := r.loop.cancelAll()
	if r.others != nil {
		err = errors.Join(err, r.others.stop())
	}
	return errors.Join(err, r.loop.Close())
}

// onInterrupt calls f on the loop at the first SIGINT, and leaves the second to
// the system. Those that a handler takes do not count.
func (l *Loop) onInterrupt(f func()) (stop func()) {
	c := make(chan os.Signal, 1)
	quit := make(chan struct{})
	var wg sync.WaitGroup
	signal.Notify(c, os.Interrupt)
	wg.Go(func() {
		for {
			select {
			case <-c:
				if l.interrupts.Load() > 0 {
					continue // the program handles it
				}
				signal.Stop(c)
				h := new(loop.Handle)
				h.Init(loop.Func(f))
				l.k.Post(h)
			case <-quit:
			}
			return
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

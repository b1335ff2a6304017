// Package rondotest helps to test code that runs on Rondo.
//
// [Run] runs a test's body as a task, on the virtual clock, and fails the test if something is left behind: a task, an
// open connection, an error that nobody has seen. [NewServer] starts an HTTP server as httptest does, [Call] a handler without
// any network. [Pipe] and [Listen] make connections; [FaultyConn] and [Proxy] break them.
package rondotest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rondo-go/rondo"
)

// An Option is an option of [Run].
type Option func(*options)

type options struct {
	real     bool
	deadline time.Duration
	allowed  []rondo.ReportKind
	loop     []rondo.Option
}

// RealTime runs on the real clock. It is for tests whose peers are outside of the loop, other processes or
// a server on a goroutine: the virtual clock would jump to the next timeout while such a peer thinks.
func RealTime() Option { return func(o *options) { o.real = true } }

// Deadline sets how long the test may take of real time, in place of 30 seconds. Then it fails, with
// what its tasks wait in, and its body is canceled.
func Deadline(d time.Duration) Option { return func(o *options) { o.deadline = d } }

// Allow has reports of some kinds logged, and not fail the test.
func Allow(kinds ...rondo.ReportKind) Option {
	return func(o *options) { o.allowed = append(o.allowed, kinds...) }
}

// LoopOptions passes options on to the loop. [rondo.WithLoops] needs [RealTime] as well.
func LoopOptions(opts ...rondo.Option) Option {
	return func(o *options) { o.loop = append(o.loop, opts...) }
}

// Run runs body as the main task of a new loop, on the calling goroutine, which is the test's, on the virtual
// clock, and in debug mode ([rondo.WithDebug]). The test fails if
//
//   - a task is left when body returns, and does not end within 100 ms by itself;
//   - a connection or a listener was never closed;
//   - an error of a task or a future was never retrieved, or a callback panicked;
//   - something that belongs to the loop's thread was called elsewhere;
//   - it takes longer than the [Deadline].
//
// T.Fatal and t.Skip work in body. In another task they end that task, and mark the test; a goroutine off the loop must use
// t.Error, as ever.
func Run(t testing.TB, body func(ctx context.Context), opts ...Option) {
	t.Helper()
	r := &run{t: t, body: body, options: options{deadline: 30 * time.Second}}
	for _, o := range opts {
		o(&r.options)
	}
	if r.start() {
		runtime.Goexit()
	}
}

// A run is a Run under way.
type run struct {
	options
	t    testing.TB
	body func(ctx context.Context)
	loop *rondo.Loop
	ends []func() // what its helpers have to do in the end, in reverse
}

// runs are the runs under way, by their loops.
var runs sync.Map

// running returns the run of the loop that the caller is on, or nil.
func running() *run {
	if l := rondo.RunningLoop(); l != nil {
		if r, ok := runs.Load(l); ok {
			return r.(*run)
		}
	}
	return nil
}

// atEnd has f called when the body of the run that the caller is in has ended. Without a run, what is open
// is closed with its loop.
func atEnd(f func()) {
	if r := running(); r != nil {
		r.ends = append(r.ends, f)
	}
}

var errDeadline = errors.New("rondotest: the test has taken too long")

// start returns whether the body has ended by runtime.Goexit.
func (r *run) start() (exited bool) {
	r.t.Helper()
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	opts := []rondo.Option{rondo.WithContext(ctx), rondo.WithoutSignals(), rondo.WithExceptionHandler(r.report),
		rondo.WithDebug(rondo.Debug{SlowStep: time.Second})}
	if !r.real {
		opts = append(opts, rondo.WithVirtualTime())
	}
	runner, err := rondo.NewRunner(append(opts, r.options.loop...)...)
	if err != nil {
		r.t.Fatalf("rondotest: %v", err)
	}
	r.loop = runner.Loop()
	late := time.AfterFunc(r.deadline, func() {
		r.loop.CallSoonThreadsafe(func() {
			r.t.Errorf("rondotest: the test has taken longer than %v", r.deadline)
			r.pending(r.loop.Pending())
			cancel(errDeadline)
		})
	})
	err = runner.Run(r.main)
	err = errors.Join(err, runner.Close())
	late.Stop()
	var p *rondo.PanicError
	switch {
	case errors.Is(err, rondo.ErrGoexit):
		return true
	case errors.As(err, &p):
		r.t.Errorf("rondotest: panic: %v\n%s", p.Value, p.Stack)
	case err != nil && !errors.Is(err, context.Canceled):
		r.t.Errorf("rondotest: %v", err)
	}
	return false
}

func (r *run) main(ctx context.Context) error {
	runs.Store(r.loop, r)
	defer runs.Delete(r.loop)
	defer r.settle(ctx)
	r.body(ctx)
	return nil
}

// settle ends what the helpers have begun, and reports the tasks that are left then.
func (r *run) settle(ctx context.Context) {
	var left []rondo.Report
	err := rondo.Cleanup(ctx, time.Minute, func(ctx context.Context) (err error) {
		for _, f := range slices.Backward(r.ends) {
			f()
		}
		// What was canceled, or has lost its peer, needs some turns to end.
		const grace, own = 100 * time.Millisecond, 2 // main, and this one
		for from := time.Now(); len(rondo.Tasks()) > own && time.Since(from) < grace; {
			if err := rondo.Sleep(ctx, 0); err != nil {
				return err
			}
		}
		left, err = r.elsewhere(ctx)
		return err
	})
	if err != nil {
		r.t.Errorf("rondotest: cleaning up: %v", err)
	}
	r.pending(append(r.loop.Pending(), left...))
}

// elsewhere returns what is pending on the other loops of the run.
func (r *run) elsewhere(ctx context.Context) (all []rondo.Report, err error) {
	for _, l := range r.loop.Loops()[1:] {
		x, err := rondo.SpawnThreadsafe(ctx, l, func(context.Context) ([]rondo.Report, error) { return l.Pending(), nil })
		if err != nil {
			return nil, err
		}
		left, err := x.Await(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, left...)
	}
	return all, nil
}

// pending fails the test for each task.
func (r *run) pending(all []rondo.Report) {
	for _, p := range all {
		r.report(p)
	}
}

// report is the loops' exception handler.
func (r *run) report(p rondo.Report) {
	text := new(strings.Builder)
	fmt.Fprintf(text, "rondotest: %s", p.Message)
	for name, s := range map[string]string{"task": p.Task, "spawned or opened at": p.Site} {
		if s != "" {
			fmt.Fprintf(text, ", %s %s", name, s)
		}
	}
	if p.Err != nil {
		fmt.Fprintf(text, ": %v", p.Err)
	}
	if p.Stack != "" {
		fmt.Fprintf(text, "\n%s", p.Stack)
	}
	switch {
	case errors.Is(p.Err, rondo.ErrGoexit) && r.t.Failed():
		// t.Fatal has ended the task.
	case p.Kind == rondo.ReportSlow, slices.Contains(r.allowed, p.Kind):
		r.t.Log(text)
	default:
		r.t.Error(text)
	}
}

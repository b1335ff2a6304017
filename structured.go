package rondo

import (
	"context"
	"errors"
	"time"

	"github.com/rondo-go/rondo/loop"
)

// Start starts fn as a task of the group and parks until it says that it is
// ready, by calling ready with a value for the caller. If fn ends first, Start
// returns its error, and the group goes on as after any task's end. If the caller
// is canceled meanwhile, fn is canceled too. It is Trio's nursery.start.
//
// Errors: that of fn, or [ErrNotReady] if it returned nil without being ready;
// [ErrGroupEnded], [ErrGroupAborting]; those of [Sleep].
func Start[T any](ctx context.Context, g *Group, fn func(ctx context.Context, ready func(T)) error, opts ...TaskOption) (T, error) {
	var zero T
	if err := g.Admits(); err != nil {
		return zero, err
	}
	is := NewFuture[T]()
	x := Go(g, func(ctx context.Context) (struct{}, error) {
		err := fn(ctx, func(v T) { is.Set(v) })
		if !is.Done() {
			if err != nil {
				is.Fail(err)
			} else {
				is.Fail(ErrNotReady)
			}
		}
		return struct{}{}, err
	}, opts...)
	v, err := is.Await(ctx)
	if isCancellation(err) && !x.Done() {
		x.Cancel("")
	}
	return v, err
}

// ErrNotReady is returned by [Start] if the function returned without a word.
var ErrNotReady = errors.New("rondo: task ended before it was ready")

// Cleanup calls fn to clean up, for at most d, in a context that is not done even
// if the task has been canceled, and in which no further cancellation arrives:
// one that comes meanwhile is delivered after it. It is for defers:
//
//	defer rondo.Cleanup(ctx, time.Second, conn.Goodbye)
//
// Fn runs as a task of its own, with the values of ctx.
//
// Errors: that of fn; a [TimeoutError].
func Cleanup(ctx context.Context, d time.Duration, fn func(ctx context.Context) error) error {
	t, err := taskFor(ctx)
	if err != nil {
		return err
	}
	x := spawnCore(context.WithoutCancel(ctx), t.Loop(), func(ctx context.Context) error {
		return Timeout(ctx, d, fn)
	}, nil, nil)
	x.start(nil)
	x.retrieved = true
	var owed *CanceledError
	for !x.Done() {
		x.k.Done.Add(t.Loop(), t.Step())
		if ce, ok := t.Park(loop.NoAbort).(*CanceledError); ok {
			owed = ce
		}
	}
	if owed != nil {
		t.Owe(owed)
	}
	return x.err
}

// Race runs fns as tasks until the first of them ends, cancels the others, waits
// for them, and returns the first one's result and its index. If the caller is
// canceled, all of them are. It is Curio's TaskGroup(wait=any).
//
// Errors: the first one's; those of [Sleep]. Errors of the others, other than
// their cancellation, are joined to it.
func Race[T any](ctx context.Context, fns ...func(ctx context.Context) (T, error)) (v T, index int, err error) {
	index = -1
	if len(fns) == 0 {
		return v, index, errors.New("rondo: Race of nothing")
	}
	var rest []error
	gerr := WithGroup(ctx, func(g *Group) error {
		for i, fn := range fns {
			g.Go(func(ctx context.Context) error {
				got, e := fn(ctx)
				if index < 0 {
					v, index, err = got, i, e
					g.Cancel()
				} else if e != nil && !isCancellation(e) {
					rest = append(rest, e)
				}
				return nil
			})
		}
		return nil
	})
	if index < 0 || isCancellation(gerr) {
		return v, index, gerr
	}
	if len(rest) > 0 {
		err = errors.Join(append([]error{err}, rest...)...)
	}
	return v, index, err
}

// An Executor runs functions off the loop.
type Executor interface {
	// Execute runs fn on some goroutine, soon, and does not block.
	Execute(fn func())
}

// InExecutor is [ToThread] on an executor of the caller's choice: a bounded pool,
// say.
func InExecutor[T any](ctx context.Context, e Executor, fn func() (T, error)) (T, error) {
	return offLoop(ctx, e.Execute, fn)
}

// A ThreadPool is an [Executor] that runs at most so many functions at a time;
// the others wait in line. Make one with [NewThreadPool].
type ThreadPool struct {
	queue *Queue[func()]
	spare chan struct{}
}

// NewThreadPool returns a pool of at most n goroutines, which are started as they
// are needed and end when there is nothing to do.
func NewThreadPool(n int) *ThreadPool {
	if n < 1 {
		panic("rondo: NewThreadPool: at least one goroutine is needed")
	}
	return &ThreadPool{NewQueue[func()](0), make(chan struct{}, n)}
}

// Execute implements [Executor].
func (p *ThreadPool) Execute(fn func()) {
	p.queue.TryPut(fn)
	select {
	case p.spare <- struct{}{}:
		go p.work()
	default:
	}
}

func (p *ThreadPool) work() {
	for {
		fn, err := p.queue.TryGet()
		if err != nil {
			<-p.spare
			// Somebody may have come between the two.
			if p.queue.Len() == 0 {
				return
			}
			select {
			case p.spare <- struct{}{}:
				continue
			default:
				return
			}
		}
		fn()
	}
}

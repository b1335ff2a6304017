package pipeline

import (
	"context"
	"errors"
	"time"

	"github.com/rondo-go/rondo"
)

// An Option is an option of [Map], [FlatMap] and [Each].
type Option func(*options)

type options struct {
	workers   int
	inFlight  bool // workers was given
	unordered bool
	timeout   time.Duration
	attempts  int
	backoff   time.Duration
	retry     bool
	executor  rondo.Executor
	dead      any // a func(context.Context, T, error) error
	timed     bool
}

// InFlight has up to n calls go on at once, each in a task. The results come in
// the order of the items, unless [Unordered] is given too. It also bounds how many
// results wait for the next stage.
func InFlight(n int) Option { return func(o *options) { o.workers, o.inFlight = n, true } }

// Unordered passes results on as they come.
func Unordered() Option { return func(o *options) { o.unordered = true } }

// Timeout bounds each attempt. One that takes longer fails with a
// [rondo.TimeoutError].
func Timeout(d time.Duration) Option {
	return func(o *options) { o.timeout, o.timed = d, true }
}

// Retry calls the function up to attempts times until it succeeds, and waits
// backoff before the second time, twice that before the third, and so on. A
// cancellation is not retried.
func Retry(attempts int, backoff time.Duration) Option {
	return func(o *options) { o.attempts, o.backoff, o.retry = attempts, backoff, true }
}

// OnThread runs the function off the loop, on a goroutine, for what computes for
// long or blocks. It must not call what is for tasks; its context is that of the
// stage. Without InFlight, one goroutine runs at a time. A call that is given up,
// because of a timeout or a cancellation, goes on; its result is dropped.
func OnThread() Option { return On(threads{}) }

// On is [OnThread] on an executor of the caller's choice, such as a
// [rondo.ThreadPool].
func On(e rondo.Executor) Option { return func(o *options) { o.executor = e } }

type threads struct{}

func (threads) Execute(fn func()) { go fn() }

// DeadLetter hands items whose call failed for good to f, which may park, and
// goes on without them; they count as acknowledged if f returns nil. T must be the
// type of the stage's items. An error of f is the stage's. See [Try] for a stream
// of dead letters.
func DeadLetter[T any](f func(ctx context.Context, item T, err error) error) Option {
	return func(o *options) { o.dead = f }
}

// callOptions are options for items of type T.
type callOptions[T any] struct {
	options
	letter func(ctx context.Context, item T, err error) error
}

func makeOptions[T any](n *node, opts []Option) *callOptions[T] {
	o := new(callOptions[T])
	for _, f := range opts {
		f(&o.options)
	}
	n.must(!o.inFlight || o.workers > 0, "InFlight(%d); at least 1 call must go on", o.workers)
	n.must(!o.unordered || o.inFlight, "Unordered without InFlight; say how many calls may go on")
	n.must(!o.timed || o.timeout > 0, "Timeout(%v); it must be above zero", o.timeout)
	n.must(!o.retry || o.attempts > 0, "Retry(%d); at least 1 attempt is needed", o.attempts)
	if o.dead != nil {
		var ok bool
		o.letter, ok = o.dead.(func(context.Context, T, error) error)
		n.must(ok, "DeadLetter takes a %T, which is not for items of this stage; its item must have their type", o.dead)
	}
	return o
}

// special says whether a call is more than a call.
func (o *callOptions[T]) special() bool {
	return o.timed || o.retry || o.executor != nil || o.letter != nil
}

// wrap returns f with timeout, executor and retries.
func wrap[T, U any](o *callOptions[T], f func(context.Context, T) (U, error)) func(context.Context, T) (U, error) {
	if e := o.executor; e != nil {
		g := f
		f = func(ctx context.Context, v T) (U, error) {
			return rondo.InExecutor(ctx, e, func() (U, error) { return g(ctx, v) })
		}
	}
	if d := o.timeout; d > 0 {
		g := f
		f = func(ctx context.Context, v T) (u U, err error) {
			err = rondo.Timeout(ctx, d, func(ctx context.Context) (err error) {
				u, err = g(ctx, v)
				return err
			})
			return u, err
		}
	}
	if o.retry {
		g := f
		f = func(ctx context.Context, v T) (u U, err error) {
			wait := o.backoff
			for i := 1; ; i++ {
				u, err = g(ctx, v)
				if err == nil || i >= o.attempts || errors.Is(err, context.Canceled) {
					return u, err
				}
				if err := rondo.Sleep(ctx, wait); err != nil {
					return u, err
				}
				wait *= 2
			}
		}
	}
	return f
}

// bury hands a failed item to the dead-letter function. Buried says that the item
// is dealt with, or else err is what remains.
func (o *callOptions[T]) bury(ctx context.Context, v T, err error) (buried bool, _ error) {
	if o.letter == nil || errors.Is(err, context.Canceled) {
		return false, err
	}
	if err := o.letter(ctx, v, err); err != nil {
		return false, err
	}
	return true, nil
}

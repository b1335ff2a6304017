package rondo

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"sync"
	"time"

	"github.com/rondo-go/rondo/coro"
	"github.com/rondo-go/rondo/loop"
)

// An AsyncGenerator yields values, and its body may park between them: it runs
// in the task that resumes the generator, so that this task waits, and a
// cancellation of this task arises in the body. It is Python's asynchronous
// generator; the rules are those of [coro.Generator], whose errors it uses.
//
// It is made by [Generate] or [GenerateSeq], belongs to the loop where it is used
// first, and is for one task at a time: another one gets [coro.ErrRunning]. One
// that is left suspended is closed at the latest when its loop ends: [Run] gives
// each a task for that. One that is dropped may be closed before, by a task too.
// The errors of such a close are logged.
type AsyncGenerator[T any] struct {
	a *asyncGen[T] // what the body holds must not be the handle, so that it can be dropped
}

// ErrIgnoredClose says that an async generator was to be closed, or thrown into, that has
// yielded when it was closed before. As in Python, it is not disturbed again.
var ErrIgnoredClose = errors.New("rondo: async generator has ignored that it was closed (its body must return once yield has returned an error)")

type asyncGen[T any] struct {
	gen  *coro.Generator[T, any, struct{}]
	ctx  *resumer
	seq  func(ctx context.Context) iter.Seq2[T, error] // of GenerateSeq
	push bool                                          // seq runs without a coroutine
	deaf bool                                          // it yielded when it was closed
	loop *Loop                                         // since it was used first
	id   uint64                                        // among the loop's open ones, or 0
}

// Generate makes an asynchronous generator. Its body runs from the first Next
// on. Yield suspends it, and returns what the generator is resumed with: the
// value of [AsyncGenerator.Send] or nil, or the error of [AsyncGenerator.Throw],
// or [coro.ErrExit] of [AsyncGenerator.Aclose]. A body that is given an error
// cleans up, which may park, and returns.
//
// The body's context stands for that of the task that has resumed it last, with
// its values, its deadline and its end. What is derived from it stays with the
// task of that moment; so a body must not yield inside of [Timeout] or
// [WithGroup], since its next step may be another task's.
func Generate[T any](body func(ctx context.Context, yield func(v T) (sent any, err error)) error) *AsyncGenerator[T] {
	ctx := &resumer{ctx: context.Background()}
	gen := coro.New(func(y coro.Yield[T, any]) (none struct{}, err error) {
		if here, _ := loop.Current(); here != nil {
			defer here.Enroll()()
		}
		return none, body(ctx, y)
	})
	return &AsyncGenerator[T]{&asyncGen[T]{gen: gen, ctx: ctx}}
}

// GenerateSeq makes an asynchronous generator whose body is a Go iterator: it
// only yields, and an error, after which it must end, is its last pair. Its
// yield returns false when the generator is closed, or left, or thrown into; the
// thrown error comes back from Throw.
//
// Ranged over with [AsyncGenerator.All] from its start, it runs as any Go
// iterator: in the ranging task, with no coroutine and no cost of its own, and
// leaving the loop ends it.
func GenerateSeq[T any](body func(ctx context.Context) iter.Seq2[T, error]) *AsyncGenerator[T] {
	g := Generate(func(ctx context.Context, yield func(T) (any, error)) error {
		for v, err := range body(ctx) {
			if err != nil {
				return err
			}
			if _, err := yield(v); err != nil {
				return err
			}
		}
		return nil
	})
	g.a.seq = body
	return g
}

// Next resumes the generator until it yields. If it ends instead, ok is false;
// so it is, without an error, whenever the generator has ended before.
//
// Errors:
//   - what the body returned, such as the [CanceledError] of the calling task.
//   - [coro.ErrRunning] if another task, or the body itself, is in the generator.
//   - [ErrNotTask], [ErrOtherLoop].
func (g *AsyncGenerator[T]) Next(ctx context.Context) (v T, ok bool, err error) {
	a := g.a
	if err := a.enter(ctx); err != nil {
		return v, false, err
	}
	a.begin(g)
	v, ok, err = a.gen.Next()
	a.leave()
	runtime.KeepAlive(g)
	return v, ok, err
}

// Send is Next, but the body's yield returns s. Sending nil is Next.
//
// Errors: those of Next; [coro.ErrNotStarted] if the generator has not started,
// which it then still has not.
func (g *AsyncGenerator[T]) Send(ctx context.Context, s any) (v T, ok bool, err error) {
	if s == nil {
		return g.Next(ctx)
	}
	defer runtime.KeepAlive(g)
	if err := g.a.enter(ctx); err != nil {
		return v, false, err
	}
	v, ok, err = g.a.gen.Send(s)
	g.a.leave()
	return v, ok, err
}

// Throw is Next, but the body's yield returns e, which must not be nil. A
// generator that has not started ends by that, and its body never runs; then,
// and if it has ended before, Throw returns e.
//
// Errors: those of Next; [ErrIgnoredClose].
func (g *AsyncGenerator[T]) Throw(ctx context.Context, e error) (v T, ok bool, err error) {
	defer runtime.KeepAlive(g)
	if err := g.a.enter(ctx); err != nil {
		return v, false, err
	}
	if g.a.deaf && g.a.suspended() {
		return v, false, ErrIgnoredClose
	}
	v, ok, err = g.a.gen.Throw(e)
	g.a.leave()
	return v, ok, err
}

// Aclose ends the generator: the body's yield returns [coro.ErrExit], and the
// body may park while it cleans up. Closing what has ended, or has not started,
// just ends it.
//
// Errors: those of Next, but for ErrExit; [coro.ErrIgnoredExit] if the body
// yielded instead, and [ErrIgnoredClose] if it did so before.
func (g *AsyncGenerator[T]) Aclose(ctx context.Context) error {
	defer runtime.KeepAlive(g)
	return g.a.aclose(ctx)
}

// All ranges over what the generator yields, from where it stands to its end. An
// error comes last, with a zero value. Leaving the loop early does not close a
// generator of [Generate], as in Python: it stays where it is, for another loop
// or Next, until it is closed. One of [GenerateSeq] that All has started ends
// with the loop.
func (g *AsyncGenerator[T]) All(ctx context.Context) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		if g.a.seq != nil && g.a.State() == coro.Created {
			g.pushAll(ctx, yield)
			return
		}
		for {
			v, ok, err := g.Next(ctx)
			if err != nil {
				yield(v, err)
				return
			}
			if !ok || !yield(v, nil) {
				return
			}
		}
	}
}

// pushAll runs the body of GenerateSeq in place.
func (g *AsyncGenerator[T]) pushAll(ctx context.Context, yield func(T, error) bool) {
	a := g.a
	if err := a.enter(ctx); err != nil {
		var zero T
		yield(zero, err)
		return
	}
	a.push = true
	defer func() {
		a.push = false
		a.gen.Close() // which has not started
	}()
	a.seq(ctx)(yield)
}

// State tells where the generator stands.
func (g *AsyncGenerator[T]) State() coro.State { return g.a.State() }

func (a *asyncGen[T]) State() coro.State {
	if a.push {
		return coro.Running
	}
	return a.gen.State()
}

// enter checks that the calling task may resume the generator, and makes its
// context the body's.
func (a *asyncGen[T]) enter(ctx context.Context) error {
	here, t := locate(ctx)
	switch {
	case t == nil:
		return ErrNotTask
	case a.loop == nil:
		a.loop = here.Data.(*Loop)
	case a.loop.k != here:
		return ErrOtherLoop
	}
	if a.State() == coro.Running {
		return fmt.Errorf("rondo: async generator: %w", coro.ErrRunning)
	}
	a.ctx.set(ctx)
	return nil
}

// begin notes the generator among the loop's open ones if it is about to start.
func (a *asyncGen[T]) begin(g *AsyncGenerator[T]) {
	if a.gen.State() != coro.Created {
		return
	}
	a.id = a.loop.opened(a)
	runtime.AddCleanup(g, (*asyncGen[T]).dropped, a)
}

// leave is the end of a call that resumed the generator.
func (a *asyncGen[T]) leave() {
	if a.id != 0 && a.gen.State() == coro.Closed {
		a.forget()
	}
}

func (a *asyncGen[T]) forget() {
	if a.id != 0 {
		a.loop.ended(a.id)
		a.id = 0
	}
}

func (a *asyncGen[T]) aclose(ctx context.Context) error {
	if err := a.enter(ctx); err != nil {
		return err
	}
	if a.deaf && a.suspended() {
		return ErrIgnoredClose
	}
	_, err := a.gen.Close()
	a.deaf = err == coro.ErrIgnoredExit
	a.leave()
	return err
}

func (a *asyncGen[T]) suspended() bool { return a.State() == coro.Suspended }

// dropped is called by the collector when nobody holds the generator any more.
func (a *asyncGen[T]) dropped() {
	a.loop.k.Post(loop.NewCallback(loop.Func(func() {
		if a.suspended() {
			if coro.OnLeak != nil {
				coro.OnLeak("async generator dropped before it had ended: it is closed now")
			}
			a.loop.closeGenerator(a)
		}
	}))) // fails if the loop is closed, and then so is the generator
}

// A resumer is the context of the task that has resumed a generator last.
type resumer struct {
	mu  sync.Mutex // contexts are used by any goroutine
	ctx context.Context
}

func (r *resumer) set(ctx context.Context) {
	if ctx == context.Context(r) {
		return // the body handed its own context to another of its kind, and so on round
	}
	r.mu.Lock()
	r.ctx = ctx
	r.mu.Unlock()
}

func (r *resumer) now() context.Context {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ctx
}

func (r *resumer) Value(key any) any     { return r.now().Value(key) }
func (r *resumer) Done() <-chan struct{} { return r.now().Done() }
func (r *resumer) Err() error            { return r.now().Err() }

func (r *resumer) Deadline() (time.Time, bool) { return r.now().Deadline() }

// AfterFunc makes contexts that the standard library derives cost no goroutine.
func (r *resumer) AfterFunc(f func()) (stop func() bool) { return context.AfterFunc(r.now(), f) }

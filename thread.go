package rondo

import (
	"context"
	"runtime/debug"

	"github.com/rondo-go/rondo/loop"
)

// ToThread runs fn on a goroutine off the loop, and parks the task until it is
// done: for calls that block, or that compute for long. If the task is canceled
// meanwhile, fn goes on and its result is dropped. A panic in fn comes back as a
// [PanicError]. The hop there and back costs about 15 us of CPU.
//
// Errors: that of fn; those of [Sleep].
func ToThread[T any](ctx context.Context, fn func() (T, error)) (T, error) {
	return offLoop(ctx, func(fn func()) { go fn() }, fn)
}

func offLoop[T any](ctx context.Context, execute func(func()), fn func() (T, error)) (T, error) {
	var zero T
	t, err := taskFor(ctx)
	if err != nil {
		return zero, err
	}
	l := t.Loop()
	j := &job[T]{fn: fn, loop: l, task: t}
	j.back.Init(j)
	l.External(1)
	execute(j.run)
	if err := park(ctx, t, j); err != nil {
		j.task = nil
		return zero, err
	}
	return j.value, j.err
}

// A job is a call of ToThread.
type job[T any] struct {
	fn    func() (T, error)
	loop  *loop.Loop
	task  *loop.Task // nil once the task has left; of the loop
	back  loop.Handle
	value T
	err   error
}

func (j *job[T]) run() {
	defer j.loop.Post(&j.back)
	defer func() {
		if p := recover(); p != nil {
			j.err = &PanicError{Value: p, Stack: debug.Stack()}
		}
	}()
	j.err = ErrGoexit // unless it returns
	j.value, j.err = j.fn()
}

// Call is the end of the job, on the loop.
func (j *job[T]) Call() {
	j.loop.External(-1)
	if j.task != nil {
		j.task.Unpark()
	}
}

// Abort implements [loop.Aborter].
func (j *job[T]) Abort(*loop.Task, loop.Reason, error) loop.Verdict {
	j.task = nil
	return loop.Aborted
}

// InExecutorShielded is [InExecutor] for what must not be left half known: once
// fn is on its way, the task waits for its end whatever comes, and gets its
// result. A cancellation that comes meanwhile is delivered by the task's next
// park; one that was due before keeps fn from being started. A nil e is a
// goroutine of its own. It is AnyIO's run_sync with abandon_on_cancel=False.
//
// Errors: that of fn; those of [Sleep], and fn was not started; [ErrClosed], and
// its outcome is not known.
func InExecutorShielded[T any](ctx context.Context, e Executor, fn func() (T, error)) (T, error) {
	var zero T
	t, err := taskFor(ctx)
	if err != nil {
		return zero, err
	}
	if !within(ctx, t) && ctx.Err() != nil {
		return zero, context.Cause(ctx)
	}
	if t.CancelPending() != nil {
		if err := t.Yield(); err != nil {
			return zero, err
		}
	}
	l := t.Loop()
	j := &job[T]{fn: fn, loop: l, task: t}
	j.back.Init(j)
	l.External(1)
	if e == nil {
		go j.run()
	} else {
		e.Execute(j.run)
	}
	switch err := t.Park(loop.NoAbort).(type) {
	case nil:
	case *CanceledError:
		t.Owe(err)
	default:
		j.task = nil
		return zero, err
	}
	return j.value, j.err
}

package rondo

import (
	"context"
	"errors"
	"fmt"

	"github.com/rondo-go/rondo/loop"
)

// core is a task without the type of its result.
type core struct {
	k         loop.Task
	scope     scope
	inner     *scope // the innermost scope open now
	runtime   *Loop
	vars      *varMap
	err       error
	group     *Group
	info      *taskInfo // or nil
	place     int32     // in group.children
	canceled  bool
	returned  bool // its body returned while a request to cancel was due
	canceling bool // a request is on its way through what it waits for
	retrieved bool // somebody has seen err
}

// A Task is a running function and its result. It is made by [Spawn], [Go] and
// [SpawnThreadsafe].
type Task[T any] struct {
	core
	fn    func(context.Context) (T, error)
	value T
}

// A TaskOption is an option of a task.
type TaskOption func(*taskOptions)

type taskOptions struct {
	name  string
	eager bool
}

// WithName names the task, for humans.
func WithName(name string) TaskOption { return func(o *taskOptions) { o.name = name } }

// WithEager runs the task's first step at once, inside the call that starts it,
// up to where it first parks. A task that never parks is then done when the call
// returns.
func WithEager() TaskOption { return func(o *taskOptions) { o.eager = true } }

// Spawn starts fn as a task on the loop of the calling task or callback, and
// returns at once: the task's first step runs in the loop's next iteration. The
// task gets a context of its own, with the values and the deadline of ctx. It is
// not canceled when the calling task is (use [WithGroup] for that); it is if ctx
// is derived by the standard library, and ends.
//
// A task that is not awaited is no leak: Run cancels what is left when main
// ends, waits for it, and reports errors that nobody saw.
//
// It panics off the loop, where [SpawnThreadsafe] is the call.
func Spawn[T any](ctx context.Context, fn func(context.Context) (T, error), opts ...TaskOption) *Task[T] {
	l, t := loop.Current()
	if l == nil {
		panic("rondo: Spawn off the loop (use SpawnThreadsafe)")
	}
	x := &Task[T]{fn: fn}
	x.init(ctx, l, t, (*taskBody[T])(x), opts)
	x.start(opts)
	return x
}

// spawnCore starts a function without a result.
func spawnCore(ctx context.Context, l *loop.Loop, fn func(context.Context) error, g *Group, opts []TaskOption) *core {
	_, t := loop.Current()
	p := &proc{fn: fn}
	p.group = g
	p.init(ctx, l, t, (*procBody)(p), opts)
	return &p.core
}

// A proc is a task that has only an error.
type proc struct {
	core
	fn func(context.Context) error
}

// Bodies and aborters are types of their own, so that Task shows none of it.
type (
	taskBody[T any] Task[T]
	procBody        proc
	coreAborter     core
)

func (x *taskBody[T]) Run(*loop.Task) { x.value, x.err = x.fn(&x.scope) }

func (x *taskBody[T]) Failed(_ *loop.Task, err error) { x.err = err }

func (x *taskBody[T]) Ended(*loop.Task) { x.ended() }

func (x *taskBody[T]) base() *core { return &x.core }

func (p *procBody) Run(*loop.Task) { p.err = p.fn(&p.scope) }

func (p *procBody) Failed(_ *loop.Task, err error) { p.err = err }

func (p *procBody) Ended(*loop.Task) { p.ended() }

func (p *procBody) base() *core { return &p.core }

// coreOf returns the core of a task of this package.
func coreOf(t *loop.Task) *core { return t.Body().(interface{ base() *core }).base() }

// init makes c a task of l, started by creator if that is not nil.
func (c *core) init(ctx context.Context, l *loop.Loop, creator *loop.Task, body loop.Body, opts []TaskOption) {
	c.k.Init(l, body)
	c.runtime = l.Data.(*Loop)
	c.scope.task = &c.k
	c.inner = &c.scope
	if s, ok := ctx.(*scope); ok {
		c.scope.parent = s
	} else {
		c.scope.parent = ctx
		c.follow(ctx, l)
	}
	if creator != nil {
		c.vars = coreOf(creator).vars
	} else if here, _ := loop.Current(); here == l {
		c.vars = c.runtime.vars
	}
	if len(opts) > 0 || c.runtime.debug != nil {
		c.info = c.runtime.describe(opts)
	}
}

func optionsOf(opts []TaskOption) taskOptions {
	var o taskOptions
	for _, f := range opts {
		f(&o)
	}
	return o
}

// start schedules the first step, or runs it.
func (c *core) start(opts []TaskOption) {
	l := c.k.Loop()
	if len(opts) > 0 && optionsOf(opts).eager {
		l.StartEager(&c.k)
	} else {
		l.Start(&c.k)
	}
}

// follow makes the end of a context that is not a scope cancel the task.
func (c *core) follow(ctx context.Context, l *loop.Loop) {
	done := ctx.Done()
	if done == nil {
		return
	}
	if s := scopeOf(ctx); s != nil && s.Done() == done {
		return
	}
	stop := context.AfterFunc(ctx, func() {
		h := new(loop.Handle)
		h.Init(loop.Func(func() { c.Cancel(context.Cause(ctx).Error()) }))
		l.Post(h)
	})
	h := new(loop.Handle)
	h.Init(loop.Func(func() { stop() }))
	c.k.Done.Add(l, h)
}

// ended is the end of the body. Cancellation follows asyncio: a task whose body
// let a CanceledError out is canceled, asked or not; one that returned while a
// request was due is canceled too.
func (c *core) ended() {
	if due := c.k.CancelPending(); due != nil && c.err == nil {
		c.err, c.returned = due, true
	}
	if c.err != nil {
		if isCancellation(c.err) || c.k.Cancelling() > 0 && errors.Is(c.err, context.Canceled) {
			c.canceled = true
		} else if c.group == nil {
			c.runtime.failed(c)
		}
	}
	c.scope.close(context.Canceled)
	if c.group != nil {
		c.k.AtEnd((*childDone)(c))
	}
}

// Name returns the task's name, or "".
func (c *core) Name() string {
	if c.info == nil {
		return ""
	}
	return c.info.name
}

// label names the task for humans.
func (c *core) label() string {
	if name := c.Name(); name != "" {
		return name
	}
	return fmt.Sprintf("%p", c)
}

// Cancel asks the task to end: the call that parks it now, or the next one,
// returns a [CanceledError] with the message, once. If it awaits another task
// or a future, that is canceled in turn. Cancel returns false if the task is
// done. It is for the loop's thread.
func (c *core) Cancel(message string) bool {
	if c.runtime.debug != nil {
		c.runtime.checkThread("Task.Cancel")
	}
	if c.k.Finished() {
		return false
	}
	c.scope.closeFrom(c.inner, context.Canceled)
	return c.k.Cancel(message)
}

// Uncancel takes one request to cancel back, and returns how many are left.
func (c *core) Uncancel() int { return c.k.Uncancel() }

// Cancelling returns the number of requests to cancel not taken back.
func (c *core) Cancelling() int { return c.k.Cancelling() }

// Done says whether the task is done. It is for the loop's thread.
func (c *core) Done() bool { return c.k.Finished() }

// Canceled says whether the task is done and was canceled.
func (c *core) Canceled() bool { return c.k.Finished() && c.canceled }

// Err returns the task's error once it is done, and nil before. As in asyncio,
// only the first who asks a canceled task gets the message (unless the task never
// knew of its cancellation).
func (c *core) Err() error {
	if !c.k.Finished() {
		return nil
	}
	c.retrieved = true
	err := c.err
	if c.canceled && !c.returned {
		if _, plain := err.(*CanceledError); plain {
			c.err = loop.Canceled("")
		}
	}
	return err
}

func (c *core) waitable() waitable { return c }

func (c *core) outcome() error { return c.err }

// OnDone has fn called on the task's loop, in an iteration of its own, once the
// task is done; at the soonest in the next iteration. It panics off the loop.
func (c *core) OnDone(fn func()) *DoneCallback { return onDone(c, fn) }

func (c *core) add(here *loop.Loop, h *loop.Handle) {
	c.retrieved = true
	if l := c.k.Loop(); here != l {
		// That loop tells this one. The handle cannot be withdrawn from there;
		// remove cancels it.
		tell := new(loop.Handle)
		tell.Init(loop.Func(func() { here.Post(h) }))
		ask := new(loop.Handle)
		ask.Init(loop.Func(func() { c.k.Done.Add(l, tell) }))
		l.Post(ask)
		return
	}
	c.k.Done.Add(here, h)
}

func (c *core) remove(here *loop.Loop, h *loop.Handle) bool {
	if here != c.k.Loop() {
		h.Cancel()
		return true
	}
	return c.k.Done.Remove(h)
}

// Result returns the result of a task that is done; else the error is
// [ErrNotDone].
func (x *Task[T]) Result() (T, error) {
	if !x.k.Finished() {
		var zero T
		return zero, ErrNotDone
	}
	return x.value, x.Err()
}

func (x *Task[T]) peek() (T, error) {
	if x.canceled && !x.returned {
		return x.value, loop.Canceled("") // its message is for those who ask it
	}
	return x.value, x.err
}

// Await parks the calling task until x is done, and returns its result. If x is
// done already it returns at once. A caller that is canceled meanwhile passes
// the request on to x, as asyncio does; one whose context ends leaves x alone.
// On a goroutine off the loop, Await blocks it.
//
// Errors: that of x; those of [Sleep]; a [CycleError] if x is the caller, or
// awaits the caller in turn and one of them is canceled.
func (x *Task[T]) Await(ctx context.Context) (T, error) {
	c := &x.core
	here, t := locate(ctx)
	if here != c.k.Loop() {
		err := c.awaitAbroad(ctx, here, t)
		if err == nil {
			return x.value, x.err
		}
		var zero T
		return zero, err
	}
	if !c.k.Finished() {
		err := c.awaitable(t)
		if err == nil {
			c.k.Done.Add(here, t.Step())
			var stop func()
			if stop, err = under(ctx, t); err == nil {
				err = t.Park((*coreAborter)(c))
			}
			if stop != nil {
				stop()
			}
		}
		if err != nil && !(c.Canceled() && isCancellation(err)) { // else x's own message goes first
			c.k.Done.Remove(t.Step())
			var zero T
			return zero, err
		}
	}
	return x.value, x.Err()
}

// awaitable says why t cannot wait for c.
func (c *core) awaitable(t *loop.Task) error {
	switch t {
	case nil:
		return ErrNotTask
	case &c.k:
		return &CycleError{[]string{c.label()}}
	}
	return nil
}

// Abort is for tasks that await c.
func (a *coreAborter) Abort(t *loop.Task, reason loop.Reason, err error) loop.Verdict {
	c := (*core)(a)
	if c.k.Finished() {
		return loop.Refused
	}
	if reason == loop.Leave {
		c.k.Done.Remove(t.Step())
		return loop.Aborted
	}
	coreOf(t).passOn(c, message(err))
	return loop.Passed
}

func message(err error) string {
	if ce, ok := err.(*CanceledError); ok {
		return ce.Message
	}
	return ""
}

// CurrentTask returns the task that runs here, or nil.
func CurrentTask() AnyTask {
	_, t := loop.Current()
	if t == nil {
		return nil
	}
	return coreOf(t)
}

// An AnyTask is a *[Task] of any type.
type AnyTask interface {
	Waitable
	Name() string
	Uncancel() int
	Cancelling() int
}

// Tasks returns the tasks of the running loop that are not done, in no order.
func Tasks() []AnyTask {
	l, _ := loop.Current()
	if l == nil {
		return nil
	}
	var tasks []AnyTask
	for _, t := range l.Tasks() {
		tasks = append(tasks, coreOf(t))
	}
	return tasks
}

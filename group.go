package rondo

import (
	"context"
	"errors"
	"strings"

	"github.com/rondo-go/rondo/loop"
)

// A Group is a scope for tasks: [WithGroup] does not return before all of them
// are done. It is for the loop's thread.
type Group struct {
	scope          scope
	owner          *core
	children       []*core // in order of creation; those that are done are nil
	left           int     // of children that are not done
	errs           []error
	aborting       bool
	parentCanceled bool
	waiting        bool
	ended          bool // the body has ended
}

// A GroupError joins the errors of a group's tasks in the order in which they
// ended, and that of the body last. errors.Is and errors.As look into each.
type GroupError struct{ Errors []error }

func (e *GroupError) Error() string {
	if len(e.Errors) == 1 {
		return e.Errors[0].Error()
	}
	var b strings.Builder
	for i, err := range e.Errors {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(err.Error())
	}
	return b.String()
}

// Unwrap returns the errors.
func (e *GroupError) Unwrap() []error { return e.Errors }

// WithGroup calls body with a group, and returns when body and every task of
// the group are done. The first error, of a task or of the body, cancels the
// tasks that are left, and the body if that still runs; the result is then a
// [GroupError]. It is asyncio's TaskGroup.
//
// If the calling task is canceled, so are the group's tasks; WithGroup waits
// for them and returns the [CanceledError].
//
// A panic in a task cancels the others at once, and comes out as a [PanicError]
// in the GroupError, with the task's stack.
//
// Errors: a [GroupError]; those of [Sleep].
func WithGroup(ctx context.Context, body func(g *Group) error) error {
	t, err := taskFor(ctx)
	if err != nil {
		return err
	}
	g := &Group{owner: coreOf(t)}
	g.scope.parent, g.scope.task = ctx, t
	g.scope.outer, g.owner.inner = g.owner.inner, &g.scope
	err = g.call(body)
	err = g.exit(ctx, err)
	g.scope.close(context.Canceled)
	g.owner.inner = g.scope.outer
	return err
}

// call runs the body. A panic waits until the tasks have ended.
func (g *Group) call(body func(*Group) error) (err error) {
	returned := false
	defer func() {
		if !returned {
			g.abort()
			g.exit(g.scope.parent, nil)
			g.scope.close(context.Canceled)
			g.owner.inner = g.scope.outer
		}
	}()
	err = body(g)
	returned = true
	return err
}

// Context returns the group's context, which its tasks inherit: it is done when
// the group is aborted or has ended.
func (g *Group) Context() context.Context { return &g.scope }

// Go starts fn as a task of the group. Like asyncio's create_task it panics if
// the group has ended; if the group is being aborted, fn is not started.
func (g *Group) Go(fn func(ctx context.Context) error, opts ...TaskOption) {
	if g.Admits() != nil {
		g.mustBeOpen()
		return
	}
	c := spawnCore(&g.scope, g.owner.k.Loop(), fn, g, opts)
	g.adopt(c)
	c.start(opts)
}

// Go starts fn as a task of the group, and returns it to be awaited for its
// value. Its error is the group's too. If the group is being aborted, the task
// is canceled before it starts.
func Go[T any](g *Group, fn func(ctx context.Context) (T, error), opts ...TaskOption) *Task[T] {
	admitted := g.Admits() == nil
	if !admitted {
		g.mustBeOpen()
	}
	_, t := loop.Current()
	x := &Task[T]{fn: fn}
	x.group = g
	x.init(&g.scope, g.owner.k.Loop(), t, (*taskBody[T])(x), opts)
	g.adopt(&x.core)
	if admitted {
		x.start(opts)
	} else {
		x.start(nil)
		x.Cancel("")
	}
	return x
}

// adopt notes a new task of the group.
func (g *Group) adopt(c *core) {
	if len(g.children) > 64 && g.left < len(g.children)/2 {
		kept := g.children[:0]
		for _, x := range g.children {
			if x != nil {
				x.place = int32(len(kept))
				kept = append(kept, x)
			}
		}
		clear(g.children[len(kept):])
		g.children = kept
	}
	c.place = int32(len(g.children))
	g.children = append(g.children, c)
	g.left++
}

// Errors of [Group.Admits].
var (
	ErrGroupEnded    = errors.New("rondo: group has ended")
	ErrGroupAborting = errors.New("rondo: group is being aborted")
)

// Admits returns nil if the group takes another task, and else why not.
func (g *Group) Admits() error {
	switch {
	case g.ended && g.left == 0:
		return ErrGroupEnded
	case g.aborting:
		return ErrGroupAborting
	}
	return nil
}

// mustBeOpen panics if the group is misused.
func (g *Group) mustBeOpen() {
	if g.ended && g.left == 0 {
		panic("rondo: Group.Go after the group has ended")
	}
	if here, _ := loop.Current(); here != g.owner.k.Loop() {
		panic("rondo: Group.Go off the group's loop")
	}
}

// Cancel cancels the group's tasks. The body goes on.
func (g *Group) Cancel() { g.abort() }

func (g *Group) abort() {
	g.aborting = true
	g.scope.closeFrom(g.owner.inner, context.Canceled)
	for _, c := range append([]*core(nil), g.children...) {
		if c != nil {
			c.Cancel("")
		}
	}
}

// childDone is what follows from the end of a task of a group. It has a turn of
// its own, as in asyncio.
type childDone core

func (d *childDone) Call() {
	c := (*core)(d)
	g := c.group
	g.children[c.place] = nil
	g.left--
	if g.left == 0 && g.waiting {
		g.waiting = false
		g.owner.k.Unpark()
	}
	if c.err == nil || c.canceled {
		return
	}
	g.errs = append(g.errs, c.err)
	if !g.aborting && !g.parentCanceled {
		g.abort()
		g.parentCanceled = true
		g.owner.k.Cancel("")
	}
}

// exit ends the group after its body, as asyncio's __aexit__ does.
func (g *Group) exit(ctx context.Context, err error) error {
	g.ended = true
	var canceled error
	if isCancellation(err) {
		canceled = err
	}
	if err != nil && !g.aborting {
		g.abort()
	}
	for g.left > 0 {
		g.waiting = true
		if e := park(ctx, &g.owner.k, loop.AbortFunc(func() { g.waiting = false })); e != nil {
			g.waiting = false
			if !g.aborting {
				canceled = e
				g.abort()
			}
			if _, ok := e.(*CanceledError); !ok {
				ctx = context.WithoutCancel(ctx) // it is over; wait for the tasks all the same
			}
		}
	}
	if g.parentCanceled && g.owner.k.Uncancel() == 0 {
		canceled = nil
	}
	if canceled != nil && len(g.errs) == 0 {
		return canceled
	}
	if err != nil && !isCancellation(err) {
		g.errs = append(g.errs, err)
	}
	if len(g.errs) == 0 {
		return nil
	}
	if g.owner.k.Cancelling() > 0 {
		g.owner.k.Uncancel()
		g.owner.k.Cancel("")
	}
	return &GroupError{g.errs}
}

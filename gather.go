package rondo

import (
	"context"

	"github.com/rondo-go/rondo/loop"
)

// Gather runs fns as tasks and returns their results in the order of fns. The
// first error is returned at once; as in asyncio, the other tasks then go on
// (use [WithGroup] to cancel them). If the caller is canceled, so are the tasks,
// and Gather returns when they have ended.
//
// Errors: the first of any fn; those of [Sleep].
func Gather[T any](ctx context.Context, fns ...func(ctx context.Context) (T, error)) ([]T, error) {
	t, err := taskFor(ctx)
	if err != nil {
		return nil, err
	}
	g := &gathering{task: t, left: len(fns), cores: make([]*core, len(fns))}
	tasks := make([]*Task[T], len(fns))
	for i, fn := range fns {
		tasks[i] = Spawn(ctx, fn)
		tasks[i].retrieved = true
		g.cores[i] = &tasks[i].core
		h := new(loop.Handle)
		h.Init(gatherDone{g, g.cores[i]})
		tasks[i].k.Done.Add(t.Loop(), h)
	}
	if g.left > 0 {
		if err := park(ctx, t, g); err != nil {
			g.over = true
			return nil, err
		}
	}
	switch {
	case g.err != nil:
		return nil, g.err
	case g.canceled != nil:
		return nil, g.canceled
	}
	got := make([]T, len(tasks))
	for i, x := range tasks {
		got[i] = x.value
	}
	return got, nil
}

type gathering struct {
	task     *loop.Task
	cores    []*core
	left     int
	err      error
	over     bool
	canceled error // the request that was passed on to the tasks
}

type gatherDone struct {
	g *gathering
	c *core
}

func (d gatherDone) Call() {
	g := d.g
	g.left--
	if g.over {
		return
	}
	if d.c.err != nil && g.err == nil {
		g.err = d.c.err
	}
	if g.left == 0 || g.err != nil {
		g.over = true
		g.task.Unpark()
	}
}

// Abort implements [loop.Aborter]: a request is passed on to the tasks.
func (g *gathering) Abort(_ *loop.Task, reason loop.Reason, err error) loop.Verdict {
	if reason == loop.Leave {
		g.over = true
		for _, c := range g.cores {
			c.cancel("")
		}
		return loop.Aborted
	}
	passed := false
	for _, c := range g.cores {
		if c.cancel(message(err)) {
			passed = true
		}
	}
	if !passed {
		return loop.Refused
	}
	g.canceled = err
	return loop.Passed
}

package rondo

import (
	"context"
	"iter"
	"slices"
	"time"

	"github.com/rondo-go/rondo/loop"
)

// A WaitMode says when [Wait] returns.
type WaitMode uint8

const (
	// AllCompleted: when all are done.
	AllCompleted WaitMode = iota
	// FirstCompleted: when one is done.
	FirstCompleted
	// FirstException: when one has failed (not: was canceled), or all are done.
	FirstException
)

// Forever is a duration without an end.
const Forever time.Duration = 1<<63 - 1

// Wait parks until as many of ws are done as mode says, and returns those that
// are and those that are not, in order. Errors of ws are not its errors. It
// always gives up the turn. If the task is canceled, ws go on.
//
// Errors: those of [Sleep].
func Wait[W Waitable](ctx context.Context, mode WaitMode, ws ...W) (done, pending []W, err error) {
	return WaitTimeout(ctx, Forever, mode, ws...)
}

// WaitTimeout is [Wait] for at most d. That the time is up is no error.
func WaitTimeout[W Waitable](ctx context.Context, d time.Duration, mode WaitMode, ws ...W) (done, pending []W, err error) {
	t, err := taskFor(ctx)
	if err != nil {
		return nil, nil, err
	}
	if len(ws) == 0 {
		return nil, nil, nil
	}
	l := t.Loop()
	w := &waiting{task: t, mode: mode}
	if d != Forever {
		w.timer.Init(loop.Func(func() { w.finish() }))
		l.StartTimer(&w.timer, l.Now().Add(d))
	}
	var handles []*loop.Handle
	var distinct []W
	for i, x := range ws {
		if slices.IndexFunc(ws[:i], func(y W) bool { return y.waitable() == x.waitable() }) >= 0 {
			continue
		}
		h := new(loop.Handle)
		h.Init(waitDone{w, x})
		distinct, handles = append(distinct, x), append(handles, h)
	}
	w.left = len(distinct)
	for i, x := range distinct {
		x.waitable().add(l, handles[i])
	}
	err = park(ctx, t, w)
	w.over = true
	l.StopTimer(&w.timer)
	for i, x := range distinct {
		x.waitable().remove(l, handles[i])
	}
	if err != nil {
		return nil, nil, err
	}
	for _, x := range ws {
		if x.Done() {
			done = append(done, x)
		} else {
			pending = append(pending, x)
		}
	}
	return done, pending, nil
}

// A waiting is a call of Wait. It is asyncio's _wait, whose future is the park.
type waiting struct {
	task  *loop.Task
	mode  WaitMode
	left  int
	timer loop.Timer
	over  bool
}

type waitDone struct {
	w *waiting
	x Waitable
}

func (d waitDone) Call() {
	w := d.w
	w.left--
	if w.left <= 0 || w.mode == FirstCompleted ||
		w.mode == FirstException && !d.x.Canceled() && d.x.waitable().outcome() != nil {
		w.task.Loop().StopTimer(&w.timer)
		w.finish()
	}
}

func (w *waiting) finish() {
	if !w.over {
		w.over = true
		w.task.Unpark()
	}
}

// Abort implements [loop.Aborter].
func (w *waiting) Abort(*loop.Task, loop.Reason, error) loop.Verdict {
	if w.over {
		return loop.Refused
	}
	w.over = true
	return loop.Aborted
}

// WaitFor awaits w for at most d; [Forever] is no bound. When the time is up it
// cancels w, waits until that has ended, and returns a [TimeoutError]. If the
// caller is canceled, so is w. It is asyncio's wait_for.
//
// Errors: that of w; a [TimeoutError]; those of [Sleep].
func WaitFor[T any](ctx context.Context, w Awaitable[T], d time.Duration) (v T, err error) {
	if d > 0 {
		err = Timeout(ctx, d, func(ctx context.Context) (err error) {
			v, err = w.Await(ctx)
			return err
		})
		return v, err
	}
	t, err := taskFor(ctx)
	if err != nil {
		return v, err
	}
	if w.Done() {
		return w.Result()
	}
	p := &waiting{task: t}
	h := new(loop.Handle)
	h.Init(loop.Func(p.finish))
	w.waitable().add(t.Loop(), h)
	w.Cancel("")
	err = park(ctx, t, p)
	p.over = true
	w.waitable().remove(t.Loop(), h)
	if err != nil {
		return v, err
	}
	v, err = w.Result()
	if isCancellation(err) {
		err = &TimeoutError{d}
	}
	return v, err
}

// AsCompleted yields ws one after the other as they are done, each once. The loop
// over it parks for the next. It yields an error, once and last, if the task is
// canceled. Leaving the loop leaves the rest of ws alone. Those done at the start come first, in their order.
//
//	for x, err := range rondo.AsCompleted(ctx, tasks...) {
//		if err != nil {
//			return err
//		}
//		v, err := x.Result()
//		...
//	}
func AsCompleted[W Waitable](ctx context.Context, ws ...W) iter.Seq2[W, error] {
	return AsCompletedTimeout(ctx, Forever, ws...)
}

// AsCompletedTimeout is [AsCompleted] for at most d in all. When the time is up
// it yields a [TimeoutError] for each that is not done.
func AsCompletedTimeout[W Waitable](ctx context.Context, d time.Duration, ws ...W) iter.Seq2[W, error] {
	return func(yield func(W, error) bool) {
		var none W
		t, err := taskFor(ctx)
		if err != nil {
			yield(none, err)
			return
		}
		c := &completing[W]{loop: t.Loop(), ready: NewQueue[completed[W]](0)}
		c.begin(d, ws)
		for range c.all {
			x, err := c.ready.Get(ctx)
			switch {
			case err != nil:
				yield(none, err)
				return
			case x.late:
				if !yield(none, &TimeoutError{d}) {
					return
				}
			case !yield(x.w, nil):
				return
			}
		}
	}
}

type completed[W Waitable] struct {
	w    W
	late bool
}

// A completing is a loop over AsCompleted.
type completing[W Waitable] struct {
	loop  *loop.Loop
	ready *Queue[completed[W]]
	todo  []todo[W]
	all   int
	timer loop.Timer
}

type todo[W Waitable] struct {
	w W
	h *loop.Handle
}

func (c *completing[W]) begin(d time.Duration, ws []W) {
	for i, w := range ws {
		if slices.IndexFunc(ws[:i], func(y W) bool { return y.waitable() == w.waitable() }) >= 0 {
			continue
		}
		h := new(loop.Handle)
		h.Init(loop.Func(func() { c.done(h) }))
		c.todo = append(c.todo, todo[W]{w, h})
	}
	c.all = len(c.todo)
	for _, x := range c.todo {
		x.w.waitable().add(c.loop, x.h)
	}
	if d != Forever && c.all > 0 {
		c.timer.Init(loop.Func(c.late))
		c.loop.StartTimer(&c.timer, c.loop.Now().Add(d))
	}
}

func (c *completing[W]) done(h *loop.Handle) {
	i := slices.IndexFunc(c.todo, func(x todo[W]) bool { return x.h == h })
	if i < 0 {
		return // the time was up before
	}
	c.ready.TryPut(completed[W]{w: c.todo[i].w})
	c.todo = slices.Delete(c.todo, i, i+1)
	if len(c.todo) == 0 {
		c.loop.StopTimer(&c.timer)
	}
}

func (c *completing[W]) late() {
	for _, x := range c.todo {
		x.w.waitable().remove(c.loop, x.h)
		c.ready.TryPut(completed[W]{late: true})
	}
	c.todo = nil
}

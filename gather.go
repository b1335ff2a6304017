package rondo

import (
	"errors"

	"github.com/rondo-go/rondo/loop"
)

// A Result is a value or an error.
type Result[T any] struct {
	Value T
	Err   error
}

// Gather returns a future with the results of ws, in their order. The first error
// is its error, at once; as in asyncio, the others then go on (a [Group] cancels
// them). Canceling it, or a task that awaits it, cancels all of ws that are not
// done. It is for the loop's thread.
//
//	pages, err := rondo.Gather(rondo.Spawn(ctx, a), rondo.Spawn(ctx, b)).Await(ctx)
func Gather[T any](ws ...Awaitable[T]) *Future[[]T] {
	g := newGathering(ws, func(outer *Future[[]T]) {
		outer.value = make([]T, len(ws))
		for i, w := range ws {
			outer.value[i], _ = w.peek()
		}
	})
	g.firstError = true
	g.begin()
	return g.outer
}

// GatherResults is [Gather] with the errors among the results: it waits for all
// of ws.
func GatherResults[T any](ws ...Awaitable[T]) *Future[[]Result[T]] {
	g := newGathering(ws, func(outer *Future[[]Result[T]]) {
		outer.value = make([]Result[T], len(ws))
		for i, w := range ws {
			r := &outer.value[i]
			r.Value, r.Err = w.peek()
		}
	})
	g.begin()
	return g.outer
}

// A gathering is asyncio's gather. One that is named twice is told of twice, which
// comes to the same, since its two turns follow each other.
type gathering[T, R any] struct {
	loop       *loop.Loop
	ws         []Awaitable[T]
	outer      *Future[R]
	collect    func(outer *Future[R])
	finished   int
	firstError bool // the first error is the outcome
	canceled   bool // a request was passed on
}

func newGathering[T, R any](ws []Awaitable[T], collect func(*Future[R])) *gathering[T, R] {
	here, _ := loop.Current()
	if here == nil {
		panic("rondo: Gather off the loop")
	}
	return &gathering[T, R]{loop: here, ws: ws, outer: NewFuture[R](), collect: collect}
}

func (g *gathering[T, R]) begin() {
	var done []Awaitable[T]
	children := make([]gatherChild[T, R], len(g.ws))
	for i, w := range g.ws {
		if w.Done() {
			done = append(done, w)
			continue
		}
		c := &children[i]
		c.g, c.w = g, w
		c.handle.Init(c)
		w.waitable().add(g.loop, &c.handle)
	}
	g.outer.onCancel = g.cancel
	if len(g.ws) == 0 {
		g.outer.finish(func() { g.collect(g.outer) })
	}
	for _, w := range done {
		g.childDone(w)
	}
	noteUnawaited(g.loop, &g.outer.future, "Gather")
}

type gatherChild[T, R any] struct {
	handle loop.Handle
	g      *gathering[T, R]
	w      Awaitable[T]
}

// Call implements [loop.Call].
func (c *gatherChild[T, R]) Call() { c.g.childDone(c.w) }

func (g *gathering[T, R]) childDone(w Awaitable[T]) {
	g.finished++
	switch {
	case g.outer.Done():
	case g.firstError && w.Canceled():
		g.outer.Fail(w.Err())
	case g.firstError && w.waitable().outcome() != nil:
		g.outer.Fail(w.Err())
	case g.finished < len(g.ws):
	case g.canceled:
		err := g.ws[len(g.ws)-1].Err()
		if !isCancellation(err) && !errors.Is(err, ErrCycle) {
			err = loop.Canceled("")
		}
		g.outer.Fail(err)
	default:
		g.outer.finish(func() { g.collect(g.outer) })
	}
}

// cancel passes a request on to everything that is gathered.
func (g *gathering[T, R]) cancel(message string) bool {
	passed := false
	for _, w := range g.ws {
		if w.Cancel(message) {
			passed = true
		}
	}
	if passed {
		g.canceled = true
	}
	return passed
}

package rondo

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"

	"github.com/rondo-go/rondo/coro"
	"github.com/rondo-go/rondo/internal/sys"
	"github.com/rondo-go/rondo/loop"
)

// Generators that are left open
//
// A suspended generator holds a coroutine that only the thread of its loop may
// resume, and the cleanup of an asynchronous one may park. So the loop knows
// those that have started and not ended, stays on its thread as long, and gives
// each a task to be closed in: when the program has dropped it, or when the loop
// is closed. Generators of package coro that were started on the loop come home
// too if they are dropped, to be closed in a callback.

func init() {
	coro.Home = home
	if coro.OnLeak != nil { // debug mode
		coro.OnLeak = func(message string) { slog.Warn("rondo: " + message) }
	}
}

// home is how package coro finds back to the loop where it runs.
func home() (post func(func()) error) {
	k, _ := loop.Current()
	if k == nil {
		return nil
	}
	thread := sys.Gettid()
	return func(f func()) error {
		return k.Post(loop.NewCallback(loop.Func(func() {
			if sys.Gettid() == thread { // else the loop has left it meanwhile
				f()
			}
		})))
	}
}

// An openGenerator is an asynchronous generator without its type.
type openGenerator interface {
	aclose(ctx context.Context) error
	suspended() bool
	forget()
}

// openGenerators are those of a loop that have started and not ended.
type openGenerators struct {
	last uint64
	byID map[uint64]openGenerator
}

// opened notes that g is about to start.
func (l *Loop) opened(g openGenerator) (id uint64) {
	o := &l.generators
	if o.byID == nil {
		o.byID = make(map[uint64]openGenerator)
	}
	o.last++
	o.byID[o.last] = g
	return o.last
}

// ended forgets a generator.
func (l *Loop) ended(id uint64) {
	delete(l.generators.byID, id)
}

// closeGenerator starts a task that closes g.
func (l *Loop) closeGenerator(g openGenerator) *core {
	c := spawnCore(l.ctx, l.k, func(ctx context.Context) error {
		if err := g.aclose(ctx); err != nil {
			l.handler(Report{Kind: ReportGenerator, Message: "closing an async generator that was left open", Err: err})
		}
		if g.suspended() {
			g.forget() // it does not end, and nobody will resume it
		}
		return nil
	}, nil, []TaskOption{WithName("aclose")})
	c.start(nil)
	return c
}

// closeGenerators closes the suspended generators in tasks of their own, in the
// order in which they were started. It runs the loop for that.
func (l *Loop) closeGenerators() error {
	// Cleaning up may start other generators, but not for ever.
	for range 100 {
		left := 0
		var tasks []*core
		for _, id := range slices.Sorted(maps.Keys(l.generators.byID)) {
			g := l.generators.byID[id]
			if !g.suspended() {
				continue
			}
			left++
			h := new(loop.Handle)
			h.Init(loop.Func(func() {
				if left--; left == 0 {
					l.Stop()
				}
			}))
			c := l.closeGenerator(g)
			c.k.Done.Add(l.k, h)
			tasks = append(tasks, c)
		}
		if left == 0 {
			return nil
		}
		err := l.RunForever()
		if errors.Is(err, ErrDeadlock) {
			// Their cleanup waits for what will not come.
			for _, c := range tasks {
				c.Cancel("")
			}
			err = l.RunForever()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

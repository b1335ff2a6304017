package main

import (
	"context"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/bench/tasks/watch"
)

// produce puts n numbers on a queue.
func produce(ctx context.Context, q *rondo.Queue[int], n int) error {
	for i := range n {
		if err := q.Put(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// consume takes n numbers off a queue.
func consume(ctx context.Context, q *rondo.Queue[int], n int) error {
	for range n {
		if _, err := q.Get(ctx); err != nil {
			return err
		}
	}
	return nil
}

// forward takes n numbers off a queue, and puts each plus add on another.
func forward(ctx context.Context, from, to *rondo.Queue[int], n, add int) error {
	for range n {
		v, err := from.Get(ctx)
		if err != nil {
			return err
		}
		if err := to.Put(ctx, v+add); err != nil {
			return err
		}
	}
	return nil
}

func pingpong(ctx context.Context, n int, w *watch.Watch) error {
	there, back := rondo.NewQueue[int](1), rondo.NewQueue[int](1)
	return rondo.WithGroup(ctx, func(g *rondo.Group) error {
		g.Go(func(ctx context.Context) error { return forward(ctx, there, back, n, 0) })
		w.Start()
		for i := range n {
			if err := there.Put(ctx, i); err != nil {
				return err
			}
			if _, err := back.Get(ctx); err != nil {
				return err
			}
		}
		w.Stop()
		return nil
	})
}

func bounded(size int) task {
	return func(ctx context.Context, n int, w *watch.Watch) error {
		q := rondo.NewQueue[int](size)
		return rondo.WithGroup(ctx, func(g *rondo.Group) error {
			w.Start()
			g.Go(func(ctx context.Context) error { return produce(ctx, q, n) })
			err := consume(ctx, q, n)
			w.Stop()
			return err
		})
	}
}

package main

import (
	"context"
	"errors"
	"time"

	"github.com/rondo-go/rondo/bench/tasks/watch"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
)

var xsync = map[string]watch.Bench{
	"spawn": func(n int, w *watch.Watch) {
		ctx := context.Background()
		w.Start()
		for range n {
			var g errgroup.Group
			g.Go(func() error { return noop(ctx) })
			g.Wait()
		}
		w.Stop()
	},
	"gather-10000": func(n int, w *watch.Watch) {
		w.Start()
		for range n / 10000 {
			got := make([]int, 10000)
			var g errgroup.Group
			for i := range got {
				g.Go(func() error { got[i] = i; return nil })
			}
			g.Wait()
		}
		w.Stop()
	},
	"group-10000": func(n int, w *watch.Watch) {
		w.Start()
		for range n / 10000 {
			g, ctx := errgroup.WithContext(context.Background())
			for range 10000 {
				g.Go(func() error { return noop(ctx) })
			}
			g.Wait()
		}
		w.Stop()
	},
	"lock-100":    func(n int, w *watch.Watch) { weighted(1, 100, n, w) },
	"sem-10-1000": func(n int, w *watch.Watch) { weighted(10, 1000, n, w) },
	"cancel-10000": func(n int, w *watch.Watch) {
		for range n / 10000 {
			g, ctx := errgroup.WithContext(context.Background())
			fail := make(chan struct{})
			g.Go(func() error { <-fail; return errors.New("stop") })
			for range 10000 {
				g.Go(func() error { <-ctx.Done(); return ctx.Err() })
			}
			time.Sleep(10 * time.Millisecond)
			w.Start()
			close(fail)
			g.Wait()
			w.Stop()
		}
	},
}

func weighted(size, tasks, n int, w *watch.Watch) {
	ctx, sem := context.Background(), semaphore.NewWeighted(int64(size))
	contend(tasks, func() { sem.Acquire(ctx, 1) }, func() { sem.Release(1) }, n, w)
}

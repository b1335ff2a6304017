package main

import (
	"context"
	"time"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/bench/tasks/watch"
)

// A locker is what tasks contend for.
type locker interface {
	Acquire(ctx context.Context) error
	Release() error
}

// contend lets tasks acquire, yield once while holding, and release.
func contend(tasks int, newLocker func() locker) task {
	return func(ctx context.Context, n int, w *watch.Watch) error {
		l := newLocker()
		w.Start()
		err := rondo.WithGroup(ctx, func(g *rondo.Group) error {
			for range tasks {
				g.Go(func(ctx context.Context) error {
					for range n / tasks {
						if err := hold(ctx, l); err != nil {
							return err
						}
					}
					return nil
				})
			}
			return nil
		})
		w.Stop()
		return err
	}
}

func hold(ctx context.Context, l locker) error {
	if err := l.Acquire(ctx); err != nil {
		return err
	}
	defer l.Release()
	return rondo.Sleep(ctx, 0)
}

func event(ctx context.Context, n int, w *watch.Watch) error {
	for range n / 10000 {
		w.Before()
		e := rondo.NewEvent()
		parked, left := 0, 10000
		err := rondo.WithGroup(ctx, func(g *rondo.Group) error {
			for range 10000 {
				g.Go(func(ctx context.Context) error {
					if parked++; parked == 10000 {
						w.After(10000)
					}
					if err := e.Wait(ctx); err != nil {
						return err
					}
					if left--; left == 0 {
						w.Stop()
					}
					return nil
				})
			}
			if err := rondo.Sleep(ctx, 10*time.Millisecond); err != nil {
				return err
			}
			w.Start()
			e.Set()
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

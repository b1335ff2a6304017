package main

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"time"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/bench/tasks/watch"
	"github.com/rondo-go/rondo/coro"
)

var errSum = errors.New("wrong sum")

//go:noinline
func noop(context.Context) error { return nil }

func yields(tasks int) task {
	return func(ctx context.Context, n int, w *watch.Watch) error {
		started := 0
		err := rondo.WithGroup(ctx, func(g *rondo.Group) error {
			for range tasks {
				g.Go(func(ctx context.Context) error {
					if started++; started == tasks {
						w.Start()
					}
					for range n / tasks {
						if err := rondo.Sleep(ctx, 0); err != nil {
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

func spawn(ctx context.Context, n int, w *watch.Watch) error {
	w.Start()
	for i := range n {
		x := rondo.Spawn(ctx, func(context.Context) (int, error) { return i, nil })
		if _, err := x.Await(ctx); err != nil {
			return err
		}
	}
	w.Stop()
	return nil
}

func gather(ctx context.Context, n int, w *watch.Watch) error {
	w.Start()
	for range n / 10000 {
		tasks := make([]rondo.Awaitable[int], 10000)
		for i := range tasks {
			tasks[i] = rondo.Spawn(ctx, func(context.Context) (int, error) { return i, nil })
		}
		got, err := rondo.Gather(tasks...).Await(ctx)
		if err != nil {
			return err
		}
		if got[9999] != 9999 {
			return errors.New("wrong result")
		}
	}
	w.Stop()
	return nil
}

func group(ctx context.Context, n int, w *watch.Watch) error {
	w.Start()
	for range n / 10000 {
		err := rondo.WithGroup(ctx, func(g *rondo.Group) error {
			for range 10000 {
				g.Go(noop)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	w.Stop()
	return nil
}

func sleepers(ctx context.Context, n int, w *watch.Watch) error {
	started := 0
	w.Sleeping = true
	w.Before()
	w.Start()
	err := rondo.WithGroup(ctx, func(g *rondo.Group) error {
		for i := range n {
			g.Go(func(ctx context.Context) error {
				if started++; started == n {
					w.After(n)
				}
				err := rondo.Sleep(ctx, 3*time.Second+time.Duration(i*7919%1000)*time.Millisecond)
				if err == nil && started != n {
					err = errors.New("a sleeper woke before the last had started")
				}
				return err
			})
		}
		return nil
	})
	w.Stop()
	return err
}

func timers(ctx context.Context, n int, w *watch.Watch) error {
	l := rondo.RunningLoop()
	live := make([]*rondo.TimerHandle, 10000)
	w.Start()
	for i := range n {
		if i >= 10000 {
			live[i%10000].Cancel()
		}
		live[i%10000] = l.CallLater(30*time.Second+time.Duration(i*7919%1000)*time.Millisecond, func() {})
		if i%1000 == 0 {
			if err := rondo.Sleep(ctx, 0); err != nil {
				return err
			}
		}
	}
	for _, t := range live {
		t.Cancel()
	}
	w.Stop()
	return nil
}

func cancel(ctx context.Context, n int, w *watch.Watch) error {
	never := rondo.NewEvent()
	for range n / 10000 {
		err := rondo.WithGroup(ctx, func(g *rondo.Group) error {
			for range 10000 {
				g.Go(never.Wait)
			}
			if err := rondo.Sleep(ctx, 10*time.Millisecond); err != nil {
				return err
			}
			w.Start()
			g.Cancel()
			return nil
		})
		w.Stop()
		if err != nil {
			return err
		}
	}
	return nil
}

func timeoutReady(ctx context.Context, n int, w *watch.Watch) error {
	w.Start()
	for range n {
		if err := rondo.Timeout(ctx, 30*time.Second, noop); err != nil {
			return err
		}
	}
	w.Stop()
	return nil
}

func threadWake(ctx context.Context, n int, w *watch.Watch) error {
	asked := make(chan *rondo.Future[int], 1)
	defer close(asked)
	go func() {
		runtime.LockOSThread()
		for f := range asked {
			f.Set(1)
		}
	}()
	w.Start()
	for range n {
		f := rondo.NewFuture[int]()
		asked <- f
		if _, err := f.Await(ctx); err != nil {
			return err
		}
	}
	w.Stop()
	return nil
}

//go:noinline
func numbers(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}

func asyncgen(_ context.Context, n int, w *watch.Watch) error {
	total := 0
	w.Start()
	for i := range numbers(n) {
		total += i
	}
	w.Stop()
	if total != n*(n-1)/2 {
		return errSum
	}
	return nil
}

func send(_ context.Context, n int, w *watch.Watch) error {
	echo := coro.New(func(yield coro.Yield[int, int]) (none struct{}, err error) {
		for v := 0; err == nil; {
			v, err = yield(v)
		}
		return none, err
	})
	defer echo.Close()
	if _, _, err := echo.Next(); err != nil {
		return err
	}
	total := 0
	w.Start()
	for i := range n {
		v, _, err := echo.Send(i)
		if err != nil {
			return err
		}
		total += v
	}
	w.Stop()
	if total != n*(n-1)/2 {
		return errSum
	}
	return nil
}

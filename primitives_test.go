package rondo

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestFutureSetFromAGoroutine(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		f := NewFuture[string]()
		go f.Set("hi")
		v, err := f.Await(ctx)
		if v != "hi" || f.Set("again") != ErrDone {
			t.Errorf("got %q", v)
		}
		return err
	})
}

func TestFutureAwaitOffTheLoop(t *testing.T) {
	f := NewFuture[int]()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := f.Await(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("under a done context: %v", err)
	}
	go f.Set(1)
	if v, err := f.Await(context.Background()); v != 1 || err != nil {
		t.Errorf("got %d, %v", v, err)
	}
}

func TestFutureCanceledWithItsWaiter(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		f := NewFuture[int]()
		x := Spawn(ctx, f.Await)
		Sleep(ctx, time.Second)
		x.Cancel("m")
		_, err := x.Await(ctx)
		wantErr(t, "task", err, context.Canceled)
		_, err = f.Result()
		wantErr(t, "future", err, context.Canceled)

		g := NewFuture[int]()
		level, cancel := context.WithCancel(ctx)
		y := spawn(ctx, func(ctx context.Context) error { _, err := g.Await(level); return err })
		Sleep(ctx, time.Second)
		cancel()
		_, err = y.Await(ctx)
		wantErr(t, "level", err, context.Canceled)
		if g.Done() {
			t.Error("a future was canceled by a context that ended")
		}
		return nil
	})
}

func TestSemaphoreIsFair(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		s := NewSemaphore(1)
		var got []int
		err := WithGroup(ctx, func(g *Group) error {
			for i := range 5 {
				g.Go(func(ctx context.Context) error {
					for range 2 {
						if err := s.Acquire(ctx); err != nil {
							return err
						}
						got = append(got, i)
						Sleep(ctx, time.Second)
						s.Release()
					}
					return nil
				})
			}
			return nil
		})
		if !slices.Equal(got, []int{0, 1, 2, 3, 4, 0, 1, 2, 3, 4}) {
			t.Errorf("order %v", got)
		}
		return err
	})
}

// Whatever is canceled whenever, permits are neither lost nor made, and nobody
// is forgotten.
func TestSemaphoreLosesNoPermit(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		permits := rapid.IntRange(1, 3).Draw(rt, "permits")
		n := rapid.IntRange(1, 12).Draw(rt, "tasks")
		hold := rapid.SliceOfN(rapid.IntRange(0, 3), n, n).Draw(rt, "hold")
		killAt := rapid.SliceOfN(rapid.IntRange(0, 12), n, n).Draw(rt, "kill")
		err := Run(func(ctx context.Context) error {
			s := NewSemaphore(permits)
			inside := 0
			var tasks []*Task[struct{}]
			for i := range n {
				x := spawn(ctx, func(ctx context.Context) error {
					if err := s.Acquire(ctx); err != nil {
						return err
					}
					defer s.Release()
					inside++
					defer func() { inside-- }()
					if inside > permits {
						rt.Errorf("%d inside, %d permits", inside, permits)
					}
					return Sleep(ctx, time.Duration(hold[i])*time.Second)
				})
				tasks = append(tasks, x)
			}
			for at := range 10 {
				for i, k := range killAt {
					if k == at {
						tasks[i].Cancel("")
					}
				}
				Sleep(ctx, time.Second/2)
			}
			for _, x := range tasks {
				x.Await(ctx)
			}
			for range permits {
				if !s.TryAcquire() {
					rt.Errorf("a permit was lost")
				}
			}
			if s.TryAcquire() {
				rt.Errorf("a permit was made")
			}
			return nil
		}, WithVirtualTime(), WithoutSignals())
		if err != nil {
			rt.Fatal(err)
		}
	})
}

func TestQueueLosesNoItem(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		size := rapid.IntRange(0, 2).Draw(rt, "size")
		getters := rapid.IntRange(1, 5).Draw(rt, "getters")
		putters := rapid.IntRange(1, 5).Draw(rt, "putters")
		kill := rapid.SliceOfN(rapid.IntRange(0, 8), getters+putters, getters+putters).Draw(rt, "kill")
		pace := rapid.SliceOfN(rapid.IntRange(0, 2), getters+putters, getters+putters).Draw(rt, "pace")
		err := Run(func(ctx context.Context) error {
			q := NewQueue[int](size)
			var put, got []int
			var tasks []*Task[struct{}]
			for i := range putters {
				tasks = append(tasks, spawn(ctx, func(ctx context.Context) error {
					for k := range 4 {
						if err := q.Put(ctx, i*10+k); err != nil {
							return err
						}
						put = append(put, i*10+k)
						if err := Sleep(ctx, time.Duration(pace[i])*time.Second); err != nil {
							return err
						}
					}
					return nil
				}))
			}
			for i := range getters {
				tasks = append(tasks, spawn(ctx, func(ctx context.Context) error {
					for {
						v, err := q.Get(ctx)
						if err != nil {
							return err
						}
						got = append(got, v)
						if err := Sleep(ctx, time.Duration(pace[putters+i])*time.Second); err != nil {
							return err
						}
					}
				}))
			}
			for at := range 8 {
				for i, k := range kill {
					if k == at {
						tasks[i].Cancel("")
					}
				}
				Sleep(ctx, time.Second/2)
			}
			Sleep(ctx, time.Hour)
			for _, x := range tasks {
				x.Cancel("")
				x.Await(ctx)
			}
			for {
				v, err := q.TryGet()
				if err != nil {
					break
				}
				got = append(got, v)
			}
			slices.Sort(put)
			slices.Sort(got)
			if !slices.Equal(put, got) {
				rt.Errorf("put %v, got %v", put, got)
			}
			return nil
		}, WithVirtualTime(), WithoutSignals())
		if err != nil {
			rt.Fatal(err)
		}
	})
}

func TestQueueAcrossLoopsAndGoroutines(t *testing.T) {
	const each, makers = 2000, 4
	q := NewQueue[int](8)
	var wg, made sync.WaitGroup
	var mu sync.Mutex
	sum, n := 0, 0
	take := func(ctx context.Context) error {
		for {
			v, err := q.Get(ctx)
			if err == ErrShutDown {
				return nil
			}
			if err != nil {
				return err
			}
			mu.Lock()
			sum += v
			n++
			mu.Unlock()
		}
	}
	fill := func(ctx context.Context) error {
		for i := range each {
			if err := q.Put(ctx, i); err != nil {
				return err
			}
		}
		return nil
	}
	for k := range makers {
		made.Go(func() {
			var err error
			if k%2 == 0 {
				err = fill(context.Background())
			} else {
				err = Run(fill, WithoutSignals())
			}
			if err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			var err error
			if k%2 == 0 {
				err = take(context.Background())
			} else {
				err = Run(take, WithoutSignals())
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	made.Wait()
	q.Shutdown(false)
	wg.Wait()
	if n != makers*each || sum != makers*each*(each-1)/2 {
		t.Errorf("%d items, sum %d", n, sum)
	}
}

func TestQueueShutdownWakesEverybody(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		q := NewQueue[int](1)
		x := Spawn(ctx, q.Get)
		Sleep(ctx, time.Second)
		q.Shutdown(false)
		_, err := x.Await(ctx)
		wantErr(t, "get", err, ErrShutDown)
		wantErr(t, "put", q.Put(ctx, 1), ErrShutDown)
		wantErr(t, "try", q.TryPut(1), ErrShutDown)
		return nil
	})
}

func TestToThreadLeavesTheLoopFree(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		gate := make(chan int)
		x := Spawn(ctx, func(ctx context.Context) (int, error) {
			return ToThread(ctx, func() (int, error) { return <-gate, nil })
		})
		Sleep(ctx, 0)
		gate <- 8 // the loop runs while the function waits
		v, err := x.Await(ctx)
		if v != 8 {
			t.Errorf("got %d", v)
		}
		_, perr := ToThread(ctx, func() (int, error) { panic("there") })
		var pe *PanicError
		if !errors.As(perr, &pe) || pe.Value != "there" {
			t.Errorf("panic: %v", perr)
		}
		_, gerr := ToThread(ctx, func() (int, error) { runtime.Goexit(); return 0, nil })
		wantErr(t, "goexit", gerr, ErrGoexit)
		return err
	})
}

func TestToThreadCanceledDropsTheResult(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		gate := make(chan int)
		x := Spawn(ctx, func(ctx context.Context) (int, error) {
			return ToThread(ctx, func() (int, error) { return <-gate, nil })
		})
		Sleep(ctx, 0)
		x.Cancel("")
		_, err := x.Await(ctx)
		wantErr(t, "await", err, context.Canceled)
		gate <- 1
		return nil
	})
}

package rondo

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestStartWaitsUntilTheTaskIsReady(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		err := WithGroup(ctx, func(g *Group) error {
			v, err := Start(ctx, g, func(ctx context.Context, ready func(int)) error {
				Sleep(ctx, time.Second)
				ready(80)
				return Sleep(ctx, time.Second)
			})
			if v != 80 || err != nil || now() != time.Second {
				t.Errorf("got %d, %v at %v", v, err, now())
			}
			return nil
		})
		if now() != 2*time.Second {
			t.Errorf("the group ended at %v", now())
		}
		err = errors.Join(err, WithGroup(ctx, func(g *Group) error {
			_, err := Start(ctx, g, func(context.Context, func(int)) error { return nil })
			wantErr(t, "never ready", err, ErrNotReady)
			return nil
		}))
		boom := errors.New("boom")
		gerr := WithGroup(ctx, func(g *Group) error {
			_, err := Start(ctx, g, func(context.Context, func(int)) error { return boom })
			wantErr(t, "failed", err, boom)
			return nil
		})
		wantErr(t, "its group", gerr, boom)
		return err
	})
}

func TestCleanupRunsInACanceledTask(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		var cleaned, after error
		x := spawn(ctx, func(ctx context.Context) error {
			err := Sleep(ctx, time.Hour)
			cleaned = Cleanup(ctx, 3*time.Second, func(ctx context.Context) error {
				if ctx.Err() != nil {
					t.Error("the context is done")
				}
				return Sleep(ctx, 2*time.Second)
			})
			after = Sleep(ctx, time.Second)
			return err
		})
		Sleep(ctx, time.Second)
		x.Cancel("first")
		Sleep(ctx, time.Second)
		x.Cancel("second") // while it cleans up
		x.Await(ctx)
		var ce *CanceledError
		if cleaned != nil || now() != 3*time.Second || !errors.As(after, &ce) || ce.Message != "second" {
			t.Errorf("cleaned %v at %v, then %v", cleaned, now(), after)
		}
		late := Cleanup(ctx, time.Second, func(ctx context.Context) error { return Sleep(ctx, time.Hour) })
		wantErr(t, "too long", late, context.DeadlineExceeded)
		return nil
	})
}

func TestRaceReturnsTheFirstAndEndsTheRest(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		ended := 0
		nap := func(seconds int) func(context.Context) (int, error) {
			return func(ctx context.Context) (int, error) {
				defer func() { ended++ }()
				return seconds, Sleep(ctx, time.Duration(seconds)*time.Second)
			}
		}
		v, i, err := Race(ctx, nap(3), nap(1), nap(2))
		if v != 1 || i != 1 || err != nil || now() != time.Second || ended != 3 {
			t.Errorf("got %d of %d, %v at %v, %d ended", v, i, err, now(), ended)
		}
		boom := errors.New("boom")
		_, _, err = Race(ctx, nap(1), func(context.Context) (int, error) { return 0, boom })
		wantErr(t, "the first fails", err, boom)
		return nil
	})
}

func TestThreadPoolBoundsItsGoroutines(t *testing.T) {
	p := NewThreadPool(2)
	var at, most atomic.Int64
	var mu sync.Mutex
	virtually(t, func(ctx context.Context) error {
		return WithGroup(ctx, func(g *Group) error {
			for range 50 {
				g.Go(func(ctx context.Context) error {
					_, err := InExecutor(ctx, p, func() (int, error) {
						n := at.Add(1)
						mu.Lock()
						most.Store(max(most.Load(), n))
						mu.Unlock()
						time.Sleep(100 * time.Microsecond) // a thread's work is real
						at.Add(-1)
						return 0, nil
					})
					return err
				})
			}
			return nil
		})
	})
	if most.Load() != 2 {
		t.Errorf("%d functions ran at once", most.Load())
	}
}

func TestRunnerKeepsItsLoop(t *testing.T) {
	r, err := NewRunner(WithVirtualTime(), WithoutSignals())
	if err != nil {
		t.Fatal(err)
	}
	var x *Task[int]
	err = r.Run(func(ctx context.Context) error { x = napping(ctx, 2); return nil })
	if err != nil || x.Done() {
		t.Fatalf("first run: %v, task done %v", err, x.Done())
	}
	err = r.Run(func(ctx context.Context) error {
		v, err := x.Await(ctx)
		if v != 2 {
			t.Errorf("got %d", v)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil || !r.Loop().Closed() {
		t.Errorf("close: %v", err)
	}
	if err := r.Run(func(context.Context) error { return nil }); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestLoopCloseExpelsItsTasks(t *testing.T) {
	l, err := NewLoop(WithVirtualTime())
	if err != nil {
		t.Fatal(err)
	}
	var got []error
	err = l.RunUntilComplete(func(ctx context.Context) error {
		spawn(ctx, func(ctx context.Context) error {
			for range 3 {
				got = append(got, Sleep(ctx, time.Hour))
			}
			return nil
		})
		return Sleep(ctx, 1)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if len(got) != 3 {
		t.Fatalf("the task parked %d times", len(got))
	}
	for _, err := range got {
		wantErr(t, "park", err, ErrClosed)
	}
}

func TestLoopDeadlockIsSeen(t *testing.T) {
	l, err := NewLoop(WithVirtualTime(), WithExitWhenIdle())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	err = l.RunUntilComplete(func(ctx context.Context) error {
		_, err := NewFuture[int]().Await(ctx)
		return err
	})
	wantErr(t, "run", err, ErrDeadlock)
}

func TestLoopExceptionHandlerIsTold(t *testing.T) {
	var told []Report
	err := Run(func(ctx context.Context) error {
		RunningLoop().CallSoon(func() { panic("in a callback") })
		spawn(ctx, func(context.Context) error { return errors.New("nobody looks") })
		return Sleep(ctx, time.Second)
	}, WithVirtualTime(), WithoutSignals(), WithExceptionHandler(func(r Report) { told = append(told, r) }))
	if err != nil || len(told) != 2 {
		t.Fatalf("%v, told %v", err, told)
	}
	var pe *PanicError
	if !errors.As(told[0].Err, &pe) || pe.Value != "in a callback" || told[1].Err.Error() != "nobody looks" {
		t.Errorf("told %v", told)
	}
}

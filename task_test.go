package rondo

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rondo-go/rondo/poll/portable"
)

// virtually runs main on the virtual clock and fails the test on an error.
func virtually(t *testing.T, main func(ctx context.Context) error) {
	t.Helper()
	if err := Run(main, WithVirtualTime(), WithoutSignals()); err != nil {
		t.Fatal(err)
	}
}

// now is the time on the loop's clock.
func now() time.Duration { return RunningLoop().Time() }

// spawn starts a task without a result.
func spawn(ctx context.Context, fn func(ctx context.Context) error) *Task[struct{}] {
	return Spawn(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, fn(ctx) })
}

func wantErr(t *testing.T, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: got error %v, want %v", what, err, target)
	}
}

func TestTaskAwaitReturnsItsResult(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		boom := errors.New("boom")
		x := Spawn(ctx, func(ctx context.Context) (int, error) { return 42, Sleep(ctx, time.Second) })
		y := Spawn(ctx, func(ctx context.Context) (int, error) { return 1, boom })
		if _, err := x.Result(); err != ErrNotDone {
			t.Errorf("result of a task that runs: %v", err)
		}
		if v, err := x.Await(ctx); v != 42 || err != nil {
			t.Errorf("got %d, %v", v, err)
		}
		if now() != time.Second {
			t.Errorf("the clock shows %v", now())
		}
		if v, err := y.Await(ctx); v != 1 || err != boom {
			t.Errorf("got %d, %v", v, err)
		}
		return nil
	})
}

// Traces in the order of asyncio: see its rules in the conformance notes.
func TestTaskStepsInOrder(t *testing.T) {
	var trace []string
	virtually(t, func(ctx context.Context) error {
		say := func(s string) { trace = append(trace, fmt.Sprintf("%d %s", RunningLoop().Iteration(), s)) }
		for i := range 3 {
			spawn(ctx, func(ctx context.Context) error {
				say(fmt.Sprintf("t%d starts", i))
				Sleep(ctx, time.Duration(2-i)*time.Second)
				say(fmt.Sprintf("t%d ends", i))
				return nil
			})
		}
		say("main sleeps")
		Sleep(ctx, 3*time.Second)
		say("main wakes")
		return nil
	})
	want := []string{"2 main sleeps", "3 t0 starts", "3 t1 starts", "3 t2 starts", "4 t2 ends",
		"6 t1 ends", "8 t0 ends", "10 main wakes"}
	// The timers of t1, t0 and main run in iterations 5, 7 and 9; who slept goes on in the one after.
	if !slices.Equal(trace, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(trace, "\n"), strings.Join(want, "\n"))
	}
}

func TestTaskCancelIsDeliveredOnce(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		var first, second error
		var done bool
		x := spawn(ctx, func(ctx context.Context) error {
			first = Sleep(ctx, time.Hour)
			second = Sleep(ctx, time.Second) // cleaning up
			done = ctx.Err() != nil
			return nil
		})
		Sleep(ctx, time.Second)
		if !x.Cancel("enough") {
			t.Error("Cancel of a running task returned false")
		}
		if _, err := x.Await(ctx); err != nil {
			t.Errorf("a task that handled its cancellation: %v", err)
		}
		var ce *CanceledError
		if !errors.As(first, &ce) || ce.Message != "enough" || !errors.Is(first, context.Canceled) {
			t.Errorf("the park returned %v", first)
		}
		if second != nil || !done {
			t.Errorf("afterwards: sleep %v, context done %v", second, done)
		}
		if now() != 2*time.Second || x.Cancel("") || x.Canceled() || x.Cancelling() != 1 {
			t.Errorf("clock %v, canceled %v, count %d", now(), x.Canceled(), x.Cancelling())
		}
		return nil
	})
}

func TestTaskCancelBeforeStartRunsNothing(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		x := spawn(ctx, func(context.Context) error { t.Error("it ran"); return nil })
		x.Cancel("early")
		_, err := x.Await(ctx)
		wantErr(t, "await", err, context.Canceled)
		if !x.Canceled() {
			t.Error("not canceled")
		}
		return nil
	})
}

func TestTaskCancelGoesDownToTheInnermost(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		var order []string
		inner := spawn(ctx, func(ctx context.Context) error {
			defer func() { order = append(order, "inner") }()
			return Sleep(ctx, time.Hour)
		})
		outer := spawn(ctx, func(ctx context.Context) error {
			defer func() { order = append(order, "outer") }()
			_, err := inner.Await(ctx)
			return err
		})
		Sleep(ctx, time.Second)
		outer.Cancel("")
		_, err := outer.Await(ctx)
		wantErr(t, "outer", err, context.Canceled)
		if !inner.Canceled() || !slices.Equal(order, []string{"inner", "outer"}) {
			t.Errorf("order %v, inner canceled %v", order, inner.Canceled())
		}
		return nil
	})
}

func TestTaskCancelWinsOverAResult(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		f := NewFuture[int]()
		x := Spawn(ctx, f.Await)
		Sleep(ctx, time.Second)
		f.Set(1)
		x.Cancel("")
		_, err := x.Await(ctx)
		wantErr(t, "await", err, context.Canceled)
		return nil
	})
}

func TestTaskUncancelTakesItBack(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		x := spawn(ctx, func(ctx context.Context) error { return Sleep(ctx, time.Second) })
		x.Cancel("")
		if n := x.Uncancel(); n != 0 {
			t.Errorf("%d requests are left", n)
		}
		_, err := x.Await(ctx)
		return err
	})
}

func TestTaskPanicStaysInTheTask(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		x := spawn(ctx, func(ctx context.Context) error { Sleep(ctx, 1); panic("oh no") })
		_, err := x.Await(ctx)
		var pe *PanicError
		if !errors.As(err, &pe) || pe.Value != "oh no" || !strings.Contains(string(pe.Stack), "TestTaskPanicStays") {
			t.Errorf("got %v", err)
		}
		return nil
	})
}

func TestTaskGoexitEndsOnlyTheTask(t *testing.T) {
	before := runtime.NumGoroutine()
	virtually(t, func(ctx context.Context) error {
		for range 3 {
			x := spawn(ctx, func(ctx context.Context) error { Sleep(ctx, 1); runtime.Goexit(); return nil })
			_, err := x.Await(ctx)
			wantErr(t, "goexit", err, ErrGoexit)
			// Its coroutine serves on.
			if v, err := Spawn(ctx, func(context.Context) (int, error) { return 7, nil }).Await(ctx); v != 7 || err != nil {
				t.Errorf("the next task: %d, %v", v, err)
			}
		}
		return nil
	})
	if n := runtime.NumGoroutine(); n > before+4 {
		t.Errorf("%d goroutines, %d before", n, before)
	}
}

func TestRunGoexitOfMainReachesTheCaller(t *testing.T) {
	ended := make(chan bool)
	go func() {
		defer func() { ended <- true }()
		Run(func(ctx context.Context) error {
			Sleep(ctx, 1)
			runtime.Goexit()
			return nil
		}, WithVirtualTime(), WithoutSignals())
		t.Error("Run returned")
	}()
	<-ended
}

func TestTaskManyAtOnce(t *testing.T) {
	before := runtime.NumGoroutine()
	virtually(t, func(ctx context.Context) error {
		sum := 0
		err := WithGroup(ctx, func(g *Group) error {
			for i := range 20000 {
				g.Go(func(ctx context.Context) error {
					err := Sleep(ctx, time.Duration(i*7919%1000)*time.Millisecond)
					sum += i
					return err
				})
			}
			return nil
		})
		if sum != 20000*19999/2 {
			t.Errorf("sum %d", sum)
		}
		// After the burst the loop lets most of the coroutines go.
		for range 30 {
			Sleep(ctx, time.Millisecond)
		}
		if n := runtime.NumGoroutine() - before; n > 2000 {
			t.Errorf("%d goroutines are left after a burst of 20000", n)
		}
		return err
	})
}

func TestTaskAwaitOffTheLoop(t *testing.T) {
	l, stop := background(t)
	defer stop()
	x, err := SpawnThreadsafe(context.Background(), l, func(ctx context.Context) (int, error) {
		return 5, Sleep(ctx, time.Millisecond)
	})
	if err != nil {
		t.Fatal(err)
	}
	if v, err := x.Await(context.Background()); v != 5 || err != nil {
		t.Errorf("got %d, %v", v, err)
	}
	never, _ := SpawnThreadsafe(context.Background(), l, func(ctx context.Context) (int, error) {
		return 0, Sleep(ctx, time.Hour)
	})
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if _, err := never.Await(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("await that gave up: %v", err)
	}
}

func TestTaskAwaitFromAnotherLoop(t *testing.T) {
	l, stop := background(t)
	defer stop()
	x, _ := SpawnThreadsafe(context.Background(), l, func(ctx context.Context) (int, error) {
		return 6, Sleep(ctx, time.Millisecond)
	})
	err := Run(func(ctx context.Context) error {
		if v, err := x.Await(ctx); v != 6 || err != nil {
			t.Errorf("got %d, %v", v, err)
		}
		return nil
	}, WithoutSignals())
	if err != nil {
		t.Fatal(err)
	}
}

func TestTaskParksFromAnInnerIterator(t *testing.T) {
	// A task's own iter.Pull runs on another goroutine of the same thread.
	if RunningLoop() != nil {
		t.Fatal("on a loop already")
	}
	virtually(t, func(ctx context.Context) error {
		seq := func(yield func(int) bool) {
			for i := range 3 {
				if Sleep(ctx, time.Second) != nil || !yield(i) {
					return
				}
			}
		}
		next, stop := pull(seq)
		defer stop()
		for want := range 3 {
			if got, ok := next(); got != want || !ok {
				t.Errorf("got %d, %v", got, ok)
			}
		}
		if now() != 3*time.Second {
			t.Errorf("the clock shows %v", now())
		}
		return nil
	})
}

func TestRunInASynctestBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := portable.New()
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		err = Run(func(ctx context.Context) error {
			x := Spawn(ctx, func(ctx context.Context) (int, error) { return 1, Sleep(ctx, time.Hour) })
			f := NewFuture[int]()
			go func() {
				time.Sleep(2 * time.Hour)
				f.Set(2)
			}()
			a, _ := x.Await(ctx)
			b, _ := f.Await(ctx)
			if a != 1 || b != 2 {
				t.Errorf("got %d, %d", a, b)
			}
			return nil
		}, WithPoller(p), WithoutSignals())
		if err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d != 2*time.Hour {
			t.Errorf("it took %v of the bubble's time", d)
		}
	})
}

func TestRunCancelsWhatIsLeft(t *testing.T) {
	var ended []error
	virtually(t, func(ctx context.Context) error {
		for range 3 {
			spawn(ctx, func(ctx context.Context) error {
				err := Sleep(ctx, time.Hour)
				ended = append(ended, err)
				return err
			})
		}
		return Sleep(ctx, time.Second)
	})
	if len(ended) != 3 {
		t.Fatalf("%d tasks ended", len(ended))
	}
	for _, err := range ended {
		wantErr(t, "left over", err, context.Canceled)
	}
}

func TestRunFollowsItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	err := Run(func(ctx context.Context) error {
		cancel(errors.New("switched off"))
		return Sleep(ctx, time.Hour)
	}, WithContext(ctx), WithoutSignals())
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "switched off") {
		t.Errorf("got %v", err)
	}
}

func TestContextOfTheStandardLibraryIsLevel(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		level, cancel := context.WithCancelCause(ctx)
		why := errors.New("why")
		x := spawn(ctx, func(ctx context.Context) error {
			Sleep(ctx, time.Second)
			cancel(why)
			return nil
		})
		wantErr(t, "parked", Sleep(level, time.Hour), why)
		wantErr(t, "again", Sleep(level, time.Second), why)
		wantErr(t, "yield", Sleep(level, 0), why)
		if err := Sleep(ctx, time.Second); err != nil {
			t.Errorf("outside of it: %v", err)
		}
		_, err := x.Await(ctx)
		return err
	})
}

func TestSleepOffTheLoopIsAnError(t *testing.T) {
	wantErr(t, "off", Sleep(context.Background(), 1), ErrNotTask)
	virtually(t, func(ctx context.Context) error {
		f := NewFuture[int]()
		f.Set(0)
		var err error
		f.OnDone(func() { err = Sleep(ctx, 1) })
		Sleep(ctx, time.Second)
		wantErr(t, "in a callback", err, ErrNotTask)
		return nil
	})
}

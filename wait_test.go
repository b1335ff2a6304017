package rondo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

// napping starts a task that sleeps so many seconds and returns their number.
func napping(ctx context.Context, seconds int) *Task[int] {
	return Spawn(ctx, func(ctx context.Context) (int, error) {
		return seconds, Sleep(ctx, time.Duration(seconds)*time.Second)
	})
}

func TestWaitModes(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		a, b := napping(ctx, 1), napping(ctx, 2)
		done, pending, err := Wait(ctx, FirstCompleted, a, b)
		if len(done) != 1 || done[0] != a || len(pending) != 1 || pending[0] != b || err != nil {
			t.Errorf("first: %v, %v, %v", done, pending, err)
		}
		done, pending, err = Wait(ctx, AllCompleted, a, b)
		if len(done) != 2 || len(pending) != 0 || err != nil || now() != 2*time.Second {
			t.Errorf("all: %v, %v, %v at %v", done, pending, err, now())
		}
		boom := errors.New("boom")
		fails := Spawn(ctx, func(ctx context.Context) (int, error) { Sleep(ctx, time.Second); return 0, boom })
		canceled, long := napping(ctx, 9), napping(ctx, 5)
		canceled.Cancel("")
		done, pending, err = Wait(ctx, FirstException, canceled, fails, long)
		if !slices.Equal(done, []*Task[int]{canceled, fails}) || len(pending) != 1 || err != nil || now() != 3*time.Second {
			t.Errorf("exception: %v, %v, %v at %v", done, pending, err, now())
		}
		done, pending, err = WaitTimeout(ctx, time.Second, AllCompleted, long)
		if len(done) != 0 || len(pending) != 1 || err != nil || now() != 4*time.Second {
			t.Errorf("timeout: %v, %v, %v at %v", done, pending, err, now())
		}
		return nil
	})
}

func TestWaitForCancelsWhatIsLate(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		x := napping(ctx, 5)
		_, err := WaitFor(ctx, x, time.Second)
		wantErr(t, "late", err, context.DeadlineExceeded)
		if !x.Canceled() {
			t.Error("it goes on")
		}
		y := napping(ctx, 5)
		_, err = WaitFor(ctx, y, 0)
		wantErr(t, "at once", err, context.DeadlineExceeded)
		v, err := WaitFor(ctx, napping(ctx, 1), 2*time.Second)
		if v != 1 || err != nil {
			t.Errorf("in time: %d, %v", v, err)
		}
		return nil
	})
}

func TestAsCompletedYieldsInOrderOfCompletion(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		var got []int
		for x, err := range AsCompleted(ctx, napping(ctx, 3), napping(ctx, 1), napping(ctx, 2)) {
			if err != nil {
				return err
			}
			v, _ := x.Result()
			got = append(got, v)
		}
		if !slices.Equal(got, []int{1, 2, 3}) {
			t.Errorf("got %v", got)
		}
		late := 0
		for _, err := range AsCompletedTimeout(ctx, 2*time.Second, napping(ctx, 1), napping(ctx, 3), napping(ctx, 4)) {
			if errors.Is(err, context.DeadlineExceeded) {
				late++
			}
		}
		if late != 2 {
			t.Errorf("%d were late", late)
		}
		return nil
	})
}

func TestShieldKeepsTheInnerGoing(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		inner := napping(ctx, 3)
		outer := spawn(ctx, func(ctx context.Context) error { _, err := Shield(inner).Await(ctx); return err })
		Sleep(ctx, time.Second)
		outer.Cancel("")
		_, err := outer.Await(ctx)
		wantErr(t, "outer", err, context.Canceled)
		if v, err := inner.Await(ctx); v != 3 || err != nil {
			t.Errorf("inner: %d, %v", v, err)
		}
		if v, err := Shield(inner).Await(ctx); v != 3 || err != nil {
			t.Errorf("of what is done: %d, %v", v, err)
		}
		return nil
	})
}

func TestEagerTaskRunsAtOnce(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		var order []string
		say := func(s string) { order = append(order, s) }
		start := RunningLoop().Iteration()
		done := Spawn(ctx, func(ctx context.Context) (int, error) { say("never parks"); return 1, nil }, WithEager())
		if v, err := done.Result(); v != 1 || err != nil {
			t.Errorf("a task that never parks: %d, %v", v, err)
		}
		x := Spawn(ctx, func(ctx context.Context) (int, error) {
			say("starts")
			y := Spawn(ctx, func(ctx context.Context) (int, error) { say("nested"); return 2, Sleep(ctx, 0) }, WithEager())
			say("goes on")
			v, err := y.Await(ctx)
			say("ends")
			return v, err
		}, WithEager())
		say("main")
		if RunningLoop().Iteration() != start {
			t.Error("a turn was given up")
		}
		if CurrentTask().Name() != "main" {
			t.Errorf("the current task is %q", CurrentTask().Name())
		}
		v, err := x.Await(ctx)
		if fmt.Sprint(order) != "[never parks starts nested goes on main ends]" || v != 2 || err != nil {
			t.Errorf("got %v, %d, %v", order, v, err)
		}
		var inCallback []string
		RunningLoop().CallSoon(func() {
			Spawn(ctx, func(ctx context.Context) (int, error) {
				inCallback = append(inCallback, "task")
				return 0, Sleep(ctx, time.Second)
			}, WithEager())
			inCallback = append(inCallback, "callback")
		})
		Sleep(ctx, 2*time.Second)
		if fmt.Sprint(inCallback) != "[task callback]" {
			t.Errorf("in a callback: %v", inCallback)
		}
		return nil
	})
}

func TestVarBelongsToItsTask(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		var v Var[int]
		v.Set(1)
		x := Spawn(ctx, func(ctx context.Context) (int, error) {
			got := v.Get()
			v.Set(2)
			Sleep(ctx, time.Second)
			return got*10 + v.Get(), nil
		})
		var then, later int
		RunningLoop().CallSoon(func() { then = v.Get(); v.Set(9) })
		RunningLoop().CallLater(time.Second, func() { later = v.Get() })
		v.Set(3)
		got, _ := x.Await(ctx)
		Sleep(ctx, time.Second)
		if got != 12 || then != 1 || later != 1 || v.Get() != 3 {
			t.Errorf("task %d, callbacks %d and %d, here %d", got, then, later, v.Get())
		}
		return nil
	})
	var w Var[string]
	if w.Default = "d"; w.Get() != "d" {
		t.Errorf("off the loop: %q", w.Get())
	}
}

func TestOnDoneRunsInAnIterationOfItsOwn(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		f := NewFuture[int]()
		var order []int
		f.OnDone(func() { order = append(order, 1) })
		two := f.OnDone(func() { order = append(order, 2) })
		f.OnDone(func() { order = append(order, 3) })
		if !two.Remove() || two.Remove() {
			t.Error("Remove")
		}
		f.Set(0)
		if len(order) != 0 {
			t.Error("a callback ran inside Set")
		}
		Sleep(ctx, 0)
		f.OnDone(func() { order = append(order, 4) })
		Sleep(ctx, 0)
		if !slices.Equal(order, []int{1, 3, 4}) {
			t.Errorf("order %v", order)
		}
		return nil
	})
}

// Callbacks and tasks that another loop's task starts take its variables along.
func TestVarGoesToOtherLoops(t *testing.T) {
	var v Var[string]
	v.Default = "default"
	err := Run(func(ctx context.Context) error {
		l := RunningLoop()
		other := l.Loops()[1]
		for _, to := range []*Loop{l, other} {
			v.Set("set")
			got := make(chan string, 2)
			call := func() { got <- v.Get() }
			if err := to.CallSoonThreadsafe(call); err != nil {
				return err
			}
			v.Set("later")
			Sleep(ctx, 0)
			v.Set("set")
			x, err := ToThread(ctx, func() (string, error) { return <-got, nil })
			if x != "set" || err != nil {
				t.Errorf("a callback got %q, %v", x, err)
			}
			task, err := SpawnThreadsafe(ctx, to, func(context.Context) (string, error) { return v.Get(), nil })
			if err != nil {
				return err
			}
			if x, err := task.Await(ctx); x != "set" || err != nil {
				t.Errorf("a task got %q, %v", x, err)
			}
			// What they leave is gone.
			to.CallSoonThreadsafe(func() { v.Set("left") })
			_, err = ToThread(ctx, func() (int, error) { return 0, to.CallSoonThreadsafe(call) })
			if err != nil {
				return err
			}
			if x, err := ToThread(ctx, func() (string, error) { return <-got, nil }); x != "default" || err != nil {
				t.Errorf("a callback from off the loop got %q, %v", x, err)
			}
		}
		return nil
	}, WithoutSignals(), WithLoops(2))
	if err != nil {
		t.Fatal(err)
	}
}

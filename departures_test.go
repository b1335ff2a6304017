package rondo

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/rondo-go/rondo/poll"
)

// The tests of docs/departures.md that have no better place.

func TestDeparturesNameTheirTests(t *testing.T) {
	page, err := os.ReadFile("docs/departures.md")
	if err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob("*_test.go")
	more, _ := filepath.Glob("*/*_test.go")
	var sources []byte
	for _, f := range append(files, more...) {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, text...)
	}
	names := regexp.MustCompile(`\bTest[A-Z]\w+`).FindAllString(string(page), -1)
	for _, name := range names {
		if !regexp.MustCompile(`(?m)^func ` + name + `\(`).Match(sources) {
			t.Errorf("the page names %s, which does not exist", name)
		}
	}
	if len(names) < 25 {
		t.Errorf("the page names only %d tests", len(names))
	}
}

func TestTaskIsHeldByItsLoop(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		ended := false
		spawn(ctx, func(ctx context.Context) error { // nobody holds it
			err := Sleep(ctx, time.Second)
			ended = true
			return err
		})
		Sleep(ctx, time.Millisecond)
		runtime.GC()
		runtime.GC()
		Sleep(ctx, time.Minute)
		if !ended {
			t.Error("it did not end")
		}
		return nil
	})
}

func TestTaskUncancelLeavesItsContextDone(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		x := spawn(ctx, func(ctx context.Context) error {
			wantErr(t, "canceled", Sleep(ctx, time.Hour), context.Canceled)
			return errors.Join(Sleep(ctx, time.Second), ctx.Err())
		})
		Sleep(ctx, time.Second)
		x.Cancel("")
		if x.Uncancel() != 0 || x.Cancelling() != 0 {
			t.Error("the request was not taken back")
		}
		_, err := x.Await(ctx)
		wantErr(t, "the context", err, context.Canceled)
		return nil
	})
}

func TestTaskContextIsDoneWhenTheTaskIs(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		var its context.Context
		spawn(ctx, func(ctx context.Context) error { its = ctx; return nil }).Await(ctx)
		if its.Err() != context.Canceled || ctx.Err() != nil {
			t.Errorf("its context: %v, its parent: %v", its.Err(), ctx.Err())
		}
		return nil
	})
}

func TestAwaitUnderAnEndedContextLeavesWhatItAwaits(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		why := errors.New("why")
		f := NewFuture[int]()
		x := Spawn(ctx, func(ctx context.Context) (int, error) { return 7, Sleep(ctx, time.Hour) })
		for name, await := range map[string]func(context.Context) (int, error){"future": f.Await, "task": x.Await} {
			level, cancel := context.WithCancelCause(ctx)
			RunningLoop().CallLater(time.Second, func() { cancel(why) })
			_, err := await(level)
			wantErr(t, name, err, why)
		}
		if f.Done() || x.Done() {
			t.Errorf("done: future %v, task %v", f.Done(), x.Done())
		}
		v, err := x.Await(ctx)
		if v != 7 {
			t.Errorf("the task returned %d", v)
		}
		return err
	})
}

func TestGroupGoWhileAbortingStartsNothing(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		return WithGroup(ctx, func(g *Group) error {
			g.Cancel()
			g.Go(func(context.Context) error { t.Error("it was started"); return nil })
			x := Go(g, func(context.Context) (int, error) { t.Error("it was started"); return 0, nil })
			_, err := x.Await(context.WithoutCancel(ctx))
			wantErr(t, "Go", err, context.Canceled)
			wantErr(t, "Admits", g.Admits(), ErrGroupAborting)
			return nil
		})
	})
}

func TestPrimitivesNeedNoConstructor(t *testing.T) {
	var s struct {
		lock  Lock
		event Event
		cond  Condition
		queue Queue[int]
		value Future[int]
		name  Var[string]
	}
	virtually(t, func(ctx context.Context) error {
		x := spawn(ctx, func(ctx context.Context) error {
			_, err := s.value.Await(ctx)
			v, qerr := s.queue.Get(ctx)
			if v != 3 || s.name.Get() != "" {
				t.Errorf("got %d, %q", v, s.name.Get())
			}
			return errors.Join(err, qerr, s.event.Wait(ctx), s.lock.Acquire(ctx), s.lock.Release())
		})
		s.name.Set("main")
		s.value.Set(1)
		s.event.Set()
		err := errors.Join(s.queue.TryPut(3), s.cond.Acquire(ctx), s.cond.NotifyAll(), s.cond.Release())
		_, xerr := x.Await(ctx)
		return errors.Join(err, xerr)
	})
}

func TestWaitKeepsTheOrderOfItsArguments(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		var xs []*Task[int]
		for i := range 20 {
			xs = append(xs, Spawn(ctx, func(ctx context.Context) (int, error) {
				return i, Sleep(ctx, time.Duration(20-i/2*2)*time.Second)
			}))
		}
		done, pending, err := WaitTimeout(ctx, 11*time.Second, AllCompleted, xs...)
		if !slices.Equal(done, xs[10:]) || !slices.Equal(pending, xs[:10]) {
			t.Errorf("%d are done, %d pending", len(done), len(pending))
		}
		return err
	})
}

func TestAsCompletedYieldsWhatItWasGiven(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		nap := func(d time.Duration) *Task[time.Duration] {
			return Spawn(ctx, func(ctx context.Context) (time.Duration, error) { return d, Sleep(ctx, d) })
		}
		a, b := nap(2*time.Second), nap(time.Second)
		var got []*Task[time.Duration]
		for x, err := range AsCompleted(ctx, a, b) {
			if err != nil || !x.Done() {
				t.Errorf("got %v, done %v", err, x.Done())
			}
			got = append(got, x)
		}
		if !slices.Equal(got, []*Task[time.Duration]{b, a}) {
			t.Errorf("got %v", got)
		}
		return nil
	})
}

func TestLoopIsBoundToTheGoroutineThatRanItFirst(t *testing.T) {
	l, err := NewLoop(WithVirtualTime())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	nothing := func(context.Context) error { return nil }
	if err := l.RunUntilComplete(nothing); err != nil {
		t.Fatal(err)
	}
	other := make(chan error)
	go func() { other <- l.RunUntilComplete(nothing) }()
	if err := <-other; err == nil {
		t.Error("another goroutine could run it")
	}
	if err := l.RunUntilComplete(nothing); err != nil {
		t.Errorf("the first one again: %v", err)
	}
}

// A countingPoller counts how often the loop asks.
type countingPoller struct {
	poll.Poller
	asked int
}

func (p *countingPoller) Wait(d time.Duration) (int, error) {
	p.asked++
	return p.Poller.Wait(d)
}

func TestLoopInRealTimeAsksTheKernelNowAndThen(t *testing.T) {
	backend, err := newPoller()
	if err != nil {
		t.Fatal(err)
	}
	p := &countingPoller{Poller: backend}
	const turns = 20000
	err = Run(func(ctx context.Context) error {
		for range turns {
			if err := Sleep(ctx, 0); err != nil {
				return err
			}
		}
		if n := RunningLoop().Iteration(); n < turns {
			t.Errorf("%d iterations", n)
		}
		return nil
	}, WithPoller(p), WithoutSignals())
	if err != nil {
		t.Fatal(err)
	}
	// At least 16 handles lie between two looks.
	if p.asked > turns/8 || p.asked < 2 {
		t.Errorf("asked %d times in %d iterations", p.asked, turns)
	}
}

func TestLoopRunsFromInsideATaskIsRefused(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		if err := Run(func(context.Context) error { return nil }, WithoutSignals()); err == nil {
			t.Error("a loop ran inside a loop")
		}
		return nil
	})
}

package rondo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

// A diary notes what happens in which iteration, counted from its beginning.
type diary struct {
	begin uint64
	lines []string
}

func newDiary() *diary { return &diary{begin: RunningLoop().Iteration()} }

func (d *diary) say(format string, args ...any) {
	d.lines = append(d.lines, fmt.Sprintf("%d ", RunningLoop().Iteration()-d.begin)+fmt.Sprintf(format, args...))
}

func (d *diary) want(t *testing.T, lines ...string) {
	t.Helper()
	if !slices.Equal(d.lines, lines) {
		t.Errorf("got  %q\nwant %q", d.lines, lines)
	}
}

// turns gives the others n turns.
func turns(ctx context.Context, n int) {
	for range n {
		Sleep(ctx, 0)
	}
}

func TestLockPassesInOrder(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		var l Lock
		d := newDiary()
		if err := l.Acquire(ctx); err != nil || !l.Locked() {
			t.Errorf("acquire: %v, locked %v", err, l.Locked())
		}
		for i := range 3 {
			spawn(ctx, func(ctx context.Context) error {
				if err := l.Acquire(ctx); err != nil {
					return err
				}
				d.say("t%d", i)
				return l.Release()
			})
		}
		turns(ctx, 1)
		l.Release()
		d.say("free %v, try %v", !l.Locked(), l.TryAcquire()) // free, but it is the turn of another
		turns(ctx, 4)
		d.say("try %v", l.TryAcquire())
		d.want(t, "1 free true, try false", "2 t0", "3 t1", "4 t2", "5 try true")
		return nil
	})
}

// The lock is free, and its first waiter was canceled but has not run yet: it
// wakes the next when it does. Whoever comes may not overtake that one.
func TestLockCanceledWaiterWakesTheNext(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		l := NewLock()
		l.Acquire(ctx)
		d := newDiary()
		var tasks []*Task[struct{}]
		for i := range 2 {
			tasks = append(tasks, spawn(ctx, func(ctx context.Context) error {
				err := l.Acquire(ctx)
				d.say("t%d %v", i, err)
				return err
			}))
		}
		turns(ctx, 1)
		tasks[0].Cancel("")
		l.Release()
		turns(ctx, 3)
		d.want(t, "2 t0 rondo: task canceled", "3 t1 <nil>")
		return nil
	})
}

func TestLockIsFreeIfAllWaitersWereCanceled(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		var l Lock
		l.Acquire(ctx)
		x := spawn(ctx, l.Acquire)
		turns(ctx, 1)
		x.Cancel("")
		l.Release()
		if !l.TryAcquire() {
			t.Error("the lock waits for a canceled task")
		}
		return nil
	})
}

// Canceled after it was woken and before it ran, it does not hold the lock and
// wakes the next.
func TestLockWokenAndCanceled(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		var l Lock
		l.Acquire(ctx)
		x, y := spawn(ctx, l.Acquire), spawn(ctx, l.Acquire)
		turns(ctx, 1)
		l.Release()
		x.Cancel("")
		turns(ctx, 2)
		if !x.Canceled() || !y.Done() || y.Err() != nil || !l.Locked() {
			t.Errorf("first canceled %v, second done %v, locked %v", x.Canceled(), y.Done(), l.Locked())
		}
		return nil
	})
}

func TestLockReleaseOfAFreeLock(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		var l Lock
		wantErr(t, "release", l.Release(), ErrNotLocked)
		return nil
	})
}

func TestLockWithReleasesWhateverHappens(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		var l Lock
		boom := errors.New("boom")
		wantErr(t, "error", l.With(ctx, func() error {
			if !l.Locked() {
				t.Error("not locked inside")
			}
			return boom
		}), boom)
		x := spawn(ctx, func(ctx context.Context) error { return l.With(ctx, func() error { panic("there") }) })
		_, err := x.Await(ctx)
		var pe *PanicError
		if !errors.As(err, &pe) || l.Locked() {
			t.Errorf("panic: %v, locked %v", err, l.Locked())
		}
		// As in Python, the error of the release is the one that leaves the block.
		err = l.With(ctx, func() error { l.Release(); return boom })
		if !errors.Is(err, ErrNotLocked) || errors.Is(err, boom) {
			t.Errorf("released inside: %v", err)
		}
		return nil
	})
}

func TestLockUnderADoneContext(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		var l Lock
		l.Acquire(ctx)
		short, stop := context.WithTimeout(ctx, time.Hour)
		stop()
		wantErr(t, "acquire", l.Acquire(short), context.Canceled)
		l.Release()
		if !l.TryAcquire() {
			t.Error("somebody is left in the line")
		}
		return nil
	})
}

func TestLockParksWithoutAllocating(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		var l Lock
		spawn(ctx, func(ctx context.Context) error {
			for {
				if err := l.Acquire(ctx); err != nil {
					return err
				}
				err := Sleep(ctx, 0)
				l.Release()
				if err != nil {
					return err
				}
			}
		})
		n := testing.AllocsPerRun(100, func() {
			l.Acquire(ctx)
			Sleep(ctx, 0)
			l.Release()
		})
		if n > 0 {
			t.Errorf("%v allocations", n)
		}
		return nil
	})
}

// Everything that is for tasks of one loop says so elsewhere, also when it would
// not have to park.
func TestLoopBoundRefusesOtherPlaces(t *testing.T) {
	var (
		lock  Lock
		event Event
		cond  Condition
		sem   = NewSemaphore(9)
		bar   = NewBarrier(1)
	)
	calls := map[string]func(ctx context.Context) error{
		"Lock.Acquire":      lock.Acquire,
		"Lock.Release":      func(context.Context) error { return lock.Release() },
		"Event.Wait":        event.Wait,
		"Condition.Acquire": cond.Acquire,
		"Condition.Notify":  func(context.Context) error { return cond.Notify(1) },
		"Condition.Wait":    cond.Wait,
		"Semaphore.Acquire": sem.Acquire,
		"Semaphore.Release": func(context.Context) error { return sem.Release() },
		"Barrier.Abort":     bar.Abort,
	}
	panics := map[string]func(){
		"Lock.TryAcquire": func() { lock.TryAcquire() },
		"Event.Set":       event.Set,
		"Event.Clear":     event.Clear,
		"Semaphore":       func() { sem.TryAcquire() },
	}
	everywhere := func(ctx context.Context, place string, want error) {
		for name, call := range calls {
			wantErr(t, name+" "+place, call(ctx), want)
		}
		for name, call := range panics {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s %s: no panic", name, place)
					}
				}()
				call()
			}()
		}
	}
	everywhere(context.Background(), "off the loop", ErrNotTask)
	virtually(t, func(ctx context.Context) error {
		event.Set()
		for _, err := range []error{lock.Acquire(ctx), event.Wait(ctx), cond.Acquire(ctx), sem.Acquire(ctx)} {
			if err != nil {
				t.Error(err)
			}
		}
		if _, err := bar.Wait(ctx); err != nil {
			t.Error(err)
		}
		there := make(chan struct{})
		go func() {
			defer close(there)
			everywhere(ctx, "on a goroutine", ErrNotTask)
			virtually(t, func(ctx context.Context) error {
				everywhere(ctx, "on another loop", ErrOtherLoop)
				return nil
			})
		}()
		<-there
		called := NewFuture[error]()
		RunningLoop().CallSoon(func() { called.Set(lock.Acquire(ctx)) })
		err, _ := called.Await(ctx)
		wantErr(t, "in a callback", err, ErrNotTask)
		return nil
	})
	virtually(t, func(ctx context.Context) error {
		if err := event.Wait(ctx); err != nil {
			t.Errorf("after the loop was closed: %v", err)
		}
		return nil
	})
}

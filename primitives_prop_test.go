package rondo

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// torment runs tasks and cancels some of them, each at any turn, so that over the
// runs every park of every task is hit, before and after it was woken. Make
// returns what task i does, and what must be true when nothing moves any more:
// calm gets the tasks, of which those that are not done are parked for ever.
func torment(t *testing.T, make func(rt *rapid.T, ctx context.Context) (body func(ctx context.Context, i int) error, calm func(tasks []*Task[struct{}]))) {
	rapid.Check(t, func(rt *rapid.T) {
		const last = 24
		n := rapid.IntRange(1, 7).Draw(rt, "tasks")
		kill := rapid.SliceOfN(rapid.IntRange(0, 2*last), n, n).Draw(rt, "kill") // half of them never
		late := rapid.SliceOfN(rapid.IntRange(0, 4), n, n).Draw(rt, "start")
		err := Run(func(ctx context.Context) error {
			body, calm := make(rt, ctx)
			tasks := []*Task[struct{}]{}
			for i := range n {
				tasks = append(tasks, spawn(ctx, func(ctx context.Context) error {
					for range late[i] {
						if err := Sleep(ctx, 0); err != nil {
							return err
						}
					}
					return body(ctx, i)
				}))
			}
			for turn := range last {
				for i, k := range kill {
					if k == turn {
						tasks[i].Cancel("")
					}
				}
				Sleep(ctx, 0)
			}
			Sleep(ctx, time.Hour)
			calm(tasks)
			for _, x := range tasks {
				x.Cancel("")
				if _, err := x.Await(ctx); err != nil && !errors.Is(err, context.Canceled) {
					rt.Errorf("a task failed: %v", err)
				}
			}
			return nil
		}, WithVirtualTime(), WithoutSignals())
		if err != nil {
			rt.Fatal(err)
		}
	})
}

// parked counts the tasks that are not done.
func parked(tasks []*Task[struct{}]) (n int) {
	for _, x := range tasks {
		if !x.Done() {
			n++
		}
	}
	return n
}

func TestLockLosesNoWakeUp(t *testing.T) {
	torment(t, func(rt *rapid.T, ctx context.Context) (func(context.Context, int) error, func([]*Task[struct{}])) {
		var l Lock
		hold := rapid.IntRange(0, 3).Draw(rt, "hold")
		inside := 0
		body := func(ctx context.Context, i int) error {
			for range 3 {
				err := l.With(ctx, func() error {
					inside++
					defer func() { inside-- }()
					for range hold {
						if inside != 1 {
							rt.Errorf("%d inside", inside)
						}
						if err := Sleep(ctx, 0); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					return err
				}
			}
			return nil
		}
		return body, func(tasks []*Task[struct{}]) {
			if n := parked(tasks); n > 0 || !l.TryAcquire() {
				rt.Errorf("%d forgotten, locked %v", n, l.Locked())
			}
		}
	})
}

func TestBoundedSemaphoreLosesNoPermit(t *testing.T) {
	torment(t, func(rt *rapid.T, ctx context.Context) (func(context.Context, int) error, func([]*Task[struct{}])) {
		permits := rapid.IntRange(1, 3).Draw(rt, "permits")
		hold := rapid.SliceOfN(rapid.IntRange(0, 3), 7, 7).Draw(rt, "hold")
		s := NewBoundedSemaphore(permits)
		inside := 0
		body := func(ctx context.Context, i int) error {
			for range 3 {
				err := s.With(ctx, func() error {
					inside++
					defer func() { inside-- }()
					if inside > permits {
						rt.Errorf("%d inside", inside)
					}
					for range hold[i] {
						if err := Sleep(ctx, 0); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					return err
				}
			}
			return nil
		}
		return body, func(tasks []*Task[struct{}]) {
			if n := parked(tasks); n > 0 {
				rt.Errorf("%d forgotten", n)
			}
			for range permits {
				if !s.TryAcquire() {
					rt.Error("a permit was lost")
				}
			}
			if s.TryAcquire() {
				rt.Error("a permit was made")
			}
		}
	})
}

func TestEventLosesNoWakeUp(t *testing.T) {
	torment(t, func(rt *rapid.T, ctx context.Context) (func(context.Context, int) error, func([]*Task[struct{}])) {
		var e Event
		sets := rapid.IntRange(1, 6).Draw(rt, "sets")
		pause := rapid.IntRange(0, 2).Draw(rt, "pause")
		spawn(ctx, func(ctx context.Context) error {
			for range sets {
				e.Clear()
				turns(ctx, pause)
				e.Set()
				turns(ctx, pause)
			}
			return nil
		})
		body := func(ctx context.Context, i int) error {
			for range 4 {
				if err := e.Wait(ctx); err != nil {
					return err
				}
				if err := Sleep(ctx, 0); err != nil {
					return err
				}
			}
			return nil
		}
		return body, func(tasks []*Task[struct{}]) {
			if n := parked(tasks); n > 0 {
				rt.Errorf("the event is set, and %d wait", n)
			}
		}
	})
}

// Takers wait for tokens under a condition, and each token is announced once:
// whoever is canceled in between must pass that on.
func TestConditionLosesNoNotification(t *testing.T) {
	torment(t, func(rt *rapid.T, ctx context.Context) (func(context.Context, int) error, func([]*Task[struct{}])) {
		var c Condition
		tokens := 0
		gives := rapid.SliceOfN(rapid.Bool(), 7, 7).Draw(rt, "gives")
		body := func(ctx context.Context, i int) error {
			for range 3 {
				err := c.With(ctx, func() error {
					if gives[i] {
						tokens++
						c.Notify(1)
						return Sleep(ctx, 0)
					}
					if err := c.WaitFor(ctx, func() bool { return tokens > 0 }); err != nil {
						if !c.Locked() {
							rt.Error("Wait returned without the lock")
						}
						return err
					}
					tokens--
					return nil
				})
				if err != nil {
					return err
				}
			}
			return nil
		}
		return body, func(tasks []*Task[struct{}]) {
			if n := parked(tasks); n > 0 && tokens > 0 {
				rt.Errorf("%d tokens are there, and %d wait", tokens, n)
			}
			if c.Locked() {
				rt.Error("the lock is held by nobody")
			}
		}
	})
}

func TestBarrierKeepsCount(t *testing.T) {
	torment(t, func(rt *rapid.T, ctx context.Context) (func(context.Context, int) error, func([]*Task[struct{}])) {
		parties := rapid.IntRange(1, 4).Draw(rt, "parties")
		resetAt := rapid.IntRange(0, 10).Draw(rt, "reset")
		b := NewBarrier(parties)
		spawn(ctx, func(ctx context.Context) error {
			turns(ctx, resetAt)
			return b.Reset(ctx)
		})
		var round []int // who came through since everybody had left
		body := func(ctx context.Context, i int) error {
			for range 3 {
				index, err := b.Wait(ctx)
				if errors.Is(err, ErrBrokenBarrier) {
					continue
				}
				if err != nil {
					return err
				}
				if slices.Contains(round, index) || index >= parties {
					round = nil // the next round, or the one before ended by a cancel
				}
				round = append(round, index)
				if len(round) == parties {
					round = nil
				}
			}
			return nil
		}
		return body, func(tasks []*Task[struct{}]) {
			waiting := parked(tasks)
			if waiting >= parties || waiting != b.Waiting() {
				rt.Errorf("%d of %d parties wait, and it counts %d", waiting, parties, b.Waiting())
			}
			if err := b.Abort(ctx); err != nil {
				rt.Error(err)
			}
			turns(ctx, 2*len(tasks)+8)
			if n := parked(tasks); n > 0 {
				rt.Errorf("%d wait at a broken barrier", n)
			}
			b.Reset(ctx)
			var fresh []*Task[int]
			for range parties {
				fresh = append(fresh, Spawn(ctx, b.Wait))
			}
			turns(ctx, 2*parties+2)
			for i, x := range fresh {
				if v, err := x.Result(); v != i || err != nil {
					rt.Errorf("after a reset: %d, %v", v, err)
				}
			}
		}
	})
}

func TestQueuesLoseNoItemAndNoWakeUp(t *testing.T) {
	for name, make := range queues {
		t.Run(name, func(t *testing.T) {
			torment(t, func(rt *rapid.T, ctx context.Context) (func(context.Context, int) error, func([]*Task[struct{}])) {
				size := rapid.IntRange(0, 2).Draw(rt, "size")
				role := rapid.SliceOfN(rapid.IntRange(0, 4), 7, 7).Draw(rt, "role") // put, put, get, get, join
				q := make(size)
				var put, got []int
				done := 0
				waiting := map[int]int{} // by role
				body := func(ctx context.Context, i int) error {
					for k := range 4 {
						var err error
						switch waiting[role[i]/2]++; role[i] / 2 {
						case 0:
							if err = q.Put(ctx, 10*i+k); err == nil {
								put = append(put, 10*i+k)
							}
						case 1:
							var v int
							if v, err = q.Get(ctx); err == nil {
								got = append(got, v)
								done++
								if err := q.TaskDone(); err != nil {
									rt.Error(err)
								}
							}
						case 2:
							err = q.Join(ctx)
						}
						waiting[role[i]/2]--
						if err == nil {
							err = Sleep(ctx, 0)
						}
						if err != nil {
							return err
						}
					}
					return nil
				}
				return body, func(tasks []*Task[struct{}]) {
					full := size > 0 && q.Len() >= size
					if waiting[0] > 0 && !full || waiting[1] > 0 && q.Len() > 0 || waiting[2] > 0 && q.Unfinished() == 0 {
						rt.Errorf("%d of %d items, %d unfinished; waiting %v", q.Len(), size, q.Unfinished(), waiting)
					}
					if q.Unfinished() != len(put)-done {
						rt.Errorf("%d unfinished of %d put, %d done", q.Unfinished(), len(put), done)
					}
					for q.Len() > 0 {
						v, _ := q.TryGet()
						got = append(got, v)
						turns(ctx, 3) // those who wait may put
					}
					slices.Sort(put)
					slices.Sort(got)
					if !slices.Equal(put, got) {
						rt.Errorf("put %v, got %v", put, got)
					}
				}
			})
		})
	}
}

// A task that handles its cancellation and waits for something else is not woken
// by what it waited for before.
func TestCanceledWaitLeavesNothingBehind(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		var lock Lock
		var event Event
		var cond Condition
		sem := NewSemaphore(0)
		empty, full, busy := NewQueue[int](0), NewQueue[int](1), NewQueue[int](0)
		lock.Acquire(ctx)
		full.TryPut(1)
		busy.TryPut(1)
		for name, x := range map[string]struct {
			wait func(context.Context) error
			wake func()
		}{
			"lock":  {lock.Acquire, func() { lock.Release() }},
			"event": {event.Wait, event.Set},
			"condition": {func(ctx context.Context) error {
				return cond.With(ctx, func() error { return cond.Wait(ctx) })
			}, func() { cond.With(ctx, cond.NotifyAll) }},
			"semaphore": {sem.Acquire, func() { sem.Release() }},
			"get":       {func(ctx context.Context) error { _, err := empty.Get(ctx); return err }, func() { empty.TryPut(1) }},
			"put":       {func(ctx context.Context) error { return full.Put(ctx, 2) }, func() { full.TryGet() }},
			"join":      {busy.Join, func() { busy.TaskDone() }},
		} {
			var next Event
			woken := false
			task := spawn(ctx, func(ctx context.Context) error {
				wantErr(t, name, x.wait(ctx), context.Canceled)
				err := next.Wait(ctx)
				woken = true
				return err
			})
			turns(ctx, 1)
			task.Cancel("")
			turns(ctx, 1)
			x.wake()
			turns(ctx, 2)
			if woken {
				t.Errorf("%s: woken by what it had left", name)
			}
			next.Set()
			if _, err := task.Await(ctx); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		return nil
	})
}

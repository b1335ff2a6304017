package rondo

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A tree of groups, whose tasks sleep, fail, panic, time out, start further
// groups and are canceled at any time: no group returns before its last task, a
// task is never left behind, and who failed is told.
func TestGroupLeaksNoChild(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		running, started := 0, 0
		failed := map[error]bool{}
		var all []AnyTask
		var grow func(ctx context.Context, depth int) error
		plan := func(what string, most int) int { return rapid.IntRange(0, most).Draw(rt, what) }
		// The plans are drawn before the run, so that shrinking keeps them apart.
		type step struct{ kind, after, children int }
		var steps []step
		for range 1 + plan("tasks", 25) {
			steps = append(steps, step{plan("kind", 7), plan("after", 5), 1 + plan("children", 3)})
		}
		next := func() step {
			s := steps[started%len(steps)]
			started++
			return s
		}
		grow = func(ctx context.Context, depth int) error {
			running++
			defer func() { running-- }()
			all = append(all, CurrentTask())
			s := next()
			if err := Sleep(ctx, time.Duration(s.after)*time.Second); err != nil {
				return err
			}
			switch {
			case s.kind == 0:
				err := fmt.Errorf("task %d", started)
				failed[err] = true
				return err
			case s.kind == 1:
				panic("a task")
			case s.kind <= 4 && depth < 4 && started < 60:
				mine := 0
				body := func(ctx context.Context) error {
					return WithGroup(ctx, func(g *Group) error {
						for range s.children {
							g.Go(func(ctx context.Context) error {
								mine++
								defer func() { mine-- }()
								return grow(ctx, depth+1)
							})
						}
						if s.kind == 3 {
							Sleep(ctx, time.Second)
							g.Cancel()
						}
						return nil
					})
				}
				var err error
				if s.kind == 4 {
					err = Timeout(ctx, time.Duration(s.after)*time.Second, body)
				} else {
					err = body(ctx)
				}
				if mine != 0 {
					rt.Errorf("%d tasks run after their group", mine)
				}
				return err
			}
			return nil
		}
		killAt, victim := plan("kill at", 8), plan("victim", 20)
		err := Run(func(ctx context.Context) error {
			root := Spawn(ctx, func(ctx context.Context) (int, error) {
				err := WithGroup(ctx, func(g *Group) error {
					for range 3 {
						g.Go(func(ctx context.Context) error { return grow(ctx, 0) })
					}
					return nil
				})
				if running != 0 {
					rt.Errorf("%d tasks run after their group", running)
				}
				return 0, err
			})
			Sleep(ctx, time.Duration(killAt)*time.Second)
			if victim < len(all) {
				all[victim].Cancel("")
			} else {
				root.Cancel("")
			}
			_, err := root.Await(ctx)
			var group *GroupError
			if err != nil && !errors.As(err, &group) && !errors.Is(err, context.Canceled) {
				rt.Errorf("the outermost group returned %v", err)
			}
			for _, x := range all {
				if !x.Done() {
					rt.Errorf("task %s is left", x.Name())
				}
			}
			if n := len(Tasks()); n != 1 {
				rt.Errorf("%d tasks are left besides main", n-1)
			}
			return nil
		}, WithVirtualTime(), WithoutSignals())
		if err != nil {
			rt.Fatal(err)
		}
	})
}

// The order laws: callbacks first in, first out; equal deadlines in the order in
// which they were made; a future's waiters in the order in which they came; a
// step never runs inside the call that caused it.
func TestLoopKeepsItsOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(rt, "n")
		kinds := rapid.SliceOfN(rapid.IntRange(0, 3), n, n).Draw(rt, "kinds")
		delays := rapid.SliceOfN(rapid.IntRange(0, 3), n, n).Draw(rt, "delays")
		err := Run(func(ctx context.Context) error {
			l := RunningLoop()
			f := NewFuture[int]()
			var soon, waiters []int
			timed := map[int][]int{}
			inside := true
			for i, kind := range kinds {
				ran := func(list *[]int) func() {
					return func() {
						if inside {
							rt.Errorf("%d ran inside the call that scheduled it", i)
						}
						*list = append(*list, i)
					}
				}
				switch kind {
				case 0:
					l.CallSoon(ran(&soon))
				case 1:
					d := 1 + delays[i]
					l.CallLater(time.Duration(d)*time.Second, func() { timed[d] = append(timed[d], i) })
				case 2:
					f.OnDone(ran(&waiters))
				case 3:
					spawn(ctx, func(ctx context.Context) error {
						f.Await(ctx)
						waiters = append(waiters, 1000+i)
						return nil
					})
				}
			}
			inside = false
			Sleep(ctx, 0) // the tasks have started, and wait
			f.Set(1)
			Sleep(ctx, 10*time.Second)
			increasing := func(what string, list []int) {
				for k := 1; k < len(list); k++ {
					if list[k-1] >= list[k] {
						rt.Errorf("%s in the order %v", what, list)
					}
				}
			}
			increasing("callbacks", soon)
			increasing("waiters", waiters) // callbacks were added first, then the tasks in their turn
			for d, list := range timed {
				increasing(fmt.Sprintf("timers of %d s", d), list)
			}
			return nil
		}, WithVirtualTime(), WithoutSignals())
		if err != nil {
			rt.Fatal(err)
		}
	})
}

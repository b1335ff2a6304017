package rondo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// wantCycle says that err names the tasks, which are in a circle, from any of them on.
func wantCycle(t *testing.T, what string, err error, names ...string) {
	t.Helper()
	var ce *CycleError
	if !errors.As(err, &ce) || !errors.Is(err, ErrCycle) {
		t.Errorf("%s: got error %v, want a cycle", what, err)
		return
	}
	for range names {
		if slices.Equal(ce.Tasks, names) {
			return
		}
		names = append(names[1:], names[0])
	}
	t.Errorf("%s: got the cycle %v, want %v", what, ce.Tasks, names)
}

// ring starts tasks that await one another in a circle, and parks.
func ring(ctx context.Context, names ...string) []*Task[int] {
	tasks := make([]*Task[int], len(names))
	for i, name := range names {
		tasks[i] = Spawn(ctx, func(ctx context.Context) (int, error) {
			return tasks[(i+1)%len(tasks)].Await(ctx)
		}, WithName(name))
	}
	Sleep(ctx, time.Second)
	return tasks
}

func TestTaskAwaitingItselfIsACycle(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		var x *Task[struct{}]
		x = Spawn(ctx, func(ctx context.Context) (struct{}, error) { return x.Await(ctx) }, WithName("narcissus"))
		_, err := x.Await(ctx)
		wantCycle(t, "self", err, "narcissus")
		if x.Canceled() || !strings.Contains(err.Error(), "narcissus awaits itself") {
			t.Errorf("canceled %v, error %v", x.Canceled(), err)
		}
		return nil
	})
}

func TestTaskCancelNamesTheCycle(t *testing.T) {
	for first := range 3 {
		virtually(t, func(ctx context.Context) error {
			tasks := ring(ctx, "a", "b", "c")
			if !tasks[first].Cancel("") {
				t.Error("Cancel returned false")
			}
			for _, x := range tasks {
				_, err := x.Await(ctx)
				wantCycle(t, x.Name(), err, "a", "b", "c")
				if x.Canceled() || errors.Is(err, context.Canceled) || x.Cancelling() != 1 {
					t.Errorf("%s: canceled %v, %d requests, %v", x.Name(), x.Canceled(), x.Cancelling(), err)
				}
			}
			return nil
		})
	}
}

func TestTaskCancelFromOutsideNamesTheCycle(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		tasks := ring(ctx, "a", "b")
		x := Spawn(ctx, tasks[0].Await, WithName("outside"))
		Sleep(ctx, time.Second)
		x.Cancel("")
		_, err := x.Await(ctx)
		wantCycle(t, "outside", err, "a", "b")
		return nil
	})
}

func TestTaskCancelNamesTheCycleThroughAGather(t *testing.T) {
	for _, first := range []string{"x", "y"} {
		for name, gather := range map[string]func(context.Context, *Task[int]) error{
			"Gather": func(ctx context.Context, of *Task[int]) error {
				_, err := Gather(of).Await(ctx)
				return err
			},
			"GatherResults": func(ctx context.Context, of *Task[int]) error {
				rs, err := GatherResults(of).Await(ctx)
				if err == nil {
					err = rs[0].Err
				}
				return err
			},
		} {
			t.Run(name+"/"+first, func(t *testing.T) {
				virtually(t, func(ctx context.Context) error {
					var x, y *Task[int]
					x = Spawn(ctx, func(ctx context.Context) (int, error) { return 0, gather(ctx, y) }, WithName("x"))
					y = Spawn(ctx, x.Await, WithName("y"))
					Sleep(ctx, time.Second)
					map[string]*Task[int]{"x": x, "y": y}[first].Cancel("")
					_, ex := x.Await(ctx)
					_, ey := y.Await(ctx)
					wantCycle(t, "x", ex, "x", "y")
					wantCycle(t, "y", ey, "x", "y")
					return nil
				})
			})
		}
	}
}

func TestTaskGatheringItselfIsACycle(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		var x *Task[int]
		x = Spawn(ctx, func(ctx context.Context) (int, error) {
			_, err := Gather(x, Spawn(ctx, func(ctx context.Context) (int, error) { return 0, Sleep(ctx, time.Hour) })).Await(ctx)
			return 0, err
		}, WithName("x"))
		Sleep(ctx, time.Second)
		x.Cancel("")
		_, err := x.Await(ctx)
		wantCycle(t, "x", err, "x")
		return nil
	})
}

func TestTaskCancelThroughAShieldEndsTheCycle(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		var x, y *Task[int]
		x = Spawn(ctx, func(ctx context.Context) (int, error) { return Shield(y).Await(ctx) })
		y = Spawn(ctx, x.Await)
		Sleep(ctx, time.Second)
		x.Cancel("")
		_, err := y.Await(ctx)
		wantErr(t, "y", err, context.Canceled)
		return nil
	})
}

func TestTimeoutNamesTheCycle(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		var x, y *Task[int]
		x = Spawn(ctx, func(ctx context.Context) (int, error) {
			err := Timeout(ctx, time.Second, func(ctx context.Context) error { _, err := y.Await(ctx); return err })
			wantCycle(t, "inside", err, "x", "y")
			if x.Cancelling() != 0 {
				t.Errorf("%d requests are left after the timeout", x.Cancelling())
			}
			return 7, Sleep(ctx, time.Second)
		}, WithName("x"))
		y = Spawn(ctx, func(ctx context.Context) (int, error) { return x.Await(ctx) }, WithName("y"))
		if v, err := x.Await(ctx); v != 7 || err != nil {
			t.Errorf("x went on to %d, %v", v, err)
		}
		return nil
	})
}

func TestGroupDoesNotSwallowACycle(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		boom := errors.New("boom")
		err := WithGroup(ctx, func(g *Group) error {
			var x, y *Task[int]
			x = Go(g, func(ctx context.Context) (int, error) { return y.Await(ctx) }, WithName("x"))
			y = Go(g, func(ctx context.Context) (int, error) { return x.Await(ctx) }, WithName("y"))
			g.Go(func(ctx context.Context) error { Sleep(ctx, time.Second); return boom })
			return nil
		})
		wantErr(t, "group", err, boom)
		wantCycle(t, "group", err, "x", "y")
		return nil
	})
}

// A group's task that awaits the group's owner, who waits for it, hangs in asyncio,
// canceled or not, and so here: the traces are the same. Closing the loop ends it.
func TestGroupWhoseTaskAwaitsItsOwnerHangsAsInAsyncio(t *testing.T) {
	l, err := NewLoop(WithVirtualTime(), WithExitWhenIdle(), WithExceptionHandler(func(Report) {}))
	if err != nil {
		t.Fatal(err)
	}
	var owner *Task[int]
	err = l.RunUntilComplete(func(ctx context.Context) error {
		owner = Spawn(ctx, func(ctx context.Context) (int, error) {
			return 0, WithGroup(ctx, func(g *Group) error {
				g.Go(func(ctx context.Context) error { _, err := owner.Await(ctx); return err })
				return nil
			})
		})
		Sleep(ctx, time.Second)
		owner.Cancel("")
		_, err := owner.Await(ctx)
		return err
	})
	wantErr(t, "run", err, ErrDeadlock)
	if owner.Done() || owner.Cancelling() == 0 {
		t.Errorf("done %v, %d requests", owner.Done(), owner.Cancelling())
	}
	if err := l.Close(); err != nil || !owner.Done() {
		t.Errorf("close: %v, done %v", err, owner.Done())
	}
}

func TestRunReportsACycleThatIsLeft(t *testing.T) {
	var reports []Report
	err := Run(func(ctx context.Context) error {
		ring(ctx, "x", "y", "z")
		return nil
	}, WithVirtualTime(), WithoutSignals(), WithExceptionHandler(func(r Report) { reports = append(reports, r) }))
	if err != nil || len(reports) != 1 {
		t.Fatalf("got %v, %d reports", err, len(reports))
	}
	wantCycle(t, "report", reports[0].Err, "x", "y", "z")
}

func TestCycleErrorIsShort(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		var names []string
		for i := range 1000 {
			names = append(names, fmt.Sprint("t", i))
		}
		tasks := ring(ctx, names...)
		tasks[0].Cancel("")
		_, err := tasks[500].Await(ctx)
		wantCycle(t, "long", err, names...)
		if s := err.Error(); len(s) > 500 || !strings.Contains(s, "(984 more)") {
			t.Errorf("the message is %q", s)
		}
		return nil
	})
}

func TestTaskCancelGoesDownAHundredThousandAwaits(t *testing.T) {
	if testing.Short() {
		t.Skip("needs some 400 MB")
	}
	virtually(t, func(ctx context.Context) error {
		innermost := Spawn(ctx, func(ctx context.Context) (int, error) {
			err := Sleep(ctx, time.Hour)
			var ce *CanceledError
			if !errors.As(err, &ce) || ce.Message != "down" {
				t.Errorf("the innermost got %v", err)
			}
			return 0, err
		})
		chain := []*Task[int]{innermost}
		for range 100_000 {
			chain = append(chain, Spawn(ctx, chain[len(chain)-1].Await))
		}
		Sleep(ctx, time.Second)
		outermost := chain[len(chain)-1]
		outermost.Cancel("down")
		_, err := outermost.Await(ctx)
		wantErr(t, "outermost", err, context.Canceled)
		for i, x := range chain {
			if !x.Canceled() || x.Cancelling() != 1 {
				t.Fatalf("task %d: canceled %v, %d requests", i, x.Canceled(), x.Cancelling())
			}
		}
		return nil
	})
}

func TestTaskCancelGoesDownManyGathers(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		var last Awaitable[int] = Spawn(ctx, func(ctx context.Context) (int, error) { return 0, Sleep(ctx, time.Hour) })
		for range 5000 {
			inner := last
			last = Spawn(ctx, func(ctx context.Context) (int, error) {
				_, err := Gather(inner).Await(ctx)
				return 0, err
			})
		}
		Sleep(ctx, time.Second)
		last.Cancel("")
		_, err := last.Await(ctx)
		wantErr(t, "outermost", err, context.Canceled)
		return nil
	})
}

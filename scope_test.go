package rondo

import (
	"context"
	"errors"
	"iter"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

func pull[T any](seq iter.Seq[T]) (func() (T, bool), func()) { return iter.Pull(seq) }

func TestGroupWaitsForItsTasks(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		n := 0
		err := WithGroup(ctx, func(g *Group) error {
			for i := range 5 {
				g.Go(func(ctx context.Context) error {
					defer func() { n++ }()
					return Sleep(ctx, time.Duration(i)*time.Second)
				})
			}
			return nil
		})
		if n != 5 || now() != 4*time.Second {
			t.Errorf("%d ended after %v", n, now())
		}
		return err
	})
}

func TestGroupFirstErrorCancelsTheRest(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		boom, bang := errors.New("boom"), errors.New("bang")
		var sibling, body error
		err := WithGroup(ctx, func(g *Group) error {
			g.Go(func(ctx context.Context) error { sibling = Sleep(ctx, time.Hour); return bang })
			g.Go(func(ctx context.Context) error { Sleep(ctx, time.Second); return boom })
			body = Sleep(ctx, time.Hour)
			if g.Context().Err() == nil {
				t.Error("the group's context is not done")
			}
			return body
		})
		wantErr(t, "sibling", sibling, context.Canceled)
		wantErr(t, "body", body, context.Canceled)
		var ge *GroupError
		if !errors.As(err, &ge) || len(ge.Errors) != 2 || ge.Errors[0] != boom || ge.Errors[1] != bang {
			t.Errorf("got %v", err)
		}
		if err := Sleep(ctx, time.Second); err != nil {
			t.Errorf("after the group: %v", err)
		}
		return nil
	})
}

func TestGroupIsCanceledWithItsTask(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		var child error
		x := spawn(ctx, func(ctx context.Context) error {
			return WithGroup(ctx, func(g *Group) error {
				g.Go(func(ctx context.Context) error { child = Sleep(ctx, time.Hour); return child })
				return nil
			})
		})
		Sleep(ctx, time.Second)
		x.Cancel("stop")
		_, err := x.Await(ctx)
		wantErr(t, "task", err, context.Canceled)
		wantErr(t, "child", child, context.Canceled)
		return nil
	})
}

func TestGroupPanicSurfacesWithTheChildsStack(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		var sibling error
		err := WithGroup(ctx, func(g *Group) error {
			g.Go(func(ctx context.Context) error { sibling = Sleep(ctx, time.Hour); return sibling })
			g.Go(func(ctx context.Context) error { Sleep(ctx, time.Second); panic("child") })
			return nil
		})
		var pe *PanicError
		if !errors.As(err, &pe) || !strings.Contains(string(pe.Stack), "TestGroupPanicSurfaces") {
			t.Errorf("got %v", err)
		}
		wantErr(t, "sibling", sibling, context.Canceled)
		if now() != time.Second {
			t.Errorf("after %v", now())
		}
		return nil
	})
}

func TestGroupPanicOfTheBodyWaitsForTheTasks(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		ended := false
		x := spawn(ctx, func(ctx context.Context) error {
			return WithGroup(ctx, func(g *Group) error {
				g.Go(func(ctx context.Context) error { err := Sleep(ctx, time.Hour); ended = true; return err })
				Sleep(ctx, time.Second)
				panic("body")
			})
		})
		_, err := x.Await(ctx)
		var pe *PanicError
		if !errors.As(err, &pe) || pe.Value != "body" || !ended {
			t.Errorf("got %v, child ended %v", err, ended)
		}
		return nil
	})
}

func TestGroupGoReturnsATask(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		return WithGroup(ctx, func(g *Group) error {
			x := Go(g, func(ctx context.Context) (int, error) { return 3, Sleep(ctx, time.Second) })
			v, err := x.Await(ctx)
			if v != 3 {
				t.Errorf("got %d", v)
			}
			return err
		})
	})
}

func TestGroupChildrenInheritDeadlineAndValues(t *testing.T) {
	type key struct{}
	virtually(t, func(ctx context.Context) error {
		ctx = context.WithValue(ctx, key{}, "v")
		return Timeout(ctx, time.Minute, func(ctx context.Context) error {
			return WithGroup(ctx, func(g *Group) error {
				g.Go(func(ctx context.Context) error {
					if _, ok := ctx.Deadline(); !ok {
						t.Error("no deadline")
					}
					if ctx.Value(key{}) != "v" {
						t.Error("no value")
					}
					return nil
				})
				return nil
			})
		})
	})
}

func TestTimeoutEndsTheCallThatParks(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		var in error
		err := Timeout(ctx, time.Second, func(ctx context.Context) error {
			in = Sleep(ctx, time.Hour)
			if ctx.Err() != context.DeadlineExceeded {
				t.Errorf("the block's context: %v", ctx.Err())
			}
			return in
		})
		wantErr(t, "inside", in, context.Canceled)
		wantErr(t, "outside", err, context.DeadlineExceeded)
		wantErr(t, "outside", err, os.ErrDeadlineExceeded)
		var ne net.Error
		if !errors.As(err, &ne) || !ne.Timeout() {
			t.Errorf("%T is no net.Error with Timeout", err)
		}
		if ctx.Err() != nil || now() != time.Second {
			t.Errorf("afterwards: %v, context %v", now(), ctx.Err())
		}
		return Sleep(ctx, time.Second)
	})
}

func TestTimeoutInRealTimeArmsWhenTheTaskParks(t *testing.T) {
	err := Run(func(ctx context.Context) error {
		err := Timeout(ctx, time.Hour, func(ctx context.Context) error {
			return Timeout(ctx, 2*time.Millisecond, func(ctx context.Context) error {
				return Timeout(ctx, time.Hour, func(ctx context.Context) error { return Sleep(ctx, time.Hour) })
			})
		})
		wantErr(t, "nested", err, context.DeadlineExceeded)
		for range 1000 {
			if err := Timeout(ctx, time.Hour, func(context.Context) error { return nil }); err != nil {
				return err
			}
		}
		return Sleep(ctx, time.Millisecond)
	}, WithoutSignals())
	if err != nil {
		t.Fatal(err)
	}
}

func TestTimeoutLeavesAnOuterCancelAlone(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		x := spawn(ctx, func(ctx context.Context) error {
			return Timeout(ctx, time.Second, func(ctx context.Context) error { return Sleep(ctx, time.Hour) })
		})
		Sleep(ctx, 0)
		x.Cancel("outer")
		_, err := x.Await(ctx)
		if !errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		return nil
	})
}

func TestTimeoutNestedInnermostFirst(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		var inner error
		err := Timeout(ctx, 2*time.Second, func(ctx context.Context) error {
			inner = Timeout(ctx, time.Second, func(ctx context.Context) error { return Sleep(ctx, time.Hour) })
			return Sleep(ctx, time.Hour)
		})
		wantErr(t, "inner", inner, context.DeadlineExceeded)
		wantErr(t, "outer", err, context.DeadlineExceeded)
		if now() != 2*time.Second {
			t.Errorf("after %v", now())
		}
		return nil
	})
}

func TestGatherKeepsTheOrder(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		nap := func(i int) *Task[int] {
			return Spawn(ctx, func(ctx context.Context) (int, error) { return i, Sleep(ctx, time.Duration(9-i)*time.Second) })
		}
		got, err := Gather(nap(1), nap(2), nap(3)).Await(ctx)
		if err != nil || len(got) != 3 || got[0] != 1 || got[1] != 2 || got[2] != 3 {
			t.Errorf("got %v, %v", got, err)
		}
		none, err := Gather[int]().Await(ctx)
		if len(none) != 0 || err != nil {
			t.Errorf("of nothing: %v, %v", none, err)
		}
		boom := errors.New("boom")
		fails := func() *Task[int] { return Spawn(ctx, func(ctx context.Context) (int, error) { return 0, boom }) }
		start := now()
		_, err = Gather(nap(0), fails()).Await(ctx)
		wantErr(t, "gather", err, boom)
		if now() != start {
			t.Errorf("the first error came after %v", now()-start)
		}
		all, err := GatherResults(nap(0), fails()).Await(ctx)
		if err != nil || len(all) != 2 || all[0].Err != nil || all[1].Err != boom {
			t.Errorf("results: %v, %v", all, err)
		}
		return nil
	})
}

func TestGatherCanceledCancelsItsTasks(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		n := 0
		nap := func() *Task[int] {
			return Spawn(ctx, func(ctx context.Context) (int, error) {
				err := Sleep(ctx, time.Hour)
				if errors.Is(err, context.Canceled) {
					n++
				}
				return 0, err
			})
		}
		x := spawn(ctx, func(ctx context.Context) error { _, err := Gather(nap(), nap()).Await(ctx); return err })
		Sleep(ctx, time.Second)
		x.Cancel("")
		_, err := x.Await(ctx)
		wantErr(t, "gather", err, context.Canceled)
		if n != 2 {
			t.Errorf("%d tasks were canceled", n)
		}
		return nil
	})
}

func TestContextAfterFuncOfATask(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		told := NewFuture[error]()
		x := spawn(ctx, func(ctx context.Context) error {
			derived, cancel := context.WithCancel(ctx)
			defer cancel()
			context.AfterFunc(derived, func() { told.Set(derived.Err()) })
			return Sleep(ctx, time.Hour)
		})
		Sleep(ctx, time.Second)
		x.Cancel("")
		x.Await(ctx)
		err, _ := told.Await(ctx)
		wantErr(t, "derived", err, context.Canceled)
		return nil
	})
}

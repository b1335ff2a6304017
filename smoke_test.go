package rondo

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestSmoke(t *testing.T) {
	err := Run(func(ctx context.Context) error {
		x := Spawn(ctx, func(ctx context.Context) (int, error) {
			if err := Sleep(ctx, time.Millisecond); err != nil {
				return 0, err
			}
			return 42, nil
		})
		v, err := x.Await(ctx)
		if v != 42 || err != nil {
			t.Errorf("got %d, %v", v, err)
		}
		err = Timeout(ctx, time.Millisecond, func(ctx context.Context) error { return Sleep(ctx, time.Hour) })
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("timeout: %v", err)
		}
		err = WithGroup(ctx, func(g *Group) error {
			for range 100 {
				g.Go(func(ctx context.Context) error { return Sleep(ctx, time.Millisecond) })
			}
			g.Go(func(ctx context.Context) error { Sleep(ctx, 0); panic("oh") })
			return nil
		})
		var pe *PanicError
		if !errors.As(err, &pe) {
			t.Errorf("group: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

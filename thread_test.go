package rondo

import (
	"context"
	"errors"
	"testing"
)

func TestInExecutorShieldedWaitsForTheOutcome(t *testing.T) {
	pool := NewThreadPool(1)
	for name, e := range map[string]Executor{"goroutine": nil, "pool": pool} {
		t.Run(name, func(t *testing.T) {
			virtually(t, func(ctx context.Context) error {
				gate := make(chan int, 1)
				var got int
				var err, next error
				x := Spawn(ctx, func(ctx context.Context) (int, error) {
					got, err = InExecutorShielded(ctx, e, func() (int, error) { return <-gate, errors.New("said") })
					next = Sleep(ctx, 0)
					return 0, nil
				})
				Sleep(ctx, 0)
				x.Cancel("late")
				Sleep(ctx, 0)
				if x.Done() {
					t.Error("it was cut short")
				}
				gate <- 8
				x.Await(ctx)
				if got != 8 || err == nil || err.Error() != "said" {
					t.Errorf("the outcome: %d, %v", got, err)
				}
				wantErr(t, "the next park", next, context.Canceled)
				return nil
			})
		})
	}
}

func TestInExecutorShieldedDoesNotStartWhenCanceled(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		fn := func() (int, error) { t.Error("it was started"); return 0, nil }
		x := Spawn(ctx, func(ctx context.Context) (int, error) {
			CurrentTask().Cancel("")
			return InExecutorShielded(ctx, nil, fn)
		})
		_, err := x.Await(ctx)
		wantErr(t, "canceled", err, context.Canceled)
		std, cancel := context.WithCancelCause(ctx)
		why := errors.New("why")
		cancel(why)
		_, err = InExecutorShielded(std, nil, fn)
		wantErr(t, "context", err, why)
		return nil
	})
	_, err := InExecutorShielded(context.Background(), nil, func() (int, error) { return 0, nil })
	wantErr(t, "off the loop", err, ErrNotTask)
}

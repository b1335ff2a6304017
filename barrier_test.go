package rondo

import (
	"context"
	"slices"
	"testing"
)

func TestBarrierRounds(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		b := NewBarrier(3)
		var got []int
		for range 3 {
			spawn(ctx, func(ctx context.Context) error {
				for range 2 {
					i, err := b.Wait(ctx)
					if err != nil {
						return err
					}
					got = append(got, i)
				}
				return nil
			})
		}
		turns(ctx, 20)
		slices.Sort(got[:3])
		slices.Sort(got[3:])
		if !slices.Equal(got, []int{0, 1, 2, 0, 1, 2}) || b.Waiting() != 0 || b.Parties() != 3 || b.Broken() {
			t.Errorf("indices %v, %d waiting", got, b.Waiting())
		}
		return nil
	})
}

func TestBarrierAbortAndReset(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		b := NewBarrier(2)
		wait := func() *Task[int] { return Spawn(ctx, b.Wait) }
		x := wait()
		turns(ctx, 1)
		if b.Waiting() != 1 {
			t.Errorf("%d waiting", b.Waiting())
		}
		if err := b.Reset(ctx); err != nil {
			return err
		}
		_, err := x.Await(ctx)
		wantErr(t, "reset", err, ErrBrokenBarrier)
		if b.Broken() {
			t.Error("a reset breaks nobody who comes later")
		}
		x = wait()
		turns(ctx, 1)
		if err := b.Abort(ctx); err != nil {
			return err
		}
		_, err = x.Await(ctx)
		wantErr(t, "abort", err, ErrBrokenBarrier)
		_, err = b.Wait(ctx)
		wantErr(t, "after abort", err, ErrBrokenBarrier)
		if !b.Broken() {
			t.Error("it is not broken")
		}
		b.Reset(ctx)
		x = wait()
		turns(ctx, 1)
		if i, err := b.Wait(ctx); i != 1 || err != nil {
			t.Errorf("after reset: %d, %v", i, err)
		}
		if i, err := x.Await(ctx); i != 0 || err != nil {
			t.Errorf("after reset: %d, %v", i, err)
		}
		return nil
	})
}

func TestBarrierCanceledHasNotArrived(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		b := NewBarrier(2)
		x := Spawn(ctx, b.Wait)
		turns(ctx, 1)
		x.Cancel("")
		turns(ctx, 1)
		if !x.Canceled() || b.Waiting() != 0 {
			t.Errorf("canceled %v, %d waiting", x.Canceled(), b.Waiting())
		}
		y := Spawn(ctx, b.Wait)
		turns(ctx, 1)
		if y.Done() {
			t.Error("the canceled one was counted")
		}
		_, err := b.Wait(ctx)
		return err
	})
}

func TestBarrierNeedsAParty(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	NewBarrier(0)
}

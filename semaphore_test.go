package rondo

import (
	"context"
	"errors"
	"testing"
)

// Two permits come back at once. The first waiter is woken for one; the other is
// there, but nobody can overtake who was woken and has not run.
func TestSemaphoreNobodyOvertakes(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		s := NewSemaphore(0)
		d := newDiary()
		spawn(ctx, func(ctx context.Context) error {
			err := s.Acquire(ctx)
			d.say("a")
			return err
		})
		turns(ctx, 1)
		s.Release()
		s.Release()
		d.say("locked %v, try %v", s.Locked(), s.TryAcquire())
		spawn(ctx, func(ctx context.Context) error {
			err := s.Acquire(ctx)
			d.say("b")
			return err
		})
		turns(ctx, 3)
		d.say("locked %v", s.Locked())
		d.want(t, "1 locked true, try false", "2 a", "2 b", "4 locked true")
		return nil
	})
}

// Who comes before the woken one has run waits, and is woken by it.
func TestSemaphoreWokenWakesWhoCameMeanwhile(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		s := NewSemaphore(0)
		d := newDiary()
		wait := func(name string) {
			spawn(ctx, func(ctx context.Context) error {
				d.say("%s comes", name)
				err := s.Acquire(ctx)
				d.say("%s %v", name, err)
				return err
			})
		}
		wait("a")
		turns(ctx, 1)
		wait("b") // its first step comes before that of a, who is woken below
		s.Release()
		s.Release()
		turns(ctx, 3)
		d.want(t, "1 a comes", "2 b comes", "2 a <nil>", "3 b <nil>")
		return nil
	})
}

// A permit given to a canceled task goes to the next.
func TestSemaphoreWokenAndCanceled(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		s := NewSemaphore(0)
		x, y := spawn(ctx, s.Acquire), spawn(ctx, s.Acquire)
		turns(ctx, 1)
		s.Release()
		x.Cancel("")
		turns(ctx, 2)
		if !x.Canceled() || !y.Done() || y.Err() != nil || s.TryAcquire() {
			t.Errorf("first canceled %v, second done %v", x.Canceled(), y.Done())
		}
		return nil
	})
}

func TestBoundedSemaphoreReleasedTooOften(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		s := NewBoundedSemaphore(1)
		wantErr(t, "release", s.Release(), ErrReleasedTooOften)
		boom := errors.New("boom")
		wantErr(t, "with", s.With(ctx, func() error { return boom }), boom)
		wantErr(t, "released inside", s.With(ctx, s.Release), ErrReleasedTooOften)
		if !s.TryAcquire() || s.TryAcquire() {
			t.Error("it has not one permit")
		}
		return s.Release()
	})
}

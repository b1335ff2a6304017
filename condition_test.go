package rondo

import (
	"context"
	"testing"
)

// inside spawns a task that waits for c and says what came of it.
func inside(ctx context.Context, c *Condition, d *diary, name string) *Task[struct{}] {
	return spawn(ctx, func(ctx context.Context) error {
		return c.With(ctx, func() error {
			err := c.Wait(ctx)
			d.say("%s %v, locked %v", name, err, c.Locked())
			return err
		})
	})
}

func TestConditionNotifiesTheFirst(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		var c Condition
		d := newDiary()
		for _, name := range []string{"a", "b", "c"} {
			inside(ctx, &c, d, name)
		}
		turns(ctx, 3) // the lock goes from one to the next
		c.Acquire(ctx)
		c.Notify(2)
		turns(ctx, 2)
		d.say("main")
		c.Release()
		turns(ctx, 4)
		c.With(ctx, c.NotifyAll)
		turns(ctx, 1)
		// A lock that is held is waited for: one hop more.
		d.want(t, "5 main", "6 a <nil>, locked true", "7 b <nil>, locked true", "10 c <nil>, locked true")
		return nil
	})
}

func TestConditionNotLocked(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		c := NewCondition(nil)
		wantErr(t, "wait", c.Wait(ctx), ErrNotLocked)
		wantErr(t, "notify", c.Notify(1), ErrNotLocked)
		wantErr(t, "notify all", c.NotifyAll(), ErrNotLocked)
		wantErr(t, "release", c.Release(), ErrNotLocked)
		if err := c.WaitFor(ctx, func() bool { return true }); err != nil {
			t.Errorf("what is true needs no lock: %v", err)
		}
		wantErr(t, "wait for", c.WaitFor(ctx, func() bool { return false }), ErrNotLocked)
		return nil
	})
}

// Canceled twice on its way out, Wait returns the last, and only with the lock.
func TestConditionTakesTheLockThoughCanceled(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		l := NewLock()
		c := NewCondition(l)
		d := newDiary()
		x := inside(ctx, c, d, "x")
		turns(ctx, 1)
		l.Acquire(ctx)
		x.Cancel("one")
		turns(ctx, 1)
		x.Cancel("two")
		turns(ctx, 2)
		d.say("main")
		l.Release()
		turns(ctx, 2)
		d.want(t, "4 main", "5 x rondo: task canceled: two, locked true")
		if l.Locked() {
			t.Error("it is still locked")
		}
		return nil
	})
}

// Notified and then canceled, it passes the notification on.
func TestConditionPassesANotificationOn(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		var c Condition
		d := newDiary()
		x := inside(ctx, &c, d, "x")
		inside(ctx, &c, d, "y")
		turns(ctx, 2)
		c.Acquire(ctx)
		c.Notify(1)
		x.Cancel("")
		c.Release()
		turns(ctx, 4)
		d.want(t, "3 x rondo: task canceled, locked true", "4 y <nil>, locked true")
		return nil
	})
}

func TestConditionUnderADoneContext(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		var c Condition
		short, stop := context.WithCancel(ctx)
		x := spawn(ctx, func(ctx context.Context) error {
			c.Acquire(ctx)
			err := c.Wait(short)
			if !c.Locked() {
				t.Error("it came back without the lock")
			}
			wantErr(t, "again", c.Wait(short), context.Canceled)
			c.Release()
			return err
		})
		turns(ctx, 1)
		stop()
		_, err := x.Await(ctx)
		wantErr(t, "wait", err, context.Canceled)
		if c.Locked() {
			t.Error("it is still locked")
		}
		return nil
	})
}

func TestConditionsShareALock(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		var l Lock
		full, empty := NewCondition(&l), NewCondition(&l)
		item, got := 0, 0
		x := spawn(ctx, func(ctx context.Context) error {
			for range 3 {
				err := full.With(ctx, func() error {
					if err := full.WaitFor(ctx, func() bool { return item != 0 }); err != nil {
						return err
					}
					got, item = got+item, 0
					return empty.Notify(1)
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
		for i := range 3 {
			err := empty.With(ctx, func() error {
				if err := empty.WaitFor(ctx, func() bool { return item == 0 }); err != nil {
					return err
				}
				item = i + 1
				return full.Notify(1)
			})
			if err != nil {
				return err
			}
		}
		_, err := x.Await(ctx)
		if got != 6 {
			t.Errorf("got %d", got)
		}
		return err
	})
}

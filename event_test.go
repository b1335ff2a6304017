package rondo

import (
	"context"
	"testing"
	"time"
)

func TestEventWakesAllInOrder(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		var e Event
		d := newDiary()
		var tasks []*Task[struct{}]
		for i := range 4 {
			tasks = append(tasks, spawn(ctx, func(ctx context.Context) error {
				err := e.Wait(ctx)
				d.say("t%d %v", i, err)
				return err
			}))
		}
		turns(ctx, 1)
		tasks[1].Cancel("m")
		e.Set()
		e.Clear() // those who were woken go on all the same
		e.Set()
		if err := e.Wait(ctx); err != nil || !e.IsSet() {
			t.Errorf("wait for a set event: %v", err)
		}
		d.say("main")
		turns(ctx, 1)
		d.want(t, "1 main", "2 t1 rondo: task canceled: m", "2 t0 <nil>", "2 t2 <nil>", "2 t3 <nil>")
		return nil
	})
}

func TestEventCanBeUsedAgain(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		e := NewEvent()
		e.Set()
		e.Clear()
		x := spawn(ctx, e.Wait)
		Sleep(ctx, time.Second)
		if x.Done() {
			t.Error("a cleared event lets through")
		}
		e.Set()
		_, err := x.Await(ctx)
		return err
	})
}

func TestEventUnderADoneContext(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		var e Event
		short, stop := context.WithTimeout(ctx, time.Hour)
		x := spawn(ctx, func(context.Context) error { return e.Wait(short) })
		Sleep(ctx, time.Second)
		stop()
		_, err := x.Await(ctx)
		wantErr(t, "wait", err, context.Canceled)
		if x.Cancelling() != 0 {
			t.Error("the end of a context counts as a request to cancel")
		}
		e.Set()
		return nil
	})
}

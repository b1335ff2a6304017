package rondo_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rondo-go/rondo"
)

func TestLoopsAwaitAcross(t *testing.T) {
	err := rondo.Run(func(ctx context.Context) error {
		loops := rondo.RunningLoop().Loops()
		if len(loops) != 3 || loops[0] != rondo.RunningLoop() {
			return fmt.Errorf("loops %v", loops)
		}
		sum := 0
		var tasks []*rondo.Task[int]
		for i := range 300 {
			x, err := rondo.SpawnThreadsafe(ctx, loops[i%3], func(ctx context.Context) (int, error) {
				if rondo.RunningLoop() != loops[i%3] {
					return 0, errors.New("on another loop than asked for")
				}
				return i, rondo.Sleep(ctx, time.Duration(i%7)*time.Millisecond)
			})
			if err != nil {
				return err
			}
			tasks = append(tasks, x)
		}
		for _, x := range tasks {
			n, err := x.Await(ctx)
			if err != nil {
				return err
			}
			sum += n
		}
		if sum != 300*299/2 {
			return fmt.Errorf("sum %d", sum)
		}
		return nil
	}, rondo.WithLoops(3))
	if err != nil {
		t.Fatal(err)
	}
}

// One queue, consumers on each loop: every item arrives once.
func TestLoopsShareQueue(t *testing.T) {
	const items = 3000
	var got [items]atomic.Int32
	var by [3]atomic.Int32
	err := rondo.Run(func(ctx context.Context) error {
		q := rondo.NewQueue[int](16)
		var tasks []*rondo.Task[struct{}]
		for i, l := range rondo.RunningLoop().Loops() {
			x, err := rondo.SpawnThreadsafe(ctx, l, func(ctx context.Context) (struct{}, error) {
				for {
					n, err := q.Get(ctx)
					if err != nil {
						if errors.Is(err, rondo.ErrShutDown) {
							err = nil
						}
						return struct{}{}, err
					}
					got[n].Add(1)
					by[i].Add(1)
				}
			})
			if err != nil {
				return err
			}
			tasks = append(tasks, x)
		}
		for i := range items {
			if err := q.Put(ctx, i); err != nil {
				return err
			}
		}
		q.Shutdown(false)
		for _, x := range tasks {
			if _, err := x.Await(ctx); err != nil {
				return err
			}
		}
		return nil
	}, rondo.WithLoops(3))
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		if n := got[i].Load(); n != 1 {
			t.Fatalf("item %d arrived %d times", i, n)
		}
	}
}

// What is left on other loops when main ends is canceled and waited for.
func TestLoopsEndWithMain(t *testing.T) {
	var canceled atomic.Int32
	err := rondo.Run(func(ctx context.Context) error {
		for _, l := range rondo.RunningLoop().Loops() {
			started := rondo.NewFuture[int]()
			_, err := rondo.SpawnThreadsafe(ctx, l, func(ctx context.Context) (int, error) {
				started.Set(0)
				err := rondo.Sleep(ctx, time.Hour)
				if errors.Is(err, context.Canceled) {
					canceled.Add(1)
				}
				return 0, err
			})
			if err != nil {
				return err
			}
			if _, err := started.Await(ctx); err != nil {
				return err
			}
		}
		return nil
	}, rondo.WithLoops(4))
	if err != nil {
		t.Fatal(err)
	}
	if n := canceled.Load(); n != 4 {
		t.Errorf("%d tasks canceled, want 4", n)
	}
}

func TestLoopsRefuseVirtualTime(t *testing.T) {
	err := rondo.Run(func(ctx context.Context) error { return nil }, rondo.WithLoops(2), rondo.WithVirtualTime())
	if err == nil {
		t.Error("no error")
	}
}

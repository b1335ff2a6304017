package rondo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
)

// asking is a context that tells when an Await off the loop has begun to wait.
type asking struct {
	context.Context
	told func()
}

func (a asking) Done() <-chan struct{} {
	a.told()
	return a.Context.Done()
}

// Goroutines start tasks that fail and take their errors, while the loop ends: each
// gets the error of its own task, or learns that the loop is closed, and no error is
// reported that somebody has got.
func TestTaskAwaitOffTheLoopTakesTheError(t *testing.T) {
	for range 20 {
		const n = 50
		var mu sync.Mutex
		got, asked, reported := map[error]bool{}, map[error]bool{}, map[error]bool{}
		var wg sync.WaitGroup
		stop := NewFuture[struct{}]()
		err := Run(func(ctx context.Context) error {
			l := RunningLoop()
			for i := range n {
				wg.Go(func() {
					for k := 0; ; k++ {
						own := fmt.Errorf("error %d of %d", k, i)
						task, err := SpawnThreadsafe(context.Background(), l, func(ctx context.Context) (int, error) {
							if i%2 == 0 {
								Sleep(ctx, 0)
							}
							return 0, own
						})
						if errors.Is(err, ErrClosed) {
							return
						}
						if err == nil {
							_, err = task.Await(asking{context.Background(), func() {
								mu.Lock()
								defer mu.Unlock()
								asked[own] = true
							}})
						}
						if err != own && !errors.Is(err, context.Canceled) {
							t.Errorf("Await of what fails with %v: %v", own, err)
						}
						mu.Lock()
						got[err] = true
						mu.Unlock()
						if k == 20 {
							stop.Set(struct{}{})
						}
					}
				})
			}
			_, err := stop.Await(ctx)
			return err
		}, WithoutSignals(), WithExceptionHandler(func(r Report) {
			mu.Lock()
			defer mu.Unlock()
			reported[r.Err] = asked[r.Err] // before that, nobody seemed to want it
		}))
		if err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		for err, wanted := range reported {
			if wanted && got[err] {
				t.Errorf("%v was taken, and reported", err)
			}
		}
	}
}

// However many fail in one iteration: who awaits them gets the errors.
func TestTaskErrorsOfOneIterationAreTaken(t *testing.T) {
	boom := errors.New("boom")
	reports := 0
	err := Run(func(ctx context.Context) error {
		gate := NewEvent()
		var waiters []*Task[int]
		for range 4 * mostFailures {
			failing := Spawn(ctx, func(ctx context.Context) (int, error) {
				gate.Wait(ctx)
				return 0, boom
			})
			waiters = append(waiters, Spawn(ctx, func(ctx context.Context) (int, error) {
				if _, err := failing.Await(ctx); err != boom {
					t.Errorf("Await: %v", err)
				}
				return 0, nil
			}))
		}
		Sleep(ctx, 0)
		Sleep(ctx, 0)
		gate.Set()
		for _, w := range waiters {
			w.Await(ctx)
		}
		return nil
	}, WithoutSignals(), WithExceptionHandler(func(Report) { reports++ }))
	if err != nil || reports > 0 {
		t.Errorf("%d reports, %v", reports, err)
	}
}

// Errors that nobody takes are reported while the loop runs, when there are many.
func TestTaskErrorsAreReportedWhenThereAreMany(t *testing.T) {
	boom := errors.New("boom")
	reports := 0
	err := Run(func(ctx context.Context) error {
		for range mostFailures {
			Spawn(ctx, func(context.Context) (int, error) { return 0, boom })
		}
		for range 5 {
			Sleep(ctx, 0)
		}
		if reports != mostFailures {
			t.Errorf("%d reports", reports)
		}
		return nil
	}, WithoutSignals(), WithExceptionHandler(func(Report) { reports++ }))
	if err != nil || reports != mostFailures {
		t.Errorf("%d reports, %v", reports, err)
	}
}

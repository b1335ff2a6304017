package rondo

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// anyQueue is what the queues have in common.
type anyQueue interface {
	Put(context.Context, int) error
	Get(context.Context) (int, error)
	TryPut(int) error
	TryGet() (int, error)
	TaskDone() error
	Join(context.Context) error
	Shutdown(bool)
	Len() int
	Max() int
	Unfinished() int
}

var queues = map[string]func(max int) anyQueue{
	"fifo":     func(max int) anyQueue { return NewQueue[int](max) },
	"lifo":     func(max int) anyQueue { return NewLIFOQueue[int](max) },
	"priority": func(max int) anyQueue { return NewPriorityQueue(max, cmp.Compare[int]) },
}

// withQueues runs a test on each kind of queue, on the virtual clock.
func withQueues(t *testing.T, max int, test func(t *testing.T, ctx context.Context, q anyQueue)) {
	for name, make := range queues {
		t.Run(name, func(t *testing.T) {
			virtually(t, func(ctx context.Context) error {
				test(t, ctx, make(max))
				return nil
			})
		})
	}
}

// The queues behave as slices do.
func TestQueueOrders(t *testing.T) {
	for name, make := range queues {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				q := make(0)
				var model []int
				for _, op := range rapid.SliceOf(rapid.IntRange(-10, 20)).Draw(rt, "ops") {
					if op >= 0 {
						if err := q.TryPut(op); err != nil {
							rt.Fatal(err)
						}
						model = append(model, op)
						continue
					}
					v, err := q.TryGet()
					if len(model) == 0 {
						if err != ErrQueueEmpty {
							rt.Fatalf("empty: %v", err)
						}
						continue
					}
					i := 0
					switch name {
					case "lifo":
						i = len(model) - 1
					case "priority":
						i = slices.Index(model, slices.Min(model))
					}
					if v != model[i] || err != nil {
						rt.Fatalf("got %d, %v from %v", v, err, model)
					}
					model = slices.Delete(model, i, i+1)
				}
				if q.Len() != len(model) {
					rt.Fatalf("%d items, want %d", q.Len(), len(model))
				}
			})
		})
	}
}

func TestQueueFullAndEmpty(t *testing.T) {
	withQueues(t, 1, func(t *testing.T, ctx context.Context, q anyQueue) {
		_, err := q.TryGet()
		wantErr(t, "empty", err, ErrQueueEmpty)
		q.Put(ctx, 1)
		wantErr(t, "full", q.TryPut(2), ErrQueueFull)
		if q.Len() != 1 || q.Max() != 1 {
			t.Errorf("length %d of %d", q.Len(), q.Max())
		}
	})
}

// A woken getter that finds the queue empty again waits anew, at the end.
func TestQueueWokenTooLateWaitsAnew(t *testing.T) {
	withQueues(t, 0, func(t *testing.T, ctx context.Context, q anyQueue) {
		d := newDiary()
		for _, name := range []string{"a", "b"} {
			spawn(ctx, func(ctx context.Context) error {
				v, err := q.Get(ctx)
				d.say("%s %d", name, v)
				return err
			})
		}
		turns(ctx, 1)
		q.TryPut(1) // wakes a
		if v, err := q.TryGet(); v != 1 || err != nil {
			t.Errorf("got %d, %v", v, err)
		}
		turns(ctx, 1)
		q.TryPut(2) // b is first now
		turns(ctx, 1)
		q.TryPut(3)
		turns(ctx, 1)
		d.want(t, "3 b 2", "4 a 3")
	})
}

// Canceled after it was woken, a getter wakes the next; a putter likewise.
func TestQueueWokenAndCanceled(t *testing.T) {
	withQueues(t, 1, func(t *testing.T, ctx context.Context, q anyQueue) {
		get := func(ctx context.Context) error { _, err := q.Get(ctx); return err }
		put := func(ctx context.Context) error { return q.Put(ctx, 7) }
		x, y := spawn(ctx, get), spawn(ctx, get)
		turns(ctx, 1)
		q.TryPut(1)
		x.Cancel("")
		turns(ctx, 2)
		if !x.Canceled() || !y.Done() || y.Err() != nil {
			t.Errorf("get: first canceled %v, second done %v", x.Canceled(), y.Done())
		}
		q.TryPut(1)
		x, y = spawn(ctx, put), spawn(ctx, put)
		turns(ctx, 1)
		q.TryGet()
		x.Cancel("")
		turns(ctx, 2)
		if !x.Canceled() || !y.Done() || y.Err() != nil || q.Len() != 1 {
			t.Errorf("put: first canceled %v, second done %v, %d items", x.Canceled(), y.Done(), q.Len())
		}
	})
}

func TestQueueJoin(t *testing.T) {
	withQueues(t, 0, func(t *testing.T, ctx context.Context, q anyQueue) {
		if err := q.Join(ctx); err != nil {
			t.Errorf("nothing to wait for: %v", err)
		}
		wantErr(t, "task done", q.TaskDone(), ErrTaskDoneTooOften)
		q.TryPut(1)
		q.TryPut(2)
		x, y := spawn(ctx, q.Join), spawn(ctx, q.Join)
		onGoroutine := spawn(ctx, func(ctx context.Context) error {
			_, err := ToThread(ctx, func() (int, error) { return 0, q.Join(context.Background()) })
			return err
		})
		turns(ctx, 1)
		y.Cancel("")
		for range 2 {
			q.TryGet()
			if x.Done() {
				t.Error("joined too early")
			}
			q.TaskDone()
			turns(ctx, 1)
		}
		q.TryPut(3) // those who were woken are not concerned
		if !x.Done() || x.Err() != nil || !y.Canceled() {
			t.Errorf("done %v, canceled %v", x.Done(), y.Canceled())
		}
		q.TaskDone() // the goroutine may have come late
		if _, err := onGoroutine.Await(ctx); err != nil {
			t.Errorf("on a goroutine: %v", err)
		}
		short, stop := context.WithCancel(ctx)
		stop()
		q.TryPut(4)
		wantErr(t, "under a done context", q.Join(short), context.Canceled)
	})
}

func TestQueueShutdownKeepsWhatIsThere(t *testing.T) {
	withQueues(t, 1, func(t *testing.T, ctx context.Context, q anyQueue) {
		q.TryPut(1)
		put := spawn(ctx, func(ctx context.Context) error { return q.Put(ctx, 2) })
		turns(ctx, 1)
		q.Shutdown(false)
		_, err := put.Await(ctx)
		wantErr(t, "put", err, ErrShutDown)
		wantErr(t, "try put", q.TryPut(3), ErrShutDown)
		if v, err := q.Get(ctx); v != 1 || err != nil {
			t.Errorf("got %d, %v", v, err)
		}
		_, err = q.Get(ctx)
		wantErr(t, "get", err, ErrShutDown)
		_, err = q.TryGet()
		wantErr(t, "try get", err, ErrShutDown)
	})
}

func TestQueueShutdownAtOnce(t *testing.T) {
	withQueues(t, 0, func(t *testing.T, ctx context.Context, q anyQueue) {
		d := newDiary()
		wait := func(name string, fn func(context.Context) error) {
			spawn(ctx, func(ctx context.Context) error {
				d.say("%s %v", name, fn(ctx))
				return nil
			})
		}
		q.TryPut(1)
		q.TryPut(2)
		q.TryGet()
		wait("join", q.Join)
		turns(ctx, 1)
		q.Shutdown(true) // one item dropped, one still worked on
		if q.Len() != 0 || q.Unfinished() != 1 {
			t.Errorf("%d items, %d unfinished", q.Len(), q.Unfinished())
		}
		turns(ctx, 1)
		q.TaskDone()
		wait("get", func(ctx context.Context) error { _, err := q.Get(ctx); return err })
		turns(ctx, 1)
		d.want(t, "3 join <nil>", "3 get rondo: queue is shut down")
	})
}

// A context of the standard library that is done makes a park fail, and leaves
// nothing behind.
func TestQueueUnderADoneContext(t *testing.T) {
	withQueues(t, 1, func(t *testing.T, ctx context.Context, q anyQueue) {
		short, stop := context.WithTimeout(ctx, time.Hour)
		stop()
		_, err := q.Get(short)
		wantErr(t, "get", err, context.Canceled)
		if err := q.Put(short, 1); err != nil {
			t.Errorf("a put that need not park: %v", err)
		}
		wantErr(t, "put", q.Put(short, 1), context.Canceled)
		q.Get(ctx)
		q.TryPut(1)
		if v, err := q.TryGet(); v != 1 || err != nil {
			t.Errorf("somebody is left in a line: %v", err)
		}
	})
}

func TestQueueOnAGoroutineUnderADoneContext(t *testing.T) {
	q := NewQueue[int](1)
	ctx, cancel := context.WithCancelCause(context.Background())
	boom := errors.New("boom")
	cancel(boom)
	_, err := q.Get(ctx)
	wantErr(t, "get", err, boom)
	q.Put(ctx, 1)
	wantErr(t, "put", q.Put(ctx, 1), boom)
	wantErr(t, "join", q.Join(ctx), boom)
}

// Tasks of several loops and goroutines put and get at once, and are canceled
// whenever. What was put is got once, and everybody comes to an end.
func TestQueueAcrossLoopsUnderCancellation(t *testing.T) {
	for name, make := range queues {
		t.Run(name, func(t *testing.T) {
			q := make(4)
			var put, got atomic.Int64
			fill := func(ctx context.Context) error {
				for range 200 {
					if err := q.Put(ctx, 1); err != nil {
						return err
					}
					put.Add(1)
				}
				return nil
			}
			take := func(ctx context.Context) error {
				for {
					if _, err := q.Get(ctx); err != nil {
						return err
					}
					got.Add(1)
					if err := q.TaskDone(); err != nil {
						t.Error(err)
					}
				}
			}
			var wg sync.WaitGroup
			for k := range 3 {
				wg.Go(func() {
					err := Run(func(ctx context.Context) error {
						rnd := rand.New(rand.NewPCG(uint64(k), 0))
						fillers := []*Task[struct{}]{spawn(ctx, fill), spawn(ctx, fill), spawn(ctx, fill)}
						takers := []*Task[struct{}]{spawn(ctx, take), spawn(ctx, take), spawn(ctx, take)}
						for range 100 {
							turns(ctx, 1+rnd.IntN(5))
							for _, tasks := range [][]*Task[struct{}]{fillers, takers} {
								i := rnd.IntN(len(tasks))
								if tasks[i].Cancel(""); tasks[i].Done() || rnd.IntN(2) == 0 {
									fn := fill
									if &tasks[0] == &takers[0] {
										fn = take
									}
									tasks[i].Await(ctx)
									tasks[i] = spawn(ctx, fn)
								}
							}
						}
						for _, x := range fillers {
							x.Cancel("")
							x.Await(ctx)
						}
						// What others have put must be got by somebody.
						err := q.Join(ctx)
						for _, x := range takers {
							x.Cancel("")
							x.Await(ctx)
						}
						return err
					}, WithoutSignals())
					if err != nil {
						t.Errorf("loop %d: %v", k, err)
					}
				})
				wg.Go(func() {
					if err := fill(context.Background()); err != nil {
						t.Error(err)
					}
				})
			}
			drained := spawnGoroutine(func() error { return take(context.Background()) })
			wg.Wait()
			if err := q.Join(context.Background()); err != nil {
				t.Error(err)
			}
			q.Shutdown(false)
			wantErr(t, "drain", <-drained, ErrShutDown)
			if put.Load() != got.Load() || q.Len() != 0 || q.Unfinished() != 0 {
				t.Errorf("put %d, got %d, %d left, %d unfinished", put.Load(), got.Load(), q.Len(), q.Unfinished())
			}
		})
	}
}

func spawnGoroutine(fn func() error) <-chan error {
	c := make(chan error, 1)
	go func() { c <- fn() }()
	return c
}

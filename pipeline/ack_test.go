package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/pipeline"
)

// A broker hands out numbers, and notes what it is told of each.
type broker struct {
	n    int
	next int
	acks []int
	errs []error
}

func newBroker(n int) *broker {
	return &broker{n: n, acks: make([]int, n), errs: make([]error, n)}
}

func (b *broker) stream() pipeline.Stream[int] {
	return pipeline.FromSource(func(ctx context.Context) (pipeline.Delivery[int], error) {
		if b.next == b.n {
			return pipeline.Delivery[int]{}, io.EOF
		}
		i := b.next
		b.next++
		return pipeline.Delivery[int]{Item: i, Ack: func(err error) {
			b.acks[i]++
			b.errs[i] = err
		}}, nil
	})
}

// answers returns how many of the items that were handed out have had a good
// answer. Each must have had one.
func (b *broker) answers() (good int, err error) {
	for i, k := range b.acks[:b.next] {
		if k != 1 {
			return 0, fmt.Errorf("item %d has %d answers", i, k)
		}
		if b.errs[i] == nil {
			good++
		}
	}
	return good, nil
}

// check is answers for a test.
func (b *broker) check(t testing.TB) int {
	t.Helper()
	good, err := b.answers()
	if err != nil {
		t.Error(err)
	}
	return good
}

func TestAckThroughEveryStage(t *testing.T) {
	id := func(_ context.Context, v int) (int, error) { return v, nil }
	three := func(_ context.Context, v int) ([]int, error) { return upTo(v % 4), nil }
	for name, through := range map[string]func(pipeline.Stream[int]) []pipeline.Sink{
		"map": func(s pipeline.Stream[int]) []pipeline.Sink {
			return []pipeline.Sink{pipeline.Discard(pipeline.Map(s, id))}
		},
		"in flight": func(s pipeline.Stream[int]) []pipeline.Sink {
			return []pipeline.Sink{pipeline.Discard(pipeline.Map(s, id, pipeline.InFlight(3)))}
		},
		"unordered": func(s pipeline.Stream[int]) []pipeline.Sink {
			return []pipeline.Sink{pipeline.Discard(pipeline.Map(s, id, pipeline.InFlight(3), pipeline.Unordered()))}
		},
		"filter": func(s pipeline.Stream[int]) []pipeline.Sink {
			return []pipeline.Sink{pipeline.Discard(pipeline.Filter(s, func(v int) bool { return v%2 == 0 }))}
		},
		"flatmap": func(s pipeline.Stream[int]) []pipeline.Sink {
			return []pipeline.Sink{pipeline.Discard(pipeline.Buffer(pipeline.FlatMap(s, three), 2))}
		},
		"batch": func(s pipeline.Stream[int]) []pipeline.Sink {
			return []pipeline.Sink{pipeline.Discard(pipeline.Batch(s, 7, 0))}
		},
		"batch by time": func(s pipeline.Stream[int]) []pipeline.Sink {
			return []pipeline.Sink{pipeline.Discard(pipeline.Batch(s, 7, time.Second))}
		},
		"window": func(s pipeline.Stream[int]) []pipeline.Sink {
			return []pipeline.Sink{pipeline.Discard(pipeline.Window(s, 3, 1))}
		},
		"window jumps": func(s pipeline.Stream[int]) []pipeline.Sink {
			return []pipeline.Sink{pipeline.Discard(pipeline.Window(s, 3, 5))}
		},
		"writer": func(s pipeline.Stream[int]) []pipeline.Sink {
			return []pipeline.Sink{pipeline.Write(pipeline.Apply(s, func(int) string { return "x" }), io.Discard)}
		},
		"foreach": func(s pipeline.Stream[int]) []pipeline.Sink {
			return []pipeline.Sink{pipeline.Each(s, func(context.Context, int) error { return nil }, pipeline.InFlight(2))}
		},
		"dead letter": func(s pipeline.Stream[int]) []pipeline.Sink {
			return []pipeline.Sink{pipeline.Each(s, func(context.Context, int) error { return io.ErrNoProgress },
				pipeline.DeadLetter(func(context.Context, int, error) error { return nil }))}
		},
		"try": func(s pipeline.Stream[int]) []pipeline.Sink {
			good, bad := pipeline.Try(s, func(_ context.Context, v int) (int, error) {
				if v%2 == 0 {
					return 0, io.ErrNoProgress
				}
				return v, nil
			})
			return []pipeline.Sink{pipeline.Discard(good), pipeline.Discard(bad)}
		},
		"broadcast": func(s pipeline.Stream[int]) []pipeline.Sink {
			bs := pipeline.Broadcast(s, pipeline.Branch{}, pipeline.Branch{Lag: 2, Policy: pipeline.DropOldest}, pipeline.Branch{Lag: 2, Policy: pipeline.DropNewest})
			return []pipeline.Sink{pipeline.Discard(bs[0]), pipeline.Discard(pipeline.Batch(bs[1], 3, 0)), pipeline.Discard(bs[2])}
		},
		"partition": func(s pipeline.Stream[int]) []pipeline.Sink {
			bs := pipeline.Partition(s, 2, func(v int) int { return v })
			return []pipeline.Sink{pipeline.Discard(bs[0]), pipeline.Discard(bs[1])}
		},
		"zip": func(s pipeline.Stream[int]) []pipeline.Sink {
			return []pipeline.Sink{pipeline.Discard(pipeline.Zip(s, ints(1000)))}
		},
		"merge": func(s pipeline.Stream[int]) []pipeline.Sink {
			return []pipeline.Sink{pipeline.Discard(pipeline.Merge(s, ints(10)))}
		},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(ctx context.Context) {
				b := newBroker(100)
				if err := pipeline.Run(ctx, through(b.stream())...); err != nil {
					t.Fatal(err)
				}
				if good := b.check(t); good != 100 || b.next != 100 {
					t.Errorf("%d of %d items acknowledged, want 100", good, b.next)
				}
			})
		})
	}
}

func TestAckTellsWhyAnItemIsNotDone(t *testing.T) {
	boom := errors.New("boom")
	virtual(t, func(ctx context.Context) {
		b := newBroker(100)
		err := pipeline.ForEach(ctx, pipeline.Buffer(b.stream(), 10), func(_ context.Context, v int) error {
			if v == 5 {
				return boom
			}
			return nil
		})
		if good := b.check(t); good != 5 || !errors.Is(err, boom) || !errors.Is(b.errs[5], boom) || b.errs[6] == nil {
			t.Errorf("%d good, %v, %v", good, err, b.errs[:8])
		}
	})
	virtual(t, func(ctx context.Context) {
		b := newBroker(100)
		_, err := pipeline.Collect(ctx, pipeline.Take(pipeline.Buffer(b.stream(), 10), 5))
		if good := b.check(t); good != 5 || err != nil || !errors.Is(b.errs[5], pipeline.ErrNotConsumed) {
			t.Errorf("%d good, %v, %v", good, err, b.errs[:8])
		}
	})
}

func TestFromQueueCallsTaskDone(t *testing.T) {
	virtual(t, func(ctx context.Context) {
		q := rondo.NewQueue[int](0)
		for i := range 10 {
			if err := q.TryPut(i); err != nil {
				t.Fatal(err)
			}
		}
		rondo.Spawn(ctx, func(ctx context.Context) (struct{}, error) {
			err := q.Join(ctx)
			q.Shutdown(false)
			return struct{}{}, err
		})
		got, err := pipeline.Collect(ctx, pipeline.Buffer(pipeline.FromQueue(q), 2))
		want(t, "queue", got, upTo(10), err)
	})
}

package pipeline_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/pipeline"
)

// stopAt returns a function that takes k items and then takes no more until an
// hour has passed.
func stopAt(k int, got *[]int) func(context.Context, int) error {
	return func(ctx context.Context, v int) error {
		if len(*got) == k {
			if err := rondo.Sleep(ctx, time.Hour); err != nil {
				return err
			}
		}
		*got = append(*got, v)
		return nil
	}
}

func TestBroadcastGivesAllToAll(t *testing.T) {
	virtual(t, func(ctx context.Context) {
		var got [3][]int
		bs := pipeline.Broadcast(ints(1000), pipeline.Branch{}, pipeline.Branch{Lag: 1}, pipeline.Branch{Lag: 5})
		err := pipeline.Run(ctx, pipeline.Append(bs[0], &got[0]), pipeline.Append(bs[1], &got[1]), pipeline.Append(bs[2], &got[2]))
		for i := range got {
			want(t, "branch", got[i], upTo(1000), err)
		}
	})
}

func TestBroadcastBlockedBranchStopsItsSource(t *testing.T) {
	virtual(t, func(ctx context.Context) {
		produced := 0
		src := pipeline.Apply(ints(1000), func(v int) int { produced++; return v })
		bs := pipeline.Broadcast(src, pipeline.Branch{Lag: 10}, pipeline.Branch{Lag: 20})
		var slow, fast []int
		err := rondo.WithGroup(ctx, func(g *rondo.Group) error {
			g.Go(func(ctx context.Context) error {
				return pipeline.Run(ctx, pipeline.Each(bs[0], stopAt(5, &slow)), pipeline.Append(bs[1], &fast))
			})
			if err := rondo.Sleep(ctx, time.Minute); err != nil {
				return err
			}
			// Five done, one held, ten waiting, and one in the source's hands.
			if produced != 17 || len(fast) != 16 {
				t.Errorf("produced %d, fast branch has %d; want 17 and 16", produced, len(fast))
			}
			return nil
		})
		want(t, "slow", slow, upTo(1000), err)
		want(t, "fast", fast, upTo(1000), err)
	})
}

func TestBroadcastDropsCountExactly(t *testing.T) {
	for policy, first := range map[pipeline.Policy]int{pipeline.DropOldest: 990, pipeline.DropNewest: 4} {
		virtual(t, func(ctx context.Context) {
			src := pipeline.Map(ints(1000), func(ctx context.Context, v int) (int, error) { return v, rondo.Sleep(ctx, time.Millisecond) })
			bs := pipeline.Broadcast(src, pipeline.Branch{Policy: policy, Lag: 10, Name: "slow"}, pipeline.Branch{Lag: 1})
			var slow, fast []int
			p := pipeline.New(pipeline.Each(bs[0], stopAt(3, &slow)), pipeline.Append(bs[1], &fast))
			err := p.Run(ctx)
			kept := append(upTo(4), upTo(first + 10)[first:]...)
			want(t, "slow", slow, kept, err)
			want(t, "fast", fast, upTo(1000), err)
			i := slices.IndexFunc(p.Stats(), func(s pipeline.Stats) bool { return s.Stage == "branch slow" })
			if s := p.Stats()[i]; s.In != 1000 || s.Out != 14 || s.Dropped != 986 {
				t.Errorf("%v: %+v", policy, s)
			}
		})
	}
}

func TestBroadcastFailLeavesSiblings(t *testing.T) {
	virtual(t, func(ctx context.Context) {
		src := pipeline.Map(ints(100), func(ctx context.Context, v int) (int, error) { return v, rondo.Sleep(ctx, time.Millisecond) })
		bs := pipeline.Broadcast(src, pipeline.Branch{Policy: pipeline.Fail, Lag: 10}, pipeline.Branch{})
		var slow, fast []int
		var why error
		err := pipeline.Run(ctx, pipeline.Each(bs[0], stopAt(3, &slow)).Isolated(func(err error) { why = err }), pipeline.Append(bs[1], &fast))
		want(t, "slow", slow, upTo(14), nil)
		want(t, "fast", fast, upTo(100), err)
		if !errors.Is(why, pipeline.ErrLag) {
			t.Errorf("slow branch: %v, want ErrLag", why)
		}
	})
}

func TestBroadcastGoesOnWithoutABranchThatHasEnough(t *testing.T) {
	virtual(t, func(ctx context.Context) {
		bs := pipeline.Broadcast(ints(1<<40), pipeline.Branch{Lag: 2}, pipeline.Branch{})
		var few, more []int
		err := pipeline.Run(ctx, pipeline.Append(pipeline.Take(bs[0], 1), &few), pipeline.Append(pipeline.Take(bs[1], 500), &more))
		want(t, "few", few, upTo(1), err)
		want(t, "more", more, upTo(500), err)
	})
}

func TestSplitsLoseNothing(t *testing.T) {
	for name, split := range map[string]func(pipeline.Stream[int]) []pipeline.Stream[int]{
		"partition": func(s pipeline.Stream[int]) []pipeline.Stream[int] {
			return pipeline.Partition(s, 3, func(v int) int { return v % 10 })
		},
		"roundrobin":  func(s pipeline.Stream[int]) []pipeline.Stream[int] { return pipeline.RoundRobin(s, 3) },
		"leastloaded": func(s pipeline.Stream[int]) []pipeline.Stream[int] { return pipeline.LeastLoaded(s, 3) },
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(ctx context.Context) {
				var got [3][]int
				var sinks []pipeline.Sink
				for i, b := range split(ints(2000)) {
					sinks = append(sinks, pipeline.Each(b, func(ctx context.Context, v int) error {
						got[i] = append(got[i], v)
						return rondo.Sleep(ctx, time.Duration(i)*time.Millisecond)
					}))
				}
				err := pipeline.Run(ctx, sinks...)
				all := slices.Concat(got[0], got[1], got[2])
				slices.Sort(all)
				want(t, name, all, upTo(2000), err)
				switch name {
				case "partition":
					owner := map[int]int{}
					for i := range got {
						for _, v := range got[i] {
							if o, ok := owner[v%10]; ok && o != i {
								t.Fatalf("key %d went to branches %d and %d", v%10, o, i)
							}
							owner[v%10] = i
						}
					}
				case "roundrobin":
					if d := len(got[0]) - len(got[2]); d < 0 || d > 1 {
						t.Errorf("uneven: %d, %d, %d", len(got[0]), len(got[1]), len(got[2]))
					}
				case "leastloaded":
					if len(got[0]) <= len(got[2]) {
						t.Errorf("the fastest has %d, the slowest %d", len(got[0]), len(got[2]))
					}
				}
			})
		})
	}
}

func TestBroadcastDiamondIsMerged(t *testing.T) {
	virtual(t, func(ctx context.Context) {
		bs := pipeline.Broadcast(ints(500), pipeline.Branch{}, pipeline.Branch{})
		odd := pipeline.Apply(pipeline.Filter(bs[0], func(v int) bool { return v%2 == 1 }), func(v int) int { return -v })
		got, err := pipeline.Collect(ctx, pipeline.Merge(odd, bs[1]))
		if err != nil || len(got) != 750 {
			t.Errorf("%d items, %v", len(got), err)
		}
	})
}

func TestSplitsPassOverABranchThatHasEnough(t *testing.T) {
	virtual(t, func(ctx context.Context) {
		b := newBroker(1000)
		bs := pipeline.RoundRobin(b.stream(), 2)
		var few, rest []int
		p := pipeline.New(pipeline.Append(pipeline.Take(bs[0], 3), &few), pipeline.Append(bs[1], &rest))
		if err := p.Run(ctx); err != nil {
			t.Error(err)
		}
		dropped := p.Stats()[2].Dropped
		if good := b.check(t); len(few) != 3 || len(few)+len(rest)+dropped != 1000 || good != len(few)+len(rest) {
			t.Errorf("%d and %d taken, %d dropped, %d acknowledged, of 1000", len(few), len(rest), dropped, good)
		}
	})
}

func TestAckBranchThatHasEnoughIsNotAskedAnyMore(t *testing.T) {
	virtual(t, func(ctx context.Context) {
		b := newBroker(1000)
		bs := pipeline.Broadcast(b.stream(), pipeline.Branch{}, pipeline.Branch{})
		err := pipeline.Run(ctx, pipeline.Discard(pipeline.Take(bs[0], 3)), pipeline.Discard(bs[1]))
		if good := b.check(t); good != 1000 || err != nil {
			t.Errorf("%d of 1000 items acknowledged, %v", good, err)
		}
	})
}

// The source of each waits for ever after its first item.
func TestTakeEndsASourceThatWaits(t *testing.T) {
	waiting := func() pipeline.Stream[int] {
		q := rondo.NewQueue[int](0)
		if err := q.TryPut(1); err != nil {
			t.Fatal(err)
		}
		return pipeline.FromQueue(q)
	}
	id := func(_ context.Context, v int) (int, error) { return v, nil }
	first := func(ss []pipeline.Stream[int]) pipeline.Stream[int] { return pipeline.Merge(ss...) }
	for name, s := range map[string]pipeline.Stream[int]{
		"buffer":     pipeline.Buffer(waiting(), 2),
		"in flight":  pipeline.Map(waiting(), id, pipeline.InFlight(2)),
		"merge":      pipeline.Merge(waiting(), waiting()),
		"batch":      pipeline.Flatten(pipeline.Batch(waiting(), 5, time.Second)),
		"idle":       pipeline.Idle(waiting(), time.Hour),
		"zip":        pipeline.Apply(pipeline.Zip(waiting(), waiting()), func(p rondo.Pair[int, int]) int { return p.First }),
		"broadcast":  first(pipeline.Broadcast(waiting(), pipeline.Branch{}, pipeline.Branch{})),
		"roundrobin": first(pipeline.RoundRobin(waiting(), 2)),
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(ctx context.Context) {
				got, err := pipeline.Collect(ctx, pipeline.Take(s, 1))
				want(t, name, got, []int{1}, err)
			})
		})
	}
}

package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/pipeline"
)

// delays returns a function that sleeps a drawn number of milliseconds, mostly
// none, for each item in turn.
func delays(t *rapid.T, label string) func(ctx context.Context) error {
	ds := rapid.SliceOfN(rapid.IntRange(-3, 4), 1, 8).Draw(t, label)
	i := 0
	return func(ctx context.Context) error {
		d := ds[i%len(ds)]
		if i++; d < 0 {
			return nil
		}
		return rondo.Sleep(ctx, time.Duration(d)*time.Millisecond)
	}
}

// through draws some stages that pass every item on once.
func through(t *rapid.T, s pipeline.Stream[int], most int) pipeline.Stream[int] {
	for range rapid.IntRange(0, most).Draw(t, "stages") {
		d := delays(t, "delays")
		f := func(ctx context.Context, v int) (int, error) { return v, d(ctx) }
		switch rapid.IntRange(0, 6).Draw(t, "stage") {
		case 0:
			s = pipeline.Map(s, f)
		case 1:
			s = pipeline.Map(s, f, pipeline.InFlight(rapid.IntRange(1, 9).Draw(t, "calls")))
		case 2:
			s = pipeline.Buffer(s, rapid.IntRange(1, 9).Draw(t, "size"))
		case 3:
			s = pipeline.Flatten(pipeline.Batch(s, rapid.IntRange(1, 9).Draw(t, "batch"), time.Duration(rapid.IntRange(0, 5).Draw(t, "within"))*time.Millisecond))
		case 4:
			s = pipeline.Filter(s, func(int) bool { return true })
		case 5:
			s = pipeline.Apply(pipeline.Zip(s, ints(1<<40)), func(p rondo.Pair[int, int]) int { return p.First })
		case 6:
			s = pipeline.Flatten(pipeline.Window(s, 1, 1))
		}
	}
	return s
}

// drawTree draws a tree over the items of a broker, whose sinks append to got.
func drawTree(t *rapid.T, b *broker) (p *pipeline.Pipeline, got []*[]int, branches []pipeline.Branch) {
	s := through(t, b.stream(), 3)
	k := rapid.IntRange(1, 4).Draw(t, "branches")
	for range k {
		branches = append(branches, pipeline.Branch{
			Policy: pipeline.Policy(rapid.IntRange(0, 2).Draw(t, "policy")),
			Lag:    rapid.IntRange(1, 10).Draw(t, "lag"),
		})
	}
	var sinks []pipeline.Sink
	for _, br := range pipeline.Broadcast(s, branches...) {
		to, d := new([]int), delays(t, "sink")
		got = append(got, to)
		sinks = append(sinks, pipeline.Each(through(t, br, 2), func(ctx context.Context, v int) error {
			*to = append(*to, v)
			return d(ctx)
		}))
	}
	return pipeline.New(sinks...), got, branches
}

func TestPipelinePropNothingIsLostOrDoubled(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(0, 60).Draw(rt, "items")
		b := newBroker(n)
		p, got, branches := drawTree(rt, b)
		if err := onLoop(p.Run); err != nil {
			rt.Fatal(err)
		}
		if good, err := b.answers(); good != n || err != nil {
			rt.Fatalf("%d of %d items acknowledged, %v", good, n, err)
		}
		var dropped []int
		for _, s := range p.Stats() {
			if s.Stage == "branch" {
				dropped = append(dropped, s.Dropped)
				if s.In != n || s.Out != n-s.Dropped || s.Waiting != 0 {
					rt.Fatalf("counters: %+v of %d items", s, n)
				}
			}
		}
		for i, br := range branches {
			if !slices.IsSorted(*got[i]) || len(slices.Compact(slices.Clone(*got[i]))) != len(*got[i]) {
				rt.Fatalf("branch %d: out of order, or doubled: %v", i, *got[i])
			}
			if len(*got[i]) != n-dropped[i] || br.Policy == pipeline.Block && dropped[i] != 0 {
				rt.Fatalf("branch %d (%v): %d items and %d dropped, of %d", i, br.Policy, len(*got[i]), dropped[i], n)
			}
		}
	})
}

func TestPipelinePropCancelLeavesNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		at := time.Duration(rapid.IntRange(0, 60).Draw(rt, "cancel at")) * time.Millisecond / 2
		steps := rapid.IntRange(0, 20).Draw(rt, "steps")
		b := newBroker(60)
		p, _, _ := drawTree(rt, b)
		err := onLoop(func(ctx context.Context) error { // which looks for tasks that are left
			x := rondo.Spawn(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, p.Run(ctx) })
			if err := rondo.Sleep(ctx, at); err != nil {
				return err
			}
			for range steps {
				if err := rondo.Sleep(ctx, 0); err != nil {
					return err
				}
			}
			canceled := x.Cancel("")
			if _, err := x.Await(ctx); err != nil && !(canceled && errors.Is(err, context.Canceled)) {
				return err
			}
			return nil
		})
		if _, e := b.answers(); err != nil || e != nil {
			rt.Fatal(err, e)
		}
	})
}

func TestPipelinePropErrorsArriveAnywhere(t *testing.T) {
	boom := errors.New("boom")
	rapid.Check(t, func(rt *rapid.T) {
		at := rapid.IntRange(0, 30).Draw(rt, "fails at")
		panics := rapid.Bool().Draw(rt, "panics")
		b := newBroker(60)
		s := through(rt, b.stream(), 3)
		s = pipeline.Map(s, func(_ context.Context, v int) (int, error) {
			if v < at {
				return v, nil
			}
			if panics {
				panic(boom)
			}
			return 0, boom
		})
		s = through(rt, pipeline.Buffer(s, 3), 3)
		var got []int
		err := onLoop(func(ctx context.Context) (err error) {
			got, err = pipeline.Collect(ctx, s)
			if !errors.Is(err, boom) {
				return fmt.Errorf("run ended with %v", err)
			}
			return nil
		})
		if err != nil {
			rt.Fatal(err)
		}
		if good, err := b.answers(); err != nil || good > len(got) { // less: items of a batch share their fate
			rt.Fatalf("%d items acknowledged, %d collected, %v", good, len(got), err)
		}
		if !slices.Equal(got, upTo(at)[:len(got)]) {
			rt.Fatalf("got %v", got)
		}
	})
}

func TestPipelineMemoryStaysFlat(t *testing.T) {
	const n = 300_000
	var least, most uint64
	virtual(t, func(ctx context.Context) {
		bs := pipeline.Broadcast(pipeline.Buffer(ints(n), 128), pipeline.Branch{}, pipeline.Branch{Policy: pipeline.DropOldest})
		seen := 0
		err := pipeline.Run(ctx, pipeline.Discard(bs[1]), pipeline.Each(pipeline.Map(bs[0], func(_ context.Context, v int) (int, error) { return v, nil }, pipeline.InFlight(16)),
			func(context.Context, int) error {
				if seen++; seen%(n/6) == 0 {
					var m runtime.MemStats
					runtime.GC()
					runtime.ReadMemStats(&m)
					if least == 0 {
						least = m.HeapAlloc
					}
					most = max(most, m.HeapAlloc)
				}
				return nil
			}))
		if err != nil {
			t.Error(err)
		}
	})
	if most > least+256<<10 {
		t.Errorf("heap grew from %d to %d bytes", least, most)
	}
}

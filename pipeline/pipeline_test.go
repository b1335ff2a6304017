package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/pipeline"
)

// onLoop runs main on a virtual clock, and says whether tasks are left after it.
func onLoop(main func(ctx context.Context) error) error {
	return rondo.Run(func(ctx context.Context) error {
		err := main(ctx)
		if n := len(rondo.Tasks()); n != 1 && err == nil {
			err = fmt.Errorf("%d tasks are left", n-1)
		}
		return err
	}, rondo.WithVirtualTime(), rondo.WithoutSignals())
}

// virtual is onLoop for a test.
func virtual(t testing.TB, main func(ctx context.Context)) {
	t.Helper()
	err := onLoop(func(ctx context.Context) error {
		main(ctx)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func ints(n int) pipeline.Stream[int] {
	return pipeline.FromSeq(func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	})
}

func upTo(n int) []int {
	return slices.Collect(func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	})
}

func want[T any](t testing.TB, what string, got, want []T, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
	if !equal(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func equal[T any](a, b []T) bool {
	return slices.EqualFunc(a, b, func(x, y T) bool { return any(x) == any(y) })
}

func TestStreamTransforms(t *testing.T) {
	virtual(t, func(ctx context.Context) {
		got, err := pipeline.Collect(ctx, pipeline.Filter(ints(6), func(v int) bool { return v%2 == 1 }))
		want(t, "filter", got, []int{1, 3, 5}, err)
		got, err = pipeline.Collect(ctx, pipeline.Scan(ints(4), 10, func(a, v int) int { return a + v }))
		want(t, "scan", got, []int{10, 11, 13, 16}, err)
		got, err = pipeline.Collect(ctx, pipeline.Unique(pipeline.FromSlice([]int{1, 2, 1, 3, 2})))
		want(t, "unique", got, []int{1, 2, 3}, err)
		got, err = pipeline.Collect(ctx, pipeline.Take(ints(10), 3))
		want(t, "take", got, upTo(3), err)
		got, err = pipeline.Collect(ctx, pipeline.Buffer(pipeline.Buffer(ints(1000), 1), 7))
		want(t, "buffer", got, upTo(1000), err)
		got, err = pipeline.Collect(ctx, pipeline.FlatMap(ints(4), func(_ context.Context, v int) ([]int, error) { return upTo(v), nil }))
		want(t, "flatmap", got, []int{0, 0, 1, 0, 1, 2}, err)
		got, err = pipeline.Collect(ctx, pipeline.Chain(ints(2), pipeline.Take(pipeline.Buffer(ints(9), 2), 1), ints(3)))
		want(t, "chain", got, []int{0, 1, 0, 0, 1, 2}, err)
		pairs, err := pipeline.Collect(ctx, pipeline.Zip(ints(3), pipeline.FromSlice([]string{"a", "b"})))
		want(t, "zip", pairs, []rondo.Pair[int, string]{{First: 0, Second: "a"}, {First: 1, Second: "b"}}, err)
		first, ok, err := pipeline.First(ctx, pipeline.Buffer(ints(1<<40), 3))
		if first != 0 || !ok || err != nil {
			t.Errorf("first: %v %v %v", first, ok, err)
		}
		sum, err := pipeline.Reduce(ctx, ints(5), 100, func(a, v int) int { return a + v })
		want(t, "reduce", []int{sum}, []int{110}, err)
		merged, err := pipeline.Collect(ctx, pipeline.Merge(ints(300), ints(5)))
		slices.Sort(merged)
		both := append(upTo(300), upTo(5)...)
		slices.Sort(both)
		want(t, "merge", merged, both, err)
	})
}

func TestWindowSlides(t *testing.T) {
	for _, x := range []struct {
		size, step int
		want       [][]int
	}{
		{3, 1, [][]int{{0, 1, 2}, {1, 2, 3}, {2, 3, 4}}},
		{2, 2, [][]int{{0, 1}, {2, 3}}},
		{1, 3, [][]int{{0}, {3}}},
	} {
		virtual(t, func(ctx context.Context) {
			got, err := pipeline.Collect(ctx, pipeline.Window(ints(5), x.size, x.step))
			if err != nil || !slices.EqualFunc(got, x.want, slices.Equal) {
				t.Errorf("Window(%d, %d): %v, %v", x.size, x.step, got, err)
			}
		})
	}
}

func TestBatchBySizeAndTime(t *testing.T) {
	virtual(t, func(ctx context.Context) {
		got, err := pipeline.Collect(ctx, pipeline.Batch(ints(5), 2, 0))
		if err != nil || !slices.EqualFunc(got, [][]int{{0, 1}, {2, 3}, {4}}, slices.Equal) {
			t.Errorf("by size: %v, %v", got, err)
		}
		// Items at 0, 10, 20 ... ms, slices of at most 25 ms.
		slow := pipeline.Map(ints(7), func(ctx context.Context, v int) (int, error) { return v, rondo.Sleep(ctx, 10*time.Millisecond) })
		got, err = pipeline.Collect(ctx, pipeline.Batch(slow, 100, 25*time.Millisecond))
		if err != nil || !slices.EqualFunc(got, [][]int{{0, 1, 2}, {3, 4, 5}, {6}}, slices.Equal) {
			t.Errorf("by time: %v, %v", got, err)
		}
	})
}

func TestMapInFlightKeepsOrderAndBound(t *testing.T) {
	virtual(t, func(ctx context.Context) {
		now, most := 0, 0
		work := func(ctx context.Context, v int) (int, error) {
			now++
			most = max(most, now)
			err := rondo.Sleep(ctx, time.Duration(7-v%7)*time.Millisecond)
			now--
			return v, err
		}
		got, err := pipeline.Collect(ctx, pipeline.Map(ints(100), work, pipeline.InFlight(8)))
		want(t, "ordered", got, upTo(100), err)
		if most != 8 {
			t.Errorf("%d calls at once, want 8", most)
		}
		got, err = pipeline.Collect(ctx, pipeline.Map(ints(100), work, pipeline.InFlight(8), pipeline.Unordered()))
		if slices.IsSorted(got) {
			t.Error("unordered: results came in order, although the first take longest")
		}
		slices.Sort(got)
		want(t, "unordered", got, upTo(100), err)
	})
}

func TestMapTimeoutRetryDeadLetter(t *testing.T) {
	virtual(t, func(ctx context.Context) {
		tries := 0
		flaky := func(ctx context.Context, v int) (int, error) {
			if v == 1 {
				if tries++; tries < 3 {
					return 0, io.ErrUnexpectedEOF
				}
			}
			if v == 2 {
				return 0, rondo.Sleep(ctx, time.Hour)
			}
			return v, nil
		}
		var dead []int
		var why error
		start := rondo.RunningLoop().Time()
		got, err := pipeline.Collect(ctx, pipeline.Map(ints(4), flaky, pipeline.Timeout(time.Second), pipeline.Retry(3, 10*time.Millisecond),
			pipeline.DeadLetter(func(_ context.Context, v int, err error) error {
				dead, why = append(dead, v), err
				return nil
			})))
		want(t, "map", got, []int{0, 1, 3}, err)
		want(t, "dead", dead, []int{2}, nil)
		if !errors.Is(why, context.DeadlineExceeded) {
			t.Errorf("dead letter: %v", why)
		}
		if d := rondo.RunningLoop().Time() - start; d != 3*time.Second+60*time.Millisecond {
			t.Errorf("took %v", d)
		}
	})
}

func TestTrySplitsFailures(t *testing.T) {
	for _, opts := range [][]pipeline.Option{nil, {pipeline.InFlight(3)}, {pipeline.InFlight(3), pipeline.Unordered()}} {
		virtual(t, func(ctx context.Context) {
			good, bad := pipeline.Try(ints(10), func(_ context.Context, v int) (int, error) {
				if v%3 == 0 {
					return 0, io.ErrUnexpectedEOF
				}
				return v, nil
			}, opts...)
			var ok []int
			var failed []pipeline.Failed[int]
			err := pipeline.Run(ctx, pipeline.Append(good, &ok), pipeline.Append(bad, &failed))
			want(t, "good", ok, []int{1, 2, 4, 5, 7, 8}, err)
			if len(failed) != 4 || failed[1].Item != 3 || !errors.Is(failed[1].Err, io.ErrUnexpectedEOF) {
				t.Errorf("failed: %v", failed)
			}
		})
	}
}

func TestMapOnThreadRunsOffTheLoop(t *testing.T) {
	virtual(t, func(ctx context.Context) {
		got, err := pipeline.Collect(ctx, pipeline.Map(ints(10), func(_ context.Context, v int) (int, error) {
			if rondo.RunningLoop() != nil {
				t.Error("on the loop")
			}
			return v, nil
		}, pipeline.InFlight(4), pipeline.On(rondo.NewThreadPool(2))))
		want(t, "map", got, upTo(10), err)
	})
}

func TestStreamSources(t *testing.T) {
	virtual(t, func(ctx context.Context) {
		got, err := pipeline.Collect(ctx, pipeline.FromAsync(func(ctx context.Context) iter.Seq2[int, error] {
			return rondo.GenerateSeq(func(ctx context.Context) iter.Seq2[int, error] {
				return func(yield func(int, error) bool) {
					for i := range 3 {
						if rondo.Sleep(ctx, time.Second) != nil || !yield(i, nil) {
							return
						}
					}
				}
			}).All(ctx)
		}))
		want(t, "async", got, upTo(3), err)

		ch := make(chan int)
		rondo.Spawn(ctx, func(ctx context.Context) (struct{}, error) {
			defer close(ch)
			return struct{}{}, pipeline.ToChannel(ctx, ints(50), ch)
		})
		got, err = pipeline.Collect(ctx, pipeline.FromChannel(ch))
		want(t, "channel", got, upTo(50), err)

		lines, err := pipeline.Collect(ctx, pipeline.Lines(strings.NewReader("a\r\nb\n\nlast")))
		want(t, "lines", lines, []string{"a", "b", "", "last"}, err)
		lines, err = pipeline.Collect(ctx, pipeline.Lines(io.MultiReader(strings.NewReader("x\ny"), strings.NewReader("z\n"))))
		want(t, "lines off the loop", lines, []string{"x", "yz"}, err)

		ticks, err := pipeline.Collect(ctx, pipeline.Take(pipeline.Ticker(time.Second), 3))
		if err != nil || ticks[2]-ticks[0] != 2*time.Second {
			t.Errorf("ticker: %v, %v", ticks, err)
		}
		pairs, err := pipeline.Collect(ctx, pipeline.FromSeq2(slices.All([]string{"p", "q"})))
		want(t, "seq2", pairs, []rondo.Pair[int, string]{{First: 0, Second: "p"}, {First: 1, Second: "q"}}, err)
	})
}

func TestToWriterWritesLines(t *testing.T) {
	virtual(t, func(ctx context.Context) {
		var b strings.Builder
		err := pipeline.ToWriter(ctx, pipeline.FromSlice([]string{"a", "b"}), &b)
		err2 := pipeline.ToWriter(ctx, pipeline.FromSlice([]string{"c"}), struct{ io.Writer }{&b}) // off the loop
		if err != nil || err2 != nil || b.String() != "a\nb\nc\n" {
			t.Errorf("%q %v %v", b.String(), err, err2)
		}
	})
}

func TestRateLimitSpacesItems(t *testing.T) {
	virtual(t, func(ctx context.Context) {
		start := rondo.RunningLoop().Time()
		got, err := pipeline.Collect(ctx, pipeline.RateLimit(ints(11), 10, time.Second))
		want(t, "items", got, upTo(11), err)
		if d := rondo.RunningLoop().Time() - start; d != time.Second {
			t.Errorf("took %v, want 1s", d)
		}
	})
}

func TestIdleFails(t *testing.T) {
	virtual(t, func(ctx context.Context) {
		got, err := pipeline.Collect(ctx, pipeline.Idle(pipeline.Map(ints(5), func(ctx context.Context, v int) (int, error) {
			return v, rondo.Sleep(ctx, time.Duration(v)*time.Second)
		}), 2500*time.Millisecond))
		if !equal(got, upTo(3)) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, %v", got, err)
		}
	})
}

func TestLatestPairsTheNewest(t *testing.T) {
	virtual(t, func(ctx context.Context) {
		a := pipeline.Take(pipeline.Ticker(2*time.Second), 2)
		b := pipeline.Take(pipeline.Ticker(3*time.Second), 2)
		got, err := pipeline.Collect(ctx, pipeline.Latest(a, b))
		s := time.Second
		want(t, "latest", got, []rondo.Pair[time.Duration, time.Duration]{{First: 2 * s, Second: 3 * s}, {First: 4 * s, Second: 3 * s}, {First: 4 * s, Second: 6 * s}}, err)
	})
}

func TestBufferPassesATrickleOnAtOnce(t *testing.T) {
	virtual(t, func(ctx context.Context) {
		s := pipeline.Apply(pipeline.Take(pipeline.Ticker(time.Second), 5), func(at time.Duration) time.Duration { return at })
		err := pipeline.ForEach(ctx, pipeline.Buffer(pipeline.Buffer(s, 128), 128), func(_ context.Context, at time.Duration) error {
			if now := rondo.RunningLoop().Time(); now != at {
				t.Errorf("item of %v arrived at %v", at, now)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestRunErrorsCancelUpstream(t *testing.T) {
	boom := errors.New("boom")
	virtual(t, func(ctx context.Context) {
		closed := false
		src := pipeline.FromAsync(func(ctx context.Context) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				defer func() { closed = true }()
				for i := 0; yield(i, nil); i++ {
					if err := rondo.Sleep(ctx, time.Second); err != nil {
						return
					}
				}
			}
		})
		err := pipeline.ForEach(ctx, pipeline.Buffer(pipeline.Buffer(src, 4), 4), func(_ context.Context, v int) error {
			if v == 3 {
				return boom
			}
			return nil
		})
		if !errors.Is(err, boom) || !closed {
			t.Errorf("%v; source closed: %v", err, closed)
		}
		if err.Error() != "foreach: boom" {
			t.Errorf("error %q does not name its stage", err)
		}
	})
	virtual(t, func(ctx context.Context) { // an error comes behind the items before it
		src := pipeline.Map(ints(10), func(_ context.Context, v int) (int, error) {
			if v == 5 {
				return 0, boom
			}
			return v, nil
		})
		got, err := pipeline.Collect(ctx, pipeline.Buffer(src, 100))
		if !equal(got, upTo(5)) || !errors.Is(err, boom) {
			t.Errorf("%v, %v", got, err)
		}
	})
}

func TestRunPanicsPropagate(t *testing.T) {
	virtual(t, func(ctx context.Context) {
		_, err := pipeline.Collect(ctx, pipeline.Buffer(pipeline.Apply(ints(10), func(v int) int { return 1 / (v - 5) }), 2))
		var p *rondo.PanicError
		if !errors.As(err, &p) {
			t.Errorf("%v, want a PanicError", err)
		}
	})
}

func TestRunMisuseSaysWhatToDo(t *testing.T) {
	nop := func(context.Context, int) error { return nil }
	for name, x := range map[string]struct {
		make func() []pipeline.Sink
		err  error
		hint string
	}{
		"twice": {func() []pipeline.Sink {
			s := ints(3).Named("numbers")
			return []pipeline.Sink{pipeline.Discard(s), pipeline.Each(s, nop)}
		}, pipeline.ErrConsumed, "seq numbers by discard and by foreach; Broadcast it"},
		"branch without a sink": {func() []pipeline.Sink {
			bs := pipeline.Broadcast(ints(3), pipeline.Branch{}, pipeline.Branch{})
			return []pipeline.Sink{pipeline.Discard(bs[0])}
		}, pipeline.ErrNoSink, "branch 1 of broadcast"},
		"failures unread": {func() []pipeline.Sink {
			good, _ := pipeline.Try(ints(3), func(context.Context, int) (int, error) { return 0, nil })
			return []pipeline.Sink{pipeline.Discard(good)}
		}, pipeline.ErrNoSink, "try"},
		"no sink":     {func() []pipeline.Sink { return nil }, pipeline.ErrNoStream, "FromSlice"},
		"zero sink":   {func() []pipeline.Sink { return []pipeline.Sink{{}} }, pipeline.ErrNoStream, ""},
		"zero stream": {func() []pipeline.Sink { return []pipeline.Sink{pipeline.Discard(pipeline.Stream[int]{})} }, pipeline.ErrNoStream, ""},
		"no size":     {func() []pipeline.Sink { return []pipeline.Sink{pipeline.Discard(pipeline.Buffer(ints(1), 0))} }, pipeline.ErrOption, "above zero"},
		"no calls":    {func() []pipeline.Sink { return []pipeline.Sink{pipeline.Each(ints(1), nop, pipeline.InFlight(0))} }, pipeline.ErrOption, "InFlight(0)"},
		"dead letter of another type": {func() []pipeline.Sink {
			return []pipeline.Sink{pipeline.Each(ints(1), nop, pipeline.DeadLetter(func(context.Context, string, error) error { return nil }))}
		}, pipeline.ErrOption, "string"},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(ctx context.Context) {
				err := pipeline.Run(ctx, x.make()...)
				if !errors.Is(err, x.err) || !strings.Contains(err.Error(), x.hint) {
					t.Errorf("%v, want %v with %q", err, x.err, x.hint)
				}
			})
		})
	}
	virtual(t, func(ctx context.Context) {
		p := pipeline.New(pipeline.Discard(ints(3)))
		if err := p.Run(ctx); err != nil {
			t.Error(err)
		}
		if err := p.Run(ctx); !errors.Is(err, pipeline.ErrConsumed) {
			t.Errorf("second run: %v", err)
		}
	})
	if err := pipeline.Run(context.Background(), pipeline.Discard(ints(3))); !errors.Is(err, rondo.ErrNotTask) {
		t.Errorf("off the loop: %v", err)
	}
}

// In real time, since a function that computes is what it is about.
func TestBufferWriterThatComputesGivesWay(t *testing.T) {
	made, most := 0, 0
	compute := func(v int) int {
		for start := time.Now(); time.Since(start) < 300*time.Microsecond; {
			continue
		}
		made++
		return v
	}
	err := rondo.Run(func(ctx context.Context) error {
		return pipeline.ForEach(ctx, pipeline.Buffer(pipeline.Apply(ints(60), compute), 128), func(_ context.Context, v int) error {
			most = max(most, made-v)
			return nil
		})
	}, rondo.WithoutSignals())
	if err != nil || most > 4 {
		t.Errorf("an item was passed on when %d had been made after it, %v", most, err)
	}
}

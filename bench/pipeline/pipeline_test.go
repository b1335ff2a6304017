// Package pipeline compares package pipeline with its peers in Go, and with what a program would do by hand with goroutines,
// channels and errgroup. Run it with go test -bench . -cpu 1 -benchmem ./pipeline; aiostream_peer.py does the same in Python.
package pipeline

import (
	"context"
	"testing"
	"time"

	"github.com/destel/rill"
	streams "github.com/reugn/go-streams"
	"github.com/reugn/go-streams/extension"
	"github.com/reugn/go-streams/flow"
	"golang.org/x/sync/errgroup"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/pipeline"
)

func counted(n int) pipeline.Stream[int] {
	return pipeline.FromSeq(func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	})
}

func add(a, v int) int { return a + v }

func onLoop(b *testing.B, main func(ctx context.Context) error) {
	b.ReportAllocs()
	if err := rondo.Run(main); err != nil {
		b.Fatal(err)
	}
}

// A function that adds one, 16 calls at once, in order or not.
func BenchmarkInFlight(b *testing.B) {
	one := func(_ context.Context, v int) (int, error) { return v + 1, nil }
	for name, opts := range map[string][]pipeline.Option{"ordered": {pipeline.InFlight(16)}, "unordered": {pipeline.InFlight(16), pipeline.Unordered()}} {
		b.Run("rondo/"+name, func(b *testing.B) {
			onLoop(b, func(ctx context.Context) error {
				_, err := pipeline.Reduce(ctx, pipeline.Map(counted(b.N), one, opts...), 0, add)
				return err
			})
		})
	}
	numbers := func(n int) <-chan rill.Try[int] {
		return rill.Generate(func(send func(int), _ func(error)) {
			for i := range n {
				send(i)
			}
		})
	}
	plus := func(v int) (int, error) { return v + 1, nil }
	b.Run("rill/ordered", func(b *testing.B) {
		b.ReportAllocs()
		rill.Drain(rill.OrderedMap(numbers(b.N), 16, plus))
	})
	b.Run("rill/unordered", func(b *testing.B) {
		b.ReportAllocs()
		rill.Drain(rill.Map(numbers(b.N), 16, plus))
	})
	b.Run("go-streams/unordered", func(b *testing.B) {
		b.ReportAllocs()
		in := make(chan any, 16)
		go func() {
			for i := range b.N {
				in <- i
			}
			close(in)
		}()
		sink := extension.NewIgnoreSink()
		extension.NewChanSource(in).Via(flow.NewMap(func(v int) int { return v + 1 }, 16)).To(sink)
		sink.AwaitCompletion()
	})
	b.Run("goroutines/unordered", func(b *testing.B) {
		b.ReportAllocs()
		in, out := make(chan int, 16), make(chan int, 16)
		g, _ := errgroup.WithContext(context.Background())
		for range 16 {
			g.Go(func() error {
				for v := range in {
					out <- v + 1
				}
				return nil
			})
		}
		go func() {
			for i := range b.N {
				in <- i
			}
			close(in)
			_ = g.Wait() // nothing fails
			close(out)
		}()
		for range out {
		}
	})
}

// Three stages that add one, one after the other, a task or goroutine each where the library has them so.
func BenchmarkThreeStages(b *testing.B) {
	b.Run("rondo/fused", func(b *testing.B) {
		onLoop(b, func(ctx context.Context) error {
			s := counted(b.N)
			for range 3 {
				s = pipeline.Apply(s, func(v int) int { return v + 1 })
			}
			_, err := pipeline.Reduce(ctx, s, 0, add)
			return err
		})
	})
	b.Run("rondo/buffered", func(b *testing.B) {
		onLoop(b, func(ctx context.Context) error {
			s := pipeline.Buffer(counted(b.N), 128)
			for range 3 {
				s = pipeline.Buffer(pipeline.Apply(s, func(v int) int { return v + 1 }), 128)
			}
			_, err := pipeline.Reduce(ctx, s, 0, add)
			return err
		})
	})
	b.Run("rill", func(b *testing.B) {
		b.ReportAllocs()
		s := rill.Generate(func(send func(int), _ func(error)) {
			for i := range b.N {
				send(i)
			}
		})
		for range 3 {
			s = rill.Map(s, 1, func(v int) (int, error) { return v + 1, nil })
		}
		if _, _, err := rill.Reduce(s, 1, func(a, v int) (int, error) { return a + v, nil }); err != nil {
			b.Fatal(err)
		}
	})
	b.Run("go-streams", func(b *testing.B) {
		b.ReportAllocs()
		in := make(chan any, 128)
		go func() {
			for i := range b.N {
				in <- i
			}
			close(in)
		}()
		var s streams.Flow = flow.NewPassThrough()
		source := extension.NewChanSource(in).Via(s)
		for range 3 {
			source = source.Via(flow.NewMap(func(v int) int { return v + 1 }, 1))
		}
		sink := extension.NewIgnoreSink()
		source.To(sink)
		sink.AwaitCompletion()
	})
}

// Slices of 100 that wait for at most a second.
func BenchmarkBatch(b *testing.B) {
	b.Run("rondo", func(b *testing.B) {
		onLoop(b, func(ctx context.Context) error {
			return pipeline.Run(ctx, pipeline.Discard(pipeline.Batch(counted(b.N), 100, time.Second)))
		})
	})
	b.Run("rill", func(b *testing.B) {
		b.ReportAllocs()
		rill.Drain(rill.Batch(rill.Generate(func(send func(int), _ func(error)) {
			for i := range b.N {
				send(i)
			}
		}), 100, time.Second))
	})
	b.Run("goroutines", func(b *testing.B) {
		b.ReportAllocs()
		in, out := make(chan int, 100), make(chan []int, 1)
		go func() {
			for i := range b.N {
				in <- i
			}
			close(in)
		}()
		go func() {
			defer close(out)
			t := time.NewTimer(time.Second)
			var batch []int
			for {
				select {
				case v, ok := <-in:
					if !ok {
						out <- batch
						return
					}
					if batch = append(batch, v); len(batch) < 100 {
						continue
					}
				case <-t.C:
				}
				out <- batch
				batch = nil
				t.Reset(time.Second)
			}
		}()
		for range out {
		}
	})
}

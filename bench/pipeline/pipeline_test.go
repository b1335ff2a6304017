// Package pipeline compares package pipeline with what a Go program would do by hand, with goroutines, channels and
// errgroup. Run it with go test -bench . -benchmem ./pipeline.
package pipeline

import (
	"context"
	"testing"
	"time"

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

// Slices of 100 that wait for at most a second.
func BenchmarkBatch(b *testing.B) {
	b.Run("rondo", func(b *testing.B) {
		onLoop(b, func(ctx context.Context) error {
			return pipeline.Run(ctx, pipeline.Discard(pipeline.Batch(counted(b.N), 100, time.Second)))
		})
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

// Five adjacent stages without a queue.
func BenchmarkFused(b *testing.B) {
	onLoop(b, func(ctx context.Context) error {
		s := counted(b.N)
		for range 3 {
			s = pipeline.Apply(s, func(v int) int { return v + 1 })
		}
		_, err := pipeline.Reduce(ctx, s, 0, add)
		return err
	})
}

package rondo

import (
	"context"
	"iter"
	"testing"
)

//go:noinline
func pairs(n int) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range n {
			if !yield(i, nil) {
				return
			}
		}
	}
}

//go:noinline
func numbers(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}

// BenchmarkAsyncGenerator is an item where nothing waits: of a Go iterator, of a
// generator that is one, and of one that can be sent values; the last beside its
// floor, bare iter.Pull.
func BenchmarkAsyncGenerator(b *testing.B) {
	check := func(b *testing.B, total int) {
		if total != b.N*(b.N-1)/2 {
			b.Errorf("the sum is %d", total)
		}
	}
	b.Run("range-over-func", func(b *testing.B) {
		b.ReportAllocs()
		total := 0
		for v := range numbers(b.N) {
			total += v
		}
		check(b, total)
	})
	b.Run("range-over-func-error", func(b *testing.B) {
		b.ReportAllocs()
		total := 0
		for v, err := range pairs(b.N) {
			if err != nil {
				b.Fatal(err)
			}
			total += v
		}
		check(b, total)
	})
	b.Run("GenerateSeq", func(b *testing.B) {
		inLoopBench(b, func(ctx context.Context) error {
			g := GenerateSeq(func(context.Context) iter.Seq2[int, error] { return pairs(b.N) })
			b.ResetTimer()
			total := 0
			for v, err := range g.All(ctx) {
				if err != nil {
					return err
				}
				total += v
			}
			check(b, total)
			return nil
		})
	})
	b.Run("Generate", func(b *testing.B) {
		inLoopBench(b, func(ctx context.Context) error {
			g := Generate(func(ctx context.Context, yield func(int) (any, error)) error {
				for i := range b.N {
					if _, err := yield(i); err != nil {
						return err
					}
				}
				return nil
			})
			b.ResetTimer()
			total := 0
			for v, err := range g.All(ctx) {
				if err != nil {
					return err
				}
				total += v
			}
			check(b, total)
			return nil
		})
	})
	b.Run("iter.Pull", func(b *testing.B) {
		b.ReportAllocs()
		next, stop := iter.Pull(numbers(b.N))
		defer stop()
		total := 0
		for v, ok := next(); ok; v, ok = next() {
			total += v
		}
		check(b, total)
	})
}

// BenchmarkAsyncGeneratorPark is an item whose body gives up its turn once.
func BenchmarkAsyncGeneratorPark(b *testing.B) {
	b.Run("generator", func(b *testing.B) {
		inLoopBench(b, func(ctx context.Context) error {
			g := Generate(func(ctx context.Context, yield func(int) (any, error)) error {
				for i := range b.N {
					if err := Sleep(ctx, 0); err != nil {
						return err
					}
					if _, err := yield(i); err != nil {
						return err
					}
				}
				return nil
			})
			b.ResetTimer()
			for _, err := range g.All(ctx) {
				if err != nil {
					return err
				}
			}
			return nil
		})
	})
	b.Run("plain", func(b *testing.B) {
		inLoopBench(b, func(ctx context.Context) error {
			for range b.N {
				if err := Sleep(ctx, 0); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

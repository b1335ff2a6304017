package rondo

import (
	"context"
	"runtime"
	"strconv"
	"sync"
	"testing"
)

// The primitives' benchmarks, each beside goroutines in the same run: see the
// kernel's.

// share runs fn in n tasks, b.N times in all.
func share(ctx context.Context, b *testing.B, n int, fn func(ctx context.Context) error) error {
	b.ResetTimer()
	return WithGroup(ctx, func(g *Group) error {
		for i := range n {
			g.Go(func(ctx context.Context) error {
				for range part(b.N, n, i) {
					if err := fn(ctx); err != nil {
						return err
					}
				}
				return nil
			})
		}
		return nil
	})
}

// part is the share of worker i of n in total.
func part(total, n, i int) int { return total*(i+1)/n - total*i/n }

// Many tasks take a lock, yield while they hold it, and give it back.
func BenchmarkLockContended100(b *testing.B) {
	b.Run("rondo", func(b *testing.B) {
		inLoopBench(b, func(ctx context.Context) error {
			var l Lock
			return share(ctx, b, 100, func(ctx context.Context) error {
				if err := l.Acquire(ctx); err != nil {
					return err
				}
				Sleep(ctx, 0)
				return l.Release()
			})
		})
	})
	b.Run("goroutines", func(b *testing.B) {
		b.ReportAllocs()
		var l sync.Mutex
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				for range part(b.N, 100, i) {
					l.Lock()
					runtime.Gosched()
					l.Unlock()
				}
			})
		}
		wg.Wait()
	})
}

func BenchmarkLockFree(b *testing.B) {
	b.Run("rondo", func(b *testing.B) {
		inLoopBench(b, func(ctx context.Context) error {
			var l Lock
			return share(ctx, b, 1, func(ctx context.Context) error {
				if err := l.Acquire(ctx); err != nil {
					return err
				}
				return l.Release()
			})
		})
	})
	b.Run("goroutines", func(b *testing.B) {
		b.ReportAllocs()
		var l sync.Mutex
		for range b.N {
			l.Lock()
			//lint:ignore SA2001 it is what is measured
			l.Unlock()
		}
	})
}

// A thousand tasks share ten permits, and yield while they hold one.
func BenchmarkSemaphore10Of1000(b *testing.B) {
	b.Run("rondo", func(b *testing.B) {
		inLoopBench(b, func(ctx context.Context) error {
			s := NewSemaphore(10)
			return share(ctx, b, 1000, func(ctx context.Context) error {
				if err := s.Acquire(ctx); err != nil {
					return err
				}
				Sleep(ctx, 0)
				return s.Release()
			})
		})
	})
	b.Run("goroutines", func(b *testing.B) {
		b.ReportAllocs()
		s := make(chan struct{}, 10)
		var wg sync.WaitGroup
		for i := range 1000 {
			wg.Go(func() {
				for range part(b.N, 1000, i) {
					s <- struct{}{}
					runtime.Gosched()
					<-s
				}
			})
		}
		wg.Wait()
	})
}

// One operation is a task woken, of 10,000 that wait for an event.
func BenchmarkEvent10000(b *testing.B) {
	const n = 10000
	b.Run("rondo", func(b *testing.B) {
		inLoopBench(b, func(ctx context.Context) error {
			b.StopTimer()
			for done := 0; done < b.N; done += n {
				var e Event
				left := n
				err := WithGroup(ctx, func(g *Group) error {
					for range n {
						g.Go(func(ctx context.Context) error {
							err := e.Wait(ctx)
							if left--; left == 0 {
								b.StopTimer()
							}
							return err
						})
					}
					Sleep(ctx, 0)
					b.StartTimer()
					e.Set()
					return nil
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
	})
	b.Run("goroutines", func(b *testing.B) {
		b.ReportAllocs()
		for done := 0; done < b.N; done += n {
			b.StopTimer()
			set := make(chan struct{})
			var begun, wg sync.WaitGroup
			for range n {
				begun.Add(1)
				wg.Go(func() { begun.Done(); <-set })
			}
			begun.Wait()
			b.StartTimer()
			close(set)
			wg.Wait()
		}
	})
}

// An item through a queue, from one task to another.
func BenchmarkQueue(b *testing.B) {
	for _, size := range []int{1, 128} {
		b.Run("rondo/"+strconv.Itoa(size), func(b *testing.B) {
			inLoopBench(b, func(ctx context.Context) error {
				q := NewQueue[int](size)
				x := Spawn(ctx, func(ctx context.Context) (int, error) {
					for range b.N {
						if _, err := q.Get(ctx); err != nil {
							return 0, err
						}
					}
					return 0, nil
				})
				b.ResetTimer()
				for i := range b.N {
					if err := q.Put(ctx, i); err != nil {
						return err
					}
				}
				_, err := x.Await(ctx)
				return err
			})
		})
		b.Run("goroutines/"+strconv.Itoa(size), func(b *testing.B) {
			b.ReportAllocs()
			q := make(chan int, size)
			var wg sync.WaitGroup
			wg.Go(func() {
				for range b.N {
					<-q
				}
			})
			for i := range b.N {
				q <- i
			}
			wg.Wait()
		})
	}
}

package rondo

import (
	"context"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"
)

// The kernel's benchmarks, each beside goroutines and channels in the same run:
//
//	make bench
//
// Goroutines run with the GOMAXPROCS of the run; -cpu 1 compares on one core.

func inLoopBench(b *testing.B, main func(ctx context.Context) error) {
	b.Helper()
	b.ReportAllocs()
	if err := Run(main, WithoutSignals()); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkYield(b *testing.B) {
	for _, n := range []int{1, 100, 10000} {
		b.Run("rondo/"+strconv.Itoa(n), func(b *testing.B) {
			inLoopBench(b, func(ctx context.Context) error {
				b.ResetTimer()
				return WithGroup(ctx, func(g *Group) error {
					for range n {
						g.Go(func(ctx context.Context) error {
							for range b.N / n {
								Sleep(ctx, 0)
							}
							return nil
						})
					}
					return nil
				})
			})
		})
		b.Run("goroutines/"+strconv.Itoa(n), func(b *testing.B) {
			b.ReportAllocs()
			var wg sync.WaitGroup
			for range n {
				wg.Go(func() {
					for range b.N / n {
						runtime.Gosched()
					}
				})
			}
			wg.Wait()
		})
	}
}

func BenchmarkPingPong(b *testing.B) {
	b.Run("rondo", func(b *testing.B) {
		inLoopBench(b, func(ctx context.Context) error {
			there, back := NewQueue[int](1), NewQueue[int](1)
			Spawn(ctx, func(ctx context.Context) (int, error) {
				for {
					v, err := there.Get(ctx)
					if err != nil {
						return 0, err
					}
					back.Put(ctx, v)
				}
			})
			b.ResetTimer()
			for i := range b.N {
				there.Put(ctx, i)
				if _, err := back.Get(ctx); err != nil {
					return err
				}
			}
			return nil
		})
	})
	b.Run("goroutines", func(b *testing.B) {
		b.ReportAllocs()
		there, back := make(chan int, 1), make(chan int, 1)
		go func() {
			for v := range there {
				back <- v
			}
		}()
		for i := range b.N {
			there <- i
			<-back
		}
		close(there)
	})
}

func BenchmarkSpawnJoin(b *testing.B) {
	b.Run("rondo", func(b *testing.B) {
		inLoopBench(b, func(ctx context.Context) error {
			for i := range b.N {
				v, err := Spawn(ctx, func(context.Context) (int, error) { return i, nil }).Await(ctx)
				if v != i || err != nil {
					b.Errorf("got %d, %v", v, err)
				}
			}
			return nil
		})
	})
	b.Run("goroutines", func(b *testing.B) {
		b.ReportAllocs()
		for i := range b.N {
			done := make(chan int, 1)
			go func() { done <- i }()
			<-done
		}
	})
}

func BenchmarkSleepers10000(b *testing.B) {
	const n = 10000
	nap := func(i int) time.Duration { return time.Millisecond + time.Duration(i*7919%1000)*time.Microsecond }
	b.Run("rondo", func(b *testing.B) {
		inLoopBench(b, func(ctx context.Context) error {
			for range b.N {
				err := WithGroup(ctx, func(g *Group) error {
					for i := range n {
						g.Go(func(ctx context.Context) error { return Sleep(ctx, nap(i)) })
					}
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
		for range b.N {
			var wg sync.WaitGroup
			for i := range n {
				wg.Go(func() { time.Sleep(nap(i)) })
			}
			wg.Wait()
		}
	})
}

// A task asks a goroutine, which wakes it.
func BenchmarkThreadWake(b *testing.B) {
	b.Run("rondo", func(b *testing.B) {
		asked := make(chan *Future[int], 1)
		go func() {
			for f := range asked {
				f.Set(1)
			}
		}()
		inLoopBench(b, func(ctx context.Context) error {
			for range b.N {
				f := NewFuture[int]()
				asked <- f
				if _, err := f.Await(ctx); err != nil {
					return err
				}
			}
			return nil
		})
		close(asked)
	})
	b.Run("goroutines", func(b *testing.B) {
		b.ReportAllocs()
		asked, woken := make(chan int), make(chan int)
		go func() {
			runtime.LockOSThread()
			for v := range asked {
				woken <- v
			}
		}()
		for i := range b.N {
			asked <- i
			<-woken
		}
		close(asked)
	})
}

func BenchmarkTimeoutReady(b *testing.B) {
	ready := func(context.Context) error { return nil }
	b.Run("rondo", func(b *testing.B) {
		inLoopBench(b, func(ctx context.Context) error {
			for range b.N {
				Timeout(ctx, 30*time.Second, ready)
			}
			return nil
		})
	})
	b.Run("goroutines", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			ctx, stop := context.WithTimeout(context.Background(), 30*time.Second)
			ready(ctx)
			stop()
		}
	})
}

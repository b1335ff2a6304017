package coro

import (
	"iter"
	"testing"
)

var total int

// BenchmarkSend compares a value sent and one yielded back with the same on bare
// iter.Pull, in one run.
func BenchmarkSend(b *testing.B) {
	b.Run("generator", func(b *testing.B) {
		g := New(func(y Yield[int, int]) (none struct{}, err error) {
			for v := 0; err == nil; {
				v, err = y(v)
			}
			return none, err
		})
		defer g.Close()
		g.Next()
		b.ReportAllocs()
		b.ResetTimer()
		for i := range b.N {
			v, _, _ := g.Send(i)
			total += v
		}
	})
	b.Run("pull", func(b *testing.B) {
		var sent int
		next, stop := iter.Pull(func(yield func(int) bool) {
			for yield(sent) {
			}
		})
		defer stop()
		b.ReportAllocs()
		b.ResetTimer()
		for i := range b.N {
			sent = i
			v, _ := next()
			total += v
		}
	})
}

// BenchmarkStart is a generator made, started and closed.
func BenchmarkStart(b *testing.B) {
	b.Run("generator", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			g := New(func(y Yield[int, int]) (none struct{}, err error) {
				_, err = y(1)
				return none, err
			})
			g.Next()
			g.Close()
		}
	})
	b.Run("pull", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			next, stop := iter.Pull(func(yield func(int) bool) { yield(1) })
			next()
			stop()
		}
	})
}

// BenchmarkYieldFrom is a value through eight generators, each of which
// delegates to the next.
func BenchmarkYieldFrom(b *testing.B) {
	inner := New(func(y Yield[int, int]) (none struct{}, err error) {
		for v := 0; err == nil; {
			v, err = y(v)
		}
		return none, err
	})
	for range 7 {
		from := inner
		inner = New(func(y Yield[int, int]) (struct{}, error) { return YieldFrom(y, from) })
	}
	defer inner.Close()
	inner.Next()
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		v, _, _ := inner.Send(i)
		total += v
	}
}

package getg

import (
	"iter"
	"testing"
)

func TestCurrentDiffersByGoroutine(t *testing.T) {
	if !Supported {
		t.Skip("no assembly for this platform")
	}
	here := Current()
	if here == 0 || here != Current() {
		t.Fatalf("Current is not stable: %x, then %x", here, Current())
	}
	there := make(chan uintptr)
	go func() { there <- Current() }()
	if g := <-there; g == here || g == 0 {
		t.Errorf("another goroutine has g %x, this one %x", g, here)
	}
	next, stop := iter.Pull(func(yield func(uintptr) bool) {
		for yield(Current()) {
		}
	})
	defer stop()
	a, _ := next()
	b, _ := next()
	if a != b || a == here {
		t.Errorf("a coroutine has g %x, then %x; its caller has %x", a, b, here)
	}
}

func BenchmarkCurrent(b *testing.B) {
	for b.Loop() {
		Current()
	}
}

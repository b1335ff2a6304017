package coro

import (
	"math/rand/v2"
	"runtime"
	"testing"
	"time"
)

// circle makes n coroutines that pass control on as pick says, until they are
// retired.
func circle(n int, pick func(self int) int) (root *Coroutine, all []*Coroutine, quit *bool, visits []int) {
	root = NewRoot()
	quit = new(bool)
	visits = make([]int, n)
	all = make([]*Coroutine, n)
	for i := range all {
		all[i] = NewCoroutine(root, func(self *Coroutine) {
			for !*quit {
				visits[i]++
				if j := pick(i); j < 0 {
					self.Switch(root)
				} else if j != i {
					self.Switch(all[j])
				}
			}
		})
	}
	return root, all, quit, visits
}

func settle(t *testing.T, want int) {
	t.Helper()
	for range 200 {
		if runtime.NumGoroutine() <= want {
			return
		}
		time.Sleep(time.Millisecond) // ended goroutines leave the count a moment later
	}
	t.Errorf("%d goroutines are left, want %d", runtime.NumGoroutine(), want)
}

func TestCoroutineSwitchesAnywhere(t *testing.T) {
	before := runtime.NumGoroutine()
	rng := rand.New(rand.NewPCG(1, 2))
	steps := 20000
	var last int
	root, all, quit, visits := circle(50, func(int) int {
		if steps--; steps <= 0 || steps%97 == 0 {
			return -1
		}
		last = rng.IntN(50)
		return last
	})
	for steps > 0 {
		root.Switch(all[rng.IntN(50)])
	}
	sum := 0
	for _, v := range visits {
		sum += v
	}
	if sum < 19000 {
		t.Errorf("only %d visits in 20000 steps", sum)
	}
	*quit = true
	root.Retire(all, all)
	settle(t, before)
}

func TestCoroutineRetireKeepsTheOthers(t *testing.T) {
	before := runtime.NumGoroutine()
	rng := rand.New(rand.NewPCG(3, 4))
	steps := 0
	root, all, quit, visits := circle(40, func(int) int {
		if steps++; steps%50 == 0 {
			return -1
		}
		return rng.IntN(40)
	})
	for range 30 {
		root.Switch(all[rng.IntN(40)])
	}
	// Retire every second one, then go on with the rest alone.
	var dead, alive []*Coroutine
	var names []int
	for i, c := range all {
		if i%2 == 0 {
			dead = append(dead, c)
		} else {
			alive = append(alive, c)
			names = append(names, i)
		}
	}
	*quit = true
	root.Retire(dead, all)
	*quit = false
	settle(t, before+len(alive))
	for k, c := range alive {
		was := visits[names[k]]
		steps = 49 // so that c hands back to the root at once
		root.Switch(c)
		if visits[names[k]] == was {
			t.Fatalf("coroutine %d did not run after others were retired", names[k])
		}
	}
	*quit = true
	root.Retire(alive, alive)
	settle(t, before)
}

func BenchmarkSwitch(b *testing.B) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	n := 0
	root, all, quit, _ := circle(2, func(self int) int {
		if n--; n <= 0 {
			return -1
		}
		return 1 - self
	})
	b.ReportAllocs()
	n = b.N
	b.ResetTimer()
	root.Switch(all[0])
	b.StopTimer()
	*quit = true
	root.Retire(all, all)
}

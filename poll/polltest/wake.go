package polltest

import (
	"sync"
	"sync/atomic"
	"time"
)

func testWaitTimesOut(r *Rig) {
	for _, d := range []time.Duration{0, 300 * time.Microsecond, 20 * time.Millisecond} {
		start := time.Now()
		n, err := r.P.Wait(d)
		if took := time.Since(start); n != 0 || err != nil || took < d || took > d+patience {
			r.Errorf("Wait(%v) = %d, %v after %v", d, n, err, took)
		}
	}
}

func testWakeIsKept(r *Rig) {
	for range 3 {
		r.P.Wake()
		r.P.Wake()
		start := time.Now()
		if n, err := r.P.Wait(patience); n != 0 || err != nil {
			r.Fatalf("wait: %d, %v", n, err)
		}
		if time.Since(start) >= patience {
			r.Fatal("wake before the wait was lost")
		}
	}
	// Once used up, a wake is gone.
	start := time.Now()
	r.P.Wait(5 * time.Millisecond)
	r.P.Wait(5 * time.Millisecond)
	if time.Since(start) < 5*time.Millisecond {
		r.Error("one wake ended two waits")
	}
}

func testWakeEndsWait(r *Rig) {
	for range 20 {
		go func() {
			time.Sleep(time.Millisecond) // real, so that Wait most likely sleeps by then
			r.P.Wake()
		}()
		if n, err := r.P.Wait(-1); n != 0 || err != nil {
			r.Fatalf("wait: %d, %v", n, err)
		}
	}
}

// Every goroutine's work, counted before its wake, must be seen by a loop that looks
// only when it is woken.
func testWakeConcurrent(r *Rig) {
	const goroutines, wakes = 8, 1000
	var work atomic.Int64
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for range wakes {
				work.Add(1)
				r.P.Wake()
			}
		})
	}
	end := time.Now().Add(patience)
	for work.Load() < goroutines*wakes {
		if _, err := r.P.Wait(time.Until(end)); err != nil {
			r.Fatal(err)
		}
		if time.Now().After(end) {
			r.Fatalf("a wake was lost: %d", work.Load())
		}
	}
	wg.Wait()
}

func testWakeAfterClose(r *Rig) {
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 1000 {
				r.P.Wake()
			}
		})
	}
	r.P.Wait(time.Millisecond)
	r.Close(r.P)
	wg.Wait()
	r.P.Wake()
	if _, err := r.P.Wait(0); err == nil {
		r.Error("wait on a closed poller")
	}
}

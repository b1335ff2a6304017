// The task benchmarks on goroutines, channels and the standard library.
// Usage: tasks [-xsync] BENCH N [BENCH N ...] | list
//
// -xsync: on golang.org/x/sync (errgroup, semaphore) where it replaces something.
package main

import (
	"context"
	"iter"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rondo-go/rondo/bench/tasks/watch"
)

var benches = map[string]watch.Bench{
	"yield-1":      func(n int, w *watch.Watch) { yields(1, n, w) },
	"yield-100":    func(n int, w *watch.Watch) { yields(100, n, w) },
	"yield-10000":  func(n int, w *watch.Watch) { yields(10000, n, w) },
	"spawn":        spawn,
	"gather-10000": gather,
	"group-10000":  group,
	"pingpong":     func(n int, w *watch.Watch) { pingpong(1, n, w) },
	"pingpong-0":   func(n int, w *watch.Watch) { pingpong(0, n, w) },
	"queue-1":      func(n int, w *watch.Watch) { bounded(1, n, w) },
	"queue-128":    func(n int, w *watch.Watch) { bounded(128, n, w) },
	"lock-100": func(n int, w *watch.Watch) {
		var mu sync.Mutex
		contend(100, mu.Lock, mu.Unlock, n, w)
	},
	"sem-10-1000": func(n int, w *watch.Watch) {
		sem := make(chan struct{}, 10)
		contend(1000, func() { sem <- struct{}{} }, func() { <-sem }, n, w)
	},
	"event-10000":   event,
	"sleepers":      sleepers,
	"timers":        timers,
	"cancel-10000":  cancel,
	"timeout-ready": timeoutReady,
	"thread-wake":   threadWake,
	"asyncgen":      asyncgen,
	"send":          send,
	"pipeline-5":    pipeline,
	"broadcast-8":   broadcast,
}

//go:noinline
func noop(context.Context) error { return nil }

func yields(tasks, n int, w *watch.Watch) {
	var wg sync.WaitGroup
	gate := make(chan struct{})
	for range tasks {
		wg.Go(func() {
			<-gate
			for range n / tasks {
				runtime.Gosched()
			}
		})
	}
	time.Sleep(10 * time.Millisecond)
	w.Start()
	close(gate)
	wg.Wait()
	w.Stop()
}

func spawn(n int, w *watch.Watch) {
	w.Start()
	for i := range n {
		done := make(chan int, 1)
		go func() { done <- i }()
		<-done
	}
	w.Stop()
}

func gather(n int, w *watch.Watch) {
	w.Start()
	for range n / 10000 {
		got := make([]int, 10000)
		var wg sync.WaitGroup
		for i := range got {
			wg.Go(func() { got[i] = i })
		}
		wg.Wait()
		if got[9999] != 9999 {
			panic("wrong result")
		}
	}
	w.Stop()
}

func group(n int, w *watch.Watch) {
	ctx := context.Background()
	w.Start()
	for range n / 10000 {
		var wg sync.WaitGroup
		for range 10000 {
			wg.Go(func() { noop(ctx) })
		}
		wg.Wait()
	}
	w.Stop()
}

func pingpong(size, n int, w *watch.Watch) {
	there, back := make(chan int, size), make(chan int, size)
	go func() {
		for range n {
			back <- <-there
		}
	}()
	w.Start()
	for i := range n {
		there <- i
		<-back
	}
	w.Stop()
}

func bounded(size, n int, w *watch.Watch) {
	q := make(chan int, size)
	w.Start()
	go func() {
		for i := range n {
			q <- i
		}
	}()
	for range n {
		<-q
	}
	w.Stop()
}

func contend(tasks int, acquire, release func(), n int, w *watch.Watch) {
	var wg sync.WaitGroup
	w.Start()
	for range tasks {
		wg.Go(func() {
			for range n / tasks {
				acquire()
				runtime.Gosched()
				release()
			}
		})
	}
	wg.Wait()
	w.Stop()
}

func event(n int, w *watch.Watch) {
	for range n / 10000 {
		w.Before()
		e := make(chan struct{})
		var left atomic.Int64
		left.Store(10000)
		var wg sync.WaitGroup
		for range 10000 {
			wg.Go(func() {
				<-e
				if left.Add(-1) == 0 {
					w.Stop()
				}
			})
		}
		time.Sleep(10 * time.Millisecond)
		w.After(10000)
		w.Start()
		close(e)
		wg.Wait()
	}
}

func sleepers(n int, w *watch.Watch) {
	w.Sleeping = true
	var started atomic.Int64
	var wg sync.WaitGroup
	w.Before()
	w.Start()
	for i := range n {
		wg.Go(func() {
			if started.Add(1) == int64(n) {
				w.After(n)
			}
			time.Sleep(3*time.Second + time.Duration(i*7919%1000)*time.Millisecond)
			if started.Load() != int64(n) {
				panic("a sleeper woke before the last had started")
			}
		})
	}
	wg.Wait()
	w.Stop()
}

func timers(n int, w *watch.Watch) {
	live := make([]*time.Timer, 10000)
	w.Start()
	for i := range n {
		if i >= 10000 {
			live[i%10000].Stop()
		}
		live[i%10000] = time.AfterFunc(30*time.Second+time.Duration(i*7919%1000)*time.Millisecond, func() {})
		if i%1000 == 0 {
			runtime.Gosched()
		}
	}
	for _, t := range live {
		t.Stop()
	}
	w.Stop()
}

func cancel(n int, w *watch.Watch) {
	never := make(chan struct{})
	for range n / 10000 {
		ctx, stop := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		for range 10000 {
			wg.Go(func() {
				select {
				case <-never:
				case <-ctx.Done():
				}
			})
		}
		time.Sleep(10 * time.Millisecond)
		w.Start()
		stop()
		wg.Wait()
		w.Stop()
	}
}

func timeoutReady(n int, w *watch.Watch) {
	w.Start()
	for range n {
		ctx, stop := context.WithTimeout(context.Background(), 30*time.Second)
		noop(ctx)
		stop()
	}
	w.Stop()
}

func threadWake(n int, w *watch.Watch) {
	asked, woken := make(chan int), make(chan int)
	go func() {
		runtime.LockOSThread()
		for range n {
			woken <- <-asked
		}
	}()
	w.Start()
	for i := range n {
		asked <- i
		<-woken
	}
	w.Stop()
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

func asyncgen(n int, w *watch.Watch) {
	total := 0
	w.Start()
	for i := range numbers(n) {
		total += i
	}
	w.Stop()
	if total != n*(n-1)/2 {
		panic("wrong sum")
	}
}

func send(n int, w *watch.Watch) {
	var sent, total int
	next, stop := iter.Pull(func(yield func(int) bool) {
		for yield(sent) {
		}
	})
	defer stop()
	w.Start()
	for i := range n {
		sent = i
		x, _ := next()
		total += x
	}
	w.Stop()
	if total != n*(n-1)/2 {
		panic("wrong sum")
	}
}

func pipeline(n int, w *watch.Watch) {
	var q [4]chan int
	for i := range q {
		q[i] = make(chan int, 128)
	}
	total := 0
	w.Start()
	go func() {
		for i := range n {
			q[0] <- i
		}
	}()
	for i := range 3 {
		go func() {
			for range n {
				q[i+1] <- <-q[i] + 1
			}
		}()
	}
	for range n {
		total += <-q[3]
	}
	w.Stop()
	if total != n*(n-1)/2+3*n {
		panic("wrong sum")
	}
}

func broadcast(n int, w *watch.Watch) {
	var q [8]chan int
	var wg sync.WaitGroup
	w.Start()
	for i := range q {
		q[i] = make(chan int, 128)
		wg.Go(func() {
			for range n {
				<-q[i]
			}
		})
	}
	for i := range n {
		for _, c := range q {
			c <- i
		}
	}
	wg.Wait()
	w.Stop()
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "-xsync" {
		watch.Main("tasks -xsync", xsync, os.Args[2:])
		return
	}
	watch.Main("tasks [-xsync]", benches, os.Args[1:])
}

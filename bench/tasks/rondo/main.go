// The task benchmarks on rondo, through its public API.
// Usage: rondo BENCH N [BENCH N ...] | list
//
// Left out: pingpong-0, since the primitives have no rendezvous (a queue of size 0 is unbounded, as in asyncio).
//
// An asynchronous generator is a Go iterator whose function may park.
//
// RONDO_CPUPROFILE=FILE writes a CPU profile of the runs.
package main

import (
	"context"
	"fmt"
	"os"
	"runtime/pprof"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/bench/tasks/watch"
)

var benches = map[string]watch.Bench{
	"yield-1":          run(yields(1)),
	"yield-100":        run(yields(100)),
	"yield-10000":      run(yields(10000)),
	"spawn":            run(spawn),
	"gather-10000":     run(gather),
	"group-10000":      run(group),
	"pingpong":         run(pingpong),
	"queue-1":          run(bounded(1)),
	"queue-128":        run(bounded(128)),
	"lock-100":         run(contend(100, func() locker { return rondo.NewLock() })),
	"sem-10-1000":      run(contend(1000, func() locker { return rondo.NewSemaphore(10) })),
	"event-10000":      run(event),
	"sleepers":         run(sleepers),
	"timers":           run(timers),
	"cancel-10000":     run(cancel),
	"timeout-ready":    run(timeoutReady),
	"thread-wake":      run(threadWake),
	"asyncgen":         run(asyncgen),
	"send":             run(send),
	"pipeline-5":       run(five(128)),
	"pipeline-5-fused": run(five(0)),
	"broadcast-8":      run(broadcast),
}

// A task is a benchmark as the main task of a loop.
type task func(ctx context.Context, n int, w *watch.Watch) error

func run(t task) watch.Bench {
	return func(n int, w *watch.Watch) {
		err := rondo.Run(func(ctx context.Context) error { return t(ctx, n, w) })
		if err != nil {
			fail(err)
		}
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "rondo:", err)
	os.Exit(1)
}

func main() {
	if name := os.Getenv("RONDO_CPUPROFILE"); name != "" {
		f, err := os.Create(name)
		if err != nil {
			fail(err)
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			fail(err)
		}
		defer pprof.StopCPUProfile()
	}
	watch.Main("rondo", benches, os.Args[1:])
}

// Package watch is what the Go programs of the task benchmarks share: the stopwatch, the resident size and the
// command line.
package watch

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A Bench does n operations, and starts and stops the watch around them.
type Bench func(n int, w *Watch)

// A Watch adds up the wall and CPU time of the stretches between Start and Stop.
type Watch struct {
	wall, cpu, w0, c0 int64
	rss0              int64
	bytes             float64 // per item; 0 where not measured
	// Sleeping makes ns_per_op the CPU time: the wall time is mostly sleep.
	Sleeping bool
}

func clock(id int32) int64 {
	var t unix.Timespec
	unix.ClockGettime(id, &t)
	return t.Nano()
}

// Start begins a stretch.
func (w *Watch) Start() {
	w.w0, w.c0 = clock(unix.CLOCK_MONOTONIC), clock(unix.CLOCK_PROCESS_CPUTIME_ID)
}

// Stop ends it.
func (w *Watch) Stop() {
	w.wall += clock(unix.CLOCK_MONOTONIC) - w.w0
	w.cpu += clock(unix.CLOCK_PROCESS_CPUTIME_ID) - w.c0
}

// Before and After enclose the making of so many items whose resident size is told. The first pair counts.
func (w *Watch) Before() {
	if w.bytes == 0 {
		debug.FreeOSMemory()
		w.rss0 = rss()
	}
}

// After is described at Before.
func (w *Watch) After(items int) {
	if w.bytes == 0 {
		w.bytes = float64(rss()-w.rss0) / float64(items)
	}
}

func rss() int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		panic(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	if err != nil {
		panic(err)
	}
	return pages * int64(os.Getpagesize())
}

// Main is the command line: list prints the names in table, BENCH N runs one and prints its line, and so may more.
func Main(usage string, table map[string]Bench, args []string) {
	if len(args) == 1 && args[0] == "list" {
		for _, name := range slices.Sorted(maps.Keys(table)) {
			fmt.Println(name)
		}
		return
	}
	for i := 0; i == 0 || i < len(args); i += 2 {
		n, f := 0, Bench(nil)
		if i+1 < len(args) {
			n, _ = strconv.Atoi(args[i+1])
			f = table[args[i]]
		}
		if n <= 0 || f == nil {
			fmt.Fprintf(os.Stderr, "usage: %s BENCH N [BENCH N ...] | list\n", usage)
			os.Exit(2)
		}
		report(args[i], n, f)
	}
}

func round(x float64) float64 { return math.Round(x*100) / 100 }

func report(name string, n int, f Bench) {
	var w Watch
	f(n, &w)
	line := struct {
		Bench string   `json:"bench"`
		N     int      `json:"n"`
		NS    float64  `json:"ns_per_op"`
		CPU   float64  `json:"cpu_ns_per_op"`
		Bytes *float64 `json:"bytes_per_item"`
	}{name, n, round(float64(w.wall) / float64(n)), round(float64(w.cpu) / float64(n)), nil}
	if w.Sleeping {
		line.NS = line.CPU
	}
	if w.bytes != 0 {
		b := math.Round(w.bytes)
		line.Bytes = &b
	}
	json.NewEncoder(os.Stdout).Encode(line)
}

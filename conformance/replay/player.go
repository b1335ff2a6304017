package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"time"
)

// A player runs the scenarios of files, as many at once as there are threads for
// Go code, and reports them in order.
type player struct {
	only   string // the one id to run, or ""
	limit  time.Duration
	report report
}

// An outcome is how one scenario went.
type outcome struct {
	stored
	got []string
	err error
}

// play runs all that the files hold.
//
// Errors: a file that cannot be read. What comes before it is reported.
func (p *player) play(paths []string) error {
	// Each scenario that was started has its place in the queue; the channel's
	// room bounds how many run.
	queue := make(chan chan outcome, runtime.GOMAXPROCS(0)-1)
	var failed error
	go func() {
		defer close(queue)
		for _, path := range paths {
			failed = readStored(path, func(s stored) {
				if p.only == "" || p.only == s.ID {
					place := make(chan outcome, 1)
					queue <- place
					go func() {
						got, err := execute(s.Scenario, p.limit)
						place <- outcome{s, got, err}
					}()
				}
			})
			if failed != nil {
				return
			}
		}
	}()
	for place := range queue {
		p.report.add(<-place)
	}
	return failed
}

// execute runs one scenario on a goroutine of its own.
//
// Errors: those of decodeScenario and of the family's runner; a panic; a
// scenario that takes longer than limit, whose goroutine stays behind.
func execute(data []byte, limit time.Duration) ([]string, error) {
	s, err := decodeScenario(data)
	if err != nil {
		return nil, err
	}
	type result struct {
		trace []string
		err   error
	}
	done := make(chan result, 1)
	go func() {
		var r result
		defer func() {
			if p := recover(); p != nil {
				r = result{nil, fmt.Errorf("panic: %v\n%s", p, debug.Stack())}
			}
			done <- r
		}()
		r.err = errExited // unless the runner returns
		r.trace, r.err = runners[s.Family](s)
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case r := <-done:
		return r.trace, r.err
	case <-timer.C:
		return nil, fmt.Errorf("hangs: it has not ended after %v", limit)
	}
}

var errExited = fmt.Errorf("its goroutine was ended by runtime.Goexit")

// A report prints and counts outcomes.
type report struct {
	out                     io.Writer
	verbose                 bool
	passed, failed, skipped int
}

// add tells of one scenario: first a line that begins with "skipped", "failed" or
// "differs" and the id, and then what is to be seen of it.
func (r *report) add(o outcome) {
	if isSkip(o.err) {
		r.skipped++
		fmt.Fprintf(r.out, "skipped %s: %v\n", o.ID, o.err)
		return
	}
	if o.err != nil {
		r.failed++
		fmt.Fprintf(r.out, "failed %s: %v\n", o.ID, o.err)
		return
	}
	n := firstDifference(o.Trace, o.got)
	if n < 0 {
		r.passed++
		if r.verbose {
			fmt.Fprintf(r.out, "passed %s\n", o.ID)
		}
		return
	}
	r.failed++
	fmt.Fprintf(r.out, "differs %s: line %d\n", o.ID, n+1)
	fmt.Fprintf(r.out, "  want %s\n  got  %s\n", at(o.Trace, n), at(o.got, n))
	if r.verbose {
		r.traces(o)
	}
}

// traces prints both traces, from the first line on.
func (r *report) traces(o outcome) {
	for _, t := range []struct {
		title string
		lines []string
	}{{"want", o.Trace}, {"got", o.got}} {
		fmt.Fprintf(r.out, "  --- %s, %d lines\n", t.title, len(t.lines))
		for i, line := range t.lines {
			fmt.Fprintf(r.out, "  %4d %s\n", i+1, line)
		}
	}
}

// close prints the counts.
func (r *report) close() {
	fmt.Fprintf(r.out, "%d passed, %d failed", r.passed, r.failed)
	if r.skipped > 0 {
		fmt.Fprintf(r.out, ", %d skipped", r.skipped)
	}
	fmt.Fprintln(r.out)
}

// firstDifference returns the index of the first line that differs, or -1.
func firstDifference(want, got []string) int {
	for i := range max(len(want), len(got)) {
		if i >= len(want) || i >= len(got) || want[i] != got[i] {
			return i
		}
	}
	return -1
}

// at returns line i of a trace.
func at(trace []string, i int) string {
	if i >= len(trace) {
		return "(nothing: the trace has ended)"
	}
	return trace[i]
}

package loop

import (
	"strings"
	"sync"
	"testing"
	"time"
)

const dump = `goroutine 7 [coroutine, locked to thread]:
main.park()
	/src/main.go:10 +0x1d
created by iter.Pull[...] in goroutine 1
	/go/src/iter/iter.go:271 +0x98

goroutine 1 [coroutine, locked to thread]:
main.main()
	/src/main.go:3 +0x1d

goroutine 9 [chan receive, locked to thread]:
main.generator()
	/src/main.go:20 +0x1d
created by iter.Pull2[...] in goroutine 7
	/go/src/iter/iter.go:301 +0x98

goroutine 10 [select]:
main.other()
	/src/main.go:30 +0x1d
created by main.main in goroutine 1
	/src/main.go:5 +0x98
`

func TestDebuggerFindsWhoHasTheThread(t *testing.T) {
	all := parseDump([]byte(dump))
	if len(all) != 4 {
		t.Fatalf("got %d goroutines", len(all))
	}
	d := newDebugger(&Debug{})
	d.hub = 1
	if got := string(d.running(all)); !strings.HasPrefix(got, "goroutine 9 ") || !strings.HasSuffix(got, "iter.go:301 +0x98") {
		t.Errorf("a generator of a worker of the hub's: got %q", got)
	}
	d.hub = 99
	if got := d.running(all); got != nil {
		t.Errorf("a stranger: got %q", got)
	}
	d.members[new(worker)] = 7 // the hub need not be in the dump
	if got := string(d.running(all)); !strings.HasPrefix(got, "goroutine 9 ") {
		t.Errorf("a generator of a known worker: got %q", got)
	}
}

func FuzzParseDump(f *testing.F) {
	f.Add([]byte(dump))
	f.Add([]byte(""))
	f.Add([]byte("goroutine 99999999999999999999 ["))
	f.Add([]byte("\ncreated by iter.Pull in"))
	f.Fuzz(func(t *testing.T, text []byte) {
		left := len(text)
		for _, g := range parseDump(text) {
			if left -= len(g.stack); left < 0 {
				t.Error("more stacks than text")
			}
		}
	})
}

func TestDebuggerReportsEachSlowStepAtItsEnd(t *testing.T) {
	var mu sync.Mutex // the watchdog may see a step too
	var ended []*Task
	l := New(Options{Poller: newSleeper(), Virtual: true, Debug: &Debug{Slow: time.Nanosecond, OnSlow: func(s SlowStep) {
		mu.Lock()
		defer mu.Unlock()
		if s.Ended {
			if s.Took <= 0 {
				t.Errorf("it took %v", s.Took)
			}
			ended = append(ended, s.Task)
		}
	}}})
	var x *Task
	l.CallSoon(Func(func() {
		x, _ = start(l, func(t *Task) {
			t.SleepUntil(l.Now().Add(time.Hour))
			l.Stop()
		})
	}))
	if err := l.Run(); err != nil {
		t.Fatal(err)
	}
	l.Close()
	// The callback; the first step; the timer, which is the kernel's; the second step.
	want := []*Task{nil, x, x, x}
	for i := range min(len(want), len(ended)) {
		if ended[i] != want[i] {
			t.Errorf("step %d: task %p, want %p", i, ended[i], want[i])
		}
	}
	if len(ended) < len(want) {
		t.Errorf("%d steps, want %d", len(ended), len(want))
	}
}

func TestLoopWithoutDebugKnowsNoStacks(t *testing.T) {
	if l := New(Options{Poller: newSleeper(), Virtual: true}); l.Stacks() != nil {
		t.Error("it has stacks")
	}
}

package coro

import (
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// What is reported, and where generators are at home: hooks are set once, since
// they may be called at any time.
var (
	reports struct {
		sync.Mutex
		all []string
	}
	posts atomic.Pointer[chan func()]
)

func init() {
	debugging = true
	OnLeak = func(m string) {
		reports.Lock()
		defer reports.Unlock()
		if strings.Contains(m, "drop_test.go:") { // where it was made; other tests drop some too
			reports.all = append(reports.all, m)
		}
	}
	Home = func() func(func()) error {
		c := posts.Load()
		if c == nil {
			return nil
		}
		return func(f func()) error { *c <- f; return nil }
	}
}

// leaks collects what is reported from now on.
func leaks() func() string {
	reports.Lock()
	defer reports.Unlock()
	begin := len(reports.all)
	return func() string {
		reports.Lock()
		defer reports.Unlock()
		return strings.Join(reports.all[begin:], "\n")
	}
}

// eventually collects garbage until ok. It sleeps in between, since the runtime
// runs cleanups in its own time.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 400 {
		runtime.GC()
		if ok() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Errorf("%s: not within 400 collections", what)
}

//go:noinline
func dropped(body func(Yield[int, none]) (none, error)) {
	g := New(body)
	g.Next()
}

func TestGeneratorDroppedIsClosed(t *testing.T) {
	report := leaks()
	before := runtime.NumGoroutine()
	cleaned := make(chan error, 10)
	for range 10 {
		dropped(func(y Yield[int, none]) (r none, err error) {
			inner := New(func(y Yield[int, none]) (r none, err error) {
				_, err = y(1)
				cleaned <- err
				return r, err
			})
			return YieldFrom(y, inner)
		})
	}
	eventually(t, "all closed", func() bool { return len(cleaned) == 10 })
	for range 10 {
		wantErr(t, "in the body", <-cleaned, ErrExit)
	}
	eventually(t, "goroutines ended", func() bool { return runtime.NumGoroutine() <= before })
	if got := report(); strings.Count(got, "dropped before it had ended") != 10 {
		t.Errorf("reported:\n%s", got)
	}
}

func TestGeneratorDroppedReportsWhatWentWrong(t *testing.T) {
	report := leaks()
	dropped(func(y Yield[int, none]) (r none, err error) { y(1); panic("ouch") })
	eventually(t, "panic", func() bool { return strings.Contains(report(), "panicked: coro: panic in generator: ouch") })
	dropped(func(y Yield[int, none]) (r none, err error) { y(1); _, err = y(2); return r, err })
	eventually(t, "yield", func() bool { return strings.Contains(report(), ErrIgnoredExit.Error()) })
	dropped(func(y Yield[int, none]) (r none, err error) { y(1); runtime.Goexit(); return })
	eventually(t, "exit", func() bool { return strings.Count(report(), "it is closed now") == 3 })
}

func TestGeneratorDroppedOnALockedThreadIsLeft(t *testing.T) {
	report := leaks()
	finish := make(chan none)
	done := make(chan none)
	go func() {
		defer close(done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		dropped(func(y Yield[int, none]) (r none, err error) { y(1); t.Error("resumed"); return })
		<-finish
	}()
	eventually(t, "report", func() bool { return strings.Contains(report(), "its thread was locked") })
	close(finish)
	<-done
}

func TestGeneratorDroppedIsBroughtHome(t *testing.T) {
	report := leaks()
	home := make(chan func(), 1)
	posts.Store(&home)
	defer posts.Store(nil)
	var met error
	dropped(func(y Yield[int, none]) (r none, err error) { _, met = y(1); return r, met })
	eventually(t, "post", func() bool { return len(home) == 1 })
	if met != nil {
		t.Error("closed away from home")
	}
	(<-home)()
	wantErr(t, "at home", met, ErrExit)
	if got := report(); !strings.Contains(got, "closed now") {
		t.Errorf("reported %q", got)
	}
}

func TestGeneratorEndedIsNotReported(t *testing.T) {
	report := leaks()
	ended := counter(1)
	for range ended.Seq() {
	}
	ended = nil
	counter(1)                                                     // never started
	dropped(func(Yield[int, none]) (r none, err error) { return }) // ended by Next
	var seen atomic.Bool
	dropped(func(y Yield[int, none]) (r none, err error) { y(1); seen.Store(true); return })
	eventually(t, "the one that did not", seen.Load)
	if got := report(); strings.Count(got, "dropped") != 1 {
		t.Errorf("reported:\n%s", got)
	}
}

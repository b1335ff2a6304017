package rondo

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rondo-go/rondo/coro"
)

// A slogged collects what is written to slog.
type slogged struct {
	mu      sync.Mutex
	records []slog.Record
	each    func(slog.Record) // or nil
}

func (s *slogged) Enabled(context.Context, slog.Level) bool { return true }
func (s *slogged) WithAttrs([]slog.Attr) slog.Handler       { return s }
func (s *slogged) WithGroup(string) slog.Handler            { return s }

func (s *slogged) Handle(_ context.Context, r slog.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records = append(s.records, r)
	if s.each != nil {
		s.each(r)
	}
	return nil
}

// collectSlog collects until the end of the test.
func collectSlog(t *testing.T, each func(slog.Record)) *slogged {
	before, flags := slog.Default(), log.Flags()
	s := &slogged{each: each}
	slog.SetDefault(slog.New(s))
	t.Cleanup(func() {
		slog.SetDefault(before)
		log.SetOutput(os.Stderr)
		log.SetFlags(flags)
	})
	return s
}

func attr(r slog.Record, key string) (value string) {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == key {
			value = a.Value.String()
		}
		return true
	})
	return value
}

// line is the line of its caller, or so many after it, as a site tells it.
func line(after int) string {
	_, file, line, _ := runtime.Caller(1)
	return fmt.Sprintf("%s:%d", file, line+after)
}

// debugRun runs main in debug mode on the virtual clock, and returns the reports.
func debugRun(t *testing.T, main func(ctx context.Context) error, opts ...Option) (reports []Report) {
	t.Helper()
	opts = append([]Option{
		WithVirtualTime(), WithoutSignals(), WithDebug(Debug{SlowStep: time.Hour}),
		WithExceptionHandler(func(r Report) { reports = append(reports, r) }),
	}, opts...)
	if err := Run(main, opts...); err != nil {
		t.Fatal(err)
	}
	return reports
}

// wantReports compares kinds, and what the messages contain.
func wantReports(t *testing.T, got []Report, want ...Report) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d reports, want %d: %+v", len(got), len(want), got)
	}
	for _, w := range want {
		found := false
		for _, g := range got {
			found = found || g.Kind == w.Kind && strings.Contains(g.Message, w.Message) && g.Task == w.Task &&
				g.Site == w.Site && errors.Is(g.Err, w.Err)
		}
		if !found {
			t.Errorf("no report %+v in %+v", w, got)
		}
	}
}

func blockedHere(c chan bool) { <-c }

// Each case holds the loop until the watchdog has told of it. The watchdog looks at real time.
func TestDebugTellsOfAStepWhileItRuns(t *testing.T) {
	type block func(until chan bool)
	byChannel := block(blockedHere)
	byMutex := block(func(until chan bool) {
		var mu sync.Mutex
		mu.Lock()
		go func() { <-until; mu.Unlock() }()
		mu.Lock()
	})
	byWork := block(func(until chan bool) {
		var done atomic.Bool
		go func() { <-until; done.Store(true) }()
		for !done.Load() {
		}
	})
	task := func(ctx context.Context, b block, until chan bool, opts ...TaskOption) {
		Spawn(ctx, func(ctx context.Context) (int, error) {
			Sleep(ctx, time.Millisecond)
			b(until)
			return 0, Sleep(ctx, time.Millisecond)
		}, append(opts, WithName("guilty"))...).Await(ctx)
	}
	for _, c := range []struct {
		name, task, stack string
		run               func(ctx context.Context, until chan bool)
	}{
		{"channel", "guilty", "blockedHere", func(ctx context.Context, until chan bool) { task(ctx, byChannel, until) }},
		{"mutex", "guilty", "sync.(*Mutex).Lock", func(ctx context.Context, until chan bool) { task(ctx, byMutex, until) }},
		{"work", "guilty", "TestDebugTellsOfAStep", func(ctx context.Context, until chan bool) { task(ctx, byWork, until) }},
		{"generator", "guilty", "blockedHere", func(ctx context.Context, until chan bool) {
			g := coro.New(func(y coro.Yield[int, int]) (int, error) { y(1); blockedHere(until); return 0, nil })
			g.Next()
			task(ctx, func(chan bool) { g.Next() }, until)
		}},
		{"eager", "main", "blockedHere", func(ctx context.Context, until chan bool) {
			Spawn(ctx, func(context.Context) (int, error) { blockedHere(until); return 0, nil }, WithEager())
		}},
		{"callback", "", "blockedHere", func(ctx context.Context, until chan bool) {
			RunningLoop().CallSoon(func() { blockedHere(until) })
			Sleep(ctx, time.Second)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			until := make(chan bool)
			release := sync.OnceFunc(func() { close(until) })
			defer time.AfterFunc(20*time.Second, release).Stop() // a test that fails is to end
			var r slog.Record
			collectSlog(t, func(x slog.Record) {
				if strings.HasSuffix(x.Message, "is holding the loop") && strings.Contains(attr(x, "stack"), c.stack) {
					r = x
					release()
				}
			})
			const slow = 4 * time.Millisecond
			reports := debugRun(t, func(ctx context.Context) error { c.run(ctx, until); return nil }, WithDebug(Debug{SlowStep: slow}))
			if r.Level != slog.LevelWarn || attr(r, "task") != c.task {
				t.Errorf("logged %v %q of %q", r.Level, r.Message, attr(r, "task"))
			}
			if c.task == "guilty" && !strings.Contains(attr(r, "site"), "debug_test.go:") {
				t.Errorf("spawned at %q", attr(r, "site"))
			}
			found := false
			for _, r := range reports {
				found = found || r.Kind == ReportSlow && r.Task == c.task && r.Took >= slow && strings.Contains(r.Stack, c.stack)
			}
			if !found {
				t.Errorf("the end of the step is not in %+v", reports)
			}
		})
	}
}

func TestDebugIsSilentOfQuickSteps(t *testing.T) {
	s := collectSlog(t, nil)
	wantReports(t, debugRun(t, func(ctx context.Context) error {
		for range 1000 {
			Sleep(ctx, time.Hour) // virtual hours are nobody's work
		}
		return nil
	}))
	if len(s.records) > 0 {
		t.Errorf("logged %v", s.records)
	}
}

func TestDebugDoesNotTakeSleepForWork(t *testing.T) {
	s := collectSlog(t, nil)
	err := Run(func(ctx context.Context) error {
		return Sleep(ctx, 250*time.Millisecond) // real time: the loop has to sleep in the kernel for longer than SlowStep
	}, WithoutSignals(), WithDebug(Debug{SlowStep: 100 * time.Millisecond}))
	if err != nil || len(s.records) > 0 {
		t.Errorf("%v, logged %v", err, s.records)
	}
}

// elsewhere runs f on a goroutine while the loop's thread waits for it, so that there is no race.
func elsewhere(f func()) {
	done := make(chan bool)
	go func() { defer close(done); f() }()
	<-done
}

func TestDebugTellsOfCallsFromTheWrongThread(t *testing.T) {
	var site string
	calls := map[string]func(l *Loop, x *Task[struct{}]){
		"Loop.CallSoon": func(l *Loop, _ *Task[struct{}]) { site = line(0); l.CallSoon(func() {}) },
		"Loop.CallAt":   func(l *Loop, _ *Task[struct{}]) { site = line(0); l.CallLater(time.Hour, func() {}).Cancel() },
		"Task.Cancel":   func(_ *Loop, x *Task[struct{}]) { site = line(0); x.Cancel("") },
		"Loop.Stop":     func(l *Loop, _ *Task[struct{}]) { site = line(0); l.Stop() },
	}
	for op, call := range calls {
		t.Run(op, func(t *testing.T) {
			var reports []Report
			l, err := NewLoop(WithVirtualTime(), WithDebug(Debug{SlowStep: time.Hour}),
				WithExceptionHandler(func(r Report) { reports = append(reports, r) }))
			if err != nil {
				t.Fatal(err)
			}
			l.CallSoon(func() {}) // before it runs, any goroutine may
			err = l.RunUntilComplete(func(ctx context.Context) error {
				x := spawn(ctx, func(ctx context.Context) error { return Sleep(ctx, time.Second) })
				Sleep(ctx, time.Millisecond)
				elsewhere(func() { call(l, x) })
				x.Cancel("") // here it is right
				l.CallSoon(func() {})
				if op != "Loop.Stop" {
					x.Await(ctx)
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			l.Close()
			if op == "Loop.Stop" { // a task is left
				reports = slices.DeleteFunc(reports, func(r Report) bool { return r.Kind == ReportPending })
			}
			wantReports(t, reports, Report{Kind: ReportThread, Message: op + " was called off the loop's thread (use CallSoonThreadsafe)", Site: site})
			if !strings.Contains(reports[0].Stack, "TestDebugTellsOfCalls") {
				t.Errorf("its stack is %s", reports[0].Stack)
			}
		})
	}
}

func TestDebugLogsTheWrongThreadAtOnce(t *testing.T) {
	s := collectSlog(t, nil)
	err := Run(func(ctx context.Context) error {
		x := spawn(ctx, func(ctx context.Context) error { return Sleep(ctx, time.Hour) })
		elsewhere(func() {
			x.Cancel("")
			if len(s.records) != 1 || !strings.Contains(s.records[0].Message, "Task.Cancel was called off the loop's thread") {
				t.Errorf("logged %v", s.records)
			}
		})
		return nil
	}, WithVirtualTime(), WithoutSignals(), WithDebug(Debug{SlowStep: time.Hour}))
	if err != nil {
		t.Error(err)
	}
}

func TestDebugTellsOfWhatNobodyLookedAt(t *testing.T) {
	boom := errors.New("boom")
	var gathered, shielded, failed string
	reports := debugRun(t, func(ctx context.Context) error {
		nap := func() *Task[int] {
			return Spawn(ctx, func(ctx context.Context) (int, error) { return 0, Sleep(ctx, 1) })
		}
		Gather(nap())
		gathered = line(-1)
		Shield(nap())
		shielded = line(-1)
		f := NewFuture[int]()
		f.Fail(boom)
		failed = line(-1)

		// What somebody has looked at, in any way, is left alone.
		Gather(nap()).Await(ctx)
		Shield(nap()).Await(ctx)
		Gather(nap()).OnDone(func() {})
		g := NewFuture[int]()
		g.Fail(boom)
		g.Err()
		h := NewFuture[int]()
		h.Cancel("")
		Gather(Shield[int](nap())).Await(ctx)
		return nil
	})
	wantReports(t, reports,
		Report{Kind: ReportUnawaited, Message: "Gather was never awaited", Site: gathered},
		Report{Kind: ReportUnawaited, Message: "Shield was never awaited", Site: shielded},
		Report{Kind: ReportError, Message: "a future's error was never retrieved", Err: boom, Site: failed})
}

func TestDebugTellsWhereAFailedTaskWasSpawned(t *testing.T) {
	boom := errors.New("boom")
	var site string
	reports := debugRun(t, func(ctx context.Context) error {
		site = line(1)
		Spawn(ctx, func(context.Context) (int, error) { return 0, boom }, WithName("x"))
		return Sleep(ctx, time.Second)
	})
	wantReports(t, reports, Report{Kind: ReportError, Message: "a task's error was never retrieved", Err: boom, Task: "x", Site: site})
}

func TestDebugTellsOfTasksPendingAtClose(t *testing.T) {
	var reports []Report
	l, err := NewLoop(WithVirtualTime(), WithDebug(Debug{}), WithExceptionHandler(func(r Report) { reports = append(reports, r) }))
	if err != nil {
		t.Fatal(err)
	}
	var q Queue[int]
	var slept, spawned string
	err = l.RunUntilComplete(func(ctx context.Context) error {
		spawned = line(1)
		Spawn(ctx, func(ctx context.Context) (int, error) {
			slept = line(1)
			return 0, Sleep(ctx, time.Hour)
		}, WithName("sleeper"))
		Spawn(ctx, q.Get, WithName("getter"))
		Sleep(ctx, time.Second)
		Spawn(ctx, func(context.Context) (int, error) { return 0, nil }, WithName("fresh"))
		l.Stop()
		return Sleep(ctx, 0)
	})
	if err == nil {
		t.Fatal("main was done")
	}
	l.Close()
	var pending []Report
	for _, r := range reports {
		if r.Kind != ReportPending {
			continue
		}
		pending = append(pending, r)
		if r.Task == "sleeper" && (r.Site != spawned || !strings.Contains(r.Message, "rondo.Sleep, called at "+slept) ||
			!strings.Contains(r.Stack, "rondo.Sleep")) {
			t.Errorf("the sleeper, spawned at %s, sleeping at %s: %+v", spawned, slept, r)
		}
		if r.Task == "getter" && !strings.Contains(r.Message, ".Get") {
			t.Errorf("the getter: %+v", r)
		}
		if r.Task == "fresh" && !strings.Contains(r.Message, "it has not started") {
			t.Errorf("the fresh one: %+v", r)
		}
	}
	if len(pending) < 3 {
		t.Errorf("got %+v", reports)
	}
}

func TestDebugTellsOfUnclosedConnections(t *testing.T) {
	var listened, dialed string
	reports := debugRun(t, func(ctx context.Context) error {
		listened = line(1)
		l, err := Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		closed, err := Dial(ctx, "tcp", l.Addr().String())
		if err != nil {
			return err
		}
		closed.Close()
		_, err = Dial(ctx, "tcp", l.Addr().String())
		dialed = line(-1)
		return err
	})
	wantReports(t, reports,
		Report{Kind: ReportUnclosed, Message: "listener 127.0.0.1:", Site: listened},
		Report{Kind: ReportUnclosed, Message: "connection 127.0.0.1:", Site: dialed})
}

func TestDebugByTheEnvironment(t *testing.T) {
	for env, want := range map[string]bool{"": false, "0": false, "1": true} {
		t.Setenv("RONDO_DEBUG", env)
		l, err := NewLoop(WithVirtualTime())
		if err != nil {
			t.Fatal(err)
		}
		if l.Debug() != want {
			t.Errorf("RONDO_DEBUG=%s: %v", env, l.Debug())
		}
		l.Close()
	}
	l, err := NewLoop(WithVirtualTime(), WithDebug(Debug{}))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if !l.Debug() {
		t.Error("WithDebug did not turn it on")
	}
}

func TestReportIsLogged(t *testing.T) {
	s := collectSlog(t, nil)
	boom := errors.New("boom")
	err := Run(func(ctx context.Context) error {
		Spawn(ctx, func(context.Context) (int, error) { return 0, boom }, WithName("x"))
		return Sleep(ctx, 1)
	}, WithVirtualTime(), WithoutSignals(), WithDebug(Debug{SlowStep: time.Hour}))
	if err != nil || len(s.records) != 1 {
		t.Fatalf("got %v, %v", err, s.records)
	}
	r := s.records[0]
	if r.Level != slog.LevelError || r.Message != "rondo: a task's error was never retrieved" || attr(r, "error") != "boom" ||
		attr(r, "task") != "x" || !strings.Contains(attr(r, "site"), "debug_test.go:") || attr(r, "took") != "" || attr(r, "stack") != "" {
		t.Errorf("logged %v", r)
	}
}

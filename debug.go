package rondo

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"runtime"
	rtdebug "runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rondo-go/rondo/loop"
)

// A Debug is how the debug mode is to be. The zero Debug is its default.
type Debug struct {
	// SlowStep is how long a task may run without parking, and a callback at
	// all, before that is reported; zero means 100 ms.
	SlowStep time.Duration
}

// WithDebug turns the debug mode on, as RONDO_DEBUG=1 in the environment does. The
// loop then remembers where each task was spawned and each connection opened,
// reports steps that take too long, with the stack while they run, calls from the
// wrong thread, and, when it is closed, what was left: tasks, connections,
// futures that nobody has looked at. Spawning costs about a microsecond more
// then, and a step 100 ns.
//
// Reports go to the exception handler ([WithExceptionHandler]) on the loop's
// thread. What cannot wait for that thread, since it is blocked, is written to
// slog at once, by the watchdog.
func WithDebug(d Debug) Option { return func(o *options) { o.debug = &d } }

// Debug says whether the loop is in debug mode. It may be called from any
// goroutine.
func (l *Loop) Debug() bool { return l.debug != nil }

// A ReportKind says what a [Report] is about.
type ReportKind uint8

const (
	// ReportPanic: a callback panicked.
	ReportPanic ReportKind = iota
	// ReportError: nobody has seen the error of a task; in debug mode also that
	// of a future.
	ReportError
	// ReportGenerator: closing an async generator that was left open failed.
	ReportGenerator
	// ReportSlow: a step has taken too long. From here on: in debug mode only.
	ReportSlow
	// ReportThread: what is for the loop's thread was called elsewhere.
	ReportThread
	// ReportPending: a task was not done when its loop was closed.
	ReportPending
	// ReportUnclosed: a connection or a listener was left to be closed with the
	// loop.
	ReportUnclosed
	// ReportUnawaited: nobody has looked at what Gather or Shield returned.
	ReportUnawaited
)

var reportKinds = [...]string{"panic", "error", "generator", "slow step", "wrong thread", "pending task", "unclosed", "unawaited"}

func (k ReportKind) String() string {
	if int(k) < len(reportKinds) {
		return reportKinds[k]
	}
	return fmt.Sprintf("ReportKind(%d)", uint8(k))
}

// A Report is what the loop's exception handler is told: something went wrong
// where no caller is to be told of it.
type Report struct {
	Kind    ReportKind
	Message string
	Err     error // or nil
	// Task names the task that it is about, or is "".
	Task string
	// Site is, in debug mode, where that task was spawned, or the connection
	// opened, or the call made: file:line, or "" if it is not known.
	Site string
	// Took is how long a slow step took.
	Took time.Duration
	// Stack is where it happened, or where the task waits; or it is empty.
	Stack string
}

// logReport is the exception handler unless another is set. It may be called on
// any goroutine.
func logReport(r Report) {
	level := slog.LevelError
	if r.Kind >= ReportSlow {
		level = slog.LevelWarn
	}
	var args []slog.Attr
	if r.Err != nil {
		args = append(args, slog.Any("error", r.Err))
	}
	if r.Task != "" {
		args = append(args, slog.String("task", r.Task))
	}
	if r.Site != "" {
		args = append(args, slog.String("site", r.Site))
	}
	if r.Took != 0 {
		args = append(args, slog.Duration("took", r.Took))
	}
	if r.Stack != "" {
		args = append(args, slog.String("stack", r.Stack))
	}
	slog.LogAttrs(context.Background(), level, "rondo: "+r.Message, args...)
}

// debugging is the debug mode of a loop.
type debugging struct {
	mu        sync.Mutex // guards what follows
	opened    map[closer]site
	unawaited map[*future]unawaited
}

// An unawaited is a future that nobody has looked at.
type unawaited struct {
	maker string // Gather or Shield, or "" for one that has failed
	site  site
}

// mostUnawaited bounds what is remembered of such futures.
const mostUnawaited = 10000

// defaultSlowStep is asyncio's slow_callback_duration.
const defaultSlowStep = 100 * time.Millisecond

// enableDebug turns the debug mode of l on if it is wanted, and returns what the
// kernel has to do for it.
func (l *Loop) enableDebug(d *Debug) *loop.Debug {
	if d == nil && os.Getenv("RONDO_DEBUG") == "1" {
		d = new(Debug)
	}
	if d == nil {
		return nil
	}
	l.debug = &debugging{opened: make(map[closer]site), unawaited: make(map[*future]unawaited)}
	slow := cmp.Or(d.SlowStep, defaultSlowStep)
	return &loop.Debug{Slow: slow, OnSlow: l.slowStep}
}

// slowStep reports a step. While it runs, the handler cannot be told.
func (l *Loop) slowStep(s loop.SlowStep) {
	r := Report{Kind: ReportSlow, Took: s.Took, Stack: string(s.Stack)}
	who := "a callback"
	if s.Task != nil {
		c := coreOf(s.Task)
		who, r.Task, r.Site = "a task", c.label(), c.site().String()
	}
	if s.Ended {
		r.Message = who + " has held the loop for long"
		l.handler(r)
		return
	}
	r.Message = who + " is holding the loop"
	logReport(r)
}

// checkThread reports a call of op, which is for the loop's thread, from
// elsewhere while the loop runs. The call goes on.
func (l *Loop) checkThread(op string) {
	if !l.k.Running() || l.k.OnLoop() {
		return
	}
	r := Report{
		Kind: ReportThread, Site: callSite(3).String(), Stack: string(rtdebug.Stack()),
		Message: op + " was called off the loop's thread (use CallSoonThreadsafe)",
	}
	if l.logs || l.k.Post(loop.NewCallback(loop.Func(func() { l.handler(r) }))) != nil {
		logReport(r)
	}
}

// Pending returns a report on each task of l that is not done, the calling one
// left out: in debug mode with where it was spawned, and where it waits. It is for
// the loop's thread. It stops the program for a moment.
func (l *Loop) Pending() (all []Report) {
	stacks := l.k.Stacks()
	_, self := loop.Current()
	for _, t := range l.k.Tasks() {
		if t == self {
			continue
		}
		c := coreOf(t)
		r := Report{Kind: ReportPending, Task: c.label(), Site: c.site().String(), Stack: string(stacks[t])}
		r.Message = "a task is pending: " + parkedIn(r.Stack)
		all = append(all, r)
	}
	return all
}

// reportLeft reports what is left when l is closed.
func (l *Loop) reportLeft() {
	d := l.debug
	for _, r := range l.Pending() {
		r.Message = strings.Replace(r.Message, "pending", "pending as its loop is closed", 1)
		l.handler(r)
	}
	d.mu.Lock()
	opened, unawaited := maps.Clone(d.opened), maps.Clone(d.unawaited)
	clear(d.unawaited)
	d.mu.Unlock()
	for _, c := range l.conns {
		if !c.isClosed() {
			l.handler(Report{Kind: ReportUnclosed, Message: fmt.Sprintf("%v was never closed", c), Site: opened[c].String()})
		}
	}
	for f, u := range unawaited {
		r := Report{Kind: ReportError, Message: "a future's error was never retrieved", Err: f.Err(), Site: u.site.String()}
		if u.maker != "" {
			r.Kind, r.Message = ReportUnawaited, u.maker+" was never awaited"
		}
		l.handler(r)
	}
}

// noteOpened remembers where c was opened, noteClosed forgets it.
func (l *Loop) noteOpened(c closer) {
	if d := l.debug; d != nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.opened[c] = callSite(4)
	}
}

func (l *Loop) noteClosed(c closer) {
	if d := l.debug; d != nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.opened, c)
	}
}

// noteUnawaited remembers that nobody has looked at f, which maker has made.
func noteUnawaited(l *loop.Loop, f *future, maker string) {
	if r, ok := l.Data.(*Loop); ok && r.debug != nil {
		f.looked = false
		r.debug.remember(f, unawaited{maker, callSite(3)})
	}
}

// noteFailed remembers that nobody has looked at f, which has just failed. It is
// called under the lock of f.
func noteFailed(l *loop.Loop, f *future) {
	if r, ok := l.Data.(*Loop); ok && r.debug != nil && !isCancellation(f.err) {
		r.debug.remember(f, unawaited{"", callSite(3)})
	}
}

func (d *debugging) remember(f *future, u unawaited) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f.debug == nil && len(d.unawaited) < mostUnawaited {
		f.debug = d
		d.unawaited[f] = u
	}
}

// forget is called at the first look at f, under its lock.
func (d *debugging) forget(f *future) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.unawaited, f)
}

// A taskInfo is what only some tasks have.
type taskInfo struct {
	name string
	site site
}

// describe returns what is to be remembered of a task, or nil.
func (l *Loop) describe(opts []TaskOption) *taskInfo {
	i := &taskInfo{}
	if len(opts) > 0 {
		i.name = optionsOf(opts).name
	}
	if l.debug != nil {
		i.site = callSite(4)
	} else if i.name == "" {
		return nil
	}
	return i
}

// site returns where the task was spawned.
func (c *core) site() site {
	if c.info == nil {
		return nil
	}
	return c.info.site
}

// A site is a place in the program: a short trace, of which the first frame
// outside of this package counts.
type site []uintptr

// callSite returns the place of the caller; skip is as for runtime.Callers.
func callSite(skip int) site {
	pcs := make([]uintptr, 16)
	return pcs[:runtime.Callers(skip, pcs)]
}

func (s site) String() string {
	if len(s) == 0 {
		return ""
	}
	frames := runtime.CallersFrames(s)
	for {
		f, more := frames.Next()
		if f.Function != "" && !isOwn(f.Function, f.File) && !strings.HasPrefix(f.Function, "runtime.") {
			return fmt.Sprintf("%s:%d", f.File, f.Line)
		}
		if !more {
			return ""
		}
	}
}

// ownPackages are those whose frames say nothing to the user.
var ownPackages = []string{"github.com/rondo-go/rondo.", "github.com/rondo-go/rondo/loop.", "github.com/rondo-go/rondo/coro."}

// isOwn says whether a frame is this library's.
func isOwn(function, file string) bool {
	if strings.HasSuffix(file, "_test.go") {
		return false
	}
	return slices.ContainsFunc(ownPackages, func(p string) bool { return strings.HasPrefix(function, p) })
}

// parkedIn tells what a task waits in, from its stack: the last function of this
// package, and where that was called.
func parkedIn(stack string) string {
	if stack == "" {
		return "it has not started"
	}
	op := ""
	lines := strings.Split(stack, "\n")
	for i := 1; i+1 < len(lines); i += 2 {
		function := lines[i]
		if end := strings.LastIndexByte(function, '('); end > 0 {
			function = function[:end] // the arguments
		}
		place, _, _ := strings.Cut(strings.TrimSpace(lines[i+1]), " +")
		switch {
		case !isOwn(function, place[:max(strings.LastIndexByte(place, ':'), 0)]):
			if op != "" {
				return fmt.Sprintf("it waits in %s, called at %s", op, place)
			}
			if !strings.HasPrefix(function, "iter.") && !strings.HasPrefix(function, "runtime.") {
				return "it waits at " + place
			}
		case strings.Contains(function, ".(*taskBody[") || strings.Contains(function, ".(*procBody)"):
			return "it waits in " + op
		case strings.HasPrefix(function, ownPackages[0]):
			op = function[strings.LastIndexByte(function, '/')+1:]
		}
	}
	return "it waits"
}

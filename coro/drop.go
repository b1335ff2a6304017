package coro

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
)

// Generators that are dropped
//
// A goroutine that waits in an iter.Pull is never collected, and neither is what
// it refers to. So the user's handle is an object of its own, to which the
// generator's goroutine does not refer; once it is collected, the generator is
// closed. Never on the collector's own goroutine, which a body could hold up,
// but on a fresh one; or, if it was started on the thread of a loop, by that
// loop, since switching to such a coroutine on another thread ends the program.
// One that was started on a thread locked by somebody else cannot be closed: it
// is reported and stays.

var debugging = os.Getenv("RONDO_DEBUG") == "1"

// OnLeak is told of generators that were dropped before they had ended, and of
// what went wrong when they were closed. It may be called on any goroutine. By
// default, with RONDO_DEBUG=1 in the environment, it prints to standard error;
// else it is nil. It is to be set before generators are used, at best by an
// init function.
var OnLeak func(message string)

func init() {
	if debugging {
		OnLeak = func(message string) { fmt.Fprintln(os.Stderr, message) }
	}
}

// Home is set by an event loop to bring dropped generators home. It is called on
// the goroutine that starts a generator, and returns how to run a function on
// that thread from elsewhere, or nil if no loop runs there. It is to be set by an
// init function.
var Home func() (post func(func()) error)

// A home is where a generator was made and started.
type home struct {
	post   func(func()) error
	locked bool      // its thread is locked, and not by a loop
	made   []uintptr // in debug mode
}

// watch has f closed when g is dropped.
func watch[Y, S, R any](g *Generator[Y, S, R], f *flow[Y, S, R]) {
	if Home != nil {
		f.home.post = Home()
	}
	runtime.AddCleanup(g, (*flow[Y, S, R]).drop, f)
}

// arrive is called on the generator's own goroutine, whose trace is short.
func (h *home) arrive() { h.locked = h.post == nil && threadLocked() }

// drop is called by the collector.
func (f *flow[Y, S, R]) drop() {
	if f.state != Suspended {
		return
	}
	switch {
	case f.home.locked:
		f.leaked("its thread was locked, so that it cannot be closed: its goroutine stays")
	case f.home.post == nil:
		go f.closeDropped()
	default:
		if err := f.home.post(f.closeDropped); err != nil {
			f.leaked("its loop is closed: its goroutine stays")
		}
	}
}

func (f *flow[Y, S, R]) closeDropped() {
	f.leaked("it is closed now")
	defer func() {
		if p := recover(); p != nil {
			f.leaked(fmt.Sprint("closing it panicked: ", p))
		}
	}()
	g := &Generator[Y, S, R]{f}
	if _, err := g.Close(); err != nil {
		f.leaked("closing it: " + err.Error())
	}
}

func (f *flow[Y, S, R]) leaked(what string) {
	if OnLeak != nil {
		OnLeak("coro: generator dropped before it had ended: " + what + where(f.home.made))
	}
}

// caller remembers who makes a generator, in debug mode.
func caller() []uintptr {
	if !debugging {
		return nil
	}
	pcs := make([]uintptr, 1)
	return pcs[:runtime.Callers(3, pcs)]
}

func where(pcs []uintptr) string {
	if len(pcs) == 0 {
		return ""
	}
	frame, _ := runtime.CallersFrames(pcs).Next()
	return fmt.Sprintf(" (made at %s:%d)", frame.File, frame.Line)
}

// threadLocked says whether the calling goroutine is locked to its thread. The
// runtime tells only in the heading of a trace; even one with few frames costs a
// microsecond or two.
func threadLocked() bool {
	var buf [96]byte
	n := runtime.Stack(buf[:], false)
	line, _, _ := bytes.Cut(buf[:n], []byte("\n"))
	return bytes.Contains(line, []byte("locked to thread"))
}

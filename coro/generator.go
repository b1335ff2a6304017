package coro

import (
	"iter"
	"runtime/debug"
)

// How a generator is resumed
//
// A generator is an iter.Pull whose two sides share a flow. What is sent and
// thrown lies in the flow; what is yielded travels through the Pull. Since every
// return after a switch is mispredicted (see switch.go), as few frames as
// possible lie between the caller and the switch: Next and Send are small enough
// to be inlined, and so is what they do in each state. They call one function,
// chosen by the state from a table. In the state Suspended it is the Pull's own
// next; in the others it starts the body or refuses. The body's side keeps the
// state.
//
// The Pull is made at the first step, not by New, because a coroutine belongs to
// the thread where it is made if that is locked: a generator made elsewhere may
// then be driven by a task.
//
// Next and Send name g.f again after the call, and no copy of it, so that the
// handle cannot be collected meanwhile: runtime.KeepAlive would make Send too
// large to be inlined.
//
// Tried and refused: checking the state in Send, with a call for the rare cases
// (no longer inlined, a sixth slower).

// Yield suspends the body of a generator, and hands v to whoever resumed it. It
// returns what it is resumed with: the value of [Generator.Send] (zero for
// [Generator.Next]), the error of [Generator.Throw], or [ErrExit] of
// [Generator.Close]. A body that is given an error cleans up, and returns; it may
// also handle an error that was thrown, and go on.
//
// It is for the body, and what the body calls.
type Yield[Y, S any] func(v Y) (S, error)

// A Generator yields values of type Y, is sent values of type S, and returns one
// of type R. It is Python's generator, with the rules of PEP 342.
//
// It is not for several goroutines at once. One that was started on a locked OS
// thread, such as in a task of a loop, must go on there. A generator that is
// dropped before it has ended is closed some time after the garbage collector
// has found it, and reported if [OnLeak] is set; better close it.
type Generator[Y, S, R any] struct {
	f *flow[Y, S, R] // what the body's goroutine holds must not be the handle: see drop.go
}

// A flow is what the two sides share.
type flow[Y, S, R any] struct {
	state  State
	onNext [4]func() (Y, bool) // by state
	onSend [4]func() (Y, bool)
	sent   S
	thrown error
	err    error // of the call that is about to return
	body   func(Yield[Y, S]) (R, error)
	result R
	good   bool // result is there
	home   home
}

// New makes a generator. Its body runs from the first Next on, on a goroutine of
// its own, and only while Next, Send, Throw or Close wait for it.
//
// What the body returns is [Generator.Result], or the error of the call that
// resumed it. A panic in the body becomes one, with a [PanicError], of that call.
// runtime.Goexit in the body ends the goroutine of the caller too, so that a
// test's FailNow works.
func New[Y, S, R any](body func(y Yield[Y, S]) (R, error)) *Generator[Y, S, R] {
	f := &flow[Y, S, R]{body: body}
	f.home.made = caller()
	g := &Generator[Y, S, R]{f}
	f.onNext[Created] = func() (Y, bool) { return f.start(g) }
	f.onSend[Created] = func() (Y, bool) { return f.refuse(ErrNotStarted) }
	return g
}

// Next resumes the generator until it yields. If it ends instead, ok is false;
// so it is, without an error, whenever the generator has ended before.
//
// Errors: what the body returned; [ErrRunning].
func (g *Generator[Y, S, R]) Next() (v Y, ok bool, err error) {
	v, ok = g.f.onNext[g.f.state]()
	return v, ok, g.f.err
}

// Send is Next, but the body's Yield returns s.
//
// Errors: those of Next; [ErrNotStarted].
func (g *Generator[Y, S, R]) Send(s S) (v Y, ok bool, err error) {
	g.f.sent = s
	v, ok = g.f.onSend[g.f.state]()
	return v, ok, g.f.err
}

// Throw is Next, but the body's Yield returns err, which must not be nil. A
// generator that has not started ends by that, and its body never runs; then,
// and if it has ended before, Throw returns err.
func (g *Generator[Y, S, R]) Throw(err error) (v Y, ok bool, _ error) {
	if err == nil {
		panic("coro: Throw of a nil error")
	}
	f := g.f
	switch f.state {
	case Running:
		return v, false, ErrRunning
	case Created, Closed:
		f.end()
		return v, false, err
	}
	f.thrown = err
	return g.Next()
}

// Close ends the generator: Yield returns [ErrExit], so that the body cleans up
// and returns. It may answer with a value, which Close returns. Closing what has
// ended, or has not started, just ends it.
//
// Errors: what the body returned, if it is not just ErrExit; [ErrIgnoredExit] if
// it yielded, and can go on; [ErrRunning].
func (g *Generator[Y, S, R]) Close() (r R, err error) {
	f := g.f
	switch f.state {
	case Running:
		return r, ErrRunning
	case Created, Closed:
		f.end()
		return r, nil
	}
	_, ok, err := g.Throw(ErrExit)
	switch {
	case ok:
		return r, ErrIgnoredExit
	case err == nil:
		return f.result, nil
	case IsExit(err):
		return r, nil
	}
	return r, err
}

// Result returns what the body returned. Ok is false if it has not ended, or
// ended by an error, or never ran.
func (g *Generator[Y, S, R]) Result() (r R, ok bool) { return g.f.result, g.f.good }

// State tells where the generator stands.
func (g *Generator[Y, S, R]) State() State { return g.f.state }

// start runs the body's first step.
func (f *flow[Y, S, R]) start(g *Generator[Y, S, R]) (Y, bool) {
	refuse := func() (Y, bool) { return f.refuse(ErrRunning) }
	f.onNext[Running], f.onSend[Running] = refuse, refuse
	next, _ := iter.Pull(f.run)
	f.onNext[Suspended], f.onSend[Suspended] = next, next
	f.onNext[Created], f.onSend[Created] = nil, nil
	watch(g, f)
	return next()
}

// run is the body's goroutine.
func (f *flow[Y, S, R]) run(yield func(Y) bool) {
	defer f.ended() // also by runtime.Goexit, which the Pull passes on
	f.state, f.err = Running, nil
	f.home.arrive()
	f.result, f.err = f.body(func(v Y) (S, error) {
		var none S
		if f.state != Running {
			return none, ErrNotRunning
		}
		f.state, f.err = Suspended, nil
		yield(v)
		s, err := f.sent, f.thrown
		f.state, f.sent = Running, none
		if err != nil {
			f.thrown = nil
		}
		return s, err
	})
	f.good = f.err == nil
}

// ended is deferred by run. A panic goes on, to the Pull and the caller.
func (f *flow[Y, S, R]) ended() {
	err := f.err
	f.end()
	f.err = err
	if p := recover(); p != nil {
		if pe, ok := p.(*PanicError); ok { // of a generator that the body resumed
			panic(pe)
		}
		panic(&PanicError{p, debug.Stack()})
	}
}

// end makes the generator one that has ended.
func (f *flow[Y, S, R]) end() {
	over := func() (Y, bool) { return f.refuse(nil) }
	f.onNext = [4]func() (Y, bool){Closed: over}
	f.onSend = f.onNext
	f.state, f.body, f.thrown = Closed, nil, nil
}

// refuse is a call that resumes nothing.
func (f *flow[Y, S, R]) refuse(err error) (v Y, ok bool) {
	var none S
	f.sent, f.err = none, err
	return v, false
}

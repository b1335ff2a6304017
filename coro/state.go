package coro

import (
	"errors"
	"fmt"
)

// A State tells where a generator stands. It is what Python's
// inspect.getgeneratorstate tells.
type State uint8

const (
	// Created: the body has not started.
	Created State = iota
	// Suspended: the body waits in Yield.
	Suspended
	// Running: the body runs, or waits for a generator that it resumed.
	Running
	// Closed: the body has ended, or never will start.
	Closed
)

func (s State) String() string {
	switch s {
	case Created:
		return "created"
	case Suspended:
		return "suspended"
	case Running:
		return "running"
	case Closed:
		return "closed"
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// Errors of generators.
var (
	// ErrExit is what Yield returns in a body that is being closed. It is
	// Python's GeneratorExit.
	ErrExit = errors.New("coro: generator exit")
	// ErrNotStarted: a value was sent to a generator that has not started, so
	// that no Yield is there to return it. The generator is as it was.
	ErrNotStarted = errors.New("coro: value sent to a generator that has not started (call Next first)")
	// ErrRunning: a generator was resumed while it runs. It is not disturbed.
	ErrRunning = errors.New("coro: generator is running already (its own body, or another goroutine, resumed it)")
	// ErrIgnoredExit: a generator yielded while it was being closed. It is not
	// ended by that, and can go on.
	ErrIgnoredExit = errors.New("coro: generator yielded while it was being closed (return once Yield has returned an error)")
	// ErrNotRunning: Yield was called while its generator does not run.
	ErrNotRunning = errors.New("coro: yield outside of its running generator (call it in the body only)")
)

// IsExit says whether err is [ErrExit], or wraps it and nothing else. An error
// that joins ErrExit with others tells of a failure besides, and is not.
func IsExit(err error) bool {
	for err != nil {
		if err == ErrExit {
			return true
		}
		u, ok := err.(interface{ Unwrap() error })
		if !ok {
			return false
		}
		err = u.Unwrap()
	}
	return false
}

// A PanicError is a panic that left the body of a generator, with the body's
// stack. Whoever resumed the generator panics with it.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string {
	return fmt.Sprintf("coro: panic in generator: %v\n\n%s", e.Value, e.Stack)
}

// Unwrap returns the panic's value if that is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

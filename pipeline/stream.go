package pipeline

import (
	"context"
	"errors"
	"fmt"

	"github.com/rondo-go/rondo"
)

// Errors of misuse. They are found before anything runs.
var (
	// ErrConsumed: a stream is read twice.
	ErrConsumed = errors.New("pipeline: stream is read twice")
	// ErrNoSink: a branch ends nowhere.
	ErrNoSink = errors.New("pipeline: branch without a sink")
	// ErrNoStream: a zero Stream or Sink was used, or none at all.
	ErrNoStream = errors.New("pipeline: no stream (streams are made by sources such as FromSlice)")
	// ErrOption: an option or a number that makes no sense.
	ErrOption = errors.New("pipeline: bad option")
)

// ErrNotConsumed is what the source is told of an item that was not needed: the
// run has ended well, but the item was on its way.
var ErrNotConsumed = errors.New("pipeline: run has ended before the item was consumed")

// A Stream is a plan for items of type T; see the package comment. It is read
// once, by one stage or sink. The zero Stream is not usable.
type Stream[T any] struct {
	n   *node
	run runFunc[T]
}

// A runFunc runs a stream in the calling task, until its end: it calls emit for
// each item, and returns what emit returns if that is an error.
type runFunc[T any] func(ctx context.Context, r *runState, emit emitter[T]) error

// An emitter takes an item over, and its ack.
type emitter[T any] func(v T, a *ack) error

// Named names the stage that makes s, for errors, Describe and Stats. It returns
// s.
func (s Stream[T]) Named(name string) Stream[T] {
	if s.n != nil {
		s.n.name = name
	}
	return s
}

// A node is a stage of the graph.
type node struct {
	kind     string
	name     string
	inputs   []*node
	reader   *node   // who reads it
	branches []*node // of a fan-out, all of which must have a reader
	misuse   error
	started  bool
	c        counters
}

// source returns a node without inputs.
func source(kind string) *node { return &node{kind: kind} }

// stage returns a node that reads inputs.
func stage(kind string, inputs ...*node) *node {
	n := &node{kind: kind, inputs: inputs}
	for _, in := range inputs {
		switch {
		case in == nil:
			n.misuse = fmt.Errorf("%s: %w", kind, ErrNoStream)
		case in.reader != nil:
			n.misuse = fmt.Errorf("%w: %s by %s and by %s; Broadcast it to read it twice", ErrConsumed, in, in.reader, n)
		default:
			in.reader = n
		}
	}
	return n
}

// must notes that an argument is wrong.
func (n *node) must(ok bool, format string, args ...any) {
	if !ok && n.misuse == nil {
		n.misuse = fmt.Errorf("%w: %s: %s", ErrOption, n, fmt.Sprintf(format, args...))
	}
}

// String names the stage.
func (n *node) String() string {
	if n.name != "" {
		return n.kind + " " + n.name
	}
	return n.kind
}

// fails wraps an error of the stage's function. Cancellations stay as they are.
func (n *node) fails(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%s: %w", n, err)
}

// A runState is a run in progress.
type runState struct {
	loop  *rondo.Loop
	group *rondo.Group
	acks  ackSet
}

// spawn starts fn as a task of the run.
func (r *runState) spawn(n *node, fn func(ctx context.Context)) *rondo.Task[struct{}] {
	return rondo.Go(r.group, func(ctx context.Context) (struct{}, error) {
		fn(ctx)
		return struct{}{}, nil
	}, rondo.WithName(n.String()))
}

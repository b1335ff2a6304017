package pipeline

import (
	"context"
	"errors"
	"fmt"

	"github.com/rondo-go/rondo"
)

// A Pipeline is some sinks and all that leads to them. It runs once.
type Pipeline struct {
	sinks []Sink
	nodes []*node // inputs first
	err   error
}

// New makes a pipeline of sinks. Misuse is reported by [Pipeline.Run].
func New(sinks ...Sink) *Pipeline {
	p := &Pipeline{sinks: sinks}
	if len(sinks) == 0 {
		p.err = ErrNoStream
	}
	seen := make(map[*node]bool)
	for _, s := range sinks {
		if s.n == nil {
			p.err = ErrNoStream
			continue
		}
		p.visit(s.n, seen)
	}
	for _, n := range p.nodes {
		for i, b := range n.branches {
			if !seen[b] && p.err == nil {
				p.err = fmt.Errorf("%w: branch %d of %s; every branch needs a sink, in the same Run (Discard reads what nobody wants)", ErrNoSink, i, n)
			}
		}
	}
	return p
}

func (p *Pipeline) visit(n *node, seen map[*node]bool) {
	if n == nil || seen[n] {
		return
	}
	seen[n] = true
	for _, in := range n.inputs {
		p.visit(in, seen)
	}
	if n.misuse != nil && p.err == nil {
		p.err = n.misuse
	}
	p.nodes = append(p.nodes, n)
}

// Run runs sinks, together with all that leads to them, until they are done. The
// first error cancels the others.
//
// Errors: what a stage or a sink returned (a [rondo.GroupError] if several did,
// each with its own); [ErrConsumed], [ErrNoSink], [ErrNoStream], [ErrOption];
// those of [rondo.Sleep].
func Run(ctx context.Context, sinks ...Sink) error { return New(sinks...).Run(ctx) }

// Run is described at the function [Run].
func (p *Pipeline) Run(ctx context.Context) error {
	if p.err != nil {
		return p.err
	}
	for _, n := range p.nodes {
		if n.started {
			return fmt.Errorf("%w: %s has run already; make a new stream for each run", ErrConsumed, n)
		}
	}
	if rondo.CurrentTask() == nil {
		return rondo.ErrNotTask
	}
	for _, n := range p.nodes {
		n.started = true
	}
	r := &runState{loop: rondo.RunningLoop()}
	err := ErrNotConsumed // after a panic
	defer func() { r.acks.close(err) }()
	if e := plain(rondo.WithGroup(ctx, func(g *rondo.Group) error { return p.body(g, r) })); e != nil {
		err = e
		return e
	}
	return nil
}

func (p *Pipeline) body(g *rondo.Group, r *runState) error {
	r.group = g
	if len(p.sinks) == 1 {
		return p.sinks[0].call(g.Context(), r)
	}
	for _, s := range p.sinks {
		g.Go(func(ctx context.Context) error { return s.call(ctx, r) }, rondo.WithName(s.n.String()))
	}
	return nil
}

// plain takes the wrapping off a single error, or off one that several sinks have
// got from the same source.
func plain(err error) error {
	var ge *rondo.GroupError
	if !errors.As(err, &ge) || error(ge) != err {
		return err
	}
	for _, e := range ge.Errors[1:] {
		if e != ge.Errors[0] {
			return err
		}
	}
	return ge.Errors[0]
}

package main

import (
	"context"

	"github.com/rondo-go/rondo"
)

// An agen is an asynchronous generator of a scenario.
type agen struct{ *rondo.AsyncGenerator[any] }

func newAgen(r *run, name string, ops []any) *agen {
	return &agen{rondo.Generate(func(ctx context.Context, yield func(any) (any, error)) error {
		b := genBody{host: &agenHost{r, ctx, name, yield}}
		_, err := b.run(ops)
		return err
	})}
}

// An agenHost is the body of an asynchronous generator: it implements [bodyHost].
type agenHost struct {
	run  *run
	ctx  context.Context
	name string
	out  func(any) (any, error)
}

func (h *agenHost) yield(v any) (any, error) { return h.out(v) }

func (h *agenHost) mark(text string) { h.run.emit(h.name, ".", text) }

func (h *agenHost) extra(_ *genBody, op []any) error {
	if ops[op[0].(string)] == nil {
		return &errSkip{op[0].(string)}
	}
	_, err := h.run.step(h.ctx, h.name, op)
	return err
}

func (c call) agen() *agen { return c.agens[c.str(0)] }

// driven is the result of resuming a generator.
func driven(v any, ok bool, err error) (any, error) {
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return "stop", nil
	}
	return "yield:" + show(v), nil
}

var agenOps = map[string]opFunc{
	"anext": func(c call) (any, error) { return driven(c.agen().Next(c.ctx)) },
	"asend": func(c call) (any, error) { return driven(c.agen().Send(c.ctx, c.args[1])) },
	"athrow": func(c call) (any, error) {
		return driven(c.agen().Throw(c.ctx, makeRaised(c.args[1], c.args[2])))
	},
	"aclose": func(c call) (any, error) { return nil, c.agen().Aclose(c.ctx) },
	"afor": func(c call) (any, error) {
		for v, err := range c.agen().All(c.ctx) {
			if err != nil {
				return nil, err
			}
			c.emit(c.me, ".", "afor", show(v))
			if left, err := c.sub(c.ctx, 1); left != nil || err != nil {
				return left.or(nil), err
			}
		}
		return nil, nil
	},
}

package main

import (
	"slices"

	"github.com/rondo-go/rondo/coro"
)

// The family generator, on coro.Generator.

type generator = coro.Generator[any, any, any]

// A generatorRun is one run of a scenario.
type generatorRun struct {
	bodies    map[string][]any
	instances map[string]*generator
	all       []*generator // none may be collected, and so closed, during the run
	trace     []string
}

// runGenerator runs a scenario of the family generator.
//
// Errors: an [errSkip] op.
func runGenerator(s *scenario) ([]string, error) {
	r := &generatorRun{bodies: s.Gens, instances: make(map[string]*generator)}
	defer r.end()
	for _, op := range s.Drive {
		op := op.([]any)
		r.print(">", op...)
		result, err := r.drive(op)
		switch {
		case isSkip(err):
			return nil, err
		case err != nil:
			r.print("<", "raise", err)
		default:
			r.print("<", result...)
		}
	}
	return r.trace, nil
}

// end closes all generators, those too that yield while they are closed. What
// they print is no part of the trace.
func (r *generatorRun) end() {
	for _, g := range r.all {
		for g.State() == coro.Suspended {
			g.Close()
		}
	}
}

func (r *generatorRun) print(what string, words ...any) {
	r.trace = append(r.trace, what+" "+line(words...))
}

// drive runs one op of the driver. It returns the words of its result.
func (r *generatorRun) drive(op []any) ([]any, error) {
	name, _ := op[1].(string)
	g := r.instances[name]
	switch op[0] {
	case "new":
		r.instances[name] = r.make(op[2].(string), name)
		return []any{"ok"}, nil
	case "next":
		return step(g, g.Next)
	case "send":
		if op[2] == nil { // no value is sent
			return step(g, g.Next)
		}
		return step(g, func() (any, bool, error) { return g.Send(op[2]) })
	case "throw":
		return step(g, func() (any, bool, error) { return g.Throw(makeRaised(op[2], op[3])) })
	case "close":
		v, err := g.Close()
		return []any{"closed", v}, err
	case "iter":
		for v, err := range g.Seq2() {
			if err != nil {
				return nil, err
			}
			r.print("*", v)
		}
		return []any{"end"}, nil
	}
	return nil, &errSkip{op[0].(string)}
}

// step resumes g, and tells a value that is yielded from one that is returned. A
// generator returns its value once; after that it has none.
func step(g *generator, resume func() (any, bool, error)) ([]any, error) {
	ended := g.State() == coro.Closed
	v, ok, err := resume()
	if err != nil {
		return nil, err
	}
	if ok {
		return []any{"yield", v}, nil
	}
	if !ended {
		v, _ = g.Result()
	}
	return []any{"return", v}, nil
}

// make makes a generator of the body with that name.
func (r *generatorRun) make(bodyName, me string) *generator {
	g := coro.New(func(y coro.Yield[any, any]) (any, error) {
		b := genBody{host: &generatorHost{r, me, y}}
		return b.run(r.bodies[bodyName])
	})
	r.all = append(r.all, g)
	return g
}

// A generatorHost is the host of one running generator.
type generatorHost struct {
	run *generatorRun
	me  string
	y   coro.Yield[any, any]
}

func (h *generatorHost) yield(v any) (any, error) { return h.y(v) }

func (h *generatorHost) mark(text string) { h.run.print(".", h.me, text) }

func (h *generatorHost) extra(b *genBody, op []any) error {
	switch op[0] {
	case "from":
		name := op[1].(string)
		ret, err := coro.YieldFrom(h.y, h.run.make(name, h.me+"/"+name))
		if err != nil {
			return err
		}
		b.ret = ret
		h.mark(line("from", ret))
		return nil
	case "list":
		return coro.YieldFromSeq(h.y, slices.Values(op[1].([]any)))
	case "raise":
		return makeRaised(op[1], op[2])
	}
	return &errSkip{op[0].(string)}
}

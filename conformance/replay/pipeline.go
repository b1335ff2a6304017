package main

import (
	"math"
	"slices"

	"github.com/rondo-go/rondo/coro"
)

// The family pipeline: stages are coro.Generators that are sent values, and send
// values on.

type nothing = struct{}

type stage = coro.Generator[nothing, any, nothing]

// A pipelineRun is one run of a scenario.
type pipelineRun struct {
	stages map[string]*stage
	trace  []string
}

// A target is a stage with its name.
type target struct {
	name string
	*stage
}

// What a stage does. Step is called for each value; the stage returns if it says
// that there is to be no more. End is called before the stage closes its
// targets, with the error that ends it, and returns the one that is to go on.
type conduct struct {
	step func(v float64) (more bool, err error)
	end  func(err error) error
}

// runPipeline runs a scenario of the family pipeline.
//
// Errors: an [errSkip] op or stage.
func runPipeline(s *scenario) ([]string, error) {
	r := &pipelineRun{stages: make(map[string]*stage)}
	defer r.end()
	for _, spec := range s.Stages {
		if err := r.build(spec.([]any)); err != nil {
			return nil, err
		}
	}
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
			r.print("<", result)
		}
	}
	return r.trace, nil
}

// end closes all stages. What they print is no part of the trace.
func (r *pipelineRun) end() {
	for _, s := range r.stages {
		s.Close()
	}
}

func (r *pipelineRun) print(what string, words ...any) {
	r.trace = append(r.trace, what+" "+line(words...))
}

// build makes a stage of [name, kind, argument..., target], and runs it to its
// first yield.
func (r *pipelineRun) build(spec []any) error {
	name, kind, args := spec[0].(string), spec[1].(string), spec[2:]
	var targets []target
	if len(args) > 0 {
		names, ok := args[len(args)-1].([]any)
		if !ok {
			names = args[len(args)-1:]
		}
		for _, n := range names {
			targets = append(targets, target{n.(string), r.stages[n.(string)]})
		}
	}
	c, err := r.conduct(name, kind, args, targets)
	if err != nil {
		return err
	}
	s := r.make(name, targets, c)
	r.stages[name] = s
	_, _, err = s.Next()
	return err
}

// make makes a stage. However it ends, it closes its targets as its last act.
func (r *pipelineRun) make(name string, targets []target, c conduct) *stage {
	return coro.New(func(y coro.Yield[nothing, any]) (_ nothing, err error) {
		defer func() {
			if c.end != nil {
				err = c.end(err)
			}
			r.print(".", name, "close")
			for _, t := range targets {
				if _, failed := t.Close(); failed != nil {
					err = failed
					return
				}
			}
		}()
		for more := true; more; {
			v, err := y(nothing{})
			if err != nil {
				return nothing{}, err
			}
			if more, err = c.step(v.(float64)); err != nil {
				return nothing{}, err
			}
		}
		return nothing{}, nil
	})
}

// push sends v to t. It is false if t has ended, before or by that.
func push(t *stage, v float64) (bool, error) {
	_, ok, err := t.Send(v)
	return ok, err
}

// conduct returns what a stage of that kind does.
func (r *pipelineRun) conduct(name, kind string, args []any, targets []target) (conduct, error) {
	mark := func(words ...any) { r.print(".", append([]any{name}, words...)...) }
	number := func(i int) float64 { return args[i].(float64) }
	var next *stage // of the kinds with one target
	if len(targets) > 0 {
		next = targets[0].stage
	}
	switch kind {
	case "sink":
		return conduct{step: func(v float64) (bool, error) {
			mark("got", v)
			return true, nil
		}}, nil
	case "sum":
		total := 0.0
		return conduct{
			func(v float64) (bool, error) {
				total += v
				return true, nil
			},
			func(err error) error {
				mark("total", total)
				return err
			},
		}, nil
	case "filter":
		test, k := tests[args[0].(string)], number(1)
		return conduct{step: func(v float64) (bool, error) {
			if !test(v, k) {
				return true, nil
			}
			mark("pass", v)
			return push(next, v)
		}}, nil
	case "map":
		f, k := mappings[args[0].(string)], number(1)
		return conduct{step: func(v float64) (bool, error) { return push(next, f(v, k)) }}, nil
	case "take":
		left := number(0)
		return conduct{step: func(v float64) (bool, error) {
			left--
			ok, err := push(next, v)
			return ok && left > 0, err
		}}, nil
	case "batch":
		return batch(int(number(0)), next, mark), nil
	case "broadcast":
		alive := slices.Clone(targets)
		return conduct{step: func(v float64) (bool, error) {
			for _, t := range slices.Clone(alive) {
				ok, err := push(t.stage, v)
				if err != nil {
					return false, err
				}
				if !ok {
					mark("drop", t.name)
					alive = slices.DeleteFunc(alive, func(a target) bool { return a == t })
				}
			}
			return len(alive) > 0, nil
		}}, nil
	case "fail":
		k := number(0)
		return conduct{step: func(v float64) (bool, error) {
			if v == k {
				return false, &raised{"V", v}
			}
			return push(next, v)
		}}, nil
	case "guard":
		return conduct{step: func(v float64) (bool, error) {
			ok, err := push(next, v)
			if err != nil && catches("V", err) {
				mark("caught", err)
				return true, nil
			}
			return ok, err
		}}, nil
	}
	return conduct{}, &errSkip{"stage " + kind}
}

var tests = map[string]func(v, k float64) bool{
	"even": func(v, _ float64) bool { return math.Mod(v, 2) == 0 },
	"odd":  func(v, _ float64) bool { return math.Abs(math.Mod(v, 2)) == 1 },
	"gt":   func(v, k float64) bool { return v > k },
	"lt":   func(v, k float64) bool { return v < k },
}

var mappings = map[string]func(v, k float64) float64{
	"add": func(v, k float64) float64 { return v + k },
	"mul": func(v, k float64) float64 { return v * k },
}

// batch pushes the sum of each n values, and when it is closed that of the rest.
func batch(n int, next *stage, mark func(...any)) conduct {
	count, sum := 0, 0.0
	return conduct{
		func(v float64) (bool, error) {
			count, sum = count+1, sum+v
			if count < n {
				return true, nil
			}
			total := sum
			count, sum = 0, 0
			return push(next, total)
		},
		func(err error) error {
			if !coro.IsExit(err) || count == 0 {
				return err
			}
			mark("flush", count)
			_, err = push(next, sum)
			return err
		},
	}
}

// drive runs one op of the driver.
func (r *pipelineRun) drive(op []any) (string, error) {
	name, _ := op[1].(string)
	s := r.stages[name]
	answer := func(ok bool, err error) (string, error) {
		if !ok {
			return "ended", err
		}
		return "ok", err
	}
	switch op[0] {
	case "send":
		return answer(push(s, op[2].(float64)))
	case "throw":
		_, ok, err := s.Throw(makeRaised(op[2], op[3]))
		return answer(ok, err)
	case "close":
		_, err := s.Close()
		return "ok", err
	case "source":
		for _, v := range op[2].([]any) {
			ok, err := push(s, v.(float64))
			if err != nil {
				return "", err
			}
			if !ok {
				break
			}
		}
		_, err := s.Close()
		return "ok", err
	}
	return "", &errSkip{op[0].(string)}
}

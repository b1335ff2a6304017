package coro

import (
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// The rules of PEP 342 and PEP 380, twice: as random bodies run by generators,
// and as a state machine that only knows where each body stands.

type opKind int

const (
	opYield opKind = iota // of n
	opFrom                // sub
	opList                // of the values 0 to n-1
	opKinds
)

// A policy says what a body does about an error that arises at an op.
type policy int

const (
	letOut policy = iota
	swallow
	answer  // return 100 + n
	replace // raise errReplaced
	policies
)

type op struct {
	kind   opKind
	n      int
	policy policy
	sub    program
}

type program []op

var errThrown, errReplaced = errors.New("thrown"), errors.New("replaced")

func drawProgram(t *rapid.T, depth int) program {
	p := make(program, rapid.IntRange(0, 3).Draw(t, "len"))
	for i := range p {
		o := &p[i]
		o.kind = opKind(rapid.IntRange(0, int(opKinds)-1).Draw(t, "kind"))
		o.n = rapid.IntRange(0, 3).Draw(t, "n")
		o.policy = policy(rapid.IntRange(0, int(policies)-1).Draw(t, "policy"))
		if o.kind == opFrom {
			if depth == 0 {
				o.kind = opYield
			} else {
				o.sub = drawProgram(t, depth-1)
			}
		}
	}
	return p
}

// generator runs p. It returns the sum of what it was sent and what its
// delegates returned.
func (p program) generator() *Generator[int, int, int] {
	return New(func(y Yield[int, int]) (int, error) {
		sum := 0
		for _, o := range p {
			var got int
			var err error
			switch o.kind {
			case opYield:
				got, err = y(o.n)
			case opFrom:
				got, err = YieldFrom(y, o.sub.generator())
			case opList:
				err = YieldFromSeq(y, func(yield func(int) bool) {
					for i := range o.n {
						if !yield(i) {
							return
						}
					}
				})
			}
			switch {
			case err == nil:
				sum += got
			case o.policy == letOut:
				return 0, err
			case o.policy == answer:
				return 100 + o.n, nil
			case o.policy == replace:
				return 0, errReplaced
			}
		}
		return sum, nil
	})
}

type model struct {
	p     program
	pc    int
	state State
	inner *model // of the opFrom at pc
	item  int    // of the opList at pc
	sum   int
}

// An outcome is what resuming answers: yield v, return v, or an error.
type outcome struct {
	v      int
	yields bool
	err    error
}

func (o outcome) String() string {
	switch {
	case o.err != nil:
		return "raise " + o.err.Error()
	case o.yields:
		return fmt.Sprint("yield ", o.v)
	}
	return fmt.Sprint("return ", o.v)
}

func (m *model) resume(sent int, isSend bool, thrown error) outcome {
	switch {
	case m.state == Closed, m.state == Created && thrown != nil:
		m.state = Closed
		return outcome{err: thrown}
	case m.state == Created && isSend:
		return outcome{err: ErrNotStarted}
	case m.state == Created:
		m.state = Suspended
		return m.run()
	}
	o := m.p[m.pc]
	switch {
	case o.kind == opFrom && IsExit(thrown):
		if _, err := m.inner.close(); err != nil {
			thrown = err
		}
		return m.arise(thrown)
	case o.kind == opFrom:
		return m.delegated(m.inner.resume(sent, isSend, thrown))
	case thrown != nil:
		return m.arise(thrown)
	case o.kind == opYield:
		m.sum += sent
		m.pc++
	case o.kind == opList:
		m.item++
	}
	return m.run()
}

// arise is an error at the op where m stands.
func (m *model) arise(err error) outcome {
	o := m.p[m.pc]
	switch o.policy {
	case letOut:
		m.state = Closed
		return outcome{err: err}
	case answer:
		m.state = Closed
		return outcome{v: 100 + o.n}
	case replace:
		m.state = Closed
		return outcome{err: errReplaced}
	}
	m.pc, m.inner, m.item = m.pc+1, nil, 0
	return m.run()
}

func (m *model) delegated(out outcome) outcome {
	switch {
	case out.err != nil:
		return m.arise(out.err)
	case out.yields:
		return out
	}
	m.sum += out.v
	m.pc, m.inner = m.pc+1, nil
	return m.run()
}

// run goes on to the next yield.
func (m *model) run() outcome {
	for m.pc < len(m.p) {
		switch o := m.p[m.pc]; {
		case o.kind == opYield:
			return outcome{v: o.n, yields: true}
		case o.kind == opFrom:
			m.inner = &model{p: o.sub}
			return m.delegated(m.inner.resume(0, false, nil))
		case m.item < o.n:
			return outcome{v: m.item, yields: true}
		}
		m.pc, m.item = m.pc+1, 0
	}
	m.state = Closed
	return outcome{v: m.sum}
}

func (m *model) close() (int, error) {
	if m.state != Suspended {
		m.state = Closed
		return 0, nil
	}
	switch out := m.resume(0, false, ErrExit); {
	case out.yields:
		return 0, ErrIgnoredExit
	case IsExit(out.err):
		return 0, nil
	default:
		return out.v, out.err
	}
}

func TestGeneratorFollowsTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawProgram(t, 2)
		g, m := p.generator(), &model{p: p}
		for range rapid.IntRange(1, 12).Draw(t, "calls") {
			var got, want outcome
			was := m.state
			call := rapid.SampledFrom([]string{"next", "next", "send", "throw", "exit", "close"}).Draw(t, "call")
			switch call {
			case "next":
				got.v, got.yields, got.err = g.Next()
				want = m.resume(0, false, nil)
			case "send":
				got.v, got.yields, got.err = g.Send(7)
				want = m.resume(7, true, nil)
			case "throw":
				got.v, got.yields, got.err = g.Throw(errThrown)
				want = m.resume(0, false, errThrown)
			case "exit":
				got.v, got.yields, got.err = g.Throw(ErrExit)
				want = m.resume(0, false, ErrExit)
			case "close":
				got.v, got.err = g.Close()
				want.v, want.err = m.close()
			}
			if !got.yields && got.err == nil && call != "close" && was != Closed {
				got.v, _ = g.Result()
			}
			if got.String() != want.String() {
				t.Fatalf("%s: got %v, want %v", call, got, want)
			}
			if g.State() != m.state {
				t.Fatalf("%s: %v, want %v", call, g.State(), m.state)
			}
		}
		for range 50 { // what ignores its exit several times
			if _, err := g.Close(); err == nil {
				break
			}
		}
	})
}

package coro

import "iter"

// FromSeq makes a generator of the values of seq. An error that is thrown ends
// it, as closing does; seq then sees its loop left.
func FromSeq[Y any](seq iter.Seq[Y]) *Generator[Y, struct{}, struct{}] {
	return New(func(y Yield[Y, struct{}]) (none struct{}, err error) {
		return none, YieldFromSeq(y, seq)
	})
}

// FromSeq2 makes a generator of the values of seq. The first error ends it.
func FromSeq2[Y any](seq iter.Seq2[Y, error]) *Generator[Y, struct{}, struct{}] {
	return New(func(y Yield[Y, struct{}]) (none struct{}, err error) {
		for v, err := range seq {
			if err != nil {
				return none, err
			}
			if _, err := y(v); err != nil {
				return none, err
			}
		}
		return none, nil
	})
}

// Seq2 ranges over what the generator yields, from where it stands to its end.
// The error that ends it, if any, comes last, with a zero value. Leaving the
// loop early leaves the generator suspended, as Python does: it can go on, or be
// closed.
func (g *Generator[Y, S, R]) Seq2() iter.Seq2[Y, error] {
	return func(yield func(Y, error) bool) {
		for {
			v, ok, err := g.Next()
			if err != nil {
				yield(v, err)
				return
			}
			if !ok || !yield(v, nil) {
				return
			}
		}
	}
}

// Seq is [Generator.Seq2] for generators that do not fail. If one does, Seq
// panics with the error.
func (g *Generator[Y, S, R]) Seq() iter.Seq[Y] {
	return func(yield func(Y) bool) {
		for v, err := range g.Seq2() {
			if err != nil {
				panic(err)
			}
			if !yield(v) {
				return
			}
		}
	}
}

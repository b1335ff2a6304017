package rondo

import "iter"

// What follows stands for Python's asynchronous comprehensions. An asynchronous
// sequence is an iter.Seq2 of values and errors, such as [AsyncGenerator.All]
// gives: its iterator may park, and an error is its last pair. A result passes
// the error on and ends with it.
//
// Nothing runs before the result is ranged over, and then in the ranging task.
// Leaving the loop leaves the loops over the sources.

// Map calls f on each value. An error of f ends the result.
func Map[T, U any](seq iter.Seq2[T, error], f func(T) (U, error)) iter.Seq2[U, error] {
	return func(yield func(U, error) bool) {
		for v, err := range seq {
			var u U
			if err == nil {
				u, err = f(v)
			}
			if !yield(u, err) || err != nil {
				return
			}
		}
	}
}

// Filter keeps the values for which keep returns true. An error of keep ends the
// result.
func Filter[T any](seq iter.Seq2[T, error], keep func(T) (bool, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for v, err := range seq {
			kept := false
			if err == nil {
				kept, err = keep(v)
			}
			if err != nil {
				var zero T
				yield(zero, err)
				return
			}
			if kept && !yield(v, nil) {
				return
			}
		}
	}
}

// Take ends after n values; it does not ask for another one.
func Take[T any](seq iter.Seq2[T, error], n int) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		left := n
		if left <= 0 {
			return
		}
		for v, err := range seq {
			left--
			if !yield(v, err) || err != nil || left == 0 {
				return
			}
		}
	}
}

// Indexed is a value of [Enumerate].
type Indexed[T any] struct {
	Index int
	Value T
}

// Enumerate counts the values, from 0.
func Enumerate[T any](seq iter.Seq2[T, error]) iter.Seq2[Indexed[T], error] {
	return func(yield func(Indexed[T], error) bool) {
		i := -1
		Map(seq, func(v T) (Indexed[T], error) {
			i++
			return Indexed[T]{i, v}, nil
		})(yield)
	}
}

// Pair is a value of [Zip].
type Pair[A, B any] struct {
	First  A
	Second B
}

// Zip pairs the values of a with those of b, and ends with the shorter one. For
// each pair it asks a first.
func Zip[A, B any](a iter.Seq2[A, error], b iter.Seq2[B, error]) iter.Seq2[Pair[A, B], error] {
	return func(yield func(Pair[A, B], error) bool) {
		next, stop := iter.Pull2(b)
		defer stop()
		for v, err := range a {
			p := Pair[A, B]{First: v}
			if err == nil {
				var ok bool
				if p.Second, err, ok = next(); !ok {
					return
				}
			}
			if err != nil {
				yield(Pair[A, B]{}, err)
				return
			}
			if !yield(p, nil) {
				return
			}
		}
	}
}

// Collect returns the values as a slice. With an error it returns those that
// came before.
func Collect[T any](seq iter.Seq2[T, error]) ([]T, error) {
	var all []T
	for v, err := range seq {
		if err != nil {
			return all, err
		}
		all = append(all, v)
	}
	return all, nil
}

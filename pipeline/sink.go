package pipeline

import (
	"context"
	"errors"
)

// A Sink is the end of a stream, for [Run]. The zero Sink is not usable.
type Sink struct {
	n       *node
	run     func(ctx context.Context, r *runState) error
	onError func(error)
}

// Named names the sink.
func (s Sink) Named(name string) Sink {
	if s.n != nil {
		s.n.name = name
	}
	return s
}

// Isolated returns a sink whose errors go to h and leave the other sinks of the
// run alone. Cancellation of the run is not among them.
func (s Sink) Isolated(h func(err error)) Sink {
	s.onError = h
	return s
}

func (s Sink) call(ctx context.Context, r *runState) error {
	err := s.run(ctx, r)
	if err != nil && s.onError != nil && !errors.Is(err, context.Canceled) {
		s.onError(err)
		return nil
	}
	return err
}

// sink makes a Sink that calls take with each item.
func sink[T any](kind string, s Stream[T], take func(v T)) Sink {
	n := stage(kind, s.n)
	return Sink{n: n, run: func(ctx context.Context, r *runState) error {
		return s.run(ctx, r, func(v T, a *ack) error {
			n.c.in++
			take(v)
			a.done(nil)
			return nil
		})
	}}
}

// Discard reads a stream for its effects.
func Discard[T any](s Stream[T]) Sink { return sink("discard", s, func(T) {}) }

// Append appends the items to *to.
func Append[T any](s Stream[T], to *[]T) Sink {
	return sink("collect", s, func(v T) { *to = append(*to, v) })
}

// Fold calls f with *acc and each item, and puts the result into *acc.
func Fold[A, T any](s Stream[T], acc *A, f func(A, T) A) Sink {
	return sink("reduce", s, func(v T) { *acc = f(*acc, v) })
}

// Each calls f with each item; f may park. An error of f ends the run. The options
// are those of [Map]: with InFlight(n), n calls go on at once.
func Each[T any](s Stream[T], f func(ctx context.Context, v T) error, opts ...Option) Sink {
	n := stage("foreach", s.n)
	o := makeOptions[T](n, opts)
	if o.workers > 0 || o.special() {
		m := mapStage(n, s, func(ctx context.Context, v T) (struct{}, error) { return struct{}{}, f(ctx, v) }, o)
		return Sink{n: n, run: func(ctx context.Context, r *runState) error {
			return m(ctx, r, func(_ struct{}, a *ack) error {
				a.done(nil)
				return nil
			})
		}}
	}
	return Sink{n: n, run: func(ctx context.Context, r *runState) error {
		return s.run(ctx, r, func(v T, a *ack) error {
			start := n.c.begin(r)
			err := n.fails(f(ctx, v))
			n.c.finish(r, start)
			a.done(err)
			return err
		})
	}}
}

// firstSink puts the first item into *to and sets *ok, and reads no more.
func firstSink[T any](s Stream[T], to *T, ok *bool) Sink {
	return sink("first", Take(s, 1), func(v T) { *to, *ok = v, true })
}

// ForEach runs s and calls f with each item. See [Each] and [Run].
func ForEach[T any](ctx context.Context, s Stream[T], f func(ctx context.Context, v T) error, opts ...Option) error {
	return Run(ctx, Each(s, f, opts...))
}

// Reduce runs s and folds its items into acc. With an error it returns what it
// had by then. See [Run].
func Reduce[A, T any](ctx context.Context, s Stream[T], acc A, f func(A, T) A) (A, error) {
	err := Run(ctx, Fold(s, &acc, f))
	return acc, err
}

// Collect runs s and returns its items. With an error it returns those that came
// before. See [Run].
func Collect[T any](ctx context.Context, s Stream[T]) ([]T, error) {
	var all []T
	err := Run(ctx, Append(s, &all))
	return all, err
}

// First runs s until its first item. If there is none, ok is false. See [Run].
func First[T any](ctx context.Context, s Stream[T]) (v T, ok bool, err error) {
	err = Run(ctx, firstSink(s, &v, &ok))
	return v, ok, err
}

package pipeline

import "context"

// Map calls f on each item; f may park. An error of f ends the stream, unless
// there is a [DeadLetter]. Without options it runs in the task of the stage
// before.
func Map[T, U any](s Stream[T], f func(ctx context.Context, v T) (U, error), opts ...Option) Stream[U] {
	n := stage("map", s.n)
	return Stream[U]{n, mapStage(n, s, f, makeOptions[T](n, opts))}
}

// Apply is [Map] with a function that neither fails nor parks.
func Apply[T, U any](s Stream[T], f func(T) U) Stream[U] {
	n := stage("apply", s.n)
	return Stream[U]{n, func(ctx context.Context, r *runState, emit emitter[U]) error {
		return s.run(ctx, r, func(v T, a *ack) error {
			n.c.in++
			n.c.out++
			return emit(f(v), a)
		})
	}}
}

func mapStage[T, U any](n *node, s Stream[T], f func(context.Context, T) (U, error), o *callOptions[T]) runFunc[U] {
	f = wrap(o, f)
	if o.workers > 0 {
		return func(ctx context.Context, r *runState, emit emitter[U]) error {
			return mapInFlight(ctx, r, n, s, f, o, emit)
		}
	}
	return func(ctx context.Context, r *runState, emit emitter[U]) error {
		return s.run(ctx, r, func(v T, a *ack) error {
			start := n.c.begin(r)
			u, err := f(ctx, v)
			n.c.finish(r, start)
			if err != nil {
				buried, err := o.bury(ctx, v, n.fails(err))
				a.done(err)
				if buried {
					n.c.dropped++
				}
				return err
			}
			n.c.out++
			return emit(u, a)
		})
	}
}

// FlatMap calls f on each item and passes on the items of the result, one by one.
// It takes the options of [Map].
func FlatMap[T, U any](s Stream[T], f func(ctx context.Context, v T) ([]U, error), opts ...Option) Stream[U] {
	n := stage("flatmap", s.n)
	return Stream[U]{n, flatten(mapStage(n, s, f, makeOptions[T](n, opts)))}
}

// Flatten passes on the items of slices, one by one.
func Flatten[T any](s Stream[[]T]) Stream[T] {
	return Stream[T]{stage("flatten", s.n), flatten(s.run)}
}

func flatten[T any](run runFunc[[]T]) runFunc[T] {
	return func(ctx context.Context, r *runState, emit emitter[T]) error {
		return run(ctx, r, func(vs []T, a *ack) error {
			a.share(len(vs)) // one more than needed: held until all are out
			for _, v := range vs {
				if err := emit(v, a); err != nil {
					return err
				}
			}
			a.done(nil)
			return nil
		})
	}
}

// Failed is an item whose call failed.
type Failed[T any] struct {
	Item T
	Err  error
}

// Try is [Map] that passes on the items that failed as a stream of their own,
// with the errors. Both streams must be read, in one [Run].
func Try[T, U any](s Stream[T], f func(ctx context.Context, v T) (U, error), opts ...Option) (Stream[U], Stream[Failed[T]]) {
	n := stage("try", s.n)
	ok, dead := &node{kind: "ok", inputs: []*node{n}}, &node{kind: "failed", inputs: []*node{n}}
	n.branches = []*node{ok, dead}
	o := makeOptions[T](n, opts)
	n.must(o.letter == nil, "DeadLetter together with Try; one of them gets the failed items")
	h := &later[Failed[T]]{}
	f = wrap(o, f)
	type outcome struct {
		u   U
		bad *Failed[T]
	}
	m := mapStage(n, s, func(ctx context.Context, v T) (outcome, error) {
		u, err := f(ctx, v)
		if err = n.fails(err); err != nil && !isCancellation(err) {
			return outcome{bad: &Failed[T]{v, err}}, nil
		}
		return outcome{u: u}, err
	}, &callOptions[T]{options: options{workers: o.workers, unordered: o.unordered}})
	good := func(ctx context.Context, r *runState, emit emitter[U]) error {
		p := h.pipe(r, dead)
		err := m(ctx, r, func(x outcome, a *ack) error {
			if x.bad == nil {
				ok.c.out++
				return emit(x.u, a)
			}
			err := p.put(ctx, *x.bad, a)
			if err == errLeft { // nobody wants failed items any more
				a.done(x.bad.Err)
				return nil
			}
			return err
		})
		if isStop(err) {
			p.finish(nil)
		} else {
			p.finish(err)
		}
		return err
	}
	bad := func(ctx context.Context, r *runState, emit emitter[Failed[T]]) error {
		p := h.pipe(r, dead)
		defer p.leave()
		return p.drain(ctx, emit)
	}
	return Stream[U]{ok, good}, Stream[Failed[T]]{dead, bad}
}

// later is a pipe that is made by the first of its two ends.
type later[T any] struct{ p *pipe[T] }

func (l *later[T]) pipe(r *runState, n *node) *pipe[T] {
	if l.p == nil {
		l.p = newPipe[T](r, &n.c, defaultSize)
	}
	return l.p
}

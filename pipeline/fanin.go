package pipeline

import (
	"context"

	"github.com/rondo-go/rondo"
)

func nodesOf[T any](ss []Stream[T]) []*node {
	var ns []*node
	for _, s := range ss {
		ns = append(ns, s.n)
	}
	return ns
}

// Merge passes on the items of all streams as they come. The first error ends it.
func Merge[T any](ss ...Stream[T]) Stream[T] {
	n := stage("merge", nodesOf(ss)...)
	return Stream[T]{n, func(ctx context.Context, r *runState, emit emitter[T]) error {
		if len(ss) == 0 {
			return nil
		}
		p := newPipe[T](r, &n.c, defaultSize)
		var tasks []*rondo.Task[struct{}]
		for _, s := range ss {
			tasks = append(tasks, feed(r, s, p))
		}
		defer func() {
			p.leave()
			for _, t := range tasks {
				t.Cancel("")
			}
		}()
		return p.drain(ctx, emit)
	}}
}

// Chain passes on the items of the first stream, then those of the second, and so
// on. A stream runs when its turn has come; so branches of one fan-out do not
// belong into one Chain.
func Chain[T any](ss ...Stream[T]) Stream[T] {
	n := stage("chain", nodesOf(ss)...)
	return Stream[T]{n, func(ctx context.Context, r *runState, emit emitter[T]) error {
		for _, s := range ss {
			err := s.run(ctx, r, func(v T, a *ack) error {
				n.c.in++
				n.c.out++
				return emit(v, a)
			})
			if err != nil {
				return err
			}
		}
		return nil
	}}
}

// Zip pairs the items of a with those of b, and ends with the shorter one.
func Zip[A, B any](a Stream[A], b Stream[B]) Stream[rondo.Pair[A, B]] {
	n := stage("zip", a.n, b.n)
	return Stream[rondo.Pair[A, B]]{n, func(ctx context.Context, r *runState, emit emitter[rondo.Pair[A, B]]) error {
		p, q := newPipe[A](r, &n.c, defaultSize), newPipe[B](r, &n.c, defaultSize)
		n.c.waiting = func() int { return p.n + q.n }
		t, u := feed(r, a, p), feed(r, b, q)
		defer func() {
			p.leave()
			q.leave()
			t.Cancel("")
			u.Cancel("")
		}()
		for {
			x, ok, err := p.next(ctx)
			if !ok {
				return err
			}
			y, ok, err := q.next(ctx)
			if !ok {
				return err
			}
			n.c.out++
			if err := emit(rondo.Pair[A, B]{First: x.v, Second: y.v}, join(x.a, y.a)); err != nil {
				return err
			}
		}
	}}
}

// Latest passes on, at each item of either stream, the latest of both, once both
// have had one. It ends when both have.
func Latest[A, B any](a Stream[A], b Stream[B]) Stream[rondo.Pair[A, B]] {
	type either struct {
		a   A
		b   B
		isA bool
	}
	m := Merge(Apply(a, func(v A) either { return either{a: v, isA: true} }), Apply(b, func(v B) either { return either{b: v} }))
	n := stage("latest", m.n)
	return fused(n, m, func(_ context.Context, _ *runState, emit emitter[rondo.Pair[A, B]]) (emitter[either], func() error) {
		var last rondo.Pair[A, B]
		var hasA, hasB bool
		return func(v either, a *ack) error {
			if v.isA {
				last.First, hasA = v.a, true
			} else {
				last.Second, hasB = v.b, true
			}
			if hasA && hasB {
				return emit(last, a)
			}
			a.done(nil)
			return nil
		}, nil
	})
}

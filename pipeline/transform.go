package pipeline

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/rondo-go/rondo"
)

// defaultSize is how many items lie between two tasks if nobody says otherwise.
const defaultSize = 128

// stopError is how a stage that has enough stops those before it. Each run of a
// stage has its own, so that it knows it when it comes back.
type stopError struct{ _ byte }

func (*stopError) Error() string { return "pipeline: enough" }

func isStop(err error) bool {
	_, ok := err.(*stopError)
	return ok || err == errLeft
}

func isCancellation(err error) bool { return errors.Is(err, context.Canceled) }

// fused makes a stage that runs in the task of the one before. Each run calls make
// for its state; take is called with each item and owes its ack.
func fused[T, U any](n *node, s Stream[T], make func(ctx context.Context, r *runState, emit emitter[U]) (take emitter[T], flush func() error)) Stream[U] {
	return Stream[U]{n, func(ctx context.Context, r *runState, emit emitter[U]) error {
		take, flush := make(ctx, r, func(v U, a *ack) error {
			n.c.out++
			return emit(v, a)
		})
		err := s.run(ctx, r, func(v T, a *ack) error {
			n.c.in++
			return take(v, a)
		})
		if err == nil && flush != nil {
			err = flush()
		}
		return err
	}}
}

// Filter keeps the items for which keep returns true.
func Filter[T any](s Stream[T], keep func(T) bool) Stream[T] {
	n := stage("filter", s.n)
	return fused(n, s, func(_ context.Context, _ *runState, emit emitter[T]) (emitter[T], func() error) {
		return func(v T, a *ack) error {
			if keep(v) {
				return emit(v, a)
			}
			a.done(nil)
			return nil
		}, nil
	})
}

// Scan passes on each intermediate result of folding the items into acc.
func Scan[A, T any](s Stream[T], acc A, f func(A, T) A) Stream[A] {
	n := stage("scan", s.n)
	return fused(n, s, func(_ context.Context, _ *runState, emit emitter[A]) (emitter[T], func() error) {
		return func(v T, a *ack) error {
			acc = f(acc, v)
			return emit(acc, a)
		}, nil
	})
}

// Unique leaves out items that have come before. It remembers all of them.
func Unique[T comparable](s Stream[T]) Stream[T] {
	u := UniqueBy(s, func(v T) T { return v })
	u.n.kind = "unique"
	return u
}

// UniqueBy leaves out items whose key has come before. It remembers all keys.
func UniqueBy[T any, K comparable](s Stream[T], key func(T) K) Stream[T] {
	seen := make(map[K]struct{})
	u := Filter(s, func(v T) bool {
		k := key(v)
		_, had := seen[k]
		seen[k] = struct{}{}
		return !had
	})
	u.n.kind = "unique"
	return u
}

// Take ends after k items, and then ends what comes before it.
func Take[T any](s Stream[T], k int) Stream[T] {
	n := stage("take", s.n)
	n.must(k >= 0, "Take(%d); it must not be negative", k)
	return Stream[T]{n, func(ctx context.Context, r *runState, emit emitter[T]) error {
		if k == 0 {
			return nil
		}
		enough := new(stopError)
		err := s.run(ctx, r, func(v T, a *ack) error {
			n.c.in++
			n.c.out++
			err := emit(v, a)
			if n.c.out == k && err == nil {
				err = enough
			}
			return err
		})
		if err == enough {
			return nil
		}
		return err
	}}
}

// Buffer lets up to size items wait between two tasks: what comes before it and
// what comes after it go on independently.
func Buffer[T any](s Stream[T], size int) Stream[T] {
	n := stage("buffer", s.n)
	n.must(size > 0, "Buffer(%d); it must be above zero", size)
	return Stream[T]{n, func(ctx context.Context, r *runState, emit emitter[T]) error {
		return read(ctx, r, s, newPipe[T](r, &n.c, size), emit)
	}}
}

// Batch passes items on in slices of size, the last one maybe shorter. With a
// within above zero, a slice is passed on at the latest that long after its first
// item came. The slices are the receiver's to keep.
func Batch[T any](s Stream[T], size int, within time.Duration) Stream[[]T] {
	n := stage("batch", s.n)
	n.must(size > 0, "Batch(%d); it must be above zero", size)
	if within <= 0 {
		return fused(n, s, func(_ context.Context, _ *runState, emit emitter[[]T]) (emitter[T], func() error) {
			b := &batch[T]{size: size, emit: emit}
			return b.add, b.flush
		})
	}
	return Stream[[]T]{n, func(ctx context.Context, r *runState, emit emitter[[]T]) error {
		p := newPipe[T](r, &n.c, size)
		t := feed(r, s, p)
		defer func() {
			p.leave()
			t.Cancel("")
		}()
		b := &batch[T]{size: size, emit: func(vs []T, a *ack) error {
			n.c.out++
			return emit(vs, a)
		}}
		return b.timed(ctx, r, p, within)
	}}
}

type batch[T any] struct {
	size int
	vs   []T
	as   []*ack
	emit emitter[[]T]
}

func (b *batch[T]) add(v T, a *ack) error {
	b.vs = append(b.vs, v)
	if a != nil {
		b.as = append(b.as, a)
	}
	if len(b.vs) < b.size {
		return nil
	}
	return b.flush()
}

func (b *batch[T]) flush() error {
	if len(b.vs) == 0 {
		return nil
	}
	vs, a := b.vs, join(b.as...)
	b.vs, b.as = nil, b.as[:0]
	return b.emit(vs, a)
}

// timed fills the batch from p.
func (b *batch[T]) timed(ctx context.Context, r *runState, p *pipe[T], within time.Duration) error {
	var due time.Duration
	for {
		wait := rondo.Forever
		if len(b.vs) > 0 {
			wait = max(due-r.loop.Time(), 0)
		}
		if p.n == 0 && !p.ended {
			var late *rondo.TimeoutError
			err := rondo.Timeout(ctx, wait, p.wait)
			if errors.As(err, &late) {
				err = b.flush()
			}
			if err != nil {
				return err
			}
			continue
		}
		it, ok, err := p.next(ctx)
		if !ok {
			if err == nil {
				err = b.flush()
			}
			return err
		}
		if len(b.vs) == 0 {
			due = r.loop.Time() + within
		}
		if err := b.add(it.v, it.a); err != nil {
			return err
		}
	}
}

// Window passes on the last size items, at each step-th item from the one that
// fills the first window. The slices are the receiver's to keep.
func Window[T any](s Stream[T], size, step int) Stream[[]T] {
	n := stage("window", s.n)
	n.must(size > 0 && step > 0, "Window(%d, %d); both must be above zero", size, step)
	return fused(n, s, func(_ context.Context, _ *runState, emit emitter[[]T]) (emitter[T], func() error) {
		var vs []T
		var as []*ack
		skip := 0 // items before the next window begins
		return func(v T, a *ack) error {
				if skip > 0 {
					skip--
					a.done(nil)
					return nil
				}
				vs, as = append(vs, v), append(as, a)
				if len(vs) < size {
					return nil
				}
				out := slices.Clone(vs)
				k := min(step, size)
				for _, x := range as[k:] {
					x.share(1) // they are in the next window too
				}
				whole := join(as...)
				vs, as = slices.Delete(vs, 0, k), slices.Delete(as, 0, k)
				skip = step - k
				return emit(out, whole)
			}, func() error {
				for _, x := range as { // the windows that they began are not full
					x.done(nil)
				}
				return nil
			}
	})
}

// RateLimit passes on at most k items per period, evenly: an item waits until the
// one before it is period/k old.
func RateLimit[T any](s Stream[T], k int, period time.Duration) Stream[T] {
	n := stage("ratelimit", s.n)
	n.must(k > 0 && period > 0, "RateLimit(%d, %v); both must be above zero", k, period)
	return fused(n, s, func(ctx context.Context, r *runState, emit emitter[T]) (emitter[T], func() error) {
		gap := period / time.Duration(max(k, 1))
		var next time.Duration
		return func(v T, a *ack) error {
			now := r.loop.Time()
			if now < next {
				if err := rondo.Sleep(ctx, next-now); err != nil {
					a.done(err)
					return err
				}
				now = next
			}
			next = now + gap
			return emit(v, a)
		}, nil
	})
}

// Idle fails with a [rondo.TimeoutError] if no item comes for d.
func Idle[T any](s Stream[T], d time.Duration) Stream[T] {
	n := stage("idle", s.n)
	n.must(d > 0, "Idle(%v); it must be above zero", d)
	return Stream[T]{n, func(ctx context.Context, r *runState, emit emitter[T]) error {
		p := newPipe[T](r, &n.c, defaultSize)
		t := feed(r, s, p)
		defer func() {
			p.leave()
			t.Cancel("")
		}()
		for {
			if err := rondo.Timeout(ctx, d, p.wait); err != nil {
				return n.fails(err)
			}
			it, ok, err := p.next(ctx)
			if !ok {
				return err
			}
			n.c.out++
			if err := emit(it.v, it.a); err != nil {
				return err
			}
		}
	}}
}

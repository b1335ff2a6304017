package pipeline

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"github.com/rondo-go/rondo"
)

// generate makes a stream of a function that calls emit for each item.
func generate[T any](kind string, f func(ctx context.Context, r *runState, emit func(T) error) error) Stream[T] {
	n := source(kind)
	return Stream[T]{n, func(ctx context.Context, r *runState, emit emitter[T]) error {
		return f(ctx, r, func(v T) error {
			n.c.out++
			return emit(v, nil)
		})
	}}
}

// FromSlice is a stream of the items of a slice.
func FromSlice[T any](items []T) Stream[T] {
	return generate("slice", func(_ context.Context, _ *runState, emit func(T) error) error {
		for _, v := range items {
			if err := emit(v); err != nil {
				return err
			}
		}
		return nil
	})
}

// FromSeq is a stream of what seq yields. The iterator may park.
func FromSeq[T any](seq iter.Seq[T]) Stream[T] {
	return generate("seq", func(_ context.Context, _ *runState, emit func(T) error) error {
		for v := range seq {
			if err := emit(v); err != nil {
				return err
			}
		}
		return nil
	})
}

// FromSeq2 is a stream of the pairs that seq yields.
func FromSeq2[K, V any](seq iter.Seq2[K, V]) Stream[rondo.Pair[K, V]] {
	return generate("seq2", func(_ context.Context, _ *runState, emit func(rondo.Pair[K, V]) error) error {
		for k, v := range seq {
			if err := emit(rondo.Pair[K, V]{First: k, Second: v}); err != nil {
				return err
			}
		}
		return nil
	})
}

// FromAsync is a stream of an asynchronous sequence, which open makes under the
// context of the run; open can be the All method of a [rondo.AsyncGenerator].
func FromAsync[T any](open func(ctx context.Context) iter.Seq2[T, error]) Stream[T] {
	return generate("async", func(ctx context.Context, _ *runState, emit func(T) error) error {
		for v, err := range open(ctx) {
			if err != nil {
				return err
			}
			if err := emit(v); err != nil {
				return err
			}
		}
		return nil
	})
}

// FromChannel is a stream of what comes from ch until that is closed. An item
// that arrives just while the run is canceled may be lost.
func FromChannel[T any](ch <-chan T) Stream[T] {
	return generate("channel", func(ctx context.Context, _ *runState, emit func(T) error) error {
		for {
			v, ok, err := receive(ctx, ch)
			if err != nil || !ok {
				return err
			}
			if err := emit(v); err != nil {
				return err
			}
		}
	})
}

// receive receives from ch, on a goroutine if nothing is there yet.
func receive[T any](ctx context.Context, ch <-chan T) (v T, ok bool, err error) {
	select {
	case v, ok = <-ch:
		return v, ok, nil
	default:
	}
	stop := make(chan struct{})
	defer close(stop)
	f := rondo.NewFuture[T]()
	go func() {
		select {
		case v, ok := <-ch:
			if ok {
				f.Set(v)
			} else {
				f.Fail(io.EOF)
			}
		case <-stop:
		}
	}()
	v, err = f.Await(ctx)
	if err == io.EOF {
		return v, false, nil
	}
	return v, err == nil, err
}

// A Queue is what [FromQueue] reads: the queues of package rondo.
type Queue[T any] interface {
	Get(ctx context.Context) (T, error)
	TaskDone() error
}

// FromQueue is a stream of the items of a queue until that is shut down and
// empty. TaskDone is called for each when the pipeline is done with it, whatever
// came of it.
func FromQueue[T any](q Queue[T]) Stream[T] {
	s := FromSource(func(ctx context.Context) (Delivery[T], error) {
		v, err := q.Get(ctx)
		if errors.Is(err, rondo.ErrShutDown) {
			err = io.EOF
		}
		return Delivery[T]{v, func(error) { _ = q.TaskDone() }}, err
	})
	s.n.kind = "queue"
	return s
}

// A Delivery is an item and how it is acknowledged.
type Delivery[T any] struct {
	Item T
	// Ack is called once, on the loop, and must not park. A nil error says that
	// all that was made of the item is done with or was dropped on purpose; an
	// error says why it is not: that of a stage, a cancellation, or
	// [ErrNotConsumed]. A nil Ack is not called.
	Ack func(err error)
}

// FromSource is a stream of what next returns, until that returns io.EOF. Next may
// park.
func FromSource[T any](next func(ctx context.Context) (Delivery[T], error)) Stream[T] {
	n := source("source")
	return Stream[T]{n, func(ctx context.Context, r *runState, emit emitter[T]) error {
		for {
			d, err := next(ctx)
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return n.fails(err)
			}
			var a *ack
			if d.Ack != nil {
				a = r.acks.open(d.Ack)
			}
			n.c.out++
			if err := emit(d.Item, a); err != nil {
				return err
			}
		}
	}}
}

// Ticker is a stream of the loop's time, every d. Ticks that nobody has time for
// are left out.
func Ticker(d time.Duration) Stream[time.Duration] {
	s := generate("ticker", func(ctx context.Context, r *runState, emit func(time.Duration) error) error {
		next := r.loop.Time() + d
		for {
			if err := rondo.Sleep(ctx, next-r.loop.Time()); err != nil {
				return err
			}
			if err := emit(next); err != nil {
				return err
			}
			if late := r.loop.Time() - next; late >= d {
				next += late / d * d
			}
			next += d
		}
	})
	s.n.must(d > 0, "Ticker(%v); it must be above zero", d)
	return s
}

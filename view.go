package rondo

import "context"

// AsAny returns w as an awaitable of any, so that things of different types can be
// gathered. It is w: it is done, and is canceled, with it.
//
//	got, err := rondo.Gather(rondo.AsAny(user), rondo.AsAny(orders)).Await(ctx)
func AsAny[T any](w Awaitable[T]) Awaitable[any] { return view[T]{w} }

// A view is an awaitable whose type of result is forgotten.
type view[T any] struct{ of Awaitable[T] }

func (v view[T]) Await(ctx context.Context) (any, error) { return v.of.Await(ctx) }
func (v view[T]) Result() (any, error)                   { return v.of.Result() }
func (v view[T]) peek() (any, error)                     { return v.of.peek() }

func (v view[T]) Done() bool                     { return v.of.Done() }
func (v view[T]) Canceled() bool                 { return v.of.Canceled() }
func (v view[T]) Cancel(message string) bool     { return v.of.Cancel(message) }
func (v view[T]) OnDone(fn func()) *DoneCallback { return v.of.OnDone(fn) }
func (v view[T]) Err() error                     { return v.of.Err() }
func (v view[T]) waitable() waitable             { return v.of.waitable() }

package rondo

import "github.com/rondo-go/rondo/loop"

// Shield returns an awaitable with the outcome of w that can be canceled without
// canceling w. If w is done, it is w itself. It is for the loop's thread.
//
//	v, err := rondo.Shield(commit).Await(ctx) // a cancel leaves commit running
func Shield[T any](w Awaitable[T]) Awaitable[T] {
	here, _ := loop.Current()
	if here == nil {
		panic("rondo: Shield off the loop")
	}
	if w.Done() {
		return w
	}
	outer := NewFuture[T]()
	inner := new(loop.Handle)
	inner.Init(loop.Func(func() {
		switch {
		case outer.Done():
		case w.Canceled():
			outer.Cancel("")
		default:
			v, err := w.peek()
			outer.finish(func() { outer.value, outer.err = v, err })
		}
	}))
	left := new(loop.Handle)
	left.Init(loop.Func(func() {
		if !w.Done() {
			w.waitable().remove(here, inner)
		}
	}))
	w.waitable().add(here, inner)
	outer.add(here, left)
	noteUnawaited(here, &outer.future, "Shield")
	return outer
}

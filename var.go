package rondo

import "github.com/rondo-go/rondo/loop"

// A Var is a variable whose value belongs to the task that sets it: asyncio's
// ContextVar. A task begins with the values of the one that started it; what
// either sets later, the other does not see. A callback runs with the values that
// held when it was scheduled. The zero Var is not set; it must not be copied.
//
// Values that do not change belong into a context.Context; a Var is for what a
// task changes on its way, such as a log prefix or a trace span. It is for tasks
// and callbacks.
type Var[T any] struct {
	// Default is what Get returns where nothing was set.
	Default T
}

// A varMap is an immutable list of values, the latest first.
type varMap struct {
	key   any // *Var[T]
	value any // T
	next  *varMap
}

// with returns m with one value replaced.
func (m *varMap) with(key, value any) *varMap {
	return &varMap{key, value, m.without(key)}
}

func (m *varMap) without(key any) *varMap {
	for x := m; x != nil; x = x.next {
		if x.key == key {
			if m == x {
				return x.next
			}
			return &varMap{m.key, m.value, m.next.without(key)}
		}
	}
	return m
}

// varsHere returns the place of the variables of the task or callback that runs.
func varsHere() **varMap {
	here, t := loop.Current()
	switch {
	case t != nil:
		return &coreOf(t).vars
	case here != nil:
		return &here.Data.(*Loop).vars
	}
	return nil
}

// Get returns the value in the running task or callback, or the default. Off the
// loop it returns the default.
func (v *Var[T]) Get() T {
	x, ok := v.Lookup()
	if !ok {
		return v.Default
	}
	return x
}

// Lookup returns the value, and whether there is one.
func (v *Var[T]) Lookup() (T, bool) {
	if vars := varsHere(); vars != nil {
		for m := *vars; m != nil; m = m.next {
			if m.key == any(v) {
				return m.value.(T), true
			}
		}
	}
	var zero T
	return zero, false
}

// Set sets the value in the running task or callback. It panics off the loop.
func (v *Var[T]) Set(x T) {
	vars := varsHere()
	if vars == nil {
		panic("rondo: Var.Set off the loop")
	}
	*vars = (*vars).with(v, x)
}

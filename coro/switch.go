//go:build !rondo_hub

package coro

import "iter"

// Symmetric transfer on iter.Pull
//
// The hidden coroutine object behind an iter.Pull is a cell that holds one
// sleeping goroutine. Calling its next or its yield exchanges the caller with
// the sleeper: the caller sleeps in the cell, and the sleeper runs. Nothing
// requires that the goroutine which calls yield is the iterator's own: the two
// calls only have to alternate, and iter.Pull checks just that.
//
// So a coroutine is not tied to its own cell. Each coroutine records the cell
// in which it sleeps (at first its own, where its body waits to be started);
// each cell knows its next, its yield and, in one bit, whose turn it is. To
// switch from A to B, A exchanges with the cell in which B sleeps, and notes
// that it sleeps there now. That is one switch of about 30 ns, where a hub in
// the middle that resumes everybody would need two.
//
// Invariant: a circle of n coroutines and a root has n cells, each holding
// exactly one member; the one that is left over runs.
//
// The end of a coroutine is the one asymmetry: the runtime resumes whoever
// sleeps in the *birth* cell of the coroutine that ends. Retire first brings
// the root to that place.
//
// Tried and refused: resuming the next task from within the parking one
// (nested), since waking the bottom of a deep chain then costs 38 ms; a hub
// that resumes everyone, which is kept as the fallback in switch_hub.go, should
// a future Go release forbid the foreign yield. The suite runs over both.

// A cell is the sleeping place behind one iter.Pull.
type cell struct {
	next    func() (struct{}, bool)
	yield   func(struct{}) bool
	yielded bool       // the sleeper came by next, so that it is yield's turn
	sleeper *Coroutine // who sleeps here; known only inside Retire
}

// A Coroutine is a member of a circle.
type Coroutine struct {
	in      *cell      // where it sleeps; stale while it runs
	forward *Coroutine // set by Retire: once resumed, hand on to this one
	birth   cell
}

// NewRoot makes the calling goroutine the root of a new circle.
func NewRoot() *Coroutine { return &Coroutine{} }

func (c *Coroutine) start(_ *Coroutine, body func(*Coroutine)) {
	c.birth.next, _ = iter.Pull(func(yield func(struct{}) bool) {
		c.birth.yield = yield
		body(c)
	})
	c.in = &c.birth
}

// Switch suspends self, the running member, and resumes to. It returns when
// some member switches to self. To must not be self.
//
// It is one function because frames are dear here: after a switch the processor's
// stack of return addresses is another coroutine's, so that every return up to
// the code that parked is mispredicted, at some 6 ns each.
func (self *Coroutine) Switch(to *Coroutine) {
	for {
		x := to.in
		self.in = x
		if x.yielded {
			x.yielded = false
			x.yield(struct{}{})
		} else {
			x.yielded = true
			x.next()
		}
		if self.forward == nil {
			return
		}
		to, self.forward = self.forward, nil
	}
}

// Retire ends the coroutines dead, in order: each is resumed and must return
// from its body without switching. It is called by the root; all names every
// coroutine of the circle that is not over, the dead ones included.
func (root *Coroutine) Retire(dead, all []*Coroutine) {
	for _, c := range all {
		c.in.sleeper = c
	}
	for _, c := range dead {
		d := c.birth.sleeper
		if d != c {
			// The root takes d's place, and d takes the one that c leaves.
			d.forward = c
			c.in.sleeper = d
			root.Switch(d)
		} else {
			root.Switch(c)
		}
		c.birth.sleeper = nil
	}
}

//go:build rondo_hub

package coro

import "iter"

// The plain hub: every switch goes through the root, which resumes whoever was
// named. Two switches instead of one, and nothing undocumented. It is the
// fallback for switch.go, which tells why.

// A Coroutine is a member of a circle.
type Coroutine struct {
	root  *Coroutine
	next  func() (struct{}, bool)
	yield func(struct{}) bool
	to    *Coroutine // of the root: who is to run
}

// NewRoot makes the calling goroutine the root of a new circle.
func NewRoot() *Coroutine {
	c := &Coroutine{}
	c.root = c
	return c
}

func (c *Coroutine) start(root *Coroutine, body func(*Coroutine)) {
	c.root = root
	c.next, _ = iter.Pull(func(yield func(struct{}) bool) {
		c.yield = yield
		body(c)
	})
}

// Switch suspends self, the running member, and resumes to. It returns when
// some member switches to self. To must not be self.
func (self *Coroutine) Switch(to *Coroutine) {
	root := self.root
	root.to = to
	if self != root {
		self.yield(struct{}{})
		return
	}
	for root.to != root {
		root.to.next()
	}
}

// Retire ends the coroutines dead, in order: each is resumed and must return
// from its body without switching. It is called by the root; all names every
// coroutine of the circle that is not over, the dead ones included.
func (root *Coroutine) Retire(dead, all []*Coroutine) {
	for _, c := range dead {
		c.next()
	}
}

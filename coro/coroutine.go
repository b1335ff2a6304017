// Package coro holds coroutines: goroutines that hand the processor to one
// another by name, without the scheduler. It is usable alone, without any loop.
//
// A [Coroutine] belongs to a circle: the goroutine that made the circle's root
// with [NewRoot], and the coroutines made with [New] from there. Exactly one
// member of a circle runs at any time, and it alone decides who runs next, with
// [Coroutine.Switch]. All members run on the OS thread of the root if that is
// locked; then all of them must be made, switched and ended on that thread.
package coro

// New makes a coroutine of root's circle; see [Coroutine.Init].
func New(root *Coroutine, body func(self *Coroutine)) *Coroutine {
	c := new(Coroutine)
	c.Init(root, body)
	return c
}

// Init makes c, which must be zero, a coroutine of root's circle. Its body runs
// from the first switch to it on. When the body returns, the coroutine is over;
// only a body that was resumed by [Coroutine.Retire] may return.
//
// A panic must not leave the body, and neither may runtime.Goexit: both would
// unwind into some other member of the circle.
func (c *Coroutine) Init(root *Coroutine, body func(self *Coroutine)) { c.start(root, body) }

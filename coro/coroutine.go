// Package coro holds generators, which yield values and are sent some, and the
// coroutines below them. It is usable alone, without any loop.
//
// A [Generator] is Python's: [Generator.Next], [Generator.Send],
// [Generator.Throw] and [Generator.Close] resume its body, [YieldFrom]
// delegates to another one, and all of it converts from and to iter.Seq.
//
// A [Coroutine] is a goroutine that hands the processor to another by name,
// without the scheduler. It belongs to a circle: the goroutine that made the
// circle's root with [NewRoot], and the coroutines made with [NewCoroutine] from
// there. Exactly one member of a circle runs at any time, and it alone decides
// who runs next, with [Coroutine.Switch]. All members run on the OS thread of
// the root if that is locked; then all of them must be made, switched and ended
// on that thread.
package coro

// NewCoroutine makes a coroutine of root's circle; see [Coroutine.Init].
func NewCoroutine(root *Coroutine, body func(self *Coroutine)) *Coroutine {
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

package rondo

// A LIFOQueue is a [Queue] that passes on the item that came last. It is
// asyncio's LifoQueue. It is made by [NewLIFOQueue].
type LIFOQueue[T any] struct{ queue[T] }

// NewLIFOQueue returns a queue that holds at most max items; 0 is no bound.
func NewLIFOQueue[T any](max int) *LIFOQueue[T] {
	q := new(LIFOQueue[T])
	q.init(max)
	q.items.lifo = true
	return q
}

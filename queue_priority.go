package rondo

// A PriorityQueue is a [Queue] that passes on the least item. Among equal items
// the order is not defined. It is asyncio's PriorityQueue. It is made by
// [NewPriorityQueue].
type PriorityQueue[T any] struct{ queue[T] }

// NewPriorityQueue returns a queue that holds at most max items; 0 is no bound.
// Cmp compares two items, as [cmp.Compare] does: it is negative if a comes before
// b. It is called while the queue is locked: it must not park, panic, or use the
// queue.
func NewPriorityQueue[T any](max int, cmp func(a, b T) int) *PriorityQueue[T] {
	if cmp == nil {
		panic("rondo: NewPriorityQueue without a comparison")
	}
	q := new(PriorityQueue[T])
	q.init(max)
	q.items.cmp = cmp
	return q
}

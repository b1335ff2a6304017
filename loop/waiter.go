package loop

// A Waiter is one party that waits in a [WaitList]: a task (its own
// [Task.Waiter]), or a goroutine off the loop, which waits on a channel.
//
// It stands for the future that asyncio's locks and queues make for each that
// waits: it is pending, then granted or canceled; a canceled one stays in the
// list until its owner, when it runs, takes it out.
type Waiter struct {
	Task       *Task
	ch         chan struct{}
	lock       *Lock // that of the list, if others than one loop use it
	state      waiterState
	prev, next *Waiter
}

type waiterState uint8

const (
	waiterPending waiterState = iota
	waiterGranted
	waiterCanceled
)

// Granted says whether the waiter was woken by [WaitList.Grant]. A task that
// was canceled all the same must pass on what it was granted.
func (w *Waiter) Granted() bool { return w.state == waiterGranted }

// Canceled says whether the waiter left before it was granted.
func (w *Waiter) Canceled() bool { return w.state == waiterCanceled }

// Waiting says whether the waiter was neither granted nor canceled.
func (w *Waiter) Waiting() bool { return w.state == waiterPending }

// Abort makes the waiter leave, unless it was granted already.
func (w *Waiter) Abort(t *Task, _ Reason, _ error) Verdict {
	if w.lock != nil {
		w.lock.Lock(t.loop)
		defer w.lock.Unlock(t.loop)
	}
	if w.state != waiterPending {
		return Refused
	}
	w.state = waiterCanceled
	return Aborted
}

// A WaitList is a FIFO of waiters. The zero WaitList is empty. It is guarded by
// Lock if that is set, and else belongs to one loop's thread. The guarded one
// is locked by its user around Add, Remove, Grant, Pending, Next and Empty.
type WaitList struct {
	Lock        *Lock
	first, last *Waiter
}

// Add appends w as pending.
func (q *WaitList) Add(w *Waiter) {
	w.state, w.lock = waiterPending, q.Lock
	w.prev, w.next = q.last, nil
	if q.last != nil {
		q.last.next = w
	} else {
		q.first = w
	}
	q.last = w
}

// Remove takes w out of the list, where it must be.
func (q *WaitList) Remove(w *Waiter) {
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		q.first = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		q.last = w.prev
	}
	w.prev, w.next = nil, nil
}

// Pending returns the first waiter that is neither granted nor canceled.
func (q *WaitList) Pending() *Waiter {
	for w := q.first; w != nil; w = w.next {
		if w.state == waiterPending {
			return w
		}
	}
	return nil
}

// Next returns the first pending waiter after w.
func (w *Waiter) Next() *Waiter {
	for w = w.next; w != nil; w = w.next {
		if w.state == waiterPending {
			return w
		}
	}
	return nil
}

// First returns the first waiter, in whatever state, or nil.
func (q *WaitList) First() *Waiter { return q.first }

// Empty says whether nobody is in the list.
func (q *WaitList) Empty() bool { return q.first == nil }

// Grant wakes w, which is pending. Here is the loop on whose thread the caller
// runs, or nil.
func (w *Waiter) Grant(here *Loop) {
	w.state = waiterGranted
	switch {
	case w.Task == nil:
		close(w.ch)
	case w.Task.loop == here:
		here.push(&w.Task.step)
	default:
		w.Task.loop.Post(&w.Task.step)
	}
}

// NewWaiter returns a waiter for a goroutine off the loop, and the channel that
// is closed when it is granted.
func NewWaiter() (*Waiter, <-chan struct{}) {
	w := &Waiter{ch: make(chan struct{})}
	return w, w.ch
}

package rondo

import (
	"context"
	"errors"

	"github.com/rondo-go/rondo/loop"
)

// Errors of queues.
var (
	// ErrQueueEmpty is returned by TryGet.
	ErrQueueEmpty = errors.New("rondo: queue is empty")
	// ErrQueueFull is returned by TryPut.
	ErrQueueFull = errors.New("rondo: queue is full")
	// ErrShutDown: the queue was shut down.
	ErrShutDown = errors.New("rondo: queue is shut down")
)

// A Queue passes items on in the order in which they came. It may be used by
// tasks of any loop and by goroutines off the loops, at once: a task parks, a
// goroutine blocks. The first loop that uses a queue does so without locking;
// the first use from elsewhere ends that, and waits for a turn of that loop.
type Queue[T any] struct {
	mu       loop.Lock
	max      int
	items    []T // a circular buffer
	head, n  int
	getters  loop.WaitList
	putters  loop.WaitList
	shutdown bool
}

// NewQueue returns a queue that holds at most max items; 0 is no bound.
func NewQueue[T any](max int) *Queue[T] {
	q := &Queue[T]{max: max}
	q.getters.Lock, q.putters.Lock = &q.mu, &q.mu
	return q
}

// Len returns the number of items in the queue.
func (q *Queue[T]) Len() int {
	here, _ := loop.Current()
	q.mu.Lock(here)
	defer q.mu.Unlock(here)
	return q.n
}

func (q *Queue[T]) full() bool { return q.max > 0 && q.n >= q.max }

// Put appends v, parking while the queue is full. If the task is canceled, the
// queue is unchanged.
//
// Errors: [ErrShutDown]; those of [Sleep].
func (q *Queue[T]) Put(ctx context.Context, v T) error {
	here, t := locate(ctx)
	q.mu.Lock(here)
	for q.full() {
		if q.shutdown {
			q.mu.Unlock(here)
			return ErrShutDown
		}
		var err error
		if t != nil {
			w := t.Waiter()
			q.putters.Add(w)
			q.mu.Unlock(here)
			stop, e := under(ctx, t)
			if err = e; err == nil {
				err = t.Park(w)
			}
			if stop != nil {
				stop()
			}
			q.mu.Lock(here)
			q.putters.Remove(w)
		} else {
			err = q.block(ctx, &q.putters, here)
		}
		if err != nil {
			if !q.full() {
				q.wake(&q.putters, here) // it may have been meant for us
			}
			q.mu.Unlock(here)
			return err
		}
	}
	err := q.put(v, here)
	q.mu.Unlock(here)
	return err
}

// TryPut appends v if that is possible at once.
//
// Errors: [ErrShutDown], [ErrQueueFull].
func (q *Queue[T]) TryPut(v T) error {
	here, _ := loop.Current()
	q.mu.Lock(here)
	defer q.mu.Unlock(here)
	if q.full() && !q.shutdown {
		return ErrQueueFull
	}
	return q.put(v, here)
}

func (q *Queue[T]) put(v T, here *loop.Loop) error {
	if q.shutdown {
		return ErrShutDown
	}
	if q.n == len(q.items) {
		items := make([]T, max(8, 2*q.n))
		for i := range q.n {
			items[i] = q.items[(q.head+i)%q.n]
		}
		q.items, q.head = items, 0
	}
	i := q.head + q.n
	if i >= len(q.items) {
		i -= len(q.items)
	}
	q.items[i] = v
	q.n++
	q.wake(&q.getters, here)
	return nil
}

// Get removes and returns the oldest item, parking until there is one. If the
// task is canceled, the queue is unchanged.
//
// Errors: [ErrShutDown] if the queue is shut down and empty; those of [Sleep].
func (q *Queue[T]) Get(ctx context.Context) (T, error) {
	here, t := locate(ctx)
	q.mu.Lock(here)
	for q.n == 0 {
		var zero T
		if q.shutdown {
			q.mu.Unlock(here)
			return zero, ErrShutDown
		}
		var err error
		if t != nil {
			w := t.Waiter()
			q.getters.Add(w)
			q.mu.Unlock(here)
			stop, e := under(ctx, t)
			if err = e; err == nil {
				err = t.Park(w)
			}
			if stop != nil {
				stop()
			}
			q.mu.Lock(here)
			q.getters.Remove(w)
		} else {
			err = q.block(ctx, &q.getters, here)
		}
		if err != nil {
			if q.n > 0 {
				q.wake(&q.getters, here)
			}
			q.mu.Unlock(here)
			return zero, err
		}
	}
	v := q.get(here)
	q.mu.Unlock(here)
	return v, nil
}

// TryGet removes and returns the oldest item if there is one.
//
// Errors: [ErrShutDown], [ErrQueueEmpty].
func (q *Queue[T]) TryGet() (T, error) {
	here, _ := loop.Current()
	q.mu.Lock(here)
	defer q.mu.Unlock(here)
	if q.n == 0 {
		var zero T
		if q.shutdown {
			return zero, ErrShutDown
		}
		return zero, ErrQueueEmpty
	}
	return q.get(here), nil
}

func (q *Queue[T]) get(here *loop.Loop) T {
	var zero T
	v := q.items[q.head]
	q.items[q.head] = zero
	if q.head++; q.head == len(q.items) {
		q.head = 0
	}
	q.n--
	q.wake(&q.putters, here)
	return v
}

// Shutdown makes Put fail, and Get too once the queue is empty. Whoever waits
// is woken.
func (q *Queue[T]) Shutdown() {
	here, _ := loop.Current()
	q.mu.Lock(here)
	defer q.mu.Unlock(here)
	q.shutdown = true
	for q.wake(&q.getters, here) {
	}
	for q.wake(&q.putters, here) {
	}
}

// wake grants the first waiter that is pending: what it waits for may be there.
// Like asyncio's, it leaves the list when it runs.
func (q *Queue[T]) wake(list *loop.WaitList, here *loop.Loop) bool {
	if list.Empty() {
		return false
	}
	w := list.Pending()
	if w == nil {
		return false
	}
	w.Grant(here)
	return true
}

// block blocks the goroutine in list. The queue is unlocked meanwhile.
func (q *Queue[T]) block(ctx context.Context, list *loop.WaitList, here *loop.Loop) error {
	if here != nil {
		return ErrNotTask
	}
	w, granted := loop.NewWaiter()
	list.Add(w)
	q.mu.Unlock(here)
	var err error
	select {
	case <-granted:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	q.mu.Lock(here)
	list.Remove(w)
	return err
}

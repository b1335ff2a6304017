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
	// ErrTaskDoneTooOften: TaskDone was called more often than Put.
	ErrTaskDoneTooOften = errors.New("rondo: TaskDone called too often")
)

// A Queue passes items on in the order in which they came. It is asyncio's
// Queue.
//
// A queue may be used by tasks of any loop and by goroutines off the loops, at
// once: a task parks, a goroutine blocks. The first loop that uses a queue does
// so without locking; the first use from elsewhere ends that, and waits for a
// turn of that loop. A queue is made by [NewQueue], and must not be copied.
type Queue[T any] struct{ queue[T] }

// NewQueue returns a queue that holds at most max items; 0 is no bound.
func NewQueue[T any](max int) *Queue[T] {
	q := new(Queue[T])
	q.init(max)
	return q
}

// queue is what queues of all orders have in common: who waits, and when they
// are woken.
//
// A put wakes one getter, a get one putter. Who is woken looks again when it
// runs, and if somebody was faster, waits anew at the end of the line. Who was
// woken but is canceled passes that on. Once it is in a list, a task must park:
// another thread may have woken it already.
//
// Put, Get and Join each park by themselves, though alike: a shared function in
// between would be one more frame to return through after a switch (see coro).
type queue[T any] struct {
	mu         loop.Lock // guards what follows
	max        int
	items      store[T]
	getters    loop.WaitList
	putters    loop.WaitList
	joiners    loop.WaitList
	unfinished int // items put, less calls of TaskDone
	shutdown   bool
}

func (q *queue[T]) init(max int) {
	q.max = max
	q.getters.Lock, q.putters.Lock, q.joiners.Lock = &q.mu, &q.mu, &q.mu
}

// Len returns the number of items in the queue.
func (q *queue[T]) Len() int {
	here, _ := loop.Current()
	q.mu.Lock(here)
	defer q.mu.Unlock(here)
	return q.items.n
}

// Max returns how many items the queue holds at most; 0 is no bound.
func (q *queue[T]) Max() int { return max(q.max, 0) }

// Unfinished returns how many items were put for which TaskDone was not called.
func (q *queue[T]) Unfinished() int {
	here, _ := loop.Current()
	q.mu.Lock(here)
	defer q.mu.Unlock(here)
	return q.unfinished
}

func (q *queue[T]) full() bool { return q.max > 0 && q.items.n >= q.max }

// Put adds v, parking while the queue is full. If the task is canceled, the
// queue is unchanged.
//
// Errors: [ErrShutDown]; those of [Sleep].
func (q *queue[T]) Put(ctx context.Context, v T) error {
	here, t := locate(ctx)
	q.mu.Lock(here)
	for q.full() {
		if q.shutdown {
			q.mu.Unlock(here)
			return ErrShutDown
		}
		var w *loop.Waiter
		var err error
		if t != nil {
			stop, e := under(ctx, t)
			if e != nil {
				q.mu.Unlock(here)
				return e
			}
			w = t.Waiter()
			q.putters.Add(w)
			q.mu.Unlock(here)
			err = t.Park(w)
			if stop != nil {
				stop()
			}
			q.mu.Lock(here)
		} else {
			w, err = q.block(ctx, &q.putters, here)
		}
		if err != nil {
			if q.leave(&q.putters, w) && !q.full() {
				grantFirst(&q.putters, here) // it was meant for us
			}
			q.mu.Unlock(here)
			return err
		}
	}
	err := q.put(v, here)
	q.mu.Unlock(here)
	return err
}

// TryPut adds v if that is possible at once.
//
// Errors: [ErrShutDown], [ErrQueueFull].
func (q *queue[T]) TryPut(v T) error {
	here, _ := loop.Current()
	q.mu.Lock(here)
	defer q.mu.Unlock(here)
	if q.full() && !q.shutdown {
		return ErrQueueFull
	}
	return q.put(v, here)
}

func (q *queue[T]) put(v T, here *loop.Loop) error {
	if q.shutdown {
		return ErrShutDown
	}
	q.items.push(v)
	q.unfinished++
	grantFirst(&q.getters, here)
	return nil
}

// Get removes and returns the next item, parking until there is one. If the task
// is canceled, the queue is unchanged.
//
// Errors: [ErrShutDown] if the queue is shut down and empty; those of [Sleep].
func (q *queue[T]) Get(ctx context.Context) (T, error) {
	here, t := locate(ctx)
	q.mu.Lock(here)
	for q.items.n == 0 {
		var zero T
		if q.shutdown {
			q.mu.Unlock(here)
			return zero, ErrShutDown
		}
		var w *loop.Waiter
		var err error
		if t != nil {
			stop, e := under(ctx, t)
			if e != nil {
				q.mu.Unlock(here)
				return zero, e
			}
			w = t.Waiter()
			q.getters.Add(w)
			q.mu.Unlock(here)
			err = t.Park(w)
			if stop != nil {
				stop()
			}
			q.mu.Lock(here)
		} else {
			w, err = q.block(ctx, &q.getters, here)
		}
		if err != nil {
			if q.leave(&q.getters, w) && q.items.n > 0 {
				grantFirst(&q.getters, here)
			}
			q.mu.Unlock(here)
			return zero, err
		}
	}
	v := q.items.pop()
	grantFirst(&q.putters, here)
	q.mu.Unlock(here)
	return v, nil
}

// TryGet removes and returns the next item if there is one.
//
// Errors: [ErrShutDown], [ErrQueueEmpty].
func (q *queue[T]) TryGet() (T, error) {
	here, _ := loop.Current()
	q.mu.Lock(here)
	defer q.mu.Unlock(here)
	if q.items.n == 0 {
		var zero T
		if q.shutdown {
			return zero, ErrShutDown
		}
		return zero, ErrQueueEmpty
	}
	v := q.items.pop()
	grantFirst(&q.putters, here)
	return v, nil
}

// TaskDone says that the work on an item that was got is over. Join waits for
// that. It never parks.
//
// Errors: [ErrTaskDoneTooOften].
func (q *queue[T]) TaskDone() error {
	here, _ := loop.Current()
	q.mu.Lock(here)
	defer q.mu.Unlock(here)
	if q.unfinished == 0 {
		return ErrTaskDoneTooOften
	}
	q.unfinished--
	if q.unfinished == 0 {
		grantAll(&q.joiners, here)
	}
	return nil
}

// Join parks until TaskDone was called for every item that was put. If there is
// none to wait for, it returns at once.
//
// Errors: those of [Sleep].
func (q *queue[T]) Join(ctx context.Context) error {
	here, t := locate(ctx)
	q.mu.Lock(here)
	defer q.mu.Unlock(here)
	if q.unfinished == 0 {
		return nil
	}
	var w *loop.Waiter
	var err error
	if t != nil {
		stop, e := under(ctx, t)
		if e != nil {
			return e
		}
		w = t.Waiter()
		q.joiners.Add(w)
		q.mu.Unlock(here)
		err = t.Park(w)
		if stop != nil {
			stop()
		}
		q.mu.Lock(here)
	} else {
		w, err = q.block(ctx, &q.joiners, here)
	}
	if err != nil {
		q.leave(&q.joiners, w)
	}
	return err
}

// Shutdown makes Put fail, and Get too once the queue is empty. Whoever waits in
// them is woken. If it is immediate, the items that are left are dropped and
// count as done, so that Get fails at once and Join need not wait for them. It
// never parks.
func (q *queue[T]) Shutdown(immediate bool) {
	here, _ := loop.Current()
	q.mu.Lock(here)
	defer q.mu.Unlock(here)
	q.shutdown = true
	if immediate {
		q.unfinished = max(0, q.unfinished-q.items.n)
		q.items.clear()
		if q.unfinished == 0 {
			grantAll(&q.joiners, here)
		}
	}
	grantAll(&q.getters, here)
	grantAll(&q.putters, here)
}

// block blocks the goroutine in list. The queue is unlocked meanwhile. The
// waiter is nil if it could not even begin.
func (q *queue[T]) block(ctx context.Context, list *loop.WaitList, here *loop.Loop) (*loop.Waiter, error) {
	if here != nil {
		return nil, ErrNotTask
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
	return w, err
}

// leave ends a wait that failed, and says whether w had been woken all the same.
func (q *queue[T]) leave(list *loop.WaitList, w *loop.Waiter) (woken bool) {
	switch {
	case w == nil:
		return false
	case w.Granted():
		return true
	}
	list.Remove(w)
	return false
}

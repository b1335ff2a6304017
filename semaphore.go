package rondo

import (
	"context"
	"fmt"

	"github.com/rondo-go/rondo/loop"
)

// A Semaphore holds a number of permits. Permits pass to waiting tasks in the
// order in which they came; nobody can overtake. It is for tasks of one loop.
// The zero Semaphore has no permits.
type Semaphore struct {
	value   int
	waiters loop.WaitList
}

// NewSemaphore returns a semaphore with n permits.
func NewSemaphore(n int) *Semaphore {
	if n < 0 {
		panic(fmt.Sprintf("rondo: NewSemaphore(%d): the number of permits must not be negative", n))
	}
	return &Semaphore{value: n}
}

// Locked says whether Acquire would park.
func (s *Semaphore) Locked() bool { return s.value == 0 || s.waiters.Pending() != nil }

// TryAcquire takes a permit if that is possible at once.
func (s *Semaphore) TryAcquire() bool {
	if s.Locked() {
		return false
	}
	s.value--
	return true
}

// Acquire takes a permit, parking until there is one. If the task is canceled
// meanwhile, it has taken none.
//
// Errors: those of [Sleep].
func (s *Semaphore) Acquire(ctx context.Context) error {
	if s.TryAcquire() {
		return nil
	}
	t, err := taskFor(ctx)
	if err != nil {
		return err
	}
	w := t.Waiter()
	s.waiters.Add(w)
	err = park(ctx, t, w)
	s.waiters.Remove(w)
	if err != nil && w.Granted() {
		s.value++
	}
	for s.value > 0 && s.wake() {
	}
	return err
}

// Release gives a permit back.
func (s *Semaphore) Release() {
	s.value++
	s.wake()
}

// wake passes a permit on.
func (s *Semaphore) wake() bool {
	w := s.waiters.Pending()
	if w == nil {
		return false
	}
	s.value--
	w.Grant(w.Task.Loop())
	return true
}

package rondo

import (
	"context"
	"errors"
	"fmt"

	"github.com/rondo-go/rondo/loop"
)

// ErrReleasedTooOften says that a [BoundedSemaphore] was given more permits than it had
// at first.
var ErrReleasedTooOften = errors.New("rondo: semaphore released too often")

// A Semaphore holds a number of permits. Permits pass to waiting tasks in the
// order in which they came; nobody can overtake. It is asyncio's Semaphore.
//
// A Semaphore is for the tasks of one loop, the first that uses it; elsewhere it
// fails with [ErrNotTask] or [ErrOtherLoop]. The zero Semaphore has no permits.
// It must not be copied.
type Semaphore struct{ permits }

// NewSemaphore returns a semaphore with n permits.
func NewSemaphore(n int) *Semaphore {
	s := new(Semaphore)
	s.init("NewSemaphore", n)
	return s
}

// A BoundedSemaphore is a [Semaphore] that never has more permits than it was
// made with: Release returns [ErrReleasedTooOften] instead. It is made by
// [NewBoundedSemaphore].
type BoundedSemaphore struct{ permits }

// NewBoundedSemaphore returns a bounded semaphore with n permits.
func NewBoundedSemaphore(n int) *BoundedSemaphore {
	s := new(BoundedSemaphore)
	s.init("NewBoundedSemaphore", n)
	s.bounded, s.bound = true, n
	return s
}

// permits is a semaphore.
type permits struct {
	loopBound
	value   int
	granted int // who was passed a permit and has not run yet
	bounded bool
	bound   int
	waiters loop.WaitList
}

func (s *permits) init(op string, n int) {
	if n < 0 {
		panic(fmt.Sprintf("rondo: %s(%d): the number of permits must not be negative", op, n))
	}
	s.value = n
}

// Locked says whether Acquire would park: there is no permit, or somebody waits
// whose turn it is first. It is for the loop's thread.
func (s *permits) Locked() bool {
	return s.value == 0 || s.granted > 0 || !s.waiters.Empty() && s.waiters.Pending() != nil
}

// TryAcquire takes a permit if that is possible at once. It panics off the
// semaphore's loop.
func (s *permits) TryAcquire() bool {
	s.must("TryAcquire of a semaphore")
	return s.take()
}

func (s *permits) take() bool {
	if s.Locked() {
		return false
	}
	s.value--
	return true
}

// Acquire takes a permit, parking until there is one. If the task is canceled
// meanwhile, it has taken none.
//
// Errors: those of [Sleep]; [ErrOtherLoop].
func (s *permits) Acquire(ctx context.Context) error {
	t, err := s.enter(ctx)
	if err != nil {
		return fmt.Errorf("acquire semaphore: %w", err)
	}
	if s.take() {
		return nil
	}
	stop, err := under(ctx, t)
	if err != nil {
		return err
	}
	w := t.Waiter()
	s.waiters.Add(w)
	err = t.Park(w)
	if stop != nil {
		stop()
	}
	if !w.Granted() {
		s.waiters.Remove(w)
	} else if s.granted--; err != nil {
		s.value++
	}
	for s.value > 0 && s.wake() {
		// Those who came while this one was on its way had to wait for it.
	}
	return err
}

// Release gives a permit back. It never parks.
//
// Errors: [ErrReleasedTooOften] if the semaphore is bounded; [ErrNotTask] or
// [ErrOtherLoop] off the semaphore's loop.
func (s *permits) Release() error {
	err := s.check()
	if err == nil && s.bounded && s.value >= s.bound {
		err = ErrReleasedTooOften
	}
	if err != nil {
		return fmt.Errorf("release semaphore: %w", err)
	}
	s.value++
	s.wake()
	return nil
}

// With calls fn while it holds a permit, and gives it back whatever happens.
//
// Errors: those of Acquire, of fn, and of Release.
func (s *permits) With(ctx context.Context, fn func() error) error {
	if err := s.Acquire(ctx); err != nil {
		return err
	}
	return held(fn, s.Release)
}

// wake passes a permit on, which is there.
func (s *permits) wake() bool {
	if !grantFirst(&s.waiters, s.home.Load()) {
		return false
	}
	s.value--
	s.granted++
	return true
}

package rondo

import (
	"context"
	"errors"
	"fmt"
)

// ErrBrokenBarrier says that the barrier was aborted, or reset while the task waited.
var ErrBrokenBarrier = errors.New("rondo: barrier is broken")

// A Barrier lets a number of tasks go on when all of them have arrived, again
// and again. It is asyncio's Barrier.
//
// A Barrier is for the tasks of one loop, the first that uses it; elsewhere it
// fails with [ErrNotTask] or [ErrOtherLoop]. It is made by [NewBarrier], and must
// not be copied.
type Barrier struct {
	cond    Condition
	parties int
	count   int // who has arrived and not left
	state   barrierState
}

type barrierState uint8

const (
	barrierFilling barrierState = iota
	barrierDraining
	barrierResetting
	barrierBroken
)

// NewBarrier returns a barrier for so many tasks, at least one.
func NewBarrier(parties int) *Barrier {
	if parties < 1 {
		panic(fmt.Sprintf("rondo: NewBarrier(%d): there must be a party", parties))
	}
	return &Barrier{parties: parties}
}

// Parties returns how many tasks the barrier waits for.
func (b *Barrier) Parties() int { return b.parties }

// Waiting returns how many tasks have arrived and wait for the others. It is for
// the loop's thread.
func (b *Barrier) Waiting() int {
	if b.state == barrierFilling {
		return b.count
	}
	return 0
}

// Broken says whether the barrier was aborted. It is for the loop's thread.
func (b *Barrier) Broken() bool { return b.state == barrierBroken }

// Wait parks the task until all parties have arrived, and returns which it was:
// 0 is the first. If it is canceled meanwhile, it has not arrived. It may park
// even if it is the last, while those of the round before leave.
//
// Errors: [ErrBrokenBarrier]; those of [Sleep]; [ErrOtherLoop].
func (b *Barrier) Wait(ctx context.Context) (index int, err error) {
	if err := b.cond.Acquire(ctx); err != nil {
		return 0, err
	}
	defer b.cond.Lock().release()
	for b.state == barrierDraining || b.state == barrierResetting {
		if err := b.cond.Wait(ctx); err != nil {
			return 0, err
		}
	}
	if b.state == barrierBroken {
		return 0, ErrBrokenBarrier
	}
	index = b.count
	b.count++
	defer b.exit()
	if b.count == b.parties {
		b.state = barrierDraining
		return index, b.cond.NotifyAll()
	}
	for b.state == barrierFilling {
		if err := b.cond.Wait(ctx); err != nil {
			return 0, err
		}
	}
	if b.state != barrierDraining {
		return 0, ErrBrokenBarrier
	}
	return index, nil
}

// exit counts a task out. The last one opens the next round.
func (b *Barrier) exit() {
	b.count--
	if b.count == 0 {
		if b.state != barrierBroken {
			b.state = barrierFilling
		}
		b.cond.NotifyAll()
	}
}

// Reset returns the barrier to its initial state, also if it was aborted. Tasks
// that wait get [ErrBrokenBarrier]. It may park, to have the barrier for itself.
//
// Errors: those of [Sleep]; [ErrOtherLoop].
func (b *Barrier) Reset(ctx context.Context) error {
	return b.cond.With(ctx, func() error {
		if b.count > 0 {
			b.state = barrierResetting
		} else {
			b.state = barrierFilling
		}
		return b.cond.NotifyAll()
	})
}

// Abort breaks the barrier: tasks that wait, and those that come, get
// [ErrBrokenBarrier], until it is reset. It may park, to have the barrier for
// itself.
//
// Errors: those of [Sleep]; [ErrOtherLoop].
func (b *Barrier) Abort(ctx context.Context) error {
	return b.cond.With(ctx, func() error {
		b.state = barrierBroken
		return b.cond.NotifyAll()
	})
}

package rondo

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/rondo-go/rondo/loop"
)

// A loopBound belongs to the loop that uses it first, until that is closed: it
// is embedded in what has no lock of its own. It makes a use from elsewhere an
// error in place of a data race. It is asyncio's _LoopBoundMixin, which looks
// only when it parks.
type loopBound struct{ home atomic.Pointer[loop.Loop] }

// enter returns the running task, which is about to use what parks. It is as
// strict if there is no need to park: the mistake shows on the first run.
func (b *loopBound) enter(ctx context.Context) (*loop.Task, error) {
	here, t := locate(ctx)
	if t == nil {
		return nil, ErrNotTask
	}
	if b.home.Load() != here {
		return t, b.bind(here)
	}
	return t, nil
}

// check is enter for what does not park, and so may be called by callbacks too.
func (b *loopBound) check() error {
	here, _ := loop.Current()
	if here == nil {
		return ErrNotTask
	}
	if b.home.Load() != here {
		return b.bind(here)
	}
	return nil
}

// must is check for what returns no error.
func (b *loopBound) must(op string) {
	if err := b.check(); err != nil {
		panic(fmt.Sprintf("rondo: %s off its loop (use CallSoonThreadsafe)", op))
	}
}

func (b *loopBound) bind(here *loop.Loop) error {
	home := b.home.Load()
	if (home == nil || home.Closed()) && b.home.CompareAndSwap(home, here) {
		return nil
	}
	return ErrOtherLoop
}

// held calls fn and then release, whatever happens. As in Python, a failing
// release is the error that counts.
func held(fn, release func() error) (err error) {
	returned := false
	defer func() {
		if e := release(); e != nil && returned {
			if err != nil {
				e = fmt.Errorf("%w, after: %v", e, err)
			}
			err = e
		}
	}()
	err = fn()
	returned = true
	return err
}

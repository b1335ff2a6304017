package rondo

import (
	"errors"
	"fmt"
	"sync"

	"github.com/rondo-go/rondo/loop"
)

// WithLoops makes a run of n loops: main's, and n-1 others on goroutines and OS
// threads of their own, which share nothing with it. [Server.ListenAndServe]
// serves on all of them; [SpawnThreadsafe] starts a task on a given one. Tasks
// stay on the loop where they began. Futures, tasks and queues may be awaited from
// any of them.
//
// When main ends, the tasks that are left on the others are canceled and waited
// for, too. It cannot be combined with a virtual clock, which is of one loop, nor
// with [WithPoller].
func WithLoops(n int) Option { return func(o *options) { o.loops = n } }

// Loops returns the loops of the run that l belongs to, main's first (see
// [WithLoops]). It may be called from any goroutine.
func (l *Loop) Loops() []*Loop {
	if l.family == nil {
		return []*Loop{l}
	}
	return l.family
}

// The otherLoops are all loops of a run but the first.
type otherLoops struct {
	loops []*Loop
	wg    sync.WaitGroup
	mu    sync.Mutex // guards errs
	errs  []error
}

// startLoops starts o.loops-1 loops beside the first.
func startLoops(first *Loop, o options, opts []Option) (*otherLoops, error) {
	if o.virtual || o.poller != nil {
		return nil, errors.New("rondo: WithLoops cannot be combined with WithVirtualTime or WithPoller")
	}
	x := new(otherLoops)
	for range o.loops - 1 {
		made := make(chan error)
		x.wg.Go(func() {
			l, err := NewLoop(opts...)
			if err == nil {
				x.loops = append(x.loops, l)
			}
			made <- err
			if err == nil {
				x.serve(l)
			}
		})
		if err := <-made; err != nil {
			return nil, errors.Join(fmt.Errorf("loop %d of %d: %w", len(x.loops)+2, o.loops, err), x.stop())
		}
	}
	family := append([]*Loop{first}, x.loops...)
	for _, l := range family {
		l.family = family // nobody has used them yet
	}
	return x, nil
}

// serve runs a loop until it is stopped, and then ends its tasks.
func (x *otherLoops) serve(l *Loop) {
	err := l.RunForever()
	err = errors.Join(err, l.cancelAll(), l.Close())
	if err != nil {
		x.mu.Lock()
		x.errs = append(x.errs, err)
		x.mu.Unlock()
	}
}

// stop ends the loops and waits for them.
func (x *otherLoops) stop() error {
	for _, l := range x.loops {
		h := new(loop.Handle)
		h.Init(loop.Func(l.k.Stop))
		l.k.Post(h)
	}
	x.wg.Wait()
	return errors.Join(x.errs...)
}

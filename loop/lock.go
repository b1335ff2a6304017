package loop

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// A Lock guards something that is mostly used by one loop, and may be used by
// any other loop or goroutine: it costs the one loop nothing.
//
// The first loop that takes the lock becomes its home. There, Lock and Unlock
// are a comparison. When anybody else comes, the home loop is asked to give its
// privilege up, at a moment when it is not inside (between two handles); from
// then on the lock is an ordinary mutex for everybody, for ever. So the stranger
// who comes first waits once for a hop of the home loop, some 15 us, or longer
// if a task of that loop computes without a pause.
//
// A critical section must not park, so that the home loop is never inside when
// it is asked. A thread that waits for another loop answers such requests to its
// own meanwhile; otherwise two loops could wait for each other.
//
// Refused: a mutex alone (the two atomics of an uncontended one are a third of a
// ping-pong over two queues), and a queue for one loop only (the dual use is what
// Go programs need).
//
// The zero Lock is free and has no home.
type Lock struct {
	mu   sync.Mutex
	home atomic.Pointer[Loop]
}

// shared is the home of locks that are ordinary mutexes.
var shared Loop

// Lock takes the lock. Here is the loop on whose thread the caller runs, or nil.
func (k *Lock) Lock(here *Loop) {
	if here == nil || k.home.Load() != here {
		k.lock(here)
	}
}

// Unlock gives the lock back.
func (k *Lock) Unlock(here *Loop) {
	if here == nil || k.home.Load() != here {
		k.mu.Unlock()
	}
}

func (k *Lock) lock(here *Loop) {
	for {
		switch home := k.home.Load(); home {
		case &shared:
			k.mu.Lock()
			return
		case nil:
			if here != nil && k.home.CompareAndSwap(nil, here) {
				return
			}
			if here == nil {
				k.home.CompareAndSwap(nil, &shared)
			}
		default:
			home.giveUp(k, here)
		}
	}
}

// giveUp returns when l is not k's home any more.
func (l *Loop) giveUp(k *Lock, here *Loop) {
	l.mu.Lock()
	if !l.running.Load() {
		k.home.CompareAndSwap(l, &shared)
		l.mu.Unlock()
		return
	}
	l.requests = append(l.requests, k)
	l.hasInbox.Store(true)
	l.mu.Unlock()
	if l.sleeping.Load() {
		l.poller.Wake()
	}
	for spins := 0; k.home.Load() == l; spins++ {
		if here != nil && here.hasInbox.Load() {
			here.mu.Lock()
			here.grantRequests()
			here.mu.Unlock()
		}
		if spins < 100 {
			runtime.Gosched()
		} else {
			time.Sleep(50 * time.Microsecond) // it computes, and may for long
		}
	}
}

// grantRequests makes the locks that were asked for shared. It is called with
// l.mu held, by l's thread or when the loop does not run.
func (l *Loop) grantRequests() {
	for _, k := range l.requests {
		k.home.CompareAndSwap(l, &shared)
	}
	l.requests = nil
}

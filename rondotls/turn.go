package rondotls

import (
	"context"
	"slices"
	"sync"

	"github.com/rondo-go/rondo"
)

// A turn is a lock that tasks and goroutines share: a task that waits for it
// parks, a goroutine blocks, so that it may be held across a park by either.
// crypto/tls's own locks may not: held by one, they would stop the thread of the
// other. First come, first served. The zero turn is free.
type turn struct {
	mu      sync.Mutex // never held across a park
	busy    bool
	waiting []*rondo.Future[struct{}]
}

// enter takes the turn, parking until it is free.
func (t *turn) enter() error {
	t.mu.Lock()
	if !t.busy {
		t.busy = true
		t.mu.Unlock()
		return nil
	}
	f := rondo.NewFuture[struct{}]()
	t.waiting = append(t.waiting, f)
	t.mu.Unlock()
	return t.await(f)
}

func (t *turn) await(f *rondo.Future[struct{}]) error {
	_, err := f.Await(context.Background())
	if err == nil {
		return nil
	}
	t.mu.Lock()
	i := slices.Index(t.waiting, f)
	if i >= 0 {
		t.waiting = slices.Delete(t.waiting, i, i+1)
	}
	t.mu.Unlock()
	if i < 0 { // it was passed on to us meanwhile
		t.leave()
	}
	return err
}

// tryEnter takes the turn if it is free.
func (t *turn) tryEnter() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.busy {
		return false
	}
	t.busy = true
	return true
}

// leave passes the turn on to the one that has waited longest.
func (t *turn) leave() {
	t.mu.Lock()
	if len(t.waiting) == 0 {
		t.busy, t.waiting = false, nil
		t.mu.Unlock()
		return
	}
	f := t.waiting[0]
	t.waiting = slices.Delete(t.waiting, 0, 1)
	t.mu.Unlock()
	f.Set(struct{}{}) // canceled with its waiter: that finds itself gone from the list
}

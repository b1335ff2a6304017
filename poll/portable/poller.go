// Package portable is the backend for every system: a [poll.Poller] on package net,
// which lets goroutines do what would block. It costs a hop between goroutines for
// each operation, and in return needs nothing but Go. It runs in a testing/synctest
// bubble too, where it sleeps on the virtual clock.
package portable

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/rondo-go/rondo/poll"
)

// Poller is a [poll.Poller] on goroutines. Make one with [New].
type Poller struct {
	lent    []byte // the buffer of Borrow
	timer   *time.Timer
	closed  bool
	watcher *watcher // nil until the first Watch

	// Closed sockets that are still sending what was written to them.
	lingering sync.WaitGroup

	mu     sync.Mutex
	done   []*slot       // what goroutines have completed, since the last Wait
	woken  bool          // by Wake, since the last Wait
	signal chan struct{} // one element says that done or woken has news
}

// A slot is where one side of an endpoint leaves its operation in flight. The
// goroutine that works for it outlives a cancel, so it names the slot as
// completed, never the operation.
type slot struct {
	op     *poll.Op // the loop's thread only
	queued bool     // in Poller.done; guarded by Poller.mu
}

// New makes a poller. It does not fail.
func New() (poll.Poller, error) {
	return &Poller{signal: make(chan struct{}, 1)}, nil
}

// Name is "portable".
func (p *Poller) Name() string { return "portable" }

// Wait implements [poll.Poller].
func (p *Poller) Wait(d time.Duration) (n int, err error) {
	if p.closed {
		return 0, fmt.Errorf("wait portable: %w", net.ErrClosed)
	}
	n, woken := p.deliver()
	if n > 0 || woken || d == 0 {
		return n, nil
	}
	var timeout <-chan time.Time
	if d > 0 {
		if p.timer == nil {
			p.timer = time.NewTimer(d)
		} else {
			p.timer.Reset(d)
		}
		defer p.timer.Stop()
		timeout = p.timer.C
	}
	for {
		select {
		case <-p.signal:
			if n, woken := p.deliver(); n > 0 || woken {
				return n, nil
			}
		case <-timeout:
			n, _ := p.deliver()
			return n, nil
		}
	}
}

// deliver tells the owners of what was completed, and takes back the wake.
func (p *Poller) deliver() (n int, woken bool) {
	p.mu.Lock()
	done := p.done
	p.done = nil
	for _, s := range done {
		s.queued = false
	}
	woken, p.woken = p.woken, false
	p.mu.Unlock()
	for _, s := range done {
		if op := s.op; op != nil {
			s.op = nil
			op.Pending = false
			op.Owner.Ready(op)
			n++
		}
	}
	return n, woken
}

// complete is called by the goroutines.
func (p *Poller) complete(s *slot) {
	p.mu.Lock()
	if !s.queued {
		s.queued = true
		p.done = append(p.done, s)
	}
	p.mu.Unlock()
	p.poke()
}

func (p *Poller) poke() {
	select {
	case p.signal <- struct{}{}:
	default:
	}
}

// Wake implements [poll.Poller].
func (p *Poller) Wake() {
	p.mu.Lock()
	p.woken = true
	p.mu.Unlock()
	p.poke()
}

// Close implements [poll.Poller]. It waits until what was written to its endpoints
// has been handed to the system, or [linger] has passed.
func (p *Poller) Close() error {
	if p.watcher != nil && !p.closed {
		p.watcher.close()
	}
	p.closed = true
	p.lingering.Wait()
	return nil
}

// wait leaves op in flight.
func (s *slot) wait(op *poll.Op) {
	if s.op != op {
		if s.op != nil {
			panic("rondo: two operations in flight on one side of an endpoint")
		}
		s.op = op
		op.Pending = true
	}
}

// settle takes the slot's operation, if any, out of flight.
func (s *slot) settle() {
	if op := s.op; op != nil {
		s.op = nil
		op.Pending = false
	}
}

// cause takes off what package net wraps around an error, since the layer above
// wraps it again.
func cause(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return net.ErrClosed
	}
	if oe, ok := err.(*net.OpError); ok {
		return oe.Err
	}
	return err
}

// systemCause finds the error of the system itself.
func systemCause(err error) error {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno
	}
	return cause(err)
}

package rondo

import (
	"container/list"
	"context"
	"errors"
	"net"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rondo-go/rondo/loop"
)

// A CachingResolver is a [Resolver] that remembers answers. Who asks for a name
// that is being looked up already waits for that answer: names are looked up
// once, however many tasks and goroutines, of however many loops, ask. One that is
// canceled leaves the look-up to the others.
//
// Answers are kept for a fixed time, as Go's resolver does not tell theirs. The
// zero CachingResolver is ready for use, by any goroutine. It must not be copied.
type CachingResolver struct {
	// Resolver is asked for what is not known. Nil: net.DefaultResolver.
	Resolver Resolver
	// TTL is how long an answer is kept. Zero: 60 s.
	TTL time.Duration
	// NegativeTTL is how long it is kept that a name does not exist. Zero: 5 s;
	// negative: not at all. Other errors are never kept.
	NegativeTTL time.Duration
	// Stale is how long after its time an answer is still given, while the name
	// is looked up anew in the background (RFC 8767). Zero: not at all.
	Stale time.Duration
	// MaxNames bounds the number of answers; what was not asked for the longest
	// goes first. Zero: 1,024.
	MaxNames int

	mu      sync.Mutex // guards what follows; it is never held while something waits
	answers map[question]*answer
	recent  list.List // of *answer, the last used first
}

type question struct{ network, host string }

// An answer is what is known about a name. It is guarded by the resolver's mu.
type answer struct {
	question
	place  *list.Element
	known  bool // there are ips or an err
	ips    []netip.Addr
	err    error
	until  time.Time
	flight *flight // the look-up in progress, or nil
}

// OnLoop says that tasks may call LookupNetIP; see [Resolver].
func (c *CachingResolver) OnLoop() bool { return true }

// LookupNetIP implements [Resolver]. It parks a task, or blocks a goroutine off
// the loop, until the answer is there; if it is known, it returns at once.
//
// Errors: the resolver's; those of [Sleep].
func (c *CachingResolver) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	now := wallClock()
	c.mu.Lock()
	a := c.find(question{network, strings.ToLower(host)})
	if a.known && now.Before(a.until) {
		defer c.mu.Unlock()
		return slices.Clone(a.ips), a.err
	}
	f := a.flight
	if f == nil {
		f = &flight{landed: make(chan struct{})}
		a.flight = f
		go c.look(a, f, now)
	}
	if a.known && a.err == nil && now.Before(a.until.Add(c.Stale)) {
		defer c.mu.Unlock()
		return slices.Clone(a.ips), nil
	}
	c.mu.Unlock()
	return f.wait(ctx)
}

// Forget drops what is known about host. A look-up in progress goes on for those
// who wait for it, and is then dropped too.
func (c *CachingResolver) Forget(host string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, network := range []string{"ip", "ip4", "ip6"} {
		if a := c.answers[question{network, strings.ToLower(host)}]; a != nil {
			c.drop(a)
		}
	}
}

// find returns the answer to q, which may be unknown yet.
func (c *CachingResolver) find(q question) *answer {
	if a := c.answers[q]; a != nil {
		c.recent.MoveToFront(a.place)
		return a
	}
	if c.answers == nil {
		c.answers = make(map[question]*answer)
	}
	most := c.MaxNames
	if most <= 0 {
		most = 1024
	}
	for e := c.recent.Back(); e != nil && len(c.answers) >= most; {
		old := e.Value.(*answer)
		e = e.Prev()
		if old.flight == nil {
			c.drop(old)
		}
	}
	a := &answer{question: q}
	a.place = c.recent.PushFront(a)
	c.answers[q] = a
	return a
}

func (c *CachingResolver) drop(a *answer) {
	delete(c.answers, a.question)
	c.recent.Remove(a.place)
}

// look is the goroutine of a look-up that was asked for at the given time.
func (c *CachingResolver) look(a *answer, f *flight, asked time.Time) {
	ips, err := c.ask(a.question)
	var dns *net.DNSError
	keep := orDefault(c.TTL, 60*time.Second)
	if err != nil {
		keep = 0
		if errors.As(err, &dns) && dns.IsNotFound {
			keep = orDefault(c.NegativeTTL, 5*time.Second)
		}
	}
	c.mu.Lock()
	a.flight = nil
	current := c.answers[a.question] == a
	switch {
	case keep > 0:
		a.known, a.ips, a.err, a.until = true, ips, err, asked.Add(keep)
	case current && !(a.known && a.err == nil && asked.Before(a.until.Add(c.Stale))):
		c.drop(a)
	}
	c.mu.Unlock()
	f.land(ips, err)
}

// ask asks the resolver below. The question does not end with who asks first.
func (c *CachingResolver) ask(q question) (ips []netip.Addr, err error) {
	r := c.Resolver
	if r == nil {
		r = net.DefaultResolver
	}
	defer func() {
		if p := recover(); p != nil {
			err = &PanicError{Value: p, Stack: debug.Stack()}
		}
	}()
	return r.LookupNetIP(context.Background(), q.network, q.host)
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

// wallClock is the time of the running loop, which may be virtual, or of the
// system.
func wallClock() time.Time {
	if l, _ := loop.Current(); l != nil {
		return l.TimeOf(l.Now())
	}
	return time.Now()
}

// A flight is a look-up in progress, for any number of waiters.
type flight struct {
	landed chan struct{} // closed when ips and err hold
	ips    []netip.Addr
	err    error

	mu   sync.Mutex // guards then
	then []func()   // for the tasks that wait
}

func (f *flight) land(ips []netip.Addr, err error) {
	f.mu.Lock()
	f.ips, f.err = ips, err
	close(f.landed)
	then := f.then
	f.mu.Unlock()
	for _, run := range then {
		run()
	}
}

// whenLanded has run called once the flight is over.
func (f *flight) whenLanded(run func()) {
	f.mu.Lock()
	select {
	case <-f.landed:
		f.mu.Unlock()
		run()
	default:
		f.then = append(f.then, run)
		f.mu.Unlock()
	}
}

func (f *flight) result() ([]netip.Addr, error) { return slices.Clone(f.ips), f.err }

func (f *flight) wait(ctx context.Context) ([]netip.Addr, error) {
	if l, _ := loop.Current(); l != nil {
		return offLoop(ctx, f.whenLanded, f.result)
	}
	select {
	case <-f.landed:
		return f.result()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

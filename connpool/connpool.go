// Package connpool keeps connections for the tasks of one loop: of a database,
// say. It is to pgx what aiopg's and asyncpg's pools are to their clients.
//
// The pools of Go's database clients wait on channels and connect on goroutines
// of their own, so a task that waits in one of them stops its loop. A [Pool]
// parks the task instead, and has the connection made by the task that needs it.
package connpool

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rondo-go/rondo"
)

// ErrClosed is returned for a pool that was closed.
var ErrClosed = errors.New("connpool: pool is closed")

// closing bounds how long one connection may take to close.
const closing = 5 * time.Second

// Options say what a [Pool] holds.
type Options[T any] struct {
	// Open makes a connection. It may park.
	Open func(ctx context.Context) (T, error)
	// Close closes one, and may park: its context is not done when that of the
	// caller is, but after five seconds.
	Close func(ctx context.Context, c T) error
	// Usable says, without parking, whether a connection that comes back can be
	// given to another task: it is whole, and has no reply outstanding. It is
	// asked again before the connection is given out. Nil: it always can.
	Usable func(c T) bool

	// Size is the number of connections at most, but for those that are being
	// closed. It must be positive.
	Size int
	// MaxIdle is for how long an unused connection is kept, and MaxAge for how
	// long any is. Both are looked at when a connection is asked for or comes
	// back. Zero: for ever.
	MaxIdle, MaxAge time.Duration
}

// A Pool holds at most so many connections, and gives each to one task at a time,
// the last used first. Tasks that must wait are served in the order in which they
// came. A Pool belongs to the tasks of one loop. Make one with [New].
type Pool[T any] struct {
	opts    Options[T]
	permits *rondo.Semaphore
	idle    []*Conn[T] // the last used last
	open    int
	closed  bool
}

// New returns a pool without any connection yet.
func New[T any](o Options[T]) *Pool[T] {
	if o.Open == nil || o.Close == nil || o.Size <= 0 {
		panic("connpool: New: Open, Close and a positive Size are needed")
	}
	return &Pool[T]{opts: o, permits: rondo.NewSemaphore(o.Size)}
}

// A Conn is a connection that a task holds.
type Conn[T any] struct {
	// Value is the connection.
	Value T

	pool         *Pool[T]
	made, rested time.Duration // on the loop's clock
	held         bool
}

// Len returns the number of open connections, and how many of them are idle.
func (p *Pool[T]) Len() (open, idle int) { return p.open, len(p.idle) }

// With calls fn with a connection, and takes it back whatever happens.
//
// Errors: those of Acquire; that of fn.
func (p *Pool[T]) With(ctx context.Context, fn func(ctx context.Context, c T) error) error {
	c, err := p.Acquire(ctx)
	if err != nil {
		return err
	}
	defer c.Release(ctx)
	return fn(ctx, c.Value)
}

// Acquire returns a connection, which must be released. It parks while all are
// in use, and while a new one is made. If the task is canceled meanwhile, it has
// taken none.
//
// Errors: that of Open; [ErrClosed]; those of [rondo.Semaphore.Acquire].
func (p *Pool[T]) Acquire(ctx context.Context) (*Conn[T], error) {
	if err := p.permits.Acquire(ctx); err != nil {
		return nil, fmt.Errorf("connpool: acquire: %w", err)
	}
	held := false
	defer func() {
		if !held { // also if Open panics
			p.permits.Release()
		}
	}()
	c, err := p.take(ctx)
	if err != nil {
		return nil, err
	}
	held, c.held = true, true
	return c, nil
}

// take is Acquire with a permit.
func (p *Pool[T]) take(ctx context.Context) (*Conn[T], error) {
	for !p.closed && len(p.idle) > 0 {
		c := p.idle[len(p.idle)-1]
		p.idle[len(p.idle)-1] = nil
		p.idle = p.idle[:len(p.idle)-1]
		if c.good() {
			return c, nil
		}
		p.discard(ctx, c)
	}
	if p.closed {
		return nil, ErrClosed
	}
	p.open++ // from now on, since Open parks
	opened := false
	defer func() {
		if !opened {
			p.open--
		}
	}()
	v, err := p.opts.Open(ctx)
	if err != nil {
		return nil, err
	}
	opened = true
	c := &Conn[T]{Value: v, pool: p, made: now()}
	if p.closed {
		p.discard(ctx, c)
		return nil, ErrClosed
	}
	return c, nil
}

// good says whether c may be given out.
func (c *Conn[T]) good() bool {
	o := &c.pool.opts
	t := now()
	return (o.MaxIdle == 0 || t-c.rested <= o.MaxIdle) && (o.MaxAge == 0 || t-c.made <= o.MaxAge) &&
		(o.Usable == nil || o.Usable(c.Value))
}

// Release gives the connection back, after which the task must not use it. It
// parks only to close one: c if it is not usable any more, or too old; others
// that have been idle for too long. That happens also in a task that was
// canceled. A second Release panics.
func (c *Conn[T]) Release(ctx context.Context) {
	p := c.pool
	if !c.held {
		panic("connpool: connection released by non-owner")
	}
	c.held = false
	defer p.permits.Release()
	c.rested = now()
	if p.closed || !c.good() {
		p.discard(ctx, c)
		return
	}
	p.idle = append(p.idle, c)
	for p.opts.MaxIdle > 0 && len(p.idle) > 0 && now()-p.idle[0].rested > p.opts.MaxIdle {
		old := p.idle[0]
		p.idle = p.idle[1:]
		p.discard(ctx, old)
	}
}

// discard closes a connection that nobody has any more.
func (p *Pool[T]) discard(ctx context.Context, c *Conn[T]) error {
	p.open--
	return rondo.Cleanup(ctx, closing, func(ctx context.Context) error { return p.opts.Close(ctx, c.Value) })
}

// Close closes the connections that are idle; those in use are closed when they
// come back. Tasks that wait for one fail with [ErrClosed] in their turn. A second
// Close does nothing.
//
// Errors: those of the connections.
func (p *Pool[T]) Close(ctx context.Context) error {
	p.closed = true
	var errs []error
	for len(p.idle) > 0 {
		c := p.idle[0]
		p.idle = p.idle[1:]
		errs = append(errs, p.discard(ctx, c))
	}
	return errors.Join(errs...)
}

func now() time.Duration { return rondo.RunningLoop().Time() }

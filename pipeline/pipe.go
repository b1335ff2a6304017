package pipeline

import (
	"context"
	"errors"
	"time"

	"github.com/rondo-go/rondo"
)

// errLeft is what a writer gets whose reader is gone. It never reaches a sink.
var errLeft = errors.New("pipeline: the reader has left")

// patience is how long a woken reader waits for a writer that does not park.
const patience = 200 * time.Microsecond

type item[T any] struct {
	v T
	a *ack
}

// A pipe is a bounded ring of items between writing tasks and one reading task.
//
// Invariants: reading is true only while the reader waits for ready, and writers
// is above zero only while somebody may wait for room; both events are set then,
// by whoever ends the reason to wait.
type pipe[T any] struct {
	buf     []item[T]
	head, n int
	c       *counters // of the stage that reads
	loop    *rondo.Loop

	ready   rondo.Event
	room    rondo.Event
	reading bool
	writers int           // that wait for room
	woken   bool          // the reader was, and has not run since
	woke    time.Duration // when

	feeding int   // writers that have not ended
	ended   bool  // nothing more comes, but for what is in buf
	err     error // why, or nil
	left    bool  // the reader is gone
}

func newPipe[T any](r *runState, c *counters, size int) *pipe[T] {
	p := &pipe[T]{buf: make([]item[T], max(size, 1)), c: c, loop: r.loop}
	c.waiting = func() int { return p.n }
	return p
}

// put adds an item, parking while the ring is full.
func (p *pipe[T]) put(ctx context.Context, v T, a *ack) error {
	for p.n == len(p.buf) && !p.left && !p.ended {
		p.writers++
		p.c.blocked++
		p.room.Clear()
		err := p.room.Wait(ctx)
		p.c.blocked--
		if err != nil {
			a.done(err)
			return err
		}
	}
	if p.left || p.ended {
		return errLeft // the run's end settles a
	}
	p.push(v, a)
	if p.woken && p.n&(p.n-1) == 0 && p.n > 1 && p.loop.Time()-p.woke > patience {
		return rondo.Sleep(ctx, 0)
	}
	return nil
}

// push adds an item. There must be room.
func (p *pipe[T]) push(v T, a *ack) {
	i := p.head + p.n
	if i >= len(p.buf) {
		i -= len(p.buf)
	}
	p.buf[i] = item[T]{v, a}
	p.n++
	p.c.in++
	if p.reading {
		p.wakeReader()
	}
}

func (p *pipe[T]) wakeReader() {
	p.reading, p.woken = false, true
	p.woke = p.loop.Time()
	p.ready.Set()
}

// pop takes an item out. There must be one.
func (p *pipe[T]) pop() item[T] {
	it := p.buf[p.head]
	p.buf[p.head] = item[T]{}
	if p.head++; p.head == len(p.buf) {
		p.head = 0
	}
	p.n--
	if p.writers > 0 && p.n <= len(p.buf)/2 {
		p.writers = 0
		p.room.Set()
	}
	return it
}

// wait parks until there is an item or the end.
func (p *pipe[T]) wait(ctx context.Context) error {
	for p.n == 0 && !p.ended {
		p.reading = true
		p.ready.Clear()
		err := p.ready.Wait(ctx)
		p.reading, p.woken = false, false
		if err != nil {
			return err
		}
	}
	return nil
}

// next takes an item out, parking until there is one. At the end ok is false.
func (p *pipe[T]) next(ctx context.Context) (it item[T], ok bool, err error) {
	if p.n == 0 {
		if err := p.wait(ctx); err != nil {
			return it, false, err
		}
		if p.n == 0 {
			return it, false, p.err
		}
	}
	return p.pop(), true, nil
}

// drain hands all items to emit, until the end.
func (p *pipe[T]) drain(ctx context.Context, emit emitter[T]) error {
	for {
		it, ok, err := p.next(ctx)
		if !ok {
			return err
		}
		p.c.out++
		if err := emit(it.v, it.a); err != nil {
			return err
		}
	}
}

// end says that a writer has ended. The first error ends the pipe.
func (p *pipe[T]) end(err error) {
	p.feeding--
	if err == nil && p.feeding > 0 || p.ended {
		return
	}
	p.finish(err)
}

// finish ends the pipe behind the items in it.
func (p *pipe[T]) finish(err error) {
	p.ended, p.err = true, err
	if p.reading {
		p.wakeReader()
	}
	p.writers = 0
	p.room.Set()
}

// leave says that the reader is gone.
func (p *pipe[T]) leave() {
	p.left = true
	p.writers = 0
	p.room.Set()
}

// feed runs s into p, as a task of its own.
func feed[T any](r *runState, s Stream[T], p *pipe[T]) *rondo.Task[struct{}] {
	p.feeding++
	return r.spawn(s.n, func(ctx context.Context) {
		p.end(s.run(ctx, r, func(v T, a *ack) error { return p.put(ctx, v, a) }))
	})
}

// read runs s into p and p into emit, and ends the one if the other fails.
func read[T any](ctx context.Context, r *runState, s Stream[T], p *pipe[T], emit emitter[T]) error {
	t := feed(r, s, p)
	defer func() {
		p.leave()
		t.Cancel("")
	}()
	return p.drain(ctx, emit)
}

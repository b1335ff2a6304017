package pipeline

import (
	"context"

	"github.com/rondo-go/rondo"
)

// An inFlight is a stage with several calls at once: a task that reads the stage
// before, workers that call f, and the calling task, which emits the results. A
// slot goes from the first to a worker and on to the last, which takes them in
// the order of the items, or as they are done. Workers are started as they are
// needed.
type inFlight[T, U any] struct {
	c     *counters
	r     *runState
	n     *node
	f     func(context.Context, T) (U, error)
	o     *callOptions[T]
	work  *rondo.Queue[*slot[T, U]] // not started
	tasks []*rondo.Task[struct{}]

	results     []*slot[T, U] // a ring: ordered all slots, else those that are done
	head, count int
	free        []*slot[T, U]

	taken   int // slots between the first and the last task; at most o.workers
	workers int
	idle    int // of workers
	busy    int
	full    bool // the first task waits for room
	waits   bool // the last task waits for ready
	room    rondo.Event
	ready   rondo.Event
	ended   bool // no more items
	left    bool // the last task is gone
	err     error
}

type slot[T, U any] struct {
	v    T
	a    *ack
	u    U
	err  error
	skip bool
	done bool
}

func mapInFlight[T, U any](ctx context.Context, r *runState, n *node, s Stream[T], f func(context.Context, T) (U, error), o *callOptions[T], emit emitter[U]) error {
	m := &inFlight[T, U]{c: &n.c, r: r, n: n, f: f, o: o, work: rondo.NewQueue[*slot[T, U]](0), results: make([]*slot[T, U], o.workers)}
	n.c.inFlight = func() int { return m.busy }
	n.c.waiting = m.work.Len
	m.tasks = append(m.tasks, r.spawn(s.n, func(ctx context.Context) {
		m.err = s.run(ctx, r, func(v T, a *ack) error { return m.add(ctx, v, a) })
		m.ended = true
		m.wake()
	}))
	defer m.leave()
	return m.emitAll(ctx, emit)
}

// add takes an item over from the stage before.
func (m *inFlight[T, U]) add(ctx context.Context, v T, a *ack) error {
	for m.taken == m.o.workers && !m.left {
		m.full = true
		m.c.blocked++
		m.room.Clear()
		err := m.room.Wait(ctx)
		m.c.blocked--
		if err != nil {
			a.done(err)
			return err
		}
	}
	if m.left {
		return errLeft
	}
	m.taken++
	m.c.in++
	var x *slot[T, U]
	if k := len(m.free); k > 0 {
		x, m.free = m.free[k-1], m.free[:k-1]
	} else {
		x = new(slot[T, U])
	}
	x.v, x.a = v, a
	if !m.o.unordered {
		m.push(x)
	}
	if err := m.work.TryPut(x); err != nil {
		return errLeft
	}
	if m.work.Len() > m.idle && m.workers < m.o.workers {
		m.workers++
		m.idle++
		m.tasks = append(m.tasks, m.r.spawn(m.n, m.worker))
	}
	return nil
}

func (m *inFlight[T, U]) push(x *slot[T, U]) {
	i := m.head + m.count
	if i >= len(m.results) {
		i -= len(m.results)
	}
	m.results[i] = x
	m.count++
}

// worker calls f until it is canceled or the work is over.
func (m *inFlight[T, U]) worker(ctx context.Context) {
	for {
		x, err := m.work.Get(ctx)
		if err != nil {
			return
		}
		m.idle--
		m.busy++
		start := m.c.sample(m.r, 7)
		x.u, x.err = m.f(ctx, x.v)
		m.c.observe(m.r, start)
		if x.err != nil {
			x.skip, x.err = m.o.bury(ctx, x.v, m.n.fails(x.err))
			if x.skip {
				m.c.dropped++
				x.err = nil
			}
		}
		m.busy--
		m.idle++
		x.done = true
		if m.o.unordered {
			m.push(x)
		}
		if m.results[m.head] == x {
			m.wake()
		}
	}
}

func (m *inFlight[T, U]) wake() {
	if m.waits {
		m.waits = false
		m.ready.Set()
	}
}

// emitAll emits the results as they become due, until the end.
func (m *inFlight[T, U]) emitAll(ctx context.Context, emit emitter[U]) error {
	for {
		for m.count == 0 || !m.results[m.head].done {
			if m.ended && m.taken == 0 {
				return m.err
			}
			m.waits = true
			m.ready.Clear()
			err := m.ready.Wait(ctx)
			m.waits = false
			if err != nil {
				return err
			}
		}
		x := m.results[m.head]
		m.results[m.head] = nil
		if m.head++; m.head == len(m.results) {
			m.head = 0
		}
		m.count--
		m.taken--
		if m.full {
			m.full = false
			m.room.Set()
		}
		y := *x
		*x = slot[T, U]{}
		m.free = append(m.free, x)
		if y.skip || y.err != nil {
			y.a.done(y.err)
			if y.err != nil {
				return y.err
			}
			continue
		}
		m.c.out++
		if err := emit(y.u, y.a); err != nil {
			return err
		}
	}
}

// leave ends the other tasks.
func (m *inFlight[T, U]) leave() {
	m.left = true
	m.room.Set()
	m.work.Shutdown(true)
	for _, t := range m.tasks {
		t.Cancel("")
	}
}

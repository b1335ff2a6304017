package rondo

import (
	"context"
	"errors"
	"io"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rondo-go/rondo/loop"
)

// A service is a server on one loop, to whose thread it belongs.
type service struct {
	server  *Server
	loop    *Loop
	ln      *Listener // nil: connections are handed over to it
	ctx     context.Context
	count   atomic.Int32 // connections
	shifts  []*shift     // at work
	free    []*shift
	resting restList
	open    restList   // by RestOpen
	timer   loop.Timer // of the oldest one at rest
	waiter  *loop.Task // run, parked
	spread  bool       // what it accepts is for all services
	vars    *varMap    // of the handlers
	closed  bool
	aborted bool
	done    *Future[struct{}]
}

func newService(ctx context.Context, s *Server, l *Loop, ln *Listener) *service {
	v := &service{server: s, loop: l, ln: ln, ctx: ctx, done: NewFuture[struct{}]()}
	v.timer.Init(loop.Func(v.expire))
	if _, t := loop.Current(); t != nil {
		v.vars = coreOf(t).vars
	}
	return v
}

// run accepts until the service is closed, and then waits for its connections.
func (v *service) run(ctx context.Context) error {
	v.ctx = ctx
	t, err := taskFor(ctx)
	if err == nil {
		err = v.accept(ctx, t)
	}
	v.close()
	if !errors.Is(err, ErrServerClosed) {
		v.abort()
	}
	for v.count.Load() > 0 {
		if e := v.park(t); e != nil {
			err = e
			v.abort()
		}
	}
	v.loop.k.StopTimer(&v.timer)
	v.server.forget(v)
	v.done.Set(struct{}{})
	return err
}

// park waits for a change of count or closed.
func (v *service) park(t *loop.Task) error {
	v.waiter = t
	err := t.Park(loop.AbortFunc(func() { v.waiter = nil }))
	v.waiter = nil
	return err
}

func (v *service) changed() {
	if v.waiter != nil {
		v.waiter.Unpark()
	}
}

func (v *service) accept(ctx context.Context, t *loop.Task) error {
	const shortest, longest = 5 * time.Millisecond, time.Second
	pause := time.Duration(0)
	for {
		for !v.closed && (v.ln == nil || v.full()) {
			if err := v.park(t); err != nil {
				return err
			}
		}
		if v.closed {
			return ErrServerClosed
		}
		c, err := v.ln.accepted(t)
		switch {
		case err == nil:
			pause = 0
			v.distribute(c)
		case v.closed:
			return ErrServerClosed
		case isShortage(err):
			if pause == 0 {
				logAccept(v.ln.Addr(), err, longest)
			}
			pause = min(max(2*pause, shortest), longest)
			if err := Sleep(ctx, pause); err != nil {
				return err
			}
		default:
			return err
		}
	}
}

// full says whether there is no room for another connection. If those are spread, whoever makes room on another loop
// wakes v.
func (v *service) full() bool {
	if v.spread {
		return v.server.full(v)
	}
	return !v.hasRoom()
}

func (v *service) hasRoom() bool {
	return v.server.o.max <= 0 || int(v.count.Load()) < v.server.o.max
}

// isShortage says whether accepting failed for want of something that others may
// give back.
func isShortage(err error) bool {
	for _, e := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// distribute takes c in, here or on another loop.
func (v *service) distribute(c *Conn) {
	to := v
	if v.spread {
		to = v.server.next()
	}
	to.count.Add(1)
	if to == v {
		v.admit(c)
		return
	}
	if err := c.moveTo(to.loop, to.admit); err != nil {
		to.count.Add(-1)
		v.count.Add(1)
		v.admit(c) // better here than nowhere
	}
}

// admit begins to serve c, which counts already. Nil: it could not be moved here.
func (v *service) admit(c *Conn) {
	if c == nil {
		v.left()
		return
	}
	c.rest.service = v
	if v.closed {
		c.Close()
		v.left()
		return
	}
	if v.server.factory != nil {
		v.loop.CallSoon(func() { v.protocol(c) })
		return
	}
	if !v.server.o.lazy || !v.rest(c) {
		v.start(c)
	}
}

// protocol has a protocol told of what happens to c.
func (v *service) protocol(c *Conn) {
	made := false
	defer func() {
		if !made {
			c.Close()
			v.left()
		}
	}()
	if c.closed.Load() {
		return // between its acceptance and now
	}
	p := v.server.factory()
	made = true
	NewTransport(c, p)
}

// rest lays c to rest. False: there is something for it already.
func (v *service) rest(c *Conn) bool {
	if !c.beginRest() {
		return false
	}
	if v.server.o.idle > 0 && !c.rest.open {
		c.rest.since = v.loop.k.Now()
		if !v.timer.Running() {
			v.loop.k.StartTimer(&v.timer, c.rest.since.Add(v.server.o.idle))
		}
	}
	return true
}

// expire closes what has rested too long.
func (v *service) expire() {
	now := v.loop.k.Now()
	for c := v.resting.oldest; c != nil; c = v.resting.oldest {
		if at := c.rest.since.Add(v.server.o.idle); at > now {
			v.loop.k.StartTimer(&v.timer, at)
			return
		}
		c.Close()
	}
}

// left notes that a connection is gone.
func (v *service) left() {
	v.count.Add(-1)
	v.changed()
	if v.server.o.spread && v.server.o.max > 0 {
		v.server.madeRoom()
	}
}

// close stops listening and closes what rests.
func (v *service) close() {
	if v.closed {
		return
	}
	v.closed = true
	if v.ln != nil {
		v.ln.Close()
	}
	for v.resting.oldest != nil {
		v.resting.oldest.Close()
	}
	v.changed()
}

// abort cancels the handlers, and closes what rests. Protocols have no task to cancel:
// their connections are reset.
func (v *service) abort() {
	v.aborted = true
	if v.server.factory != nil {
		v.closeAll(true)
	}
	for _, s := range append([]*shift(nil), v.shifts...) {
		s.Cancel("server aborted")
	}
	for v.open.oldest != nil {
		v.open.oldest.Close()
	}
}

// closeAll closes all connections of the service.
func (v *service) closeAll(reset bool) {
	var all []*Conn
	for _, x := range v.loop.conns {
		if c, ok := x.(*Conn); ok && c.rest.service == v {
			all = append(all, c)
		}
	}
	for _, c := range all {
		if reset {
			c.SetLinger(0)
		}
		c.Close()
	}
}

func (v *service) wait(ctx context.Context) error {
	if RunningLoop() == nil {
		_, err := v.done.Await(ctx)
		return err
	}
	_, err := Shield(v.done).Await(ctx)
	return err
}

// A shift is a task that serves one connection, from the arrival of bytes until
// it rests again or ends. Those that nobody else can know of any more are reused.
type shift struct {
	core
	conn   *Conn
	rested bool
	index  int32 // in service.shifts
}

// start has a task serve c.
func (v *service) start(c *Conn) {
	var s *shift
	if n := len(v.free); n > 0 {
		s = v.free[n-1]
		v.free = v.free[:n-1]
		*s = shift{}
	} else {
		s = new(shift)
	}
	s.conn, s.index = c, int32(len(v.shifts))
	v.shifts = append(v.shifts, s)
	s.init(v.ctx, v.loop.k, nil, (*shiftBody)(s), nil)
	s.vars = v.vars
	v.loop.k.Start(&s.k)
}

type shiftBody shift

func (b *shiftBody) base() *core { return &b.core }

// Run implements [loop.Body].
func (b *shiftBody) Run(t *loop.Task) {
	c := b.conn
	v := c.rest.service
	for {
		h := c.rest.next
		if h == nil {
			h = v.server.handler
		} else {
			c.rest.next = nil
		}
		b.err = h(&b.scope, c)
		if b.err != errRest {
			return
		}
		if v.closed && !c.rest.open || v.aborted || c.closed.Load() {
			b.err = nil
			return
		}
		if v.rest(c) {
			b.err, b.rested = nil, true
			return
		}
		// There is more already. The others' turn comes first.
		if b.err = t.Yield(); b.err != nil {
			return
		}
	}
}

// Failed implements [loop.Body].
func (b *shiftBody) Failed(_ *loop.Task, err error) { b.err = err }

// Ended implements [loop.Body].
func (b *shiftBody) Ended(*loop.Task) {
	s := (*shift)(b)
	c := s.conn
	v := c.rest.service
	last := len(v.shifts) - 1
	v.shifts[s.index] = v.shifts[last]
	v.shifts[s.index].index = s.index
	v.shifts[last] = nil
	v.shifts = v.shifts[:last]
	if s.err != nil && !isCancellation(s.err) {
		if !isEnd(s.err) {
			v.failed(c, s.err)
		}
		s.err = nil
	}
	s.ended()
	if !s.rested {
		c.closeNow()
		v.left()
	}
	if s.scope.watch.Load() == nil && s.info == nil && !s.k.Done.Awaited() && len(v.free) < 256 {
		v.free = append(v.free, s)
	}
}

// failed tells of a handler's error.
func (v *service) failed(c *Conn, err error) {
	if f := v.server.o.onError; f != nil {
		f(c, err)
		return
	}
	v.loop.handler(Report{Kind: ReportError, Message: "the handler of a " + c.String() + " failed", Err: err})
}

// isPeerGone says whether err tells that the peer has ended the connection, or
// does not answer any more.
func isPeerGone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, syscall.ETIMEDOUT)
}

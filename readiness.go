package rondo

import (
	"context"
	"fmt"
	"slices"
	"syscall"

	"github.com/rondo-go/rondo/loop"
	"github.com/rondo-go/rondo/poll"
)

// An fdWatch is a descriptor of the program's that the loop watches, for a callback
// and any number of tasks on either side.
type fdWatch struct {
	member
	loop   *Loop
	fd     uintptr
	w      poll.Watch
	rd, wr fdSide
	closed bool
}

// An fdSide is the reading or the writing half.
type fdSide struct {
	watch    *fdWatch
	op       poll.Op
	try      func(*poll.Op) (error, bool)
	callback *loop.Handle // or nil
	fn       func()       // what it calls
	collect  loop.Handle  // where there is no callback
	waiting  []*fdWaiter
}

// An fdWaiter is a task in WaitReadable or WaitWritable.
type fdWaiter struct {
	side *fdSide
	task *loop.Task
	told bool
	err  error
}

// watchFD returns the watch of a descriptor, a new one if need be.
func (l *Loop) watchFD(fd uintptr) (*fdWatch, error) {
	if w := l.watches[fd]; w != nil {
		return w, nil
	}
	pw, err := l.k.Poller().Watch(fd)
	if err != nil {
		return nil, err
	}
	w := &fdWatch{loop: l, fd: fd, w: pw}
	w.rd.init(w, pw.Readable)
	w.wr.init(w, pw.Writable)
	if l.watches == nil {
		l.watches = make(map[uintptr]*fdWatch)
	}
	l.watches[fd] = w
	l.enlist(w)
	return w, nil
}

func (w *fdWatch) closeWithLoop() {
	if !w.closed {
		w.closed = true
		w.w.Close()
		delete(w.loop.watches, w.fd)
		w.loop.delist(w)
	}
}

func (w *fdWatch) isClosed() bool { return w.closed }

// String names the watch, for humans.
func (w *fdWatch) String() string { return fmt.Sprintf("watch of descriptor %d", w.fd) }

func (s *fdSide) init(w *fdWatch, try func(*poll.Op) (error, bool)) {
	s.watch, s.try, s.op.Owner = w, try, s
	s.collect.Init(loop.Func(s.ready))
}

// Ready implements [poll.Owner].
func (s *fdSide) Ready(*poll.Op) { s.schedule() }

func (s *fdSide) schedule() {
	h := &s.collect
	if s.callback != nil {
		h = s.callback
	}
	s.watch.loop.k.Schedule(h)
}

// arm looks at the level anew. An error is told as readiness is.
func (s *fdSide) arm() {
	if s.op.Pending {
		s.watch.w.Cancel(&s.op) // the number may be another file's by now
	}
	if err, ok := s.try(&s.op); ok {
		s.tell(err)
	}
}

// ready collects what the poller has told of.
func (s *fdSide) ready() {
	if s.watch.closed || s.op.Pending || !s.busy() {
		return
	}
	if err, ok := s.try(&s.op); ok {
		s.tell(err)
	}
}

// tell gives a result to whoever waits for it. The callback goes on being called
// as long as it is there.
func (s *fdSide) tell(err error) {
	for _, x := range s.waiting {
		x.told, x.err = true, err
		x.task.Unpark()
	}
	s.waiting = s.waiting[:0]
	switch {
	case s.callback == nil:
		s.idle()
	case err != nil:
		s.remove()
		s.watch.loop.handler(Report{Message: "a watched descriptor failed; it is not watched any more", Err: err})
	default:
		defer s.again()
		s.fn()
	}
}

// again is the end of a callback.
func (s *fdSide) again() {
	if s.callback != nil && !s.watch.closed && !s.op.Pending {
		s.arm()
	}
}

// remove takes the callback off. It says whether there was one.
func (s *fdSide) remove() bool {
	if s.callback == nil {
		return false
	}
	s.callback.Cancel()
	s.callback, s.fn = nil, nil
	s.watch.loop.k.Inflight(-1)
	if len(s.waiting) > 0 && !s.op.Pending {
		s.schedule() // the callback would have told them
	}
	s.idle()
	return true
}

// idle ends what nobody waits for.
func (s *fdSide) idle() {
	w := s.watch
	if w.closed || s.busy() {
		return
	}
	w.w.Cancel(&s.op)
	if !w.rd.busy() && !w.wr.busy() {
		w.closeWithLoop()
	}
}

func (s *fdSide) busy() bool { return s.callback != nil || len(s.waiting) > 0 }

func (s *fdSide) add(fn func()) {
	l := s.watch.loop
	if s.callback != nil {
		s.callback.Cancel()
	} else {
		l.k.Inflight(1)
	}
	s.fn = fn
	s.callback = l.callback(s.ready)
	s.arm()
}

// AddReader has callback called, on the loop and outside of every task, in every
// iteration in which the descriptor can be read without blocking: as long as it has
// not been read dry. The end and an error count as readable. The descriptor stays
// the caller's, who calls RemoveReader before closing it; if it was closed before,
// it is not watched any more, and its number can be added anew. A second AddReader
// replaces the callback. It is asyncio's add_reader, for the loop's thread.
//
// [DescriptorOf] finds the descriptor of an *os.File and the like.
//
// Errors: one that wraps [errors.ErrUnsupported] for a regular file, which is always
// ready (read it by [ToThread]), and on Windows; the system's, if fd is not open or
// belongs to a [Conn] of this loop.
func (l *Loop) AddReader(fd uintptr, callback func()) error {
	w, err := l.watchFD(fd)
	if err != nil {
		return fmt.Errorf("add reader: %w", err)
	}
	w.rd.add(callback)
	return nil
}

// RemoveReader ends what AddReader began. It says whether there was a callback.
func (l *Loop) RemoveReader(fd uintptr) bool {
	w := l.watches[fd]
	return w != nil && w.rd.remove()
}

// AddWriter is [Loop.AddReader] for a descriptor that can be written.
func (l *Loop) AddWriter(fd uintptr, callback func()) error {
	w, err := l.watchFD(fd)
	if err != nil {
		return fmt.Errorf("add writer: %w", err)
	}
	w.wr.add(callback)
	return nil
}

// RemoveWriter ends what AddWriter began. It says whether there was a callback.
func (l *Loop) RemoveWriter(fd uintptr) bool {
	w := l.watches[fd]
	return w != nil && w.wr.remove()
}

// WaitReadable parks the task until the descriptor can be read without blocking. The
// end and an error count as readable. The descriptor stays the caller's, and must be
// open until WaitReadable returns. Several tasks may wait for one.
//
// Errors: those of [Loop.AddReader]; those of [Sleep].
func WaitReadable(ctx context.Context, fd uintptr) error {
	return waitFD(ctx, fd, "readable", func(w *fdWatch) *fdSide { return &w.rd })
}

// WaitWritable is [WaitReadable] for writing.
func WaitWritable(ctx context.Context, fd uintptr) error {
	return waitFD(ctx, fd, "writable", func(w *fdWatch) *fdSide { return &w.wr })
}

func waitFD(ctx context.Context, fd uintptr, what string, side func(*fdWatch) *fdSide) error {
	t, err := taskFor(ctx)
	if err != nil {
		return err
	}
	stop, err := under(ctx, t)
	if err != nil {
		return err
	}
	if stop != nil {
		defer stop()
	}
	w, err := coreOf(t).runtime.watchFD(fd)
	if err != nil {
		return fmt.Errorf("wait %s: %w", what, err)
	}
	s := side(w)
	x := &fdWaiter{side: s, task: t}
	s.waiting = append(s.waiting, x)
	if s.callback == nil || s.op.Pending {
		s.arm()
	}
	if !x.told {
		t.Loop().Inflight(1)
		err = t.Park(x)
		t.Loop().Inflight(-1)
	}
	if err == nil && x.err != nil {
		err = fmt.Errorf("wait %s: %w", what, x.err)
	}
	return err
}

// Abort implements [loop.Aborter].
func (x *fdWaiter) Abort(*loop.Task, loop.Reason, error) loop.Verdict {
	x.side.waiting = slices.DeleteFunc(x.side.waiting, func(y *fdWaiter) bool { return x == y })
	x.side.idle()
	return loop.Aborted
}

// DescriptorOf returns the descriptor of an *os.File, a *net.TCPConn and the like,
// without changing its mode, as the method Fd of some does. It is good until c is
// closed, which the caller has to see to.
func DescriptorOf(c syscall.Conn) (fd uintptr, err error) {
	rc, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	err = rc.Control(func(x uintptr) { fd = x })
	return fd, err
}

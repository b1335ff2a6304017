package rondo

import (
	"os"
	"sync/atomic"
	"time"

	"github.com/rondo-go/rondo/loop"
	"github.com/rondo-go/rondo/poll"
)

// A side is the reading or the writing half of a Conn or a Listener on the loop.
type side struct {
	op       poll.Op
	task     *loop.Task // parked for op
	busy     bool       // a task is inside; others wait their turn
	turn     loop.WaitList
	cancel   func(*poll.Op)
	timer    loop.Timer
	deadline atomic.Int64 // on the loop's clock; 0: none
	loop     *loop.Loop
}

func (s *side) init(l *loop.Loop, cancel func(*poll.Op)) {
	s.op.Owner, s.cancel, s.loop = s, cancel, l
	s.timer.Init(s)
}

// Ready implements [poll.Owner].
func (s *side) Ready(*poll.Op) {
	if s.task != nil {
		s.task.Unpark()
	}
}

// Abort implements [loop.Aborter].
func (s *side) Abort(*loop.Task, loop.Reason, error) loop.Verdict {
	s.cancel(&s.op)
	return loop.Aborted
}

// Call is the timer of the deadline. Deadlines are armed lazily: one that was
// put off meanwhile is armed anew.
func (s *side) Call() {
	if s.task == nil {
		return
	}
	at := loop.Time(s.deadline.Load())
	if at == 0 {
		return
	}
	if at > s.loop.Now() {
		s.loop.StartTimer(&s.timer, at)
		return
	}
	s.task.Leave(s.task.Parks(), os.ErrDeadlineExceeded)
}

// enter waits for the side's turn.
func (s *side) enter(t *loop.Task) error {
	if !s.busy && s.turn.Empty() {
		s.busy = true
		return nil
	}
	w := t.Waiter()
	s.turn.Add(w)
	err := t.Park(w)
	s.turn.Remove(w)
	if err != nil && w.Granted() {
		s.leave()
	}
	return err
}

// leave passes the turn on.
func (s *side) leave() {
	if s.turn.Empty() {
		s.busy = false
		return
	}
	if w := s.turn.Pending(); w != nil {
		w.Grant(s.loop)
	} else {
		s.busy = false
	}
}

// expired says whether the deadline has passed.
func (s *side) expired() bool {
	at := loop.Time(s.deadline.Load())
	return at != 0 && at <= s.loop.Now()
}

// wait parks t until its operation can be collected.
func (s *side) wait(t *loop.Task) error {
	if at := loop.Time(s.deadline.Load()); at != 0 && (!s.timer.Running() || s.timer.When() > at) {
		s.loop.StartTimer(&s.timer, at)
	}
	s.task = t
	s.loop.Inflight(1)
	err := t.Park(s)
	s.loop.Inflight(-1)
	s.task = nil
	return err
}

// fail makes the parked task leave with err.
func (s *side) fail(err error) {
	if s.task != nil {
		s.task.Leave(s.task.Parks(), err)
	}
	for w := s.turn.Pending(); w != nil; w = w.Next() {
		w.Task.Leave(w.Task.Parks(), err)
	}
}

// setDeadline sets the deadline, and sees to it that a parked task notices.
func (s *side) setDeadline(t time.Time) {
	if t.IsZero() {
		s.deadline.Store(0)
		return
	}
	at := s.loop.Now().Add(time.Until(t))
	s.deadline.Store(int64(max(at, 1)))
	if s.loop.OnLoop() {
		s.rearm()
		return
	}
	h := new(loop.Handle)
	h.Init(loop.Func(s.rearm))
	s.loop.Post(h)
}

func (s *side) rearm() {
	at := loop.Time(s.deadline.Load())
	if s.task != nil && at != 0 && (!s.timer.Running() || s.timer.When() > at) {
		s.loop.StartTimer(&s.timer, at)
	}
}

package rondo

import (
	"os"
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
	timer    *loop.Timer // of the deadline; made when one is first waited for
	deadline loop.Time   // 0: none
	loop     *loop.Loop
	target   canceler
}

// A canceler withdraws operations: an endpoint.
type canceler interface{ Cancel(*poll.Op) }

func (s *side) init(l *loop.Loop, target canceler) {
	s.op.Owner, s.target, s.loop = s, target, l
}

// blank says whether nobody uses the side, and nothing was asked of it.
func (s *side) blank() bool { return !s.busy && s.turn.Empty() && s.deadline == 0 && s.timer == nil }

// Ready implements [poll.Owner].
func (s *side) Ready(*poll.Op) {
	if s.task != nil {
		s.task.Unpark()
	}
}

// Abort implements [loop.Aborter].
func (s *side) Abort(*loop.Task, loop.Reason, error) loop.Verdict {
	s.target.Cancel(&s.op)
	return loop.Aborted
}

// Call is the timer of the deadline. Deadlines are armed lazily: one that was
// put off meanwhile is armed anew.
func (s *side) Call() {
	if s.task == nil || s.deadline == 0 {
		return
	}
	if s.deadline > s.loop.Now() {
		s.loop.StartTimer(s.timer, s.deadline)
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
func (s *side) expired() bool { return s.deadline != 0 && s.deadline <= s.loop.Now() }

// wait parks t until its operation can be collected.
func (s *side) wait(t *loop.Task) error {
	s.task = t
	if s.deadline != 0 {
		s.rearm()
	}
	s.loop.Inflight(1)
	err := t.Park(s)
	s.loop.Inflight(-1)
	s.task = nil
	return err
}

// fail makes the parked task leave with err, and stops the timer.
func (s *side) fail(err error) {
	if s.task != nil {
		s.task.Leave(s.task.Parks(), err)
	}
	for w := s.turn.Pending(); w != nil; w = w.Next() {
		w.Task.Leave(w.Task.Parks(), err)
	}
	s.stopTimer()
}

func (s *side) stopTimer() {
	if s.timer != nil {
		s.loop.StopTimer(s.timer)
	}
}

// setDeadline sets the deadline, and sees to it that a parked task notices. The loop's
// clock is monotonic: a time of day counts as what it is away now, and one that
// time.Now made does not heed the time of day at all.
func (s *side) setDeadline(t time.Time) {
	if t.IsZero() {
		s.deadline = 0
		return
	}
	s.deadline = max(s.loop.Now().Add(time.Until(t)), 1)
	s.rearm()
}

// rearm starts the timer if a task is parked and nothing earlier runs.
func (s *side) rearm() {
	if s.task == nil || s.deadline == 0 {
		return
	}
	if s.timer == nil {
		s.timer = new(loop.Timer)
		s.timer.Init(s)
	}
	if !s.timer.Running() || s.timer.When() > s.deadline {
		s.loop.StartTimer(s.timer, s.deadline)
	}
}

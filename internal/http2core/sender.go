package http2core

import (
	"errors"
	"slices"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/loop"
)

// A Sender is the sending side of a stream's flow control. At most one task sends at a time.
type Sender struct {
	w       *Writer
	id      uint32
	window  int64 // may be negative, RFC 9113 section 6.9.2
	err     error // for good
	pause   error // until Interrupt(nil)
	want    int
	granted int64 // of the connection's window, by pump
	listed  bool  // in w.waiting
	index   int   // in w.stalled, while the task waits for the stream's window
	task    *loop.Task
}

// Open makes s the sender of a stream.
func (s *Sender) Open(w *Writer, id uint32) { *s = Sender{w: w, id: id, window: w.peer.InitialWindow} }

// Send adds DATA frames for p, the last of which ends the stream if end. It parks while the peer's windows
// do not allow more, or too much waits to be written. What follows in the same iteration leaves with it.
//
// Errors: that of [Sender.Fail] or [Sender.Interrupt]; the writer's; a [rondo.CanceledError] if the task is canceled: n
// says how much has been added.
func (s *Sender) Send(p []byte, end bool) (n int, err error) {
	w := s.w
	for {
		if err := s.failed(); err != nil {
			s.giveBack()
			return n, err
		}
		left := len(p) - n
		k := min(int64(left), s.window, int64(w.peer.FrameSize))
		switch {
		case left == 0:
		case k > 0 && s.granted > 0:
			k = min(k, s.granted)
			s.granted -= k
		case k > 0 && w.window > 0 && w.Queued() < roomAt && len(w.waiting) == 0:
			k = min(k, w.window)
			w.window -= k
		default:
			if err := s.wait(left); err != nil {
				return n, err
			}
			continue
		}
		last := int(k) == left
		s.window -= k
		if left > 0 || end {
			w.data(s.id, p[n:n+int(k)], end && last)
		}
		n += int(k)
		if last {
			break
		}
	}
	w.FlushSoon()
	return n, nil
}

// giveBack returns what was granted and is not used.
func (s *Sender) giveBack() {
	if s.granted > 0 {
		s.w.window += s.granted
		s.granted = 0
		s.w.pump()
	}
}

// failed says why s cannot send.
func (s *Sender) failed() error {
	switch {
	case s.err != nil:
		return s.err
	case s.w.err != nil:
		return s.w.err
	}
	return s.pause
}

// wait parks until it may be possible to send.
func (s *Sender) wait(left int) error {
	w := s.w
	s.giveBack()
	w.FlushSoon()
	_, t := loop.Current()
	if t == nil {
		return rondo.ErrNotTask
	}
	stalled := s.window <= 0
	if stalled {
		s.index = len(w.stalled)
		w.stalled = append(w.stalled, s)
	} else {
		s.want, s.listed = left, true
		w.waiting = append(w.waiting, s)
		w.pump()
		if s.granted > 0 {
			return nil
		}
	}
	s.task = t
	err := t.Park(stay{})
	s.task = nil
	if stalled {
		last := len(w.stalled) - 1
		w.stalled[s.index] = w.stalled[last]
		w.stalled[s.index].index = s.index
		w.stalled[last] = nil
		w.stalled = w.stalled[:last]
	}
	s.unlist()
	if err != nil {
		s.giveBack()
	}
	return err
}

func (s *Sender) unlist() {
	if !s.listed {
		return
	}
	s.listed = false
	if i := slices.Index(s.w.waiting, s); i >= 0 {
		s.w.waiting = slices.Delete(s.w.waiting, i, i+1)
	}
}

func (s *Sender) wake() {
	if s.task != nil {
		s.task.Unpark()
	}
}

// AddWindow is for a WINDOW_UPDATE of the stream. [ErrFlowControl]: it is too large.
func (s *Sender) AddWindow(n uint32) error { return s.Adjust(int64(n)) }

// Adjust changes the window by what the peer's settings have changed; see [Writer.Apply].
func (s *Sender) Adjust(delta int64) error {
	s.window += delta
	if s.window > maxWindow {
		return ErrFlowControl
	}
	if s.window > 0 && !s.listed {
		s.wake()
	}
	return nil
}

// Fail ends the sender: Send returns err from now on.
func (s *Sender) Fail(err error) {
	if s.err == nil {
		s.err = err
		s.wake()
	}
}

// Interrupt has Send return err instead of sending, until it is called with nil: for deadlines.
func (s *Sender) Interrupt(err error) {
	s.pause = err
	if err != nil {
		s.wake()
	}
}

// Failed reports whether s has been given an error for good, or the writer has.
func (s *Sender) Failed() error {
	return errors.Join(s.err, s.w.err)
}

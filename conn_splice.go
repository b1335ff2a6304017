package rondo

import (
	"errors"

	"github.com/rondo-go/rondo/loop"
	"github.com/rondo-go/rondo/poll"
)

// How a connection is copied to another of its loop
//
// By the loop's buffer: a read and a write a piece. Where the system can, a bulk
// transfer changes over to a pipe (splice(2)), through which the bytes stay in the
// system's memory. That saves copying them twice, and costs a system call more, so
// it is for large pieces only: it begins when enough of them came in a row, and
// ends when they have become small again, as in a tunnel that serves a terminal after
// a download.
//
// A copy has a pipe only while bytes are in it: thousands of copies that wait share
// a few. Bytes in the pipe are as those in a buffer: if the copy ends before they
// are written, they are lost, as with io.Copy everywhere.

const (
	spliceFrom  = 256 << 10 // this much in large pieces begins it
	spliceLarge = 32 << 10  // what counts as one
	spliceSmall = 8         // this many in a row of less than that end it
)

// copyConn copies until the end.
func copyConn(t *loop.Task, dst, src *Conn) (n int64, err error) {
	var splicer poll.Splicer
	if dst != src {
		splicer, _ = t.Loop().Poller().(poll.Splicer)
	}
	return copyConnBy(t, splicer, dst, src)
}

// copyConnBy is copyConn with what splices, or nil.
func copyConnBy(t *loop.Task, splicer poll.Splicer, dst, src *Conn) (n int64, err error) {
	turn := t.Parks()
	moved, large := 0, 0
	for {
		p, err := src.Borrow()
		if err != nil {
			return n, endIsNil(err)
		}
		k, err := dst.writeBorrowed(t, p)
		n += int64(k)
		if err != nil {
			return n, err
		}
		if large += k; k < spliceLarge {
			large = 0
		} else if large >= spliceFrom && splicer != nil {
			piped, able, err := spliceConn(t, splicer, dst, src)
			n += piped
			if err != nil {
				return n, endIsNil(err)
			}
			if large = 0; !able {
				splicer = nil
			}
			turn, moved = t.Parks(), 0
			continue
		}
		if moved += k; t.Parks() != turn {
			turn, moved = t.Parks(), 0
		} else if moved >= copyTurn {
			if err := t.Yield(); err != nil {
				return n, dst.opError("write", err)
			}
			turn, moved = t.Parks(), 0
		}
	}
}

// spliceConn copies by pipes as long as that pays; able says that it may again. At the
// end it returns io.EOF.
func spliceConn(t *loop.Task, splicer poll.Splicer, dst, src *Conn) (n int64, able bool, err error) {
	turn := t.Parks()
	moved := 0
	for small := 0; small < spliceSmall; {
		pipe, err := src.fill(t, splicer, dst)
		switch {
		case errors.Is(err, poll.ErrUnsupported):
			return n, false, nil
		case err != nil:
			return n, false, src.opError("read", err)
		}
		k := pipe.Held()
		if small++; k >= spliceLarge {
			small = 0
		}
		err = dst.drain(t, pipe)
		k -= pipe.Held()
		pipe.Release()
		n += int64(k)
		if err != nil {
			return n, false, dst.opError("write", err)
		}
		if moved += k; t.Parks() != turn {
			turn, moved = t.Parks(), 0
		} else if moved >= copyTurn {
			if err := t.Yield(); err != nil {
				return n, false, dst.opError("write", err)
			}
			turn, moved = t.Parks(), 0
		}
	}
	return n, true, nil
}

// fill returns a pipe with what c has for dst. If there can be none, for whatever
// reason, the error is [poll.ErrUnsupported].
func (c *Conn) fill(t *loop.Task, splicer poll.Splicer, dst *Conn) (poll.Conduit, error) {
	s := c.reading()
	if c.rest.on {
		return nil, ErrResting
	}
	if err := s.enter(t); err != nil {
		return nil, err
	}
	defer s.leave()
	for {
		if err := c.usable(s); err != nil {
			return nil, err
		}
		pipe, err := splicer.Conduit(dst.e, c.e)
		if err != nil {
			return nil, poll.ErrUnsupported
		}
		_, err, ok := pipe.Fill(&s.op)
		if ok && err == nil {
			return pipe, nil
		}
		pipe.Release()
		if ok {
			return nil, err
		}
		if err := s.wait(t); err != nil {
			return nil, err
		}
	}
}

// drain writes all that is in the pipe.
func (c *Conn) drain(t *loop.Task, pipe poll.Conduit) error {
	s := c.writing()
	if err := s.enter(t); err != nil {
		return err
	}
	defer s.leave()
	for pipe.Held() > 0 {
		if err := c.usable(s); err != nil {
			return err
		}
		_, err, ok := pipe.Drain(&s.op)
		if !ok {
			err = s.wait(t)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// writeBorrowed is Write of borrowed bytes. What is not taken at once is copied before
// the task parks.
func (c *Conn) writeBorrowed(t *loop.Task, p []byte) (n int, err error) {
	s := c.writing()
	if s.busy || !s.turn.Empty() || c.closed.Load() {
		return writeCopy(c, p)
	}
	if err := c.usable(s); err != nil {
		return 0, c.opError("write", err)
	}
	for n < len(p) {
		k, err, ok := c.e.Write(&s.op, p[n:])
		if !ok {
			c.e.Cancel(&s.op)
			k, err := writeCopy(c, p[n:])
			return n + k, err
		}
		n += k
		if err != nil {
			return n, c.opError("write", err)
		}
	}
	return n, nil
}

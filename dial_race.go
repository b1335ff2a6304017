package rondo

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/rondo-go/rondo/loop"
	"github.com/rondo-go/rondo/poll"
)

// A race connects to several addresses until one answers: happy eyeballs
// (RFC 8305, section 5). An attempt begins when the one before has failed, or has
// not answered within the delay. It is one task that waits for all of them, so
// there is nobody to be awaited when one has won: the others are just closed.
type race struct {
	task     *loop.Task
	timer    loop.Timer
	attempts []attempt
	begun    int
	running  int
}

type attempt struct {
	addr net.Addr
	e    poll.Endpoint // nil: not begun, or over
	op   poll.Op
	err  error
}

// Ready implements [poll.Owner].
func (r *race) Ready(*poll.Op) { r.task.Unpark() }

// Call is the timer of the delay.
func (r *race) Call() { r.task.Unpark() }

// Abort implements [loop.Aborter].
func (r *race) Abort(*loop.Task, loop.Reason, error) loop.Verdict {
	for i := range r.attempts[:r.begun] {
		if a := &r.attempts[i]; a.e != nil {
			a.e.Cancel(&a.op)
		}
	}
	r.task.Loop().StopTimer(&r.timer)
	return loop.Aborted
}

// dialRace connects to the first of addrs that answers; with a negative delay,
// one after the other.
func dialRace(ctx context.Context, t *loop.Task, network string, addrs []net.Addr, o poll.ConnectOptions, delay time.Duration) (*Conn, error) {
	l := t.Loop()
	r := &race{task: t, attempts: make([]attempt, len(addrs))}
	r.timer.Init(r)
	for i, a := range addrs {
		r.attempts[i] = attempt{addr: a, op: poll.Op{Owner: r}}
	}
	defer r.end()
	for next := loop.Time(0); ; {
		won, failed := r.collect()
		if won != nil {
			return newConn(coreOf(t).runtime, won), nil
		}
		if r.begun < len(addrs) && (failed || r.running == 0 || l.Now() >= next) {
			switch next = forever; {
			case !r.begin(l, network, o):
				next = 0 // it has failed
			case delay >= 0:
				next = l.Now().Add(delay)
			}
			continue // it may be over already
		}
		if r.running == 0 {
			return nil, r.errors(network, o.Local)
		}
		if r.begun < len(addrs) && next != forever {
			l.StartTimer(&r.timer, next)
		}
		if err := r.wait(ctx); err != nil {
			return nil, errors.Join(err, r.errors(network, o.Local))
		}
	}
}

// begin begins the next attempt. It returns false if that has failed already.
func (r *race) begin(l *loop.Loop, network string, o poll.ConnectOptions) bool {
	a := &r.attempts[r.begun]
	r.begun++
	e, err := l.Poller().Connect(network, a.addr, o)
	if err != nil {
		a.err = err
		return false
	}
	a.e = e
	r.running++
	return true
}

// collect looks at the attempts. It returns the one that has won, and whether
// others have failed.
func (r *race) collect() (won poll.Endpoint, failed bool) {
	for i := range r.attempts[:r.begun] {
		a := &r.attempts[i]
		if a.e == nil {
			continue
		}
		err, ok := a.e.Connected(&a.op)
		switch {
		case !ok:
			continue
		case err == nil:
			won, a.e = a.e, nil
			return won, failed
		}
		a.e.Close()
		a.e, a.err = nil, err
		r.running--
		failed = true
	}
	return nil, failed
}

func (r *race) wait(ctx context.Context) error {
	stop, err := under(ctx, r.task)
	if err != nil {
		return err
	}
	l := r.task.Loop()
	l.Inflight(1)
	err = r.task.Park(r)
	l.Inflight(-1)
	if stop != nil {
		stop()
	}
	return err
}

// end closes what still runs.
func (r *race) end() {
	r.task.Loop().StopTimer(&r.timer)
	for i := range r.attempts[:r.begun] {
		if a := &r.attempts[i]; a.e != nil {
			a.e.Close()
			a.e = nil
		}
	}
}

// errors joins those of the attempts that have failed, in their order.
func (r *race) errors(network string, local net.Addr) error {
	var errs []error
	for i := range r.attempts {
		if a := &r.attempts[i]; a.err != nil {
			errs = append(errs, &net.OpError{Op: "dial", Net: network, Source: local, Addr: a.addr, Err: a.err})
		}
	}
	return errors.Join(errs...)
}

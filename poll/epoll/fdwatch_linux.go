package epoll

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/rondo-go/rondo/internal/sys"
	"github.com/rondo-go/rondo/poll"
)

// How a descriptor of somebody else is watched
//
// Its readiness is a level for its owner, who may read it dry or not, and does so
// behind the poller's back: nothing can be remembered. So it is armed for each
// operation anew, with EPOLLONESHOT, at the price of one epoll_ctl. The kernel looks
// at the level as it arms, and reports at most once, also for a descriptor that was
// closed meanwhile while a duplicate keeps the open file in the set (epoll(7),
// question 6).

// An fdWatch watches a descriptor that is not the poller's. Its bits say which
// operation has been reported, and not been collected.
type fdWatch struct{ watch }

// Watch implements [poll.Poller].
func (p *Poller) Watch(fd uintptr) (poll.Watch, error) {
	err := sys.CheckWatchable(int(fd))
	if err == nil {
		w := &fdWatch{watch{p: p, fd: int32(fd), bits: once}}
		if err = w.addFor(sys.EpollOnce); err == nil {
			return w, nil
		}
	}
	switch {
	case errors.Is(err, syscall.EPERM):
		err = fmt.Errorf("its kind has no readiness: %w", poll.ErrUnsupported)
	case errors.Is(err, syscall.EEXIST):
		err = fmt.Errorf("it is watched already, or is that of a connection of this loop: %w", err)
	}
	return nil, fmt.Errorf("watch fd %d: %w", int32(fd), err)
}

// Readable implements [poll.Watch].
func (w *fdWatch) Readable(op *poll.Op) (err error, ok bool) {
	return w.level(&w.reading, readable, op)
}

// Writable implements [poll.Watch].
func (w *fdWatch) Writable(op *poll.Op) (err error, ok bool) {
	return w.level(&w.writing, writable, op)
}

func (w *fdWatch) level(side **poll.Op, bit bits, op *poll.Op) (err error, ok bool) {
	switch {
	case w.fd < 0:
		return net.ErrClosed, true
	case w.bits&bit != 0:
		w.bits &^= bit
		return nil, true
	}
	w.wait(side, op)
	if err := w.arm(); err != nil {
		w.settle(side)
		return fmt.Errorf("watch fd %d: %w", w.fd, err), true
	}
	return nil, false
}

// arm has the next event of the operations in flight reported.
func (w *watch) arm() error {
	events := uint32(sys.EpollOnce)
	if w.reading != nil {
		events |= sys.EpollIn | sys.EpollPri | sys.EpollRDHup
	}
	if w.writing != nil {
		events |= sys.EpollOut
	}
	s := &w.p.slots[w.slot]
	err := sys.EpollModify(w.p.epfd, int(w.fd), events, w.slot, s.gen)
	if errors.Is(err, syscall.ENOENT) {
		// The descriptor was closed, and its number is another file's now.
		s.gen++
		err = sys.EpollAdd(w.p.epfd, int(w.fd), events, w.slot, s.gen)
	}
	return err
}

// shot takes in the one event of an armed watch.
func (w *watch) shot(events uint32) (n int) {
	const failed = sys.EpollHup | sys.EpollErr
	if events&(sys.EpollIn|sys.EpollPri|sys.EpollRDHup|failed) != 0 && w.reading != nil {
		w.bits |= readable
		n += w.report(&w.reading)
	}
	if events&(sys.EpollOut|failed) != 0 && w.writing != nil {
		w.bits |= writable
		n += w.report(&w.writing)
	}
	// The shot has disarmed the other side too.
	if (w.reading != nil || w.writing != nil) && w.arm() != nil {
		n += w.report(&w.reading) + w.report(&w.writing) // who will find the error
	}
	return n
}

// Close implements [poll.Watch]. That the descriptor is closed already is no error.
func (w *fdWatch) Close() error {
	if w.fd < 0 {
		return net.ErrClosed
	}
	err := w.remove()
	w.fd = -1
	if errors.Is(err, syscall.EBADF) || errors.Is(err, syscall.ENOENT) {
		return nil
	}
	return err
}

package epoll

// How readiness is known without asking
//
// Each descriptor is added to epoll once, edge-triggered, for all events, and
// never modified. In return the poller must remember what the edges said, since
// the kernel does not say it twice. That memory is two bits, readable and
// writable, and it saves the system calls that could only answer EAGAIN.
//
// A bit is set by an edge, and cleared when a system call has proved that there is
// nothing more: by EAGAIN, and on a stream also by a transfer that was shorter than
// asked for (epoll(7), question 9). A request of 200 bytes read into 4 KB thus costs
// one edge and one recv; the next read goes in flight without a system call.
//
// Why no wake-up is lost. Bits are set in Wait and cleared in Read, Write and
// Accept, all on one thread, so they cannot cross. Between the system call that
// proved emptiness and the clearing of the bit the kernel may take in a packet; but
// it then queues an edge, which the next Wait finds, and sets the bit again. An edge
// that was queued before the system call only sets the bit without need: one
// call that answers EAGAIN. So the bit errs on the side of trying, always.
//
// Where a short read proves nothing, the third bit (probing) makes only EAGAIN count:
//
//   - The peer has closed its side, or the socket has an error or has hung up: the
//     end or the error comes behind the data that was read, in the same edge, and no
//     other edge will follow. Such an edge sets the bit.
//   - Urgent data: a receive stops short at the mark (EPOLLPRI sets the bit).
//   - A Unix socket: a receive stops short behind a message that carried descriptors.
//     The bit is set from the start, as it is for what is not plain TCP (MPTCP).
//   - The endpoint has itself shut its reading side down.
//   - A pipe or a terminal: a read(2) stops short at a packet or a line (pipe(7)).
//
// A short write is no such trouble: the kernel marks the socket as out of space
// whenever it takes less than it was given, and reports when there is space.
//
// A fresh connection is readable and writable by assumption if it was accepted or
// adopted: data often comes with the connection, and is had without the wait for
// the first edge, which tells what was so before the watch began. One that was
// connected from here is neither; the edge of the connect makes it writable, and
// readable too if the peer was quick.

import (
	"net"

	"github.com/rondo-go/rondo/internal/sys"
	"github.com/rondo-go/rondo/poll"
)

const edges = sys.EpollIn | sys.EpollOut | sys.EpollPri | sys.EpollRDHup | sys.EpollEdge

type bits uint8

const (
	readable bits = 1 << iota // a read, or an accept, is worth a system call
	writable                  // so is a write
	probing                   // a short read does not prove that all was read
	once                      // an fdWatch
)

// A watch is a descriptor in epoll, what is known of its readiness, and who waits
// for it.
type watch struct {
	p       *Poller
	reading *poll.Op // in flight
	writing *poll.Op // in flight
	fd      int32    // -1 once closed
	slot    int32
	bits    bits
}

// add begins the watch.
func (w *watch) add() error { return w.addFor(edges) }

func (w *watch) addFor(events uint32) error {
	p := w.p
	if n := len(p.free); n > 0 {
		w.slot = p.free[n-1]
		p.free = p.free[:n-1]
	} else {
		w.slot = int32(len(p.slots))
		p.slots = append(p.slots, slot{})
	}
	s := &p.slots[w.slot]
	if err := sys.EpollAdd(p.epfd, int(w.fd), events, w.slot, s.gen); err != nil {
		p.free = append(p.free, w.slot)
		return err
	}
	s.w = w
	return nil
}

// remove ends the watch, and leaves the descriptor open. It is taken out of epoll by
// name, because epoll watches the open socket, which outlives the descriptor if
// that has been duplicated (Detach, a child process).
func (w *watch) remove() error {
	w.settle(&w.reading)
	w.settle(&w.writing)
	s := &w.p.slots[w.slot]
	s.w = nil
	s.gen++
	w.p.free = append(w.p.free, w.slot)
	return sys.EpollDelete(w.p.epfd, int(w.fd))
}

// close ends the watch and closes the descriptor.
func (w *watch) close() error {
	if w.fd < 0 {
		return net.ErrClosed
	}
	err := w.remove()
	if e := sys.Close(int(w.fd)); e != nil {
		err = e
	}
	w.fd = -1
	return err
}

// edge takes in an event. It returns how many operations it reported.
func (w *watch) edge(events uint32) (n int) {
	if w.bits&once != 0 {
		return w.shot(events)
	}
	if events&(sys.EpollPri|sys.EpollRDHup|sys.EpollHup|sys.EpollErr) != 0 {
		w.bits |= probing
	}
	if events&(sys.EpollIn|sys.EpollPri|sys.EpollRDHup|sys.EpollHup|sys.EpollErr) != 0 {
		w.bits |= readable
		n += w.report(&w.reading)
	}
	if events&(sys.EpollOut|sys.EpollHup|sys.EpollErr) != 0 {
		w.bits |= writable
		n += w.report(&w.writing)
	}
	return n
}

func (w *watch) report(side **poll.Op) int {
	op := *side
	if op == nil {
		return 0
	}
	*side = nil
	op.Pending = false
	op.Owner.Ready(op)
	return 1
}

// wait leaves op in flight on one side.
func (w *watch) wait(side **poll.Op, op *poll.Op) {
	if *side != op {
		if *side != nil {
			panic("rondo: two operations in flight on one side of an endpoint")
		}
		*side = op
		op.Pending = true
	}
}

// settle takes one side's operation, if any, out of flight: it was withdrawn, or it
// is done without having been reported.
func (w *watch) settle(side **poll.Op) {
	if op := *side; op != nil {
		*side = nil
		op.Pending = false
	}
}

// Cancel withdraws op. Nothing was read or written for it.
func (w *watch) Cancel(op *poll.Op) {
	switch op {
	case w.reading:
		w.settle(&w.reading)
	case w.writing:
		w.settle(&w.writing)
	}
}

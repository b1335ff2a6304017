//go:build unix && !aix && !solaris && !illumos

package portable

import (
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"

	"github.com/rondo-go/rondo/internal/sys"
	"github.com/rondo-go/rondo/poll"
)

// A watcher waits for the descriptors of all watches with poll(2), on a goroutine
// of its own, which a pipe tells that there is another to wait for.
type watcher struct {
	p    *Poller
	pipe [2]*os.File

	mu      sync.Mutex
	watches map[*fdWatch]struct{}
	closed  bool
}

// An fdWatch watches a descriptor that is not the poller's.
type fdWatch struct {
	p      *Poller
	fd     int
	r, w   slot
	closed bool

	// Guarded by watcher.mu.
	want  int16 // the events that operations in flight wait for
	seen  int16 // those that were reported
	isBad bool  // the descriptor is not open
}

// Watch implements [poll.Poller].
func (p *Poller) Watch(fd uintptr) (poll.Watch, error) {
	err := sys.CheckWatchable(int(fd))
	if err == nil && p.watcher == nil {
		err = p.startWatcher()
	}
	if err != nil {
		return nil, fmt.Errorf("watch fd %d: %w", int(fd), err)
	}
	w := &fdWatch{p: p, fd: int(fd)}
	p.watcher.mu.Lock()
	p.watcher.watches[w] = struct{}{}
	p.watcher.mu.Unlock()
	return w, nil
}

func (p *Poller) startWatcher() error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	p.watcher = &watcher{p: p, pipe: [2]*os.File{r, w}, watches: make(map[*fdWatch]struct{})}
	go p.watcher.run()
	return nil
}

// run is the watcher's goroutine.
func (x *watcher) run() {
	defer x.pipe[0].Close()
	var fds []sys.PollFd
	var of []*fdWatch
	bell := x.pipe[0].Fd()
	ring := make([]byte, 64)
	for {
		fds = append(fds[:0], sys.PollFd{Fd: int32(bell), Events: sys.WantRead})
		of = append(of[:0], nil)
		x.mu.Lock()
		if x.closed {
			x.mu.Unlock()
			return
		}
		for w := range x.watches {
			if w.want != 0 {
				fds = append(fds, sys.PollFd{Fd: int32(w.fd), Events: w.want})
				of = append(of, w)
			}
		}
		x.mu.Unlock()
		if err := sys.Poll(fds); err != nil {
			panic(fmt.Sprintf("rondo: %v", err))
		}
		if fds[0].Revents != 0 {
			x.pipe[0].Read(ring)
		}
		for i, f := range fds[1:] {
			if f.Revents != 0 {
				x.report(of[i+1], f.Revents)
			}
		}
	}
}

// report takes in what poll said of one watch.
func (x *watcher) report(w *fdWatch, events int16) {
	const either = sys.WantRead | sys.WantWrite
	if events&^either != 0 {
		events |= either // an error, or the end
	}
	x.mu.Lock()
	seen := w.want & events
	w.want &^= seen
	w.seen |= seen
	w.isBad = events&sys.NotOpen != 0
	x.mu.Unlock()
	if seen&sys.WantRead != 0 {
		x.p.complete(&w.r)
	}
	if seen&sys.WantWrite != 0 {
		x.p.complete(&w.w)
	}
}

// ring tells the goroutine to look again.
func (x *watcher) ring() { x.pipe[1].Write([]byte{0}) }

func (x *watcher) close() {
	x.mu.Lock()
	x.closed = true
	x.mu.Unlock()
	x.pipe[1].Close()
}

// Readable implements [poll.Watch].
func (w *fdWatch) Readable(op *poll.Op) (err error, ok bool) { return w.level(&w.r, sys.WantRead, op) }

// Writable implements [poll.Watch].
func (w *fdWatch) Writable(op *poll.Op) (err error, ok bool) { return w.level(&w.w, sys.WantWrite, op) }

func (w *fdWatch) level(s *slot, event int16, op *poll.Op) (err error, ok bool) {
	if w.closed {
		return net.ErrClosed, true
	}
	x := w.p.watcher
	x.mu.Lock()
	ok = w.seen&event != 0
	w.seen &^= event
	if ok && !w.isBad {
		ok = sys.PollNow(w.fd, event) != 0 // somebody may have read since
	}
	if ok && w.isBad {
		err = fmt.Errorf("watch fd %d: %w", w.fd, os.NewSyscallError("poll", syscall.EBADF))
	}
	more := !ok && w.want&event == 0
	if more {
		w.want |= event
	}
	x.mu.Unlock()
	s.answer(op, ok)
	if more {
		x.ring()
	}
	return err, ok
}

// Cancel implements [poll.Watch].
func (w *fdWatch) Cancel(op *poll.Op) {
	var event int16
	switch op {
	case w.r.op:
		w.r.settle()
		event = sys.WantRead
	case w.w.op:
		w.w.settle()
		event = sys.WantWrite
	}
	w.p.watcher.mu.Lock()
	defer w.p.watcher.mu.Unlock()
	w.want &^= event
	w.seen &^= event
}

// Close implements [poll.Watch].
func (w *fdWatch) Close() error {
	if w.closed {
		return net.ErrClosed
	}
	w.closed = true
	w.r.settle()
	w.w.settle()
	x := w.p.watcher
	x.mu.Lock()
	w.want = 0
	delete(x.watches, w)
	x.mu.Unlock()
	x.ring() // lest it waits for a descriptor that is closed soon
	return nil
}

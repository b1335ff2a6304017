package rondotls

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rondo-go/rondo"
)

// A wire is the connection below crypto/tls. Its Write never parks, for
// crypto/tls holds a sync.Mutex around it: what is written is queued, and sent by
// drain once crypto/tls has returned. So all records of a message, and all
// messages of a flight, leave in one system call.
type wire struct {
	raw     net.Conn
	flush   func() error // sends what is queued, before a read of the handshake
	later   func()       // sees to it that what a read has queued is sent
	early   []byte       // read, and not given to crypto/tls yet
	stash   *[]byte      // of which early is a part, or nil
	lent    bool         // early is in the loop's buffer, which others use too once the task parks
	records *recordReader
	probing bool        // reads must not wait; of the holder of the reader's turn
	ready   atomic.Bool // the handshake is done

	mu     sync.Mutex  // guards out; never held across a park
	out    *[]byte     // queued
	queued atomic.Bool // out is not empty

	buf     *[]byte // being sent, by the holder of the writer's turn
	sending []byte  // what is left of buf
}

// Buffers, which are empty here, are held while something is being sent or was read
// ahead, and not by connections at rest.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// keepBuffer is the size up to which a buffer is used again.
const keepBuffer = 512 << 10

// Read implements net.Conn for crypto/tls.
func (w *wire) Read(p []byte) (int, error) {
	if w.queued.Load() {
		if !w.ready.Load() {
			if err := w.flush(); err != nil {
				return 0, err
			}
		} else {
			w.later()
		}
	}
	if w.records != nil {
		return w.records.Read(p)
	}
	return w.read(p)
}

// read gives crypto/tls what has been read, or reads. On the loop it reads more than
// asked for, so that the records of a message arrive in one system call, too.
func (w *wire) read(p []byte) (int, error) {
	if len(w.early) > 0 {
		n := copy(p, w.early)
		if w.early = w.early[n:]; len(w.early) == 0 {
			w.unstash()
		}
		return n, nil
	}
	if w.probing {
		return 0, errProbe
	}
	raw, ok := w.raw.(*rondo.Conn)
	if !ok || !w.ready.Load() || rondo.RunningLoop() == nil {
		n, err := w.raw.Read(p)
		return n, resumable(err)
	}
	b, err := raw.BorrowAtMost(readAhead)
	n := copy(p, b)
	if n < len(b) {
		w.early, w.lent = b[n:], true
	}
	return n, resumable(err)
}

// readAhead is how much is read at once: four records of the largest size.
const readAhead = 4 * (16<<10 + 22)

// keep has what was lent, and crypto/tls has not taken, outlive the next park.
func (w *wire) keep() {
	if !w.lent {
		return
	}
	w.stash = buffers.Get().(*[]byte)
	*w.stash = append(*w.stash, w.early...)
	w.early, w.lent = *w.stash, false
}

func (w *wire) unstash() {
	w.early, w.lent = nil, false
	if w.stash != nil {
		*w.stash = (*w.stash)[:0]
		buffers.Put(w.stash)
		w.stash = nil
	}
}

// Write queues p, which always succeeds.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	if w.out == nil {
		w.out = buffers.Get().(*[]byte)
	}
	*w.out = append(*w.out, p...)
	w.queued.Store(true)
	w.mu.Unlock()
	return len(p), nil
}

// unsent says whether there is something to send. It is for the holder of the
// writer's turn.
func (w *wire) unsent() bool { return len(w.sending) > 0 || w.queued.Load() }

// drain sends what is queued, parking until it is with the system. If it fails,
// the rest stays for the next drain. It is for the holder of the writer's turn.
func (w *wire) drain() error {
	for {
		if len(w.sending) == 0 && !w.take() {
			return nil
		}
		n, err := w.raw.Write(w.sending)
		if w.sending = w.sending[n:]; len(w.sending) == 0 {
			if cap(*w.buf) <= keepBuffer {
				*w.buf = (*w.buf)[:0]
				buffers.Put(w.buf)
			}
			w.buf, w.sending = nil, nil
		}
		if err != nil {
			return err
		}
	}
}

// take begins to send what is queued, and says whether there is anything.
func (w *wire) take() bool {
	if !w.queued.Load() {
		return false
	}
	w.mu.Lock()
	w.buf, w.out = w.out, nil
	w.queued.Store(false)
	w.mu.Unlock()
	w.sending = *w.buf
	return true
}

// Close does nothing: the connection is closed by its owner, after the alert that
// crypto/tls queues before this call has been sent.
func (w *wire) Close() error { return nil }

// LocalAddr and RemoteAddr implement net.Conn.
func (w *wire) LocalAddr() net.Addr  { return w.raw.LocalAddr() }
func (w *wire) RemoteAddr() net.Addr { return w.raw.RemoteAddr() }

// The deadlines are the owner's too.

func (w *wire) SetDeadline(time.Time) error      { return nil }
func (w *wire) SetReadDeadline(time.Time) error  { return nil }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// An interruption is an error after which the read can be tried again. crypto/tls
// makes every error of a read permanent that is not a temporary net.Error.
type interruption struct{ error }

func (interruption) Timeout() bool   { return false }
func (interruption) Temporary() bool { return true }

// Unwrap returns the error itself.
func (i interruption) Unwrap() error { return i.error }

// resumable wraps errors of calls that did not take place or were canceled.
func resumable(err error) error {
	if _, is := err.(interruption); is || err == nil {
		return err
	}
	if isCancellation(err) || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.Is(err, rondo.ErrNotTask) || errors.Is(err, rondo.ErrOtherLoop) {
		return interruption{err}
	}
	return err
}

// interrupted undoes resumable.
func interrupted(err error) error {
	if i, ok := err.(interruption); ok {
		return i.error
	}
	return err
}

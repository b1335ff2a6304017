package http2core

import (
	"io"
	"sync"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/loop"
)

// An Inflow is the receiving side of a connection's flow control. Windows begin at a size and double
// when the peer uses them up faster than it could hear of it, until they reach the most.
type Inflow struct {
	w      *Writer
	conn   credit
	first  int64     // of a stream
	most   int64     // of a stream
	RTT    loop.Time // the round trip, if it is known: without, windows do not grow
	kernel *loop.Loop
}

// A credit is a window for receiving.
type credit struct {
	size   int64 // what the window is filled up to
	left   int64 // what the peer may send
	owed   int64 // of what is taken, not given back yet
	filled loop.Time
}

// NewInflow returns the receiving side for w's connection. First is what this side's SETTINGS_INITIAL_WINDOW_SIZE
// says, conn the window of the connection, which is enlarged to it here, and most that to which the windows of streams grow; the
// connection's grows to twice as much.
func NewInflow(k *loop.Loop, w *Writer, first, conn, most int) *Inflow {
	f := &Inflow{w: w, kernel: k, first: int64(first), most: int64(most)}
	f.conn = credit{size: int64(conn), left: int64(conn)}
	if conn > DefaultWindow {
		w.WindowUpdate(0, conn-DefaultWindow)
	}
	return f
}

// Take charges the connection's window for a DATA frame.
func (f *Inflow) Take(n int) error {
	f.conn.left -= int64(n)
	if f.conn.left < 0 {
		return ErrFlowControl
	}
	return nil
}

// Give gives n bytes of the connection's window back to the peer: those of frames that no receiver has got.
func (f *Inflow) Give(n int) {
	if up := f.conn.give(f, int64(n), 2*f.most); up > 0 {
		f.w.WindowUpdate(0, up)
		f.w.FlushSoon()
	}
}

// give notes that n bytes were taken, and returns what the peer is to be told: it is told when half of the window is due.
func (c *credit) give(f *Inflow, n, most int64) int {
	c.owed += n
	if 2*c.owed < c.size {
		return 0
	}
	now := f.kernel.Now()
	if f.RTT > 0 && c.filled > 0 && now-c.filled < 4*f.RTT && c.size < most {
		grown := min(2*c.size, most)
		c.owed += grown - c.size
		c.size = grown
	}
	up := c.owed
	c.left += up
	c.owed, c.filled = 0, now
	return int(up)
}

// A Receiver holds what has come of a stream's body and has not been read. At most one task reads at a time.
type Receiver struct {
	in     *Inflow
	id     uint32
	window credit
	buf    []byte // of which buf[r:] is not taken yet
	r      int
	lent   int   // of buf, by Next
	err    error // behind buf; io.EOF at the end
	pause  error // until Interrupt(nil)
	task   *loop.Task
	drop   bool // Discard was called
}

const inBuffer = 16 << 10

var inBuffers = sync.Pool{New: func() any { return new([inBuffer]byte) }}

// Open makes r the receiver of a stream.
func (r *Receiver) Open(in *Inflow, id uint32) {
	*r = Receiver{in: in, id: id, window: credit{size: in.first, left: in.first}}
}

// Put takes a DATA frame of d.Length in, for which the connection's window was charged; d.End is not looked at.
// [ErrFlowControl]: the stream's window is exceeded.
func (r *Receiver) Put(d *Data) error {
	r.window.left -= int64(d.Length)
	if r.window.left < 0 {
		r.in.Give(d.Length)
		return ErrFlowControl
	}
	p := d.Payload
	if r.drop || r.err != nil {
		p = nil
	}
	if pad := d.Length - len(p); pad > 0 {
		r.give(pad)
	}
	if len(p) == 0 {
		return nil
	}
	if r.buf == nil && len(p) <= inBuffer {
		r.buf = inBuffers.Get().(*[inBuffer]byte)[:0]
	}
	if r.r > 0 && r.lent == 0 && len(r.buf)+len(p) > cap(r.buf) {
		r.buf = r.buf[:copy(r.buf, r.buf[r.r:])]
		r.r = 0
	}
	old := r.buf
	r.buf = append(r.buf, p...)
	if cap(old) != cap(r.buf) && r.lent == 0 {
		dropIn(old)
	}
	r.wake()
	return nil
}

func dropIn(b []byte) {
	if cap(b) == inBuffer {
		inBuffers.Put((*[inBuffer]byte)(b[:inBuffer]))
	}
}

// give gives n bytes of both windows back.
func (r *Receiver) give(n int) {
	r.in.Give(n)
	if r.err != nil || r.drop {
		return // the peer sends no more, or is to send no more
	}
	if up := r.window.give(r.in, int64(n), r.in.most); up > 0 {
		r.in.w.WindowUpdate(r.id, up)
		r.in.w.FlushSoon()
	}
}

// End says what comes behind that which has come: io.EOF, or an error. The first counts.
func (r *Receiver) End(err error) {
	if r.err == nil {
		r.err = err
	}
	r.wake()
}

// Fail is End, and drops what has come and was not read.
func (r *Receiver) Fail(err error) {
	r.release()
	r.err = err
	r.wake()
}

// Interrupt has reads return err instead of parking, until it is called with nil: for deadlines.
func (r *Receiver) Interrupt(err error) {
	r.pause = err
	if err != nil {
		r.wake()
	}
}

// Discard drops what has come, and what will: nobody reads it. The connection's window is given back,
// the stream's is not.
func (r *Receiver) Discard() {
	r.drop = true
	r.release()
}

// release drops the buffer.
func (r *Receiver) release() {
	if n := len(r.buf) - r.r + r.lent; n > 0 {
		r.in.Give(n)
	}
	if r.lent == 0 { // or else somebody still looks at it
		dropIn(r.buf)
	}
	r.buf, r.r, r.lent = nil, 0, 0
}

func (r *Receiver) wake() {
	if r.task != nil {
		r.task.Unpark()
	}
}

// Buffered returns how much has come and was not taken.
func (r *Receiver) Buffered() int { return len(r.buf) - r.r }

// Err returns what End or Fail was given, nil as long as more may come.
func (r *Receiver) Err() error { return r.err }

// Done reports whether the body has been read to its end.
func (r *Receiver) Done() bool { return r.err == io.EOF && r.Buffered() == 0 }

// Read implements io.Reader. It parks until something comes. A canceled Read has taken nothing.
//
// Errors: that of End, Fail or Interrupt; a [rondo.CanceledError].
func (r *Receiver) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := r.wait(); err != nil {
		return 0, err
	}
	n := copy(p, r.buf[r.r:])
	r.r += n
	if r.r == len(r.buf) {
		dropIn(r.buf)
		r.buf, r.r = nil, 0
	}
	r.give(n)
	return n, nil
}

// Next is Read without a buffer: what it returns holds until the next call, or Discard, or Fail.
func (r *Receiver) Next(most int) ([]byte, error) {
	if err := r.wait(); err != nil {
		return nil, err
	}
	p := r.buf[r.r:min(len(r.buf), r.r+most)]
	r.r += len(p)
	r.lent = len(p)
	return p[:len(p):len(p)], nil
}

// wait parks until there is something to read.
func (r *Receiver) wait() error {
	if n := r.lent; n > 0 {
		r.lent = 0
		if r.r == len(r.buf) {
			dropIn(r.buf)
			r.buf, r.r = nil, 0
		}
		r.give(n)
	}
	for r.Buffered() == 0 {
		switch {
		case r.err != nil:
			return r.err
		case r.pause != nil:
			return r.pause
		}
		_, t := loop.Current()
		if t == nil {
			return rondo.ErrNotTask
		}
		r.task = t
		err := t.Park(stay{})
		r.task = nil
		if err != nil {
			return err
		}
	}
	return nil
}

// stay is what a task parks with that may leave at any time: who wakes it hands nothing over.
type stay struct{}

// Abort implements [loop.Aborter].
func (stay) Abort(*loop.Task, loop.Reason, error) loop.Verdict { return loop.Aborted }

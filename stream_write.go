package rondo

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/rondo-go/rondo/loop"
)

// A streamWriter is the writing half of a [Stream].
//
// The first write of an iteration schedules a flush, so that all of them leave in
// one system call. What the socket does not take, a task writes, which is there
// only as long as it has something to do; over a connection that is not a [Conn]
// it writes everything, as that may park.
type streamWriter struct {
	pending []byte // written by the user
	out     []byte // being written to the connection
	sent    int    // of out

	low, high int
	paused    bool // above high, and not under low since
	drainers  loop.WaitList
	flushers  loop.WaitList // for an empty buffer

	flushCall loop.Handle
	scheduled bool
	writing   bool // there is a writer task
	writeErr  error

	ending   bool // CloseWrite was called
	closing  bool // Close was called
	closed   bool // the connection is closed
	closeErr error
	waiters  loop.WaitList // for closed
}

// Sizes of writes.
const (
	writePiece  = 64 << 10  // what the writer task writes at a time
	writeDirect = 16 << 10  // from that on a write does not wait for others
	writeKept   = 256 << 10 // larger buffers are not kept
)

// SetWaterMarks sets how much may be buffered: above high, Drain parks, until
// not more than low is left. It panics unless 0 <= low <= high.
func (s *Stream) SetWaterMarks(low, high int) {
	if low < 0 || high < low {
		panic("rondo: water marks of a stream must be 0 <= low <= high")
	}
	s.low, s.high = low, high
}

// Buffered returns how many bytes were written and are not with the system yet.
func (s *Stream) Buffered() int { return len(s.out) - s.sent + len(s.pending) }

// Write implements io.Writer. It takes all of p into the buffer, and never parks:
// [Stream.Drain] is for that. All that is written in one iteration of the loop
// leaves in one system call, in the next iteration; what is large and has nothing
// before it, at once.
//
// A stream that was made off every loop has no buffer: Write blocks until p is
// with the system.
//
// Errors: that of an earlier write, after which the stream takes nothing more;
// net.ErrClosed after Close and CloseWrite; [ErrNotTask], [ErrOtherLoop].
func (s *Stream) Write(p []byte) (int, error) {
	if s.home == nil {
		return s.conn.Write(p)
	}
	if err := s.writable(); err != nil {
		return 0, err
	}
	if len(p) >= writeDirect && s.own != nil && s.Buffered() == 0 {
		return s.writeDirect(p)
	}
	s.pending = append(s.pending, p...)
	s.wrote()
	return len(p), nil
}

// WriteString implements io.StringWriter; see [Stream.Write].
func (s *Stream) WriteString(p string) (int, error) {
	if s.home == nil {
		return s.conn.Write([]byte(p))
	}
	if err := s.writable(); err != nil {
		return 0, err
	}
	s.pending = append(s.pending, p...)
	s.wrote()
	return len(p), nil
}

// WriteLines writes one after another; it adds no newlines. It is asyncio's
// writelines.
func (s *Stream) WriteLines(lines ...[]byte) (n int, err error) {
	for _, p := range lines {
		k, err := s.Write(p)
		if n += k; err != nil {
			return n, err
		}
	}
	return n, nil
}

// writable says why nothing can be written.
func (s *Stream) writable() error {
	switch err := s.check(); {
	case err != nil:
		return fmt.Errorf("write stream: %w", err)
	case s.writeErr != nil:
		return s.writeErr
	case s.closing || s.ending:
		return fmt.Errorf("write stream: %w", net.ErrClosed)
	}
	return nil
}

func (s *Stream) writeDirect(p []byte) (int, error) {
	n, err := s.own.tryWrite(p)
	if err != nil {
		s.fail(err)
		return n, err
	}
	if n < len(p) {
		s.pending = append(s.pending, p[n:]...)
		s.paused = s.Buffered() > s.high
		s.startWriter()
	}
	return len(p), nil
}

// wrote is what follows from a write into the buffer.
func (s *Stream) wrote() {
	if s.Buffered() > s.high {
		s.paused = true
	}
	if !s.scheduled && !s.writing {
		s.scheduled = true
		s.home.k.Schedule(&s.flushCall)
	}
}

// A flushCall is the flush of a stream, in the iteration after its first write.
type flushCall Stream

func (f *flushCall) Call() {
	s := (*Stream)(f)
	s.scheduled = false
	if !s.writing {
		s.flush()
	}
}

// flush writes what is buffered, as far as that does not park, and leaves the
// rest to the writer task, which is not there yet.
func (s *Stream) flush() {
	if s.writeErr != nil || s.Buffered() == 0 {
		return
	}
	if s.own == nil {
		s.startWriter()
		return
	}
	s.refill()
	n, err := s.own.tryWrite(s.out)
	s.sent = n
	switch {
	case err != nil:
		s.fail(err)
		return
	case n < len(s.out):
		s.startWriter()
	default:
		s.refill()
	}
	s.drained()
}

// refill makes out, which is written, what is pending.
func (s *Stream) refill() {
	spare := s.out[:0]
	if cap(spare) > max(writeKept, 2*s.high) {
		spare = nil
	}
	s.out, s.pending, s.sent = s.pending, spare, 0
}

// drained wakes those that wait for the low mark, or for the end, if it is reached.
func (s *Stream) drained() {
	if s.Buffered() == 0 {
		grantAll(&s.flushers, s.home.k)
	}
	if s.paused && s.Buffered() <= s.low {
		s.paused = false
		grantAll(&s.drainers, s.home.k)
	}
}

// fail ends writing with err.
func (s *Stream) fail(err error) {
	if s.writeErr == nil {
		s.writeErr = err
	}
	s.pending, s.out, s.sent, s.paused = nil, nil, 0, false
	grantAll(&s.drainers, s.home.k)
	grantAll(&s.flushers, s.home.k)
}

// A writerTask writes what the socket did not take at once, and then ends or
// closes the stream if that was asked for.
type writerTask struct {
	core
	s *Stream
}

// A writerBody is the writerTask as a body.
type writerBody writerTask

// startWriter starts the writer task. Over a connection that is not a Conn its
// first step runs now, so that nothing waits for another turn if it does not park.
func (s *Stream) startWriter() {
	s.writing = true
	x := &writerTask{s: s}
	_, t := loop.Current()
	x.init(context.Background(), s.home.k, t, (*writerBody)(x), []TaskOption{WithName("stream writer")})
	if s.own != nil {
		s.home.k.Start(&x.k)
	} else {
		s.home.k.StartEager(&x.k)
	}
}

func (b *writerBody) base() *core { return &b.core }

func (b *writerBody) Run(*loop.Task) {
	s := b.s
	for s.writeErr == nil && s.Buffered() > 0 {
		if s.sent == len(s.out) {
			s.refill()
		}
		n, err := s.conn.Write(s.out[s.sent:min(len(s.out), s.sent+writePiece)])
		if s.writeErr != nil {
			break // it was aborted meanwhile
		}
		s.sent += n
		if err != nil {
			s.fail(err)
			break
		}
		s.drained()
	}
	if s.sent == len(s.out) && s.writeErr == nil {
		s.refill()
	}
	if s.writeErr == nil && s.ending && !s.closing {
		if err := s.shut(); err != nil {
			s.fail(err)
		}
	}
	if s.closing && !s.closed {
		s.finish(s.conn.Close())
	}
}

// Failed is for a task that was canceled before it began, and for a connection
// that panics.
func (b *writerBody) Failed(_ *loop.Task, err error) {
	b.err = err
	b.s.fail(err)
}

func (b *writerBody) Ended(*loop.Task) {
	s := b.s
	s.writing = false
	if s.closing && !s.closed {
		s.finish(s.drop())
	}
	b.ended()
}

// Flush writes what is buffered now, as far as that does not park. There is no
// need for it: it is for who does not want to wait for the next iteration.
func (s *Stream) Flush() error {
	if s.home == nil {
		return nil
	}
	if err := s.check(); err != nil {
		return fmt.Errorf("flush stream: %w", err)
	}
	if !s.writing {
		s.flush()
	}
	return s.writeErr
}

// Drain parks the task while more than the high water mark is buffered, until not
// more than the low one is. A producer calls it after each write, and is then as
// fast as its peer. Mostly it returns at once.
//
// Errors: that of a write, which is also how one learns of it; net.ErrClosed
// after Close; those of [Sleep].
func (s *Stream) Drain(ctx context.Context) error {
	if s.home == nil {
		return nil
	}
	if err := s.check(); err != nil {
		return fmt.Errorf("drain stream: %w", err)
	}
	if s.paused && !s.writing {
		s.flush()
	}
	for s.paused {
		if err := s.wait(ctx, &s.drainers); err != nil {
			return err
		}
	}
	if s.writeErr == nil && s.closed {
		return fmt.Errorf("drain stream: %w", net.ErrClosed)
	}
	return s.writeErr
}

// WaitFlushed parks the task until all that was written is with the system. That is
// seldom needed: before something else writes to the connection below, or to know
// that the bytes are on their way. It is no more than that: the peer need not have
// them. If the task is canceled, they go on leaving.
//
// Errors: that of a write; those of [Sleep].
func (s *Stream) WaitFlushed(ctx context.Context) error {
	if s.home == nil {
		return nil
	}
	if err := s.Flush(); err != nil {
		return err
	}
	for s.writeErr == nil && s.Buffered() > 0 {
		if err := s.wait(ctx, &s.flushers); err != nil {
			return err
		}
	}
	return s.writeErr
}

// wait parks the running task in list.
func (s *Stream) wait(ctx context.Context, list *loop.WaitList) error {
	t, err := taskFor(ctx)
	if err != nil {
		return err
	}
	w := t.Waiter()
	list.Add(w)
	err = park(ctx, t, w)
	if !w.Granted() {
		list.Remove(w)
	}
	return err
}

// CloseWrite ends the writing half, after all that is buffered; the peer then
// reads its end. It does not park. Nothing can be written any more.
//
// Errors: errors.ErrUnsupported if the connection has no such half; the
// connection's.
func (s *Stream) CloseWrite() error {
	if s.home != nil {
		if err := s.writable(); err != nil {
			return err
		}
	}
	if _, ok := s.conn.(closeWriter); !ok {
		return fmt.Errorf("close writing half of stream: %w", errors.ErrUnsupported)
	}
	if s.home == nil {
		return s.shut()
	}
	s.ending = true
	if s.writing {
		return nil
	}
	if s.own == nil {
		s.startWriter()
		return s.writeErr
	}
	s.flush()
	if !s.writing && s.writeErr == nil {
		if err := s.shut(); err != nil {
			s.fail(err)
		}
	}
	return s.writeErr
}

type closeWriter interface{ CloseWrite() error }

func (s *Stream) shut() error { return s.conn.(closeWriter).CloseWrite() }

// Close closes the stream after all that is buffered has been written. It does
// not park: if the socket does not take everything now, a task goes on writing,
// and [Stream.WaitClosed] waits for it. Reads in progress end with net.ErrClosed.
//
// Errors: that of a write; the connection's; net.ErrClosed if it was closed
// before.
func (s *Stream) Close() error {
	if s.home == nil {
		return s.conn.Close()
	}
	if err := s.check(); err != nil {
		return fmt.Errorf("close stream: %w", err)
	}
	if s.closing {
		return fmt.Errorf("close stream: %w", net.ErrClosed)
	}
	s.closing = true
	if s.writing {
		return nil
	}
	if s.own == nil {
		s.startWriter()
		return s.closeErr
	}
	s.flush()
	if !s.writing {
		s.finish(s.conn.Close())
	}
	return s.closeErr
}

// finish is the end: the connection was closed, with err.
func (s *Stream) finish(err error) {
	s.closed = true
	if s.closeErr = s.writeErr; s.closeErr == nil {
		s.closeErr = err
	}
	grantAll(&s.waiters, s.home.k)
}

// Abort closes the connection now, and drops what is buffered, here and by the system:
// a peer of TCP sees a reset, not an end. It does not park: of a connection on top of
// another one (which says so with a method NetConn, as TLS does), it closes the lowest.
func (s *Stream) Abort() error {
	if s.home == nil {
		return s.reset()
	}
	if err := s.check(); err != nil {
		return fmt.Errorf("abort stream: %w", err)
	}
	if s.closed {
		return nil
	}
	s.closing = true
	s.fail(fmt.Errorf("write stream: aborted: %w", net.ErrClosed))
	err := s.reset()
	s.finish(nil)
	return err
}

// drop closes the lowest connection.
func (s *Stream) drop() error { return s.lowest().Close() }

// reset is drop without a word to what the system has not sent yet.
func (s *Stream) reset() error {
	c := s.lowest()
	if l, ok := c.(interface{ SetLinger(sec int) error }); ok {
		l.SetLinger(0) // it fails for what has no resets, such as a Unix socket
	}
	return c.Close()
}

// lowest returns the connection below all others.
func (s *Stream) lowest() net.Conn {
	c := s.conn
	for {
		over, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return c
		}
		c = over.NetConn()
	}
}

// WaitClosed parks the task until the stream, of which Close was called by this
// or another task, is closed, and returns what its Close would have returned.
//
// Errors: that of a write; the connection's; those of [Sleep].
func (s *Stream) WaitClosed(ctx context.Context) error {
	if s.home == nil {
		return nil
	}
	if err := s.check(); err != nil {
		return fmt.Errorf("wait for stream: %w", err)
	}
	for !s.closed {
		if err := s.wait(ctx, &s.waiters); err != nil {
			return err
		}
	}
	return s.closeErr
}

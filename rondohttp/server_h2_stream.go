package rondohttp

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/internal/http2core"
	"github.com/rondo-go/rondo/loop"
	"golang.org/x/net/http2"
)

// A serverStream is a request of HTTP/2 and its answer: what a visit of HTTP/1 has a connection for.
type serverStream struct {
	c    *serverH2
	id   uint32
	v    *visit
	task *rondo.Task[struct{}]
	send http2core.Sender
	recv http2core.Receiver

	index        int   // in c.served
	remoteClosed bool  // the client sends no more
	localClosed  bool  // END_STREAM or RST_STREAM is sent, or has come
	closed       bool  // it is not in c.streams any more
	status       int   // to be answered in place of the handler's; 0: none
	want         int64 // what the Content-Length says of what is still to come; -1: nothing
	taken        int64 // of the body, by the handler
	trailers     []byte
	readBy       loop.Time
	writeBy      loop.Time

	// The timers of deadlines that a handler has set.
	readTimer, writeTimer *loop.Timer
}

// A resetError is that of a stream that the client has reset.
type resetError struct{ code http2.ErrCode }

func (e *resetError) Error() string {
	return fmt.Sprintf("rondohttp: the client has reset the stream: %v", e.code)
}

// Is makes it what a body that breaks off is, and a connection that was closed.
func (e *resetError) Is(err error) bool { return err == io.ErrUnexpectedEOF || err == net.ErrClosed }

// newServerStream makes the stream that f opens.
func newServerStream(c *serverH2, f *http2.MetaHeadersFrame) *serverStream {
	s := &serverStream{c: c, id: f.StreamID, want: -1, remoteClosed: f.StreamEnded()}
	s.send.Open(c.w, s.id)
	s.recv.Open(c.in, s.id)
	s.v = c.shard.enterStream(s)
	if s.remoteClosed {
		s.recv.End(io.EOF)
	}
	return s
}

// drop gives up a stream that has not begun.
func (s *serverStream) drop() { s.c.shard.leaveStream(s.v) }

// start has a task serve s. It begins at once: mostly the answer is there when start returns, and a task that is
// canceled has always begun.
func (s *serverStream) start() {
	c := s.c
	if c.streams == nil {
		c.streams = make(map[uint32]*serverStream)
	}
	c.streams[s.id] = s
	s.index = len(c.served)
	c.served = append(c.served, s)
	s.task = rondo.Spawn(c.ctx, s.run, rondo.WithEager())
}

// run is the task.
func (s *serverStream) run(ctx context.Context) (struct{}, error) {
	returned := false
	defer func() {
		if !returned { // a panic of ours, or runtime.Goexit in a handler
			s.v.lost = true
			s.finish(s.v.panicked(recover()))
		}
	}()
	err := s.exchange(ctx)
	returned = true
	s.finish(err)
	return struct{}{}, nil
}

// exchange has the request answered. After an error the stream is to be reset.
func (s *serverStream) exchange(ctx context.Context) (err error) {
	v := s.v
	server := v.shard.server
	v.x.served++
	v.body.resetStream(s)
	v.res.reset()
	switch {
	case s.status != 0:
		text := http.StatusText(s.status)
		v.res.status = s.status
		v.res.add("Content-Type", "text/plain; charset=utf-8")
		v.res.WriteString(text + "\n")
	case server.native == nil:
		err = v.serveHTTP(ctx, server.handler)
	default:
		err = v.serveNative(ctx, server.native)
	}
	if err == nil && v.res.err != nil {
		err = v.report(v.res.err)
	}
	if err != nil {
		if err == errAborted || v.res.committed {
			return err
		}
		v.res.fail(v.statusOf(err))
	}
	err = v.res.finish()
	if err == errShortBody {
		v.report(err)
	}
	return err
}

// finish ends the stream after the handler has returned, with err if it is to be reset.
func (s *serverStream) finish(err error) {
	c, v := s.c, s.v
	switch {
	case s.closed:
	case err != nil:
		s.reset(http2.ErrCodeInternal, err)
	case !s.remoteClosed:
		// The answer is complete, and the rest of the body of no interest: RFC 9113 section 8.1.
		s.reset(http2.ErrCodeNo, http.ErrBodyReadAfterClose)
	}
	s.stopTimers()
	s.recv.Discard()
	if !v.res.keep {
		c.leave()
	}
	last := len(c.served) - 1
	c.served[s.index] = c.served[last]
	c.served[s.index].index = s.index
	c.served[last] = nil
	c.served = c.served[:last]
	if c.resets > 0 && err == nil {
		c.resets--
	}
	c.shard.leaveStream(v)
	switch {
	case last > 0:
	case c.ending:
		c.task.Unpark()
	default:
		c.look()
	}
}

// reset ends s by RST_STREAM.
func (s *serverStream) reset(code http2.ErrCode, err error) {
	if s.closed {
		return
	}
	s.c.w.Reset(s.id, code)
	s.c.w.FlushSoon()
	s.c.remember(s.id)
	s.close(err)
}

// close ends s in both directions, for the reason err.
func (s *serverStream) close(err error) {
	if s.closed {
		return
	}
	s.closed, s.localClosed, s.remoteClosed = true, true, true
	delete(s.c.streams, s.id)
	s.lose(err)
}

// lose makes all that is under way for s, or begins, fail with err, and ends the request's context.
func (s *serverStream) lose(err error) {
	s.send.Fail(err)
	s.recv.Fail(err)
	if c := s.v.watched; c != nil {
		c.end()
	}
}

// endLocal notes that END_STREAM has been added.
func (s *serverStream) endLocal() {
	s.localClosed = true
	s.release()
}

// release takes s out of the open streams, if it is closed in both directions.
func (s *serverStream) release() {
	if s.localClosed && s.remoteClosed && !s.closed {
		s.closed = true
		delete(s.c.streams, s.id)
	}
}

// endRemote notes END_STREAM of the client's.
func (s *serverStream) endRemote() error {
	if s.want > 0 {
		return &streamError{s.id, http2.ErrCodeProtocol, "body shorter than its Content-Length"}
	}
	s.remoteClosed = true
	s.recv.End(io.EOF)
	s.release()
	return nil
}

// takeData takes a DATA frame.
func (s *serverStream) takeData(d *http2core.Data) error {
	n := int64(len(d.Payload))
	if s.want >= 0 {
		if s.want -= n; s.want < 0 {
			s.c.in.Give(d.Length)
			return &streamError{s.id, http2.ErrCodeProtocol, "body longer than its Content-Length"}
		}
	}
	if s.recv.Put(d) != nil {
		return &streamError{s.id, http2.ErrCodeFlowControl, "window exceeded"}
	}
	if d.End {
		return s.endRemote()
	}
	return nil
}

// onLoop runs f on the loop, in a task: for handlers that are off it.
func (s *serverStream) onLoop(f func() error) error {
	l := s.c.shard.loop
	x, err := rondo.SpawnThreadsafe(context.Background(), l, func(context.Context) (struct{}, error) { return struct{}{}, f() })
	if err != nil {
		return err
	}
	_, err = x.Await(context.Background())
	return err
}

// away reports whether the caller is off the loop.
func (s *serverStream) away() bool { return !s.c.shard.kernel.OnLoop() }

// errSlowReader is that of a client that does not take an answer.
var errSlowReader = fmt.Errorf("rondohttp: the client does not read: %w", os.ErrDeadlineExceeded)

// errSlowBody is that of a body that comes too slowly.
var errSlowBody error = &bodyError{http.StatusRequestTimeout, "request body comes too slowly", os.ErrDeadlineExceeded}

// watch ends what is overdue.
func (s *serverStream) watch(now loop.Time) {
	if s.writeBy != 0 && s.writeBy <= now {
		s.writeBy = 0
		s.reset(http2.ErrCodeCancel, errSlowReader)
	}
	if s.readBy != 0 && s.readBy <= now {
		s.readBy = 0
		s.recv.End(errSlowBody)
	}
}

// setReadDeadline is for [http.ResponseController].
func (s *serverStream) setReadDeadline(t time.Time) error {
	if s.away() {
		return s.onLoop(func() error { return s.setReadDeadline(t) })
	}
	s.v.body.own.Store(true)
	s.deadline(&s.readTimer, t, s.recv.Interrupt)
	return nil
}

// setWriteDeadline is for [http.ResponseController].
func (s *serverStream) setWriteDeadline(t time.Time) error {
	if s.away() {
		return s.onLoop(func() error { return s.setWriteDeadline(t) })
	}
	s.v.ownWrite.Store(true)
	s.deadline(&s.writeTimer, t, s.send.Interrupt)
	return nil
}

// deadline has f called with an error at t.
func (s *serverStream) deadline(timer **loop.Timer, t time.Time, f func(error)) {
	k := s.c.shard.kernel
	if *timer == nil {
		*timer = new(loop.Timer)
		(*timer).Init(loop.Func(func() { f(os.ErrDeadlineExceeded) }))
	}
	k.StopTimer(*timer)
	f(nil)
	if t.IsZero() {
		return
	}
	if d := time.Until(t); d > 0 {
		k.StartTimer(*timer, k.Now().Add(d))
	} else {
		f(os.ErrDeadlineExceeded)
	}
}

func (s *serverStream) stopTimers() {
	for _, t := range []*loop.Timer{s.readTimer, s.writeTimer} {
		if t != nil {
			s.c.shard.kernel.StopTimer(t)
		}
	}
}

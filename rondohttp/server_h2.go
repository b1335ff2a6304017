package rondohttp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/internal/http2core"
	"github.com/rondo-go/rondo/loop"
	"github.com/rondo-go/rondo/rondotls"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// A serverH2 is a connection of a server that speaks HTTP/2, RFC 9113. One task reads its frames; every request is a
// task beside it, on a visit of its own; a third kind of task, the writer's, is there while something is to be written.
// Between requests the connection rests like one of HTTP/1: no task, no buffer.
type serverH2 struct {
	shard  *shard
	x      *serverConn
	index  int // in shard.h2s, if listed
	listed bool
	w      *http2core.Writer
	in     *http2core.Inflow
	dec    *hpack.Decoder
	rd     *http2core.Reader // nil at rest
	early  []byte            // read before rd was there
	task   *loop.Task        // that reads
	ctx    context.Context   // of it

	streams map[uint32]*serverStream // open, or half-closed
	served  []*serverStream          // whose handlers have not returned: all of streams, and some that were reset
	seen    uint32                   // the highest stream of the client's
	last    uint32                   // the highest that was served or refused: all but for what came after the last GOAWAY
	gone    []uint32                 // streams reset here of late, of which frames may be under way: a ring
	goneAt  int

	begun    bool      // the preface came, and our own settings are sent
	filling  bool      // the task waits for a frame
	ending   bool      // nobody reads any more
	leaving  uint8     // see GOAWAY below
	peerGone bool      // the peer has sent GOAWAY
	readBy   loop.Time // until when what has begun must have come; 0 if nothing has
	writeBy  loop.Time // until when something of what is queued must be sent
	sent     int64     // as of the last look
	askedAt  loop.Time // when our settings, or a ping, were sent; 0 after the answer
	late     bool      // the shard has ended a read because of readBy
	noise    int       // frames since noiseAt that are of no use
	noiseAt  loop.Time
	resets   int // streams that came to nothing, less those that were served
}

// The stages of leaving, RFC 9113 section 6.8: the first GOAWAY warns, the second, a round trip later, says
// where it ends.
const (
	staying uint8 = iota
	warned
	left
)

// Bounds of what a peer may make a connection do for nothing. They are far from what any client does.
const (
	mostNoise   = 2000             // PING, SETTINGS, PRIORITY, empty DATA and the like,
	noiseTime   = 10 * time.Second // in so long
	mostResets  = 200              // streams begun and reset, beyond those served
	mostQueued  = 256 << 10        // bytes to be written before no more is read; DATA waits long before
	goneStreams = 64
)

// The windows for bodies of requests.
const (
	h2StreamWindow = 256 << 10
	h2ConnWindow   = 1 << 20
	h2MostWindow   = 4 << 20
)

// errLook makes the task that waits for a frame look whether there is anything else to do.
var errLook = fmt.Errorf("look again: %w", os.ErrDeadlineExceeded)

// errOver is that of a connection that has come to its end in good order.
var errOver = errors.New("over")

// newServerH2 makes a connection of which read has been read already, and sends the settings. Raw, which is conn or
// below it, is closed when nothing can be written any more.
func newServerH2(s *Server, raw io.Closer, conn net.Conn, read []byte) *serverH2 {
	c := &serverH2{shard: s.shardOf(), early: read, dec: hpack.NewDecoder(http2core.DefaultTableBytes, nil)}
	c.x = &serverConn{shard: c.shard, conn: conn}
	c.x.raw, _ = raw.(*rondo.Conn)
	c.w = http2core.NewWriter(conn, func(error) { raw.Close() })
	c.w.Settings(
		http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: uint32(s.limits.Streams)},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: h2StreamWindow},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: c.headerBytes()},
		http2.Setting{ID: http2.SettingNoRFC7540Priorities, Val: 1},
	)
	c.in = http2core.NewInflow(c.shard.kernel, c.w, h2StreamWindow, h2ConnWindow, h2MostWindow)
	return c
}

// serveH2 is the [protocol] of HTTP/2.
func serveH2(ctx context.Context, s *Server, raw *rondo.Conn, conn net.Conn, read []byte) error {
	c := newServerH2(s, raw, conn, read)
	if secure, ok := conn.(*rondotls.Conn); ok {
		var again rondotls.Handler
		again = func(ctx context.Context, conn *rondotls.Conn) error {
			if rest, err := c.serve(ctx); !rest {
				return err
			}
			return conn.Rest(again)
		}
		return again(ctx, secure)
	}
	var again rondo.Handler
	again = func(ctx context.Context, raw *rondo.Conn) error {
		if rest, err := c.serve(ctx); !rest {
			return err
		}
		return raw.Rest(again)
	}
	return again(ctx, raw)
}

// serve serves c from the arrival of bytes until it rests, or for good.
func (c *serverH2) serve(ctx context.Context) (rest bool, err error) {
	_, c.task = loop.Current()
	c.ctx = ctx
	c.shard.enterH2(c)
	defer func() { c.ctx, c.task = nil, nil }() // then the shard forgets c
	if rest, err = c.run(); rest {
		return true, nil
	}
	c.end(err)
	return false, nil
}

// run reads frames, until the connection is to rest, or is over for the reason err.
func (c *serverH2) run() (rest bool, err error) {
	if !c.begun {
		if err := c.begin(); err != nil {
			return false, err
		}
	}
	// Up to twice the limit is decoded, and answered 431.
	c.rd = http2core.NewReader(c.x.conn, c.early, c.dec, 2*c.headerBytes())
	if c.early = nil; c.rd.Buffered() == 0 {
		if err := c.fill(); err != nil {
			return false, err
		}
	}
	for {
		for !c.rd.Frame() {
			if rest, err := c.wait(); rest || err != nil {
				return rest, err
			}
		}
		// The whole frame is here, but for CONTINUATION frames.
		c.readBy = c.limit(c.shard.server.limits.Header)
		f, err := c.rd.Next()
		c.readBy = 0
		if err == nil {
			err = c.take(f)
		}
		if err = c.judge(err); err != nil {
			return false, err
		}
	}
}

// headerBytes returns the limit of lists of fields, by the count of RFC 9113 section 6.5.2.
func (c *serverH2) headerBytes() uint32 {
	l := &c.shard.server.limits
	const overhead = 32
	return uint32(min(int64(l.HeaderBytes)+overhead*int64(l.HeaderCount), 1<<30))
}

// limit returns the time after d, 0 if d is none.
func (c *serverH2) limit(d time.Duration) loop.Time {
	if d <= 0 {
		return 0
	}
	return c.shard.clock().Add(d)
}

// begin has the settings sent and reads the preface, RFC 9113 section 3.4.
func (c *serverH2) begin() error {
	s := c.shard.server
	c.begun = true
	c.w.FlushSoon()
	c.askedAt = c.shard.kernel.Now()
	c.readBy = c.limit(s.limits.Header)
	const preface = http2core.Preface
	for {
		n := min(len(c.early), len(preface))
		if string(c.early[:n]) != preface[:n] {
			return &connError{http2.ErrCodeProtocol, "bad preface"}
		}
		if n == len(preface) {
			c.early = bytes.Clone(c.early[n:])
			c.readBy = 0
			return nil
		}
		p := make([]byte, 512)
		n, err := c.x.conn.Read(p)
		if n == 0 {
			return err
		}
		c.early = append(c.early, p[:n]...)
	}
}

// wait waits for more of a frame, unless the connection is to rest.
func (c *serverH2) wait() (rest bool, err error) {
	s := c.shard.server
	if s.closing.Load() || c.peerGone {
		c.leave()
	}
	c.w.FlushSoon()
	if c.w.Queued() > mostQueued {
		// The peer makes us answer and does not read.
		if err := c.w.Drain(); err != nil {
			return false, err
		}
	}
	buffered := c.rd.Buffered()
	if len(c.served) == 0 {
		if c.leaving == left || c.peerGone {
			return false, errOver
		}
		if buffered == 0 && c.leaving == staying {
			c.rd.Release()
			c.rd, c.streams = nil, nil
			return true, nil
		}
	}
	if buffered > 0 && c.readBy == 0 {
		c.readBy = c.limit(s.limits.Header)
		if len(c.served) > 0 {
			c.readBy = c.limit(2 * s.limits.Body) // it may be a piece of a body, which has its own limit
		}
	}
	return false, c.fill()
}

// fill waits for bytes, or for something else to do.
func (c *serverH2) fill() error {
	c.filling = true
	err := c.rd.Fill()
	c.filling = false
	if errors.Is(err, errLook) {
		return nil
	}
	return err
}

// look has the task that waits for a frame look whether the connection is to rest, or to end.
func (c *serverH2) look() {
	if c.filling && c.task != nil {
		c.task.Leave(c.task.Parks(), errLook)
	}
}

// A connError is a connection error, RFC 9113 section 5.4.1.
type connError struct {
	code http2.ErrCode
	why  string
}

func (e *connError) Error() string {
	return fmt.Sprintf("HTTP/2 connection error: %v: %s", e.code, e.why)
}

// A streamError is a stream error, RFC 9113 section 5.4.2.
type streamError struct {
	id   uint32
	code http2.ErrCode
	why  string
}

func (e *streamError) Error() string {
	return fmt.Sprintf("HTTP/2 stream error: stream %d: %v: %s", e.id, e.code, e.why)
}

// judge says what follows from an error of reading or of what was read: nil after a stream error.
func (c *serverH2) judge(err error) error {
	if err == nil {
		return nil
	}
	var ce http2.ConnectionError
	var se http2.StreamError
	var own *streamError
	switch {
	case errors.As(err, &ce):
		return &connError{http2.ErrCode(ce), "malformed frame"}
	case errors.Is(err, http2.ErrFrameTooLarge):
		return &connError{http2.ErrCodeFrameSize, "frame too large"}
	case errors.Is(err, http2core.ErrFlowControl):
		return &connError{http2.ErrCodeFlowControl, "window exceeded"}
	case errors.As(err, &se):
		own = &streamError{se.StreamID, se.Code, "malformed frame"}
	case errors.As(err, &own):
	default:
		return err
	}
	if own.id > c.seen && own.id&1 == 1 {
		c.seen, c.last = own.id, own.id // its HEADERS were malformed
	}
	if err := c.wasted(); err != nil {
		return err
	}
	if s := c.streams[own.id]; s != nil {
		s.reset(own.code, own)
	} else {
		c.w.Reset(own.id, own.code)
		c.remember(own.id)
	}
	return nil
}

// useless counts a frame that asks for nothing.
func (c *serverH2) useless() error {
	if now := c.shard.clock(); now.Sub(c.noiseAt) > noiseTime {
		c.noise, c.noiseAt = 0, now
	}
	if c.noise++; c.noise > mostNoise {
		return &connError{http2.ErrCodeEnhanceYourCalm, "too many frames of no use"}
	}
	return nil
}

// wasted counts a stream that has come to nothing by the client's doing.
func (c *serverH2) wasted() error {
	if c.resets++; c.resets > mostResets {
		return &connError{http2.ErrCodeEnhanceYourCalm, "too many streams reset"}
	}
	return nil
}

// remember notes a stream that was reset here: what is under way for it is no error.
func (c *serverH2) remember(id uint32) {
	if len(c.gone) < goneStreams {
		c.gone = append(c.gone, id)
		return
	}
	c.gone[c.goneAt] = id
	c.goneAt = (c.goneAt + 1) % goneStreams
}

// leave begins to end the connection: the streams that there are are served, and those that are under way.
func (c *serverH2) leave() {
	if c.leaving != staying || c.ending {
		return
	}
	c.leaving = warned
	c.w.GoAway(1<<31-1, http2.ErrCodeNo, "")
	c.askedAt = c.shard.kernel.Now()
	c.w.Ping(false, leavePing)
	c.w.FlushSoon()
}

// leavePing finds out when the client has seen the first GOAWAY.
var leavePing = [8]byte{'l', 'e', 'a', 'v', 'i', 'n', 'g'}

// leaveNow says which stream is the last.
func (c *serverH2) leaveNow() {
	if c.leaving == warned {
		c.leaving = left
		c.w.GoAway(c.last, http2.ErrCodeNo, "")
		c.w.FlushSoon()
	}
}

// end ends the connection for the reason err, and waits for the handlers.
func (c *serverH2) end(err error) {
	c.ending = true
	if c.rd != nil {
		c.rd.Drop()
	}
	var ce *connError
	var canceled *rondo.CanceledError
	said := true
	switch {
	case err == errOver:
		c.w.GoAway(c.last, http2.ErrCodeNo, "")
	case errors.As(err, &ce):
		c.w.GoAway(c.last, ce.code, ce.why)
	case c.late:
		c.w.GoAway(c.last, http2.ErrCodeNo, "timeout")
	default:
		said = false
	}
	if err != errOver && err != io.EOF {
		c.shard.server.log.Debug("rondohttp: connection ended", "remote", c.x.remote(), "err", err)
	}
	for _, s := range c.served {
		s.lose(&connLost{err})
		if errors.As(err, &canceled) {
			s.task.Cancel("server aborted")
		}
	}
	if said && c.w.Drain() == nil {
		c.linger()
	}
	c.x.conn.Close()
	c.w.Fail(net.ErrClosed)
	for len(c.served) > 0 {
		if err := c.task.Park(parked{}); err != nil {
			for _, s := range c.served {
				s.task.Cancel("server aborted")
			}
		}
	}
}

// parked is what a task parks with that leaves whenever it is asked.
type parked struct{}

// Abort implements [loop.Aborter].
func (parked) Abort(*loop.Task, loop.Reason, error) loop.Verdict { return loop.Aborted }

// linger lets the peer read the GOAWAY: if the connection were closed with bytes unread, the system would reset it.
func (c *serverH2) linger() {
	w, ok := c.x.conn.(interface{ CloseWrite() error })
	if !ok || w.CloseWrite() != nil {
		return
	}
	const most, longest = 256 << 10, time.Second
	c.x.conn.SetReadDeadline(time.Now().Add(longest))
	p := make([]byte, 4<<10)
	for got := 0; got < most; {
		n, err := c.x.conn.Read(p)
		got += n
		if err != nil {
			return
		}
	}
}

// A connLost is the error of a stream whose connection has come to its end.
type connLost struct{ cause error }

func (e *connLost) Error() string {
	if e.cause == errOver {
		return "rondohttp: the connection has ended"
	}
	return "rondohttp: the connection has ended: " + e.cause.Error()
}

// Is makes it what a body that breaks off is, and a connection that was closed.
func (e *connLost) Is(err error) bool { return err == io.ErrUnexpectedEOF || err == net.ErrClosed }

func (e *connLost) Unwrap() error { return e.cause }

package rondohttp

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/internal/http1"
	"github.com/rondo-go/rondo/loop"
	"github.com/rondo-go/rondo/rondotls"
)

// A serverConn is a connection of a server: all that there is of it while it rests.
type serverConn struct {
	shard  *shard
	raw    *rondo.Conn
	conn   net.Conn                                         // raw, or TLS on it
	served int                                              // requests
	again  rondo.Handler                                    // serves when bytes arrive; of https, TLS keeps it
	taken  func(ctx context.Context) (rest bool, err error) // serves it from now on; see hijackedConn.Rest

	// For handlers of net/http's, when first asked for.
	remoteText string
	tls        *tls.ConnectionState
}

// remote returns the peer's address.
func (x *serverConn) remote() string {
	if x.remoteText == "" {
		if a := x.conn.RemoteAddr(); a != nil {
			x.remoteText = a.String()
		}
	}
	return x.remoteText
}

// tlsState returns the state of TLS, nil if there is none.
func (x *serverConn) tlsState() *tls.ConnectionState {
	if x.tls == nil && x.conn != net.Conn(x.raw) {
		if t, ok := x.conn.(interface{ ConnectionState() tls.ConnectionState }); ok {
			s := t.ConnectionState()
			x.tls = &s
		}
	}
	return x.tls
}

// accept serves a new connection.
func (s *Server) accept(ctx context.Context, c *rondo.Conn) error {
	x := &serverConn{shard: s.shardOf(), raw: c, conn: c}
	x.again = func(ctx context.Context, c *rondo.Conn) error {
		rest, err := x.turn(ctx)
		switch {
		case !rest:
			return err
		case x.taken != nil:
			return c.RestOpen(x.again)
		}
		return c.Rest(x.again)
	}
	return x.again(ctx, c)
}

// acceptTLS is accept for https, after the handshake.
func (s *Server) acceptTLS(ctx context.Context, c *rondotls.Conn) error {
	raw, _ := c.NetConn().(*rondo.Conn)
	if p := s.byALPN[c.ConnectionState().NegotiatedProtocol]; p != nil {
		return p(ctx, s, raw, c, nil)
	}
	x := &serverConn{shard: s.shardOf(), raw: raw, conn: c}
	again := func(ctx context.Context, c *rondotls.Conn) error {
		rest, err := x.turn(ctx)
		switch {
		case !rest:
			return err
		case x.taken != nil:
			return c.RestOpen(nil)
		}
		return c.Rest(nil)
	}
	return c.Rest(again)
}

// A protocol serves a connection that has turned out not to speak HTTP/1: by ALPN, or by the
// preface that it began with, which is read then, with all that came behind it. It returns when
// the connection is over.
type protocol func(ctx context.Context, s *Server, raw *rondo.Conn, c net.Conn, read []byte) error

// A visit is a connection at work: from the arrival of bytes until it rests again. It holds
// what a connection at rest has no need of, and is used for one after another.
type visit struct {
	shard *shard
	x     *serverConn
	conn  net.Conn
	index int         // in shard.visits
	late  atomic.Bool // the shard has ended a read because of readBy
	lost  bool        // somebody else may still use v: it must not serve again
	taken bool        // by Hijack
	idle  bool        // it waits for a request, of which a part of a record of TLS may be here

	ctx      context.Context       // of the task, for a request of our own face
	watched  *requestContext       // of the request that is served, if somebody may have it
	watcher  *rondo.Task[struct{}] // reads while the handler works, nil if nobody does
	hijacked *hijackedConn         // if taken
	foreign  bool                  // of a foreignConn
	stream   *serverStream         // of HTTP/2, nil if this is a connection of HTTP/1
	ownWrite atomic.Bool           // the handler has set a deadline for writing

	in     []byte // of which in[r:w] nobody has taken yet
	r, w   int
	headAt int    // where the head that is being served ends, if in holds it
	out    []byte // to be written
	outErr error  // of writing

	// Until when the read or the write in progress must be over, 0 if it need not. They are atomic since
	// handlers may read and write off the loop.
	readBy, writeBy atomic.Int64

	head http1.RequestHead
	body requestBody
	req  ServerRequest
	res  ServerResponse
}

// clear makes v fit for another connection.
func (v *visit) clear() {
	v.x, v.conn, v.in, v.outErr, v.ctx = nil, nil, nil, nil, nil
	v.r, v.w, v.taken = 0, 0, false
	v.late.Store(false)
	if cap(v.out) > 64<<10 {
		v.out = make([]byte, 0, 4<<10)
	}
	v.out = v.out[:0]
	v.readBy.Store(0)
	v.writeBy.Store(0)
	v.head.Reset()
}

// turn serves x from the arrival of bytes until it rests, or for good: by itself, or by who has taken it.
func (x *serverConn) turn(ctx context.Context) (rest bool, err error) {
	if x.taken == nil {
		if rest, err = x.serve(ctx); x.taken == nil || !rest {
			return rest, err
		}
	}
	return x.taken(ctx)
}

// serve serves x from the arrival of bytes until it rests, or for good.
func (x *serverConn) serve(ctx context.Context) (rest bool, err error) {
	v := x.shard.enter(x)
	over := false
	defer func() {
		if !over {
			v.lost = true // a panic of ours, or runtime.Goexit in a handler
			x.shard.leave(v)
		}
	}()
	rest, err = v.run(ctx)
	over = true
	x.shard.leave(v)
	return rest, err
}

// run serves requests, until the connection is to rest, or to be closed.
func (v *visit) run(ctx context.Context) (rest bool, err error) {
	h := v.shard
	s := h.server
	began := loop.Time(0) // of a head that is not complete
	for {
		if err := v.fill(began); err != nil {
			v.readFailed(err)
			return false, nil
		}
		for v.r < v.w {
			n, done, err := v.head.Parse(v.in[v.r:v.w], &s.heads)
			if err != nil {
				return false, v.refused(ctx, err)
			}
			if !done {
				break
			}
			began = 0
			v.r += n
			v.headAt = v.r
			if again, err := v.exchange(ctx); !again {
				return v.x.taken != nil, err
			}
			v.head.Reset()
		}
		if err := v.flush(); err != nil {
			v.ended(err)
			return false, nil
		}
		if v.r == v.w {
			return !s.closing.Load(), nil
		}
		if began == 0 {
			began = h.clock()
			// Who sends faster than it is answered gets its turn, and no more.
			if err := rondo.Sleep(ctx, 0); err != nil {
				return false, err
			}
		}
	}
}

// fill reads more into the buffer. Began is when the head at its beginning began, 0 if there is none.
func (v *visit) fill(began loop.Time) error {
	l := &v.shard.server.limits
	switch {
	case began != 0 && l.Header > 0:
		v.readBy.Store(int64(began.Add(l.Header)))
	case began == 0 && l.Idle > 0:
		v.readBy.Store(int64(v.shard.clock().Add(l.Idle)))
	}
	if v.w == len(v.in) {
		v.room(v.w - v.r + 1)
	}
	v.idle = began == 0
	n, err := v.conn.Read(v.in[v.w:])
	v.idle = false
	v.readBy.Store(0)
	v.w += n
	if n > 0 {
		return nil // an error comes again
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// room makes room for more bytes behind in[r:w], of which there are to be n in all.
func (v *visit) room(n int) {
	b := v.in
	if n > len(b)-len(b)/4 {
		b = make([]byte, max(2*len(b), n))
	}
	v.w = copy(b, v.in[v.r:v.w])
	v.r, v.in = 0, b
}

// readFailed says what follows from err, of a read between requests or within a head.
func (v *visit) readFailed(err error) {
	switch {
	case v.late.Load() && v.head.Started():
		v.answer(http.StatusRequestTimeout, "")
	case !v.late.Load():
		v.ended(err)
	}
}

// refused answers a head that cannot be served.
func (v *visit) refused(ctx context.Context, err error) error {
	for preface, p := range v.shard.server.byPreface {
		if rest := v.in[v.r:v.w]; len(rest) >= 3 && string(rest[:3]) == preface[:3] {
			for len(rest) < len(preface) && string(rest) == preface[:len(rest)] {
				if err := v.fill(v.shard.clock()); err != nil {
					v.readFailed(err)
					return nil
				}
				rest = v.in[v.r:v.w]
			}
			if bytes.HasPrefix(rest, []byte(preface)) {
				v.lost = true // rest is p's from here on
				return p(ctx, v.shard.server, v.x.raw, v.conn, rest)
			}
		}
	}
	v.answer(refusal(err))
	return nil
}

// refusal returns the answer to a head that err was found in.
func refusal(err error) (status int, why string) {
	switch {
	case errors.Is(err, http1.ErrTargetTooLong):
		return http.StatusRequestURITooLong, ""
	case errors.Is(err, http1.ErrHeaderTooLarge):
		return http.StatusRequestHeaderFieldsTooLarge, ""
	case errors.Is(err, http1.ErrVersion):
		return http.StatusHTTPVersionNotSupported, ""
	case errors.Is(err, http1.ErrTransferEncoding):
		return http.StatusNotImplemented, err.Error()
	case errors.Is(err, http1.ErrUnmetExpectation):
		return http.StatusExpectationFailed, ""
	}
	var pe *http1.ProtocolError
	if errors.As(err, &pe) {
		return http.StatusBadRequest, pe.What
	}
	return http.StatusBadRequest, ""
}

// answer answers in place of a handler, and ends the connection.
func (v *visit) answer(status int, why string) {
	text := http.StatusText(status)
	if why != "" {
		text += ": " + why
	}
	v.out = appendStatus(v.out, status)
	v.out = append(v.out, v.shard.dateField()...)
	v.out = append(v.out, "Content-Type: text/plain; charset=utf-8\r\nConnection: close\r\n"...)
	v.out = appendLength(v.out, int64(len(text)+1))
	v.out = append(v.out, "\r\n"...)
	v.out = append(v.out, text...)
	v.out = append(v.out, '\n')
	v.linger()
}

// exchange serves the request whose head has been parsed. It returns whether the connection goes on.
func (v *visit) exchange(ctx context.Context) (again bool, err error) {
	s := v.shard.server
	if v.head.ContentLength > s.limits.BodyBytes {
		v.answer(http.StatusRequestEntityTooLarge, "")
		return false, nil
	}
	v.x.served++
	v.body.reset(v)
	v.res.reset()
	switch {
	case s.native == nil:
		err = v.serveHTTP(ctx, s.handler)
	case len(v.out) > 0:
		err = v.serveBehind(ctx, s.native)
	default:
		err = v.serveNative(ctx, s.native)
	}
	if v.taken {
		v.outlive(ctx)
		return false, err
	}
	if v.lost {
		v.sendLast(err)
		return false, nil
	}
	if v.body.own.Load() || v.ownWrite.Load() {
		v.body.own.Store(false)
		v.ownWrite.Store(false)
		v.conn.SetDeadline(time.Time{})
	}
	if err == nil && v.res.err != nil {
		err = v.report(v.res.err)
	}
	if err != nil {
		if err == errAborted || v.res.committed {
			v.discardOut()
			return false, nil
		}
		v.res.fail(v.statusOf(err))
	}
	if err := v.res.finish(); err != nil {
		v.flush()
		if err == errShortBody {
			v.report(err)
		}
		v.ended(v.outErr)
		return false, nil
	}
	if !v.res.keep {
		v.linger()
		return false, nil
	}
	if !v.body.done() {
		if err := v.flush(); err != nil {
			v.ended(err)
			return false, nil
		}
		if !v.body.drain() {
			v.linger()
			return false, nil
		}
	}
	v.ended(v.outErr)
	return v.outErr == nil, nil
}

// sendLast ends the answer, if the handler has given one, while somebody still reads the body, which must not be touched.
func (v *visit) sendLast(err error) {
	if err != nil || v.res.err != nil {
		return
	}
	if v.res.keep = false; v.res.finish() == nil {
		v.flush()
	}
}

// ended notes why a connection has come to its end. That is the client's doing, or the network's.
func (v *visit) ended(err error) {
	if err != nil && err != io.EOF {
		v.shard.server.log.Debug("rondohttp: connection ended", "remote", v.conn.RemoteAddr(), "err", err)
	}
}

// errAborted is the error of a handler after which nothing more is to be sent.
var errAborted = errors.New("answer aborted")

// serveBehind is serveNative while answers to earlier requests wait to be written.
func (v *visit) serveBehind(ctx context.Context, f HandlerFunc) error {
	_, t := loop.Current()
	if before := t.OnPark(v); before != nil && before != loop.Call(v) {
		before.Call()
	}
	err := v.serveNative(ctx, f)
	if before := t.OnPark(nil); before != nil && before != loop.Call(v) {
		t.OnPark(before)
	}
	return err
}

// Call is the task about to park within a handler, while answers to earlier requests
// wait to be written: it implements [loop.Call]. They are not to wait for this one.
func (v *visit) Call() {
	p := v.out
	v.out, v.res.outAt = make([]byte, 0, 4<<10), 0
	rondo.Spawn(context.Background(), func(context.Context) (struct{}, error) {
		v.conn.Write(p) // an error comes again
		return struct{}{}, nil
	})
}

// flushAt is how much may gather in out.
const flushAt = 32 << 10

// flush writes what has gathered.
func (v *visit) flush() error {
	if len(v.out) == 0 {
		return v.outErr
	}
	err := v.write(v.out)
	v.out, v.res.outAt = v.out[:0], 0
	return err
}

// write writes p, in pieces of which each has its time.
func (v *visit) write(p []byte) error {
	const piece = 64 << 10
	for v.outErr == nil {
		now := p[:min(len(p), piece)]
		v.beginWrite()
		_, err := v.conn.Write(now)
		v.writeBy.Store(0)
		v.outErr = err
		if p = p[len(now):]; len(p) == 0 {
			break
		}
	}
	return v.outErr
}

// beginWrite gives the write that follows its time.
func (v *visit) beginWrite() {
	if d := v.shard.server.limits.Write; d > 0 && !v.ownWrite.Load() {
		v.writeBy.Store(int64(v.clock().Add(d)))
	}
}

// clock returns the time on the loop's clock, on the loop and off it.
func (v *visit) clock() loop.Time {
	switch k := v.shard.kernel; {
	case k == nil:
		return 0
	case k.OnLoop():
		return v.shard.clock()
	default:
		return k.Now()
	}
}

// discardOut drops the answer that is under way, but not those before it.
func (v *visit) discardOut() {
	if n := v.res.outAt; n < len(v.out) {
		v.out = v.out[:n]
	}
	v.flush()
	if v.res.committed && !v.res.chunked && v.res.length < 0 {
		v.x.raw.SetLinger(0) // nothing else tells the peer that the body is not whole
	}
}

// linger writes what has gathered and ends the connection so that the peer gets it: if it were closed
// with bytes unread, the system would reset it, and the peer might lose the answer (RFC 9112
// section 9.6).
func (v *visit) linger() {
	if v.flush() != nil {
		return
	}
	if v.r == v.w && v.body.done() && !v.head.Started() {
		return
	}
	c, ok := v.conn.(interface{ CloseWrite() error })
	if !ok || c.CloseWrite() != nil {
		return
	}
	const most, longest = 256 << 10, time.Second
	v.conn.SetReadDeadline(time.Now().Add(longest))
	for got := 0; got < most; {
		n, err := v.conn.Read(v.in)
		got += n
		if err != nil {
			return
		}
	}
}

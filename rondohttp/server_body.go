package rondohttp

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"sync/atomic"

	"github.com/rondo-go/rondo/internal/http1"
	"github.com/rondo-go/rondo/loop"
)

// ErrBodyTooLarge is the error of reading a request's body beyond the server's limit.
var ErrBodyTooLarge = errors.New("rondohttp: request body too large")

// A bodyError is the error of a request's body that is the client's, who is told by a status.
type bodyError struct {
	status int
	what   string
	err    error
}

func (e *bodyError) Error() string { return fmt.Sprintf("rondohttp: %s: %v", e.what, e.err) }

func (e *bodyError) Unwrap() error { return e.err }

// A requestBody is the body of the request that a visit serves.
type requestBody struct {
	v       *visit
	frame   http1.Body
	began   loop.Time // of reading it
	err     error     // io.EOF at the end
	started bool
	shared  *httpBody // that may be read while the answer is written, nil if that is one after the other

	expect atomic.Bool // the peer waits for 100 (Continue)
	own    atomic.Bool // the handler has set a deadline for reading

	// The watching of the client begins when both are set, whichever comes last, on the loop or off it.
	ended, watch atomic.Bool
}

// The states of httpBody.use. A handler may leave the body with somebody who reads off the loop, as
// the transport of net/http does, and return.
const (
	bodyFree uint32 = iota
	bodyLook        // in drainable
	bodyRead        // in Read
	bodyOver        // the handler has returned
)

// reset makes b the body of the request whose head v has parsed.
func (b *requestBody) reset(v *visit) {
	b.v = v
	b.frame.ResetRequest(v.head.ContentLength, v.head.Chunked)
	b.err, b.started, b.shared = nil, false, nil
	b.expect.Store(v.head.Expect)
	b.own.Store(false)
	b.watch.Store(false)
	whole := b.frame.Done()
	b.ended.Store(whole)
	if whole {
		b.err = io.EOF
	}
}

// done reports whether the body has been read to its end.
func (b *requestBody) done() bool { return b.err == io.EOF }

// next returns the next piece of the body, in the buffer of the visit, at most n bytes of it. The piece holds until
// the next call. It parks if nothing of it is here yet.
func (b *requestBody) next(n int) ([]byte, error) {
	v := b.v
	if v.stream != nil {
		return v.stream.next(n)
	}
	for b.err == nil {
		for v.r < v.w {
			data, k, done, err := b.frame.Next(v.in[v.r:min(v.w, v.r+n)])
			v.r += k
			switch {
			case err != nil:
				b.fail(err)
			case done:
				b.end()
			}
			if b.frame.Got() > v.shard.server.limits.BodyBytes {
				b.fail(ErrBodyTooLarge)
				return nil, b.err
			}
			if len(data) > 0 {
				return data, nil
			}
			if b.err != nil {
				return nil, b.err
			}
		}
		b.fill()
	}
	return nil, b.err
}

func (b *requestBody) end() {
	b.err = io.EOF
	b.ended.Store(true)
	if b.watch.Load() {
		b.v.watched.askWatch()
	}
}

// fail ends the body with an error. The connection cannot go on.
func (b *requestBody) fail(err error) {
	var pe *http1.ProtocolError
	if errors.As(err, &pe) || errors.Is(err, http1.ErrHeaderTooLarge) {
		err = &bodyError{http.StatusBadRequest, "malformed request body", err}
	}
	b.err = err
}

// begin is to be called before the first read that may park.
func (b *requestBody) begin() error {
	if b.started {
		return nil
	}
	b.started, b.began = true, b.v.clock()
	v, unmet := b.v, b.expect.Swap(false) // the head of the answer meets it, too
	const go100 = "HTTP/1.1 100 Continue\r\n\r\n"
	if b.shared != nil {
		// What has gathered is the writer's.
		if unmet {
			_, err := io.WriteString(v.conn, go100)
			return err
		}
		return nil
	}
	if unmet {
		v.out = append(v.out, go100...)
	}
	return v.flush() // the peer may wait for what has gathered before it sends more
}

// deadline bounds the read that follows: a body may take so long, and longer the more of it has come.
func (b *requestBody) deadline() {
	l := &b.v.shard.server.limits
	if l.Body == 0 || b.own.Load() {
		return
	}
	b.v.readBy.Store(int64(b.due(b.frame.Got())))
}

// due returns until when more must have come, after got bytes.
func (b *requestBody) due(got int64) loop.Time {
	l := &b.v.shard.server.limits
	if l.BodyRate <= 0 {
		return b.v.clock().Add(l.Body)
	}
	return b.began.Add(l.Body) + loop.Time(float64(got)/float64(l.BodyRate)*1e9)
}

// trailers returns the field lines behind the body.
func (b *requestBody) trailers() []byte {
	if s := b.v.stream; s != nil {
		return s.trailers
	}
	return b.frame.Trailers()
}

// fill reads more of the body into the visit's buffer, behind the head, which the handler may look at.
func (b *requestBody) fill() {
	v := b.v
	if err := b.begin(); err != nil {
		b.fail(err)
		return
	}
	const least = 4 << 10
	at := v.w
	if v.r == v.w {
		at = v.headAt
	}
	if len(v.in)-at < least {
		in := make([]byte, max(inBuffer, v.w-v.r+least)) // the head stays where it is
		at = copy(in, v.in[v.r:v.w])
		v.in, v.r = in, 0
		v.headAt = 0
	} else if v.r == v.w {
		v.r = at
	}
	v.w = at
	b.deadline()
	n, err := v.conn.Read(v.in[at:])
	v.readBy.Store(0)
	v.w = at + n
	if n == 0 {
		b.failRead(err)
	}
}

func (b *requestBody) failRead(err error) {
	switch {
	case err == nil:
		err = io.ErrNoProgress
	case err == io.EOF:
		err = b.frame.Finish()
	case b.v.late.Load():
		err = &bodyError{http.StatusRequestTimeout, "request body comes too slowly", os.ErrDeadlineExceeded}
	}
	b.fail(err)
}

// read is io.Reader's.
func (b *requestBody) read(p []byte) (int, error) {
	v := b.v
	if v.stream != nil {
		return v.stream.read(p)
	}
	if len(p) == 0 || b.err != nil {
		return 0, b.err
	}
	// A body of a known length goes straight to where it is wanted.
	if left := b.frame.Len() - b.frame.Got(); v.r == v.w && left > 0 && len(p) >= 4<<10 {
		if err := b.begin(); err != nil {
			b.fail(err)
			return 0, err
		}
		b.deadline()
		n, err := v.conn.Read(p[:min(int64(len(p)), left)])
		v.readBy.Store(0)
		if n == 0 {
			b.failRead(err)
			return 0, b.err
		}
		if _, _, done, _ := b.frame.Next(p[:n]); done {
			b.end()
		}
		return n, nil
	}
	data, err := b.next(len(p))
	return copy(p, data), err
}

// mostDrained is how much of a body that a handler did not read is read for it, so that the connection can go on.
const mostDrained = 256 << 10

// drainable reports whether drain may be of use, as far as is known. It may be called while another goroutine reads.
func (b *requestBody) drainable() bool {
	if b.ended.Load() {
		return true
	}
	if h := b.shared; h != nil {
		if !h.use.CompareAndSwap(bodyFree, bodyLook) {
			return true // it will turn out
		}
		defer h.use.CompareAndSwap(bodyLook, bodyFree)
	}
	return b.err == nil && b.frame.Len()-b.frame.Got() <= mostDrained
}

// drain reads what is left of the body, if that is little. It returns false if the connection cannot
// go on.
func (b *requestBody) drain() bool {
	if !b.drainable() {
		return false
	}
	for got := 0; got < mostDrained; {
		p, err := b.next(inBuffer)
		if err != nil {
			return err == io.EOF
		}
		got += len(p)
	}
	return false
}

// An httpBody is a requestBody for a handler of net/http's, which may keep it for ever.
type httpBody struct {
	b      *requestBody
	use    atomic.Uint32
	closed atomic.Bool
	trail  func()
}

// Read implements io.Reader.
func (h *httpBody) Read(p []byte) (int, error) {
	b := h.b
	for h.closed.Load() || !h.use.CompareAndSwap(bodyFree, bodyRead) {
		if h.closed.Load() || h.use.Load() >= bodyRead {
			return 0, http.ErrBodyReadAfterClose
		}
		runtime.Gosched() // it is looked at, which takes no time
	}
	n, err := b.read(p)
	if err == ErrBodyTooLarge {
		err = &http.MaxBytesError{Limit: b.v.shard.server.limits.BodyBytes}
	}
	if err == io.EOF && h.trail != nil {
		h.trail()
		h.trail = nil
	}
	h.use.CompareAndSwap(bodyRead, bodyFree)
	return n, err
}

// Close implements io.Closer. What is left of the body is the server's affair.
func (h *httpBody) Close() error {
	h.closed.Store(true)
	return nil
}

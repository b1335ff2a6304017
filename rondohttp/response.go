package rondohttp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/rondo-go/rondo/internal/http1"
)

// A Response is an answer whose head is here and whose body may still be on its
// way. Whoever got it reads the body to its end or closes it: until then it keeps
// its connection, and its share of the session's limits. It belongs to the tasks of its
// session's loop, one at a time.
type Response struct {
	Status  int
	Proto   string // "HTTP/2.0", "HTTP/1.1" or "HTTP/1.0"
	Method  string // of the request that was answered, after redirects
	URL     string // that answered, after redirects
	History []Hop  // the requests that led there by redirects, the first one being the caller's own

	// ContentLength is the length of the body, -1 if it is not known: not announced, or compressed.
	ContentLength int64

	// Decoded says that the body was compressed and is decompressed as it is read.
	Decoded bool

	exchange
	header  http.Header
	body    http1.Body
	dec     *decoder // nil unless Decoded
	got     int64    // decoded bytes
	trailer http.Header
	err     error // of the body, io.EOF at its end
}

// Get returns the first value of a field, whatever the case of its name, "" if there is none. It is of no more
// use after Close.
func (r *Response) Get(name string) string {
	if r.head == nil {
		return r.header.Get(name)
	}
	return string(r.head.Get(name))
}

// Reason returns the text that came with the status.
func (r *Response) Reason() string {
	if r.head == nil {
		return http.StatusText(r.Status)
	}
	return string(r.head.Reason())
}

// Header returns all fields. It is made on the first call, which has to come before
// Close; later ones return the same map.
func (r *Response) Header() http.Header {
	if r.header == nil {
		r.header = http.Header{}
		if r.head != nil {
			for name, value := range r.head.Each() {
				r.header.Add(string(name), string(value))
			}
		}
	}
	return r.header
}

// Trailer returns the fields that came behind the body, once it has been read to its end, and nil if there
// were none.
func (r *Response) Trailer() http.Header {
	if r.trailer != nil {
		return r.trailer
	}
	return trailersOf(nil, r.body.Trailers())
}

// Next returns the next piece of the body, parking until there is one, and [io.EOF]
// after the last. The piece lies in a buffer that others use as well: it holds until
// the task next parks, or uses r or its session.
//
// Errors, all of them an [*Error]:
//   - [KindTruncated], [KindReset], [KindProtocol] if the body breaks off or is malformed.
//   - [KindTimeoutRead], [KindTimeoutTotal] if it comes too slowly.
//   - [KindEncoding] if it is not in the coding it is said to be in.
//   - [KindTooLarge] if it decodes to more than the session's limit.
//   - [KindBomb] if it decodes to too many times its length.
//   - [KindCanceled] if the task is canceled, or ctx is done. The connection is closed then.
func (r *Response) Next(ctx context.Context) ([]byte, error) { return r.next(ctx, nil) }

// next is Next. With a p that is not nil the piece is copied there, and is at most as long as p.
func (r *Response) next(ctx context.Context, p []byte) (data []byte, err error) {
	if r.err != nil {
		return nil, r.err
	}
	limit := r.s.maxBody
	switch {
	case limit > 0 && r.ContentLength > limit && !r.body.Done():
		err = tooLarge(limit) // not worth beginning
	case r.dec != nil:
		data, err = r.dec.next(ctx, p)
	default:
		data, err = r.raw(ctx, len(p))
		if p != nil {
			data = p[:copy(p, data)]
		}
	}
	if err != nil {
		return nil, r.fail(err)
	}
	r.got += int64(len(data))
	if t := r.trace; t != nil && t.Chunk != nil {
		t.Chunk(len(data))
	}
	if limit > 0 && r.got > limit {
		return nil, r.fail(tooLarge(limit))
	}
	return data, nil
}

func tooLarge(limit int64) error {
	return faultf(KindTooLarge, "body is larger than %d bytes", limit)
}

// fail ends r with err, which may be io.EOF, and gives back what r holds.
func (r *Response) fail(err error) error {
	if err != io.EOF {
		err = newError("read", r.URL, err)
	}
	r.drop(err)
	if err == io.EOF {
		r.finished(nil)
	} else {
		r.finished(err)
	}
	return err
}

// drop ends r's body with err, and gives back what r holds but its head.
func (r *Response) drop(err error) {
	r.err = err
	r.release(false)
	if r.dec != nil {
		r.dec.free(r.s)
		r.dec = nil
	}
}

// forget gives the head back.
func (r *Response) forget() {
	if r.head != nil {
		r.s.heads.put(r.head)
		r.head = nil
	}
}

// errClosed is what a body that has been closed answers.
var errClosed = fmt.Errorf("response is closed: %w", http.ErrBodyReadAfterClose)

// raw returns the next piece of the body as it was transferred, of at most limit
// bytes if that is positive.
func (r *Response) raw(ctx context.Context, limit int) ([]byte, error) {
	if r.st != nil {
		return r.rawH2(ctx, limit)
	}
	if r.c == nil {
		if r.body.Done() {
			return nil, io.EOF
		}
		return nil, &fault{KindClosed, ErrSessionClosed}
	}
	for {
		if len(r.c.in) == 0 {
			if err := r.fill(ctx); err == io.EOF {
				if err := r.body.Finish(); err != nil {
					return nil, ioFault(err, true)
				}
				r.release(false)
				return nil, io.EOF
			} else if err != nil {
				return nil, err
			}
		}
		in := r.c.in
		if limit > 0 && len(in) > limit {
			in = in[:limit]
		}
		data, n, done, err := r.body.Next(in)
		r.c.in = r.c.in[n:]
		switch {
		case err != nil:
			return nil, ioFault(err, true)
		case done:
			r.release(true)
			if len(data) == 0 {
				return nil, io.EOF
			}
			return data, nil
		case len(data) > 0:
			r.c.hold()
			return data, nil
		}
	}
}

// fill waits for more of the body.
func (r *Response) fill(ctx context.Context) error {
	r.arm(r.limits.Read, KindTimeoutRead)
	err := r.c.fill(ctx)
	var f *fault
	switch {
	case err == nil, err == io.EOF, errors.As(err, &f):
		return err
	case isLate(err):
		return r.limits.late(r.late)
	}
	return ioFault(err, true)
}

// Read is [Response.Next] as an [io.Reader]: it copies. A cancel of the task ends it.
func (r *Response) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	data, err := r.next(context.Background(), p)
	return len(data), err
}

// Bytes reads the rest of the body and returns it, bounded by the session's limit.
func (r *Response) Bytes(ctx context.Context) ([]byte, error) {
	var b []byte
	if n := r.ContentLength; n > 0 && n < 1<<20 {
		b = make([]byte, 0, n)
	}
	for {
		data, err := r.Next(ctx)
		if err == io.EOF {
			return b, nil
		}
		if err != nil {
			return b, err
		}
		b = append(b, data...)
	}
}

// Close gives the connection back: to the pool if the rest of the body is here
// already, else it is closed. It never parks, and may be called more than once.
func (r *Response) Close() error {
	r.skip()
	if r.err == nil {
		r.drop(newError("read", r.URL, errClosed))
		r.finished(nil)
	}
	r.forget()
	return nil
}

// skip drops what is here of the body already, so that its connection may be of use again.
func (r *Response) skip() {
	for r.c != nil && len(r.c.in) > 0 {
		_, n, done, err := r.body.Next(r.c.in)
		r.c.in = r.c.in[n:]
		if done || err != nil {
			r.release(err == nil)
		}
	}
}

// release gives the connection and its permits back. The connection may be used
// again if the exchange came to its proper end, nothing follows it, and the peer agrees.
func (r *Response) release(ended bool) {
	c := r.c
	switch {
	case c == nil:
		return
	case r.st != nil:
		r.releaseH2()
		return
	}
	r.c = nil
	r.s.release(c, ended && len(c.in) == 0 && r.whole && r.head.KeepAlive)
}

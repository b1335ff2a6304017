// Package rondohttp is an HTTP client for the tasks of a loop: a [Session] keeps a
// pool of connections, and sends requests in straight-line code that parks.
//
//	s := rondohttp.NewSession(rondohttp.WithPerHost(4))
//	defer s.Close()
//	r, err := s.Get(ctx, "https://example.org/")
//	if err != nil {
//		return err
//	}
//	defer r.Close()
//	for {
//		piece, err := r.Next(ctx) // in the loop's own buffer
//		...
//	}
//
// It speaks HTTP/1.1 (RFC 9110, RFC 9112), http and https, follows redirects, and
// takes gzip off. A Session is an [http.RoundTripper] as well, for tasks and for goroutines.
package rondohttp

import (
	"context"
	"math"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/internal/http1"
	"github.com/rondo-go/rondo/loop"
)

// A Session is a pool of connections and the defaults of the requests that go over
// them. It belongs to one loop: all methods but RoundTrip are for tasks of that loop.
type Session struct {
	config
	loop   *rondo.Loop
	kernel *loop.Loop // of loop
	idle   idleTimer
	pool   pool
	fields *header
	bad    error // an option that cannot be used: every request fails with it
	closed bool

	bufs    bufferList
	heads   headList
	gunzips []*gunzip
}

// NewSession returns a session for the loop of the calling task or callback. It opens
// no connection yet. It panics off the loop: a session belongs to one.
func NewSession(opts ...Option) *Session {
	l := rondo.RunningLoop()
	if l == nil {
		panic("rondohttp: NewSession off the loop (call it in a task)")
	}
	kernel, _ := loop.Current()
	c := config{limit: defaultLimit, maxRedirects: defaultRedirects, userAgent: defaultUserAgent, decompress: true}
	for _, o := range opts {
		o(&c)
	}
	c.tls = baseTLS(c.tls)
	s := &Session{config: c, loop: l, kernel: kernel, pool: newPool(c.limit, c.perHost)}
	s.fields, s.bad = c.render()
	return s
}

// Get is [Session.Do] for a GET of url.
func (s *Session) Get(ctx context.Context, url string) (*Response, error) {
	return s.start(ctx, &Response{exchange: exchange{s: s, method: "GET", url: url, fields: s.fields}})
}

// Do sends req and returns the answer once its head is here, after redirects,
// whatever its status. It parks. The caller reads the body to its end or closes it.
//
// A request that fails on a connection which had been idle, before any byte of an answer, is sent
// once more on a new one if it is idempotent: the server may just have closed the connection.
//
// Errors are of type [*Error]; see the kinds.
func (s *Session) Do(ctx context.Context, req *Request) (*Response, error) {
	r, err := s.prepare(req)
	if err != nil {
		return nil, r.exchange.error(err)
	}
	return s.start(ctx, r)
}

// prepare returns the response of req, to be started.
func (s *Session) prepare(req *Request) (r *Response, err error) {
	r = &Response{exchange: exchange{s: s, method: req.Method, url: req.URL, upload: newUpload(req)}}
	switch {
	case r.method == "":
		r.method = "GET"
	case !http1.ValidMethod(r.method) || r.method == "CONNECT":
		return r, faultf(KindBadRequest, "method %q cannot be sent", r.method)
	}
	r.fields, err = s.fields.with(req.Header)
	return r, err
}

// start sends what was prepared, and waits for the head of the answer.
//
// The functions from here down to where the task parks keep their frames small, and what they work on in the
// response: a task that waits holds its stack, and 4 KB or 8 KB is the question.
func (s *Session) start(ctx context.Context, r *Response) (*Response, error) {
	err := s.bad
	if err == nil && s.closed {
		err = &fault{KindClosed, ErrSessionClosed}
	}
	if err == nil {
		r.u, err = http1.SplitURL(r.url)
		if err != nil {
			err = &fault{KindBadURL, err}
		}
	}
	if err == nil {
		err = r.run(ctx)
	}
	if err != nil {
		return nil, r.exchange.error(err)
	}
	return r, nil
}

// release takes back a connection from an exchange that is over.
func (s *Session) release(c *conn, reuse bool) {
	h := c.host
	c.discard()
	if reuse && !s.closed {
		s.pool.put(c, s.kernel.Now())
		s.watchIdle()
	} else {
		s.pool.close(c)
	}
	s.pool.release(h)
}

// CloseIdle closes the connections that are not in use.
func (s *Session) CloseIdle() { s.pool.dropIdle(math.MaxInt64) }

// Close closes every connection. Requests under way and bodies being read fail with
// [ErrSessionClosed], and so do later requests. It does not park.
func (s *Session) Close() error {
	s.closed = true
	s.CloseIdle()
	for c := s.pool.busy.first; c != nil; c = c.next {
		c.raw.Close()
	}
	return nil
}

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
// It speaks HTTP/1.1 (RFC 9110, RFC 9112) and HTTP/2 (RFC 9113), http and https, follows redirects, and
// takes compression off. Cookies, proxies, rates, middlewares and so on are options. A Session is an [http.RoundTripper] as well, for tasks and for goroutines.
package rondohttp

import (
	"context"
	"crypto/tls"
	"errors"
	"math"
	"net/url"

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

	doer      Doer     // do with the middlewares around it
	plain     bool     // Get has nothing to add to a URL
	baseURL   *url.URL // nil: none
	netrc     *netrc
	tlsCommon *tls.Config // made at the first connection that needs it

	bufs     bufferList
	heads    headList
	decoders [numCodings][]*decoder
}

// NewSession returns a session for the loop of the calling task or callback. It opens
// no connection yet. It panics off the loop: a session belongs to one.
func NewSession(opts ...Option) *Session {
	l := rondo.RunningLoop()
	if l == nil {
		panic("rondohttp: NewSession off the loop (call it in a task)")
	}
	kernel, _ := loop.Current()
	c := config{limit: defaultLimit, maxRedirects: defaultRedirects, userAgent: defaultUserAgent, decompress: true,
		maxRatio: defaultRatio, bombFrom: defaultBombFrom, protocols: defaultProtocols()}
	for _, o := range opts {
		o(&c)
	}
	s := &Session{config: c, loop: l, kernel: kernel, pool: newPool(&c)}
	s.bad = s.set()
	s.doer = chain(DoerFunc(s.do), c.middlewares)
	s.plain = len(c.middlewares) == 0 && c.base == "" && len(c.query) == 0
	return s
}

// set makes what follows from the options.
func (s *Session) set() (err error) {
	if s.fields, err = s.render(); err != nil {
		return err
	}
	if s.base != "" {
		if s.baseURL, err = url.Parse(s.base); err != nil {
			return &fault{KindBadURL, err}
		}
	}
	if s.netrcPath != nil {
		if s.netrc, err = readNetrc(*s.netrcPath); err != nil {
			return &fault{KindBadRequest, err}
		}
	}
	return nil
}

// Get is [Session.Do] for a GET of url.
func (s *Session) Get(ctx context.Context, url string) (*Response, error) {
	if !s.plain {
		return s.Do(ctx, &Request{URL: url})
	}
	return s.start(ctx, &Response{exchange: exchange{s: s, method: "GET", url: url, fields: s.fields, limits: &s.timeouts}})
}

// Do sends req and returns the answer once its head is here, after redirects,
// whatever its status. It parks. The caller reads the body to its end or closes it.
//
// A request that fails on a connection which had been idle, before any byte of an answer, is sent
// once more on a new one if it is idempotent: the server may just have closed the connection. The trace is
// told.
//
// Errors are of type [*Error]; see the kinds. A middleware may have others.
func (s *Session) Do(ctx context.Context, req *Request) (*Response, error) {
	if len(s.middlewares) == 0 {
		return s.do(ctx, req)
	}
	if s.bad == nil && (s.baseURL != nil || len(s.query) > 0) && !req.once {
		whole := *req // so that the middlewares see where it goes
		if url, err := s.complete(req); err == nil {
			whole.URL, whole.Query = url, nil
		}
		req = &whole
	}
	return s.doer.Do(ctx, req)
}

// do is Do without the middlewares.
func (s *Session) do(ctx context.Context, req *Request) (*Response, error) {
	r, err := s.prepare(req)
	if err != nil {
		return nil, r.exchange.error(err)
	}
	return s.start(ctx, r)
}

// prepare returns the response of req, to be started.
func (s *Session) prepare(req *Request) (r *Response, err error) {
	r = &Response{exchange: exchange{s: s, method: req.Method, url: req.URL, upload: newUpload(req), limits: req.Timeouts,
		trace: req.Trace, tls: req.TLS, expect: req.ExpectContinue, once: req.once, upgrade: req.upgrade}}
	if r.limits == nil {
		r.limits = &s.timeouts
	}
	if r.method == "" {
		r.method = "GET"
	}
	switch {
	case s.bad != nil:
		return r, s.bad
	case !http1.ValidMethod(r.method) || r.method == "CONNECT":
		return r, faultf(KindBadRequest, "method %q cannot be sent", r.method)
	case req.Body != nil && req.Pieces != nil:
		return r, faultf(KindBadRequest, "both Body and Pieces are set")
	}
	if (s.baseURL != nil || len(s.query) > 0 || len(req.Query) > 0) && !req.once {
		if r.url, err = s.complete(req); err != nil {
			return r, err
		}
	}
	r.fields, err = s.fields.with(req.Header)
	return r, err
}

// complete returns the URL of req with what the session adds to it.
func (s *Session) complete(req *Request) (string, error) {
	u, err := url.Parse(req.URL)
	if err != nil {
		var e *url.Error
		if errors.As(err, &e) {
			err = e.Err // the caller knows the URL
		}
		return req.URL, &fault{KindBadURL, err}
	}
	if s.baseURL != nil {
		u = s.baseURL.ResolveReference(u)
	}
	add := url.Values{}
	if len(s.query) > 0 {
		has := u.Query()
		for name, v := range s.query {
			if !has.Has(name) && !req.Query.Has(name) {
				add[name] = v
			}
		}
	}
	for name, v := range req.Query {
		add[name] = v
	}
	if len(add) > 0 {
		if u.RawQuery != "" {
			u.RawQuery += "&"
		}
		u.RawQuery += add.Encode()
	}
	return u.String(), nil
}

// start sends what was prepared, and waits for the head of the answer.
//
// The functions from here down to where the task parks keep their frames small, and what they work on in the
// response: a task that waits holds its stack, and 4 KB or 8 KB is the question.
func (s *Session) start(ctx context.Context, r *Response) (*Response, error) {
	if s.trace != nil && r.trace == nil {
		r.trace = s.trace(ctx, r.method, redact(r.url))
	}
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

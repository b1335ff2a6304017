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
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/internal/http1"
)

// A Session is a pool of connections and the defaults of the requests that go over
// them. It belongs to one loop: all methods but RoundTrip are for tasks of that loop.
type Session struct {
	config
	loop   *rondo.Loop
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
	c := config{limit: defaultLimit, maxRedirects: defaultRedirects, userAgent: defaultUserAgent, decompress: true}
	for _, o := range opts {
		o(&c)
	}
	c.tls = baseTLS(c.tls)
	s := &Session{config: c, loop: l, pool: newPool(c.limit, c.perHost)}
	s.fields, s.bad = c.render()
	return s
}

// Get is [Session.Do] for a GET of url.
func (s *Session) Get(ctx context.Context, url string) (*Response, error) {
	return s.Do(ctx, &Request{URL: url})
}

// Do sends req and returns the answer once its head is here, after redirects,
// whatever its status. It parks. The caller reads the body to its end or closes it.
//
// A request that fails on a connection which had been idle, before any byte of an answer, is sent
// once more on a new one if it is idempotent: the server may just have closed the connection.
//
// Errors are of type [*Error]; see the kinds.
func (s *Session) Do(ctx context.Context, req *Request) (*Response, error) {
	x := exchange{method: req.Method, url: req.URL, header: s.fields, body: newUpload(req)}
	if x.method == "" {
		x.method = "GET"
	}
	r, err := s.do(ctx, &x, req)
	if err != nil {
		return nil, newError(opOf(x.method), x.url, err)
	}
	return r, nil
}

// opOf returns the method as errors name it.
func opOf(method string) string {
	if method == "GET" {
		return "get"
	}
	return strings.ToLower(method)
}

// An exchange is a request on its way: what a redirect or a retry changes.
type exchange struct {
	method    string
	url       string
	u         http1.URL
	header    *header
	body      *upload
	open      bool // has been to another origin: no credentials any more
	total     time.Time
	redirects []string
	once      bool // redirects are somebody else's affair
}

func (s *Session) do(ctx context.Context, x *exchange, req *Request) (*Response, error) {
	switch {
	case s.bad != nil:
		return nil, s.bad
	case s.closed:
		return nil, &fault{KindClosed, ErrSessionClosed}
	case !http1.ValidMethod(x.method) || x.method == "CONNECT":
		return nil, faultf(KindBadRequest, "method %q cannot be sent", x.method)
	}
	var err error
	if x.u, err = http1.SplitURL(x.url); err != nil {
		return nil, &fault{KindBadURL, err}
	}
	if x.header, err = s.fields.with(req.Header); err != nil {
		return nil, err
	}
	if s.timeouts.Total > 0 {
		x.total = time.Now().Add(s.timeouts.Total)
	}
	if !ownContext(ctx) {
		if t, ok := ctx.Deadline(); ok && (x.total.IsZero() || t.Before(x.total)) {
			x.total = t
		}
	}
	for {
		r, err := s.send(ctx, x)
		if err != nil {
			return nil, err
		}
		follow, keep := redirects(r.Status)
		location := r.head.Location()
		if !follow || location == nil || x.once || s.maxRedirects == 0 {
			return r, nil
		}
		err = s.redirect(x, location, keep)
		r.Close()
		if err != nil {
			return nil, err
		}
	}
}

// redirect turns x into the request that an answer with location asks for.
func (s *Session) redirect(x *exchange, location []byte, keep bool) error {
	if len(x.redirects) == s.maxRedirects {
		return faultf(KindRedirectLoop, "stopped after %d redirects", s.maxRedirects)
	}
	to, u, err := resolve(x.url, location)
	if err != nil {
		return err
	}
	if !keep && x.method != "GET" && x.method != "HEAD" {
		x.method = "GET"
		x.body, x.header = nil, x.header.without()
	}
	if keep {
		if ok, err := x.body.restart(); err != nil {
			return err
		} else if !ok {
			return faultf(KindRedirect, "redirect to %s keeps the body, which cannot be read again: set GetBody", redact(to))
		}
	}
	if !sameOrigin(x.u, u) {
		x.open = true
	}
	if x.open {
		u.UserInfo = ""
	}
	x.redirects = append(x.redirects, x.url)
	x.url, x.u = to, u
	return nil
}

// send sends x once, or twice if it met a connection that the server had given up.
func (s *Session) send(ctx context.Context, x *exchange) (*Response, error) {
	queue, kind := s.timeouts.Queue, KindTimeoutQueue
	if !x.total.IsZero() {
		if left := time.Until(x.total); queue <= 0 || left < queue {
			queue, kind = max(left, 1), KindTimeoutTotal
		}
	}
	h, err := s.pool.acquire(ctx, &x.u, queue)
	if err != nil {
		switch {
		case ctx.Err() != nil && !ownContext(ctx):
			err = contextFault(ctx)
		case isLate(err):
			err = s.timeouts.late(kind)
		}
		return nil, err
	}
	c := s.pool.take(h)
	for {
		if c == nil {
			if c, err = s.connect(ctx, h, x); err != nil {
				s.pool.release(h)
				return nil, err
			}
		}
		r, err := s.roundTrip(ctx, x, c)
		if err == nil {
			return r, nil
		}
		again := c.used && s.retries(x, err)
		c.discard()
		s.pool.close(c)
		if c = nil; again {
			if again, _ = x.body.restart(); again {
				continue
			}
		}
		s.pool.release(h)
		return nil, err
	}
}

// retries reports whether x, which failed on a used connection, is worth another try.
func (s *Session) retries(x *exchange, err error) bool {
	var f *fault
	return !s.closed && idempotent(x.method) && errors.As(err, &f) && (f.kind == KindClosed || f.kind == KindReset)
}

// connect opens a new connection for x.
func (s *Session) connect(ctx context.Context, h *host, x *exchange) (*conn, error) {
	s.pool.reserve()
	c, err := s.dial(ctx, h, x.total)
	if err == nil && s.closed {
		c.raw.Close()
		err = &fault{KindClosed, ErrSessionClosed}
	}
	if err != nil {
		s.pool.open--
		return nil, err
	}
	s.pool.busy.push(c)
	return c, nil
}

// roundTrip writes x to c and reads the head of the answer.
func (s *Session) roundTrip(ctx context.Context, x *exchange, c *conn) (*Response, error) {
	whole, err := s.write(ctx, x, c)
	if err != nil {
		return nil, err
	}
	late := c.arm(s.timeouts.FirstByte, KindTimeoutFirstByte, x.total)
	head := s.heads.get()
	if err := s.readHead(ctx, c, head); err != nil {
		var f *fault
		if !errors.As(err, &f) && isLate(err) {
			err = s.timeouts.late(late)
		} else {
			err = ioFault(err, head.Started())
		}
		s.heads.put(head)
		return nil, err
	}
	c.used = true
	r := &Response{Status: head.Status, Proto: "HTTP/1.1", URL: x.url, Redirects: x.redirects,
		s: s, c: c, head: head, total: x.total, whole: whole}
	if head.Minor == 0 {
		r.Proto = "HTTP/1.0"
	}
	r.body.Reset(head, x.method == "HEAD")
	if r.ContentLength = head.ContentLength; r.ContentLength < 0 {
		r.ContentLength = r.body.Len()
	}
	switch {
	case r.body.Done():
		r.release(true)
	case !x.header.coding && s.decompress && isGzip(head.ContentEncoding()):
		r.Decoded, r.ContentLength, r.gz = true, -1, newGunzip(r)
		fallthrough
	default:
		c.hold()
	}
	return r, nil
}

func isGzip(coding []byte) bool {
	return len(coding) > 0 && (strings.EqualFold(string(coding), "gzip") || strings.EqualFold(string(coding), "x-gzip"))
}

// maxInterim is how many interim responses may precede the answer.
const maxInterim = 16

// readHead reads the head of the final answer into head.
func (s *Session) readHead(ctx context.Context, c *conn, head *http1.Head) error {
	for interim := 0; ; {
		if len(c.in) == 0 {
			if err := c.fill(ctx); err != nil {
				return err
			}
		}
		n, done, err := head.Parse(c.in, http1.Limits{})
		c.in = c.in[n:]
		switch {
		case err != nil:
			return err
		case !done:
		case head.Status >= 200:
			return nil
		case head.Status == 101:
			return &http1.ProtocolError{What: "the server switches protocols unasked"}
		default:
			if interim++; interim > maxInterim {
				return &http1.ProtocolError{What: fmt.Sprintf("more than %d interim responses", maxInterim)}
			}
			head.Reset()
		}
	}
}

// write sends x, in one system call if there is no body. It reports whether all of
// the body was sent: a server may answer before it has read it, and close.
func (s *Session) write(ctx context.Context, x *exchange, c *conn) (whole bool, err error) {
	fields, hostname := x.header.all, x.header.host
	if x.open {
		fields, hostname = x.header.open, ""
	}
	if hostname == "" {
		hostname = c.host.header
	}
	auth := ""
	if x.u.UserInfo != "" && !x.header.has("Authorization") {
		auth = "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(x.u.UserInfo)) + "\r\n"
	}
	buf := s.bufs.get()
	defer s.bufs.put(buf)
	p := http1.AppendRequest(buf[:0], x.method, x.u.Target, hostname, fields, auth, x.body.line(x.method))
	if x.body != nil {
		return s.writeBody(ctx, x, c, p)
	}
	if err := c.write(ctx, p); err != nil {
		return false, ioFault(err, false)
	}
	return true, nil
}

// writeBody sends the head in p, whose buffer it goes on to use, and the body.
func (s *Session) writeBody(ctx context.Context, x *exchange, c *conn, p []byte) (whole bool, err error) {
	x.body.used = true
	defer c.raw.SetWriteDeadline(time.Time{})
	left := x.body.length
	piece := s.bufs.get()
	defer s.bufs.put(piece)
	for end := false; !end; {
		in := piece[:len(piece)-1]
		if left >= 0 && int64(len(in)) > left {
			in = in[:left]
		}
		n := 0
		if len(in) > 0 {
			n, err = x.body.r.Read(in)
			switch {
			case err != nil && err != io.EOF:
				return false, &fault{KindBody, fmt.Errorf("body of the request: %w", err)}
			case err == io.EOF && left > int64(n):
				return false, &fault{KindBody, fmt.Errorf("body of the request ended %d bytes short of its length: %w",
					left-int64(n), io.ErrUnexpectedEOF)}
			}
			end = err == io.EOF
		}
		if left >= 0 {
			left -= int64(n)
			end = left == 0
			p = append(p, in[:n]...)
		} else {
			if n > 0 {
				p = http1.AppendChunk(p, in[:n])
			}
			if end {
				p = http1.AppendChunk(p, nil)
			}
		}
		if len(p) == 0 {
			continue
		}
		late := KindTimeoutRead
		var t time.Time
		if s.timeouts.Read > 0 {
			t = time.Now().Add(s.timeouts.Read)
		}
		if !x.total.IsZero() && (t.IsZero() || x.total.Before(t)) {
			t, late = x.total, KindTimeoutTotal
		}
		c.raw.SetWriteDeadline(t)
		if err := c.write(ctx, p); err != nil {
			var f *fault
			if !errors.As(err, &f) && isLate(err) {
				return false, s.timeouts.late(late)
			}
			errors.As(ioFault(err, false), &f)
			if f.kind == KindReset {
				return false, nil // it may have answered nevertheless: too large, say
			}
			return false, f
		}
		p = p[:0]
	}
	return true, nil
}

// release takes back a connection from an exchange that is over.
func (s *Session) release(c *conn, reuse bool) {
	h := c.host
	c.discard()
	if reuse && !s.closed {
		s.pool.put(c, time.Now())
		s.watchIdle()
	} else {
		s.pool.close(c)
	}
	s.pool.release(h)
}

// discard drops what has come and was not taken.
func (c *conn) discard() {
	c.in = nil
	c.settle()
}

// CloseIdle closes the connections that are not in use.
func (s *Session) CloseIdle() { s.pool.dropIdle(time.Time{}) }

// Close closes every connection; what is still being read fails with
// [ErrSessionClosed] or the error of a closed connection. It does not park.
func (s *Session) Close() error {
	s.closed = true
	s.CloseIdle()
	for c := s.pool.busy.first; c != nil; c = c.next {
		c.raw.Close()
	}
	return nil
}

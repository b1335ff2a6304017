package rondohttp

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/rondo-go/rondo/internal/http1"
)

// An exchange is a request on its way and its answer's head: what a redirect or a retry changes.
type exchange struct {
	s      *Session
	method string
	url    string
	u      http1.URL
	fields *header
	upload *upload
	total  time.Time   // when all must be done; zero: never
	limits *Timeouts   // those of the session, or the request's own
	tls    *tls.Config // the request's own, or nil
	trace  *Trace      // nil: nobody looks
	expect time.Duration

	c      *conn     // nil before, and once it was given back
	st     *h2stream // of c, if that speaks HTTP/2
	host   *host
	head   *http1.Head
	late   Kind // what it is if the deadline of c passes
	open   bool // has been to another origin: no credentials any more
	once   bool // redirects are somebody else's affair
	whole  bool // the request was sent whole
	ready  bool // the head of the answer has come already, while the request was written
	ended  bool // trace was told so
	opener bool // others wait for the connection that it opens
	tries  int  // over HTTP/2 that came to nothing

	upgrade bool // another protocol is to follow
}

// error makes err the error of x.
func (x *exchange) error(err error) error {
	err = newError(op(x.method), x.url, err)
	x.finished(err)
	return err
}

// op returns a method as errors name it.
func op(method string) string {
	if method == "GET" {
		return "get"
	}
	return strings.ToLower(method)
}

// startClock sets when all must be done, which was not before now, if the session
// says or the context of another making does.
func (x *exchange) startClock(ctx context.Context, now time.Time) {
	if d := x.limits.Total; d > 0 {
		x.total = now.Add(d)
	}
	if !ownContext(ctx) {
		if t, ok := ctx.Deadline(); ok && (x.total.IsZero() || t.Before(x.total)) {
			x.total = t
		}
	}
}

// bound returns the time that a phase may take: limit, or what the total leaves of it. 0 is no bound.
func (x *exchange) bound(limit time.Duration, kind Kind) (time.Duration, Kind) {
	if !x.total.IsZero() {
		if left := time.Until(x.total); limit <= 0 || left < limit {
			return max(left, 1), KindTimeoutTotal
		}
	}
	return limit, kind
}

// deadline is bound as a point in time.
func (x *exchange) deadline(limit time.Duration, kind Kind) (t time.Time, late Kind) {
	if limit > 0 {
		t = time.Now().Add(limit)
	}
	if !x.total.IsZero() && (t.IsZero() || x.total.Before(t)) {
		return x.total, KindTimeoutTotal
	}
	return t, kind
}

// arm sets the deadline of reading for one phase.
func (x *exchange) arm(limit time.Duration, kind Kind) {
	t, late := x.deadline(limit, kind)
	x.late = late
	if t != x.c.deadline {
		x.c.deadline = t
		x.c.raw.SetReadDeadline(t)
	}
}

// run sends r, follows redirects, and leaves the last answer in r.
func (r *Response) run(ctx context.Context) error {
	for {
		if err := r.send(ctx); err != nil {
			return err
		}
		if r.s.jar != nil && r.head.HasCookies() && !r.once {
			r.keepCookies()
		}
		if again, err := r.redirect(); !again {
			return err
		}
	}
}

// redirect turns r into the request that its answer asks for; it reports whether it does.
func (r *Response) redirect() (bool, error) {
	follow, keep := redirects(r.Status)
	if !follow || r.once || r.s.maxRedirects == 0 {
		return false, nil
	}
	location := r.head.Location()
	if location == nil {
		return false, nil
	}
	err := r.turn(r.Status, location, keep)
	r.skip()
	r.drop(errClosed)
	r.forget()
	if err != nil {
		return false, err
	}
	r.err, r.header, r.got = nil, nil, 0
	if t := r.trace; t != nil && t.Redirect != nil {
		t.Redirect(r.Status, r.url)
	}
	return true, nil
}

// turn points r to where location says.
func (r *Response) turn(status int, location []byte, keep bool) error {
	if len(r.History) == r.s.maxRedirects {
		return faultf(KindRedirectLoop, "stopped after %d redirects", r.s.maxRedirects)
	}
	to, u, err := resolve(r.url, location)
	if err != nil {
		return err
	}
	hop := Hop{r.method, r.url, status}
	if !keep && r.method != "GET" && r.method != "HEAD" {
		r.method = "GET"
		r.upload, r.fields = nil, r.fields.without()
	}
	if keep {
		if ok, err := r.upload.restart(); err != nil {
			return err
		} else if !ok {
			return faultf(KindRedirect, "redirect to %s keeps the body, which cannot be read again: set GetBody", redact(to))
		}
	}
	if !sameOrigin(r.u, u) {
		r.open = true
	}
	if r.open {
		u.UserInfo = ""
	}
	r.History = append(r.History, hop)
	r.url, r.u = to, u
	return nil
}

// send sends r, once or twice if it met a connection that the server had given up, and
// takes the answer.
func (r *Response) send(ctx context.Context) error {
	if err := r.queue(ctx); err != nil {
		return err
	}
	for fresh := false; ; {
		if r.c == nil {
			if err := r.link(ctx, fresh); err != nil {
				r.s.pool.release(r.host)
				return err
			}
		}
		if r.trace != nil {
			r.trace.gotConn(r.c, r.s.kernel.Now())
		}
		err := r.transfer(ctx)
		if err == nil {
			r.begin()
			return nil
		}
		if r.c.h2 == nil {
			fresh, err = r.failed(err)
			if !fresh {
				return err
			}
			continue
		}
		again, err := r.failedH2(err)
		if !again {
			return err
		}
		if err := r.queue(ctx); err != nil {
			return err
		}
	}
}

// queue waits for the permits. The total clock starts when they are there, and
// stands still while a redirect waits for others.
func (r *Response) queue(ctx context.Context) error {
	var began time.Time
	clocked := r.limits.Total > 0
	if clocked || r.trace != nil {
		began = time.Now()
	}
	way, err := r.s.pool.acquire(ctx, &r.u, r.tls, r.upgrade, r.limits.Queue)
	if r.trace != nil && r.trace.Queued != nil {
		r.trace.Queued(time.Since(began), err)
	}
	switch {
	case err == nil:
	case ctx.Err() != nil && !ownContext(ctx):
		return contextFault(ctx)
	case isLate(err) && !isFault(err):
		return r.limits.late(KindTimeoutQueue)
	default:
		return err
	}
	now := began
	if clocked && way.waited {
		now = time.Now()
	}
	if len(r.History) == 0 && r.tries == 0 {
		r.startClock(ctx, now)
	} else if clocked {
		r.total = r.total.Add(now.Sub(began))
	}
	r.host, r.opener = way.host, way.opener
	if way.slot != nil {
		r.c = way.slot.c
	}
	return nil
}

// link takes an idle connection, unless it has to be a fresh one, or opens one.
func (x *exchange) link(ctx context.Context, fresh bool) (err error) {
	if !fresh {
		x.c = x.s.pool.take(x.host)
	}
	if x.c == nil {
		err = x.connect(ctx)
	}
	if x.opener || err == nil && x.c.h2 != nil {
		x.opener = false
		x.s.pool.opened(x.host, x.c, err)
	}
	return err
}

// connect opens a new connection.
func (x *exchange) connect(ctx context.Context) error {
	if x.s.closed { // while it waited for its turn
		return &fault{KindClosed, ErrSessionClosed}
	}
	x.s.pool.reserve()
	c, err := x.dial(ctx)
	if err == nil && x.s.closed {
		c.raw.Close()
		err = &fault{KindClosed, ErrSessionClosed}
	}
	if err != nil {
		x.s.pool.open--
		return err
	}
	x.c = c
	x.s.pool.busy.push(c)
	return nil
}

// failed ends a try that failed with err. It reports whether another is due.
func (x *exchange) failed(err error) (again bool, _ error) {
	answered := false
	if x.head != nil {
		answered = x.head.Started()
		x.s.heads.put(x.head)
		x.head = nil
	}
	var f *fault
	if !errors.As(err, &f) {
		if isLate(err) {
			err = x.limits.late(x.late)
		} else {
			err = ioFault(err, answered)
		}
		errors.As(err, &f)
	}
	again = x.c.used && !answered && !x.s.closed && idempotent(x.method) && (f.kind == KindClosed || f.kind == KindReset)
	x.c.discard()
	x.s.pool.close(x.c)
	x.c = nil
	if again {
		if again, _ = x.upload.restart(); again {
			if t := x.trace; t != nil && t.Retry != nil {
				t.Retry(1, 0, err)
			}
			return true, nil
		}
	}
	x.s.pool.release(x.host)
	return false, err
}

// begin makes of the head that has come a response.
func (r *Response) begin() {
	r.c.used = true
	r.Status, r.Proto, r.Method, r.URL = r.head.Status, "HTTP/1.1", r.method, r.url
	if r.head.Minor == 0 {
		r.Proto = "HTTP/1.0"
	}
	r.Decoded = false
	r.body.Reset(r.head, r.method == "HEAD")
	r.body.KeepTrailers()
	if r.ContentLength = r.head.ContentLength; r.ContentLength < 0 {
		r.ContentLength = r.body.Len()
	}
	if r.st != nil {
		r.Proto = "HTTP/2.0"
	}
	if t := r.trace; t != nil && t.Headers != nil {
		t.Headers(r.Status, r.Header())
	}
	if r.Status == http.StatusSwitchingProtocols {
		return // see Upgrade
	}
	if r.st != nil {
		r.beginH2()
	} else if r.body.Done() {
		r.release(true)
	}
	if r.c == nil {
		return
	}
	if coding := r.head.ContentEncoding(); coding != nil && r.s.decompress && !r.fields.coding {
		if k := codingOf(coding); k != notCoded {
			r.Decoded, r.ContentLength, r.dec = true, -1, newDecoder(r, k)
		}
	}
	r.c.hold()
}

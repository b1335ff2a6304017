package rondohttp

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/rondo-go/rondo/internal/http1"
)

// An exchange is a request on its way and its answer's head: what a redirect or a retry changes.
type exchange struct {
	s         *Session
	method    string
	url       string
	u         http1.URL
	fields    *header
	upload    *upload
	redirects []string
	total     time.Time // when all must be done; zero: never

	c     *conn // nil before, and once it was given back
	host  *host
	head  *http1.Head
	late  Kind // what it is if the deadline of c passes
	open  bool // has been to another origin: no credentials any more
	once  bool // redirects are somebody else's affair
	whole bool // the request was sent whole
}

// error makes err the error of x.
func (x *exchange) error(err error) error {
	op := "get"
	if x.method != "GET" {
		op = strings.ToLower(x.method)
	}
	return newError(op, x.url, err)
}

// startClock sets when all must be done, which was not before now, if the session
// says or the context of another making does.
func (x *exchange) startClock(ctx context.Context, now time.Time) {
	if d := x.s.timeouts.Total; d > 0 {
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
	err := r.turn(location, keep)
	r.Close()
	if err != nil {
		return false, err
	}
	r.err = nil
	return true, nil
}

// turn points x to where location says.
func (x *exchange) turn(location []byte, keep bool) error {
	if len(x.redirects) == x.s.maxRedirects {
		return faultf(KindRedirectLoop, "stopped after %d redirects", x.s.maxRedirects)
	}
	to, u, err := resolve(x.url, location)
	if err != nil {
		return err
	}
	if !keep && x.method != "GET" && x.method != "HEAD" {
		x.method = "GET"
		x.upload, x.fields = nil, x.fields.without()
	}
	if keep {
		if ok, err := x.upload.restart(); err != nil {
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

// send sends r once, or twice if it met a connection that the server had given up, and
// takes the answer.
func (r *Response) send(ctx context.Context) error {
	if err := r.queue(ctx); err != nil {
		return err
	}
	r.c = r.s.pool.take(r.host)
	for {
		if r.c == nil {
			if err := r.connect(ctx); err != nil {
				r.s.pool.release(r.host)
				return err
			}
		}
		err := r.write(ctx)
		if err == nil {
			r.arm(r.s.timeouts.FirstByte, KindTimeoutFirstByte)
			r.head = r.s.heads.get()
			err = r.readHead(ctx)
		}
		if err == nil {
			r.begin()
			return nil
		}
		if again, err := r.failed(err); !again {
			return err
		}
	}
}

// queue waits for the permits. The total clock starts when they are there, and
// stands still while a redirect waits for others.
func (x *exchange) queue(ctx context.Context) error {
	var began time.Time
	clocked := x.s.timeouts.Total > 0
	if clocked {
		began = time.Now()
	}
	h, waited, err := x.s.pool.acquire(ctx, &x.u, x.s.timeouts.Queue)
	switch {
	case err == nil:
	case ctx.Err() != nil && !ownContext(ctx):
		return contextFault(ctx)
	case isLate(err):
		return x.s.timeouts.late(KindTimeoutQueue)
	default:
		return err
	}
	now := began
	if clocked && waited {
		now = time.Now()
	}
	if len(x.redirects) == 0 {
		x.startClock(ctx, now)
	} else if clocked {
		x.total = x.total.Add(now.Sub(began))
	}
	x.host = h
	return nil
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
			err = x.s.timeouts.late(x.late)
		} else {
			err = ioFault(err, answered)
		}
		errors.As(err, &f)
	}
	again = x.c.used && !x.s.closed && idempotent(x.method) && (f.kind == KindClosed || f.kind == KindReset)
	x.c.discard()
	x.s.pool.close(x.c)
	x.c = nil
	if again {
		if again, _ = x.upload.restart(); again {
			return true, nil
		}
	}
	x.s.pool.release(x.host)
	return false, err
}

// begin makes of the head that has come a response.
func (r *Response) begin() {
	r.c.used = true
	r.Status, r.Proto, r.URL, r.Redirects = r.head.Status, "HTTP/1.1", r.url, r.redirects
	if r.head.Minor == 0 {
		r.Proto = "HTTP/1.0"
	}
	r.Decoded = false
	r.body.Reset(r.head, r.method == "HEAD")
	if r.ContentLength = r.head.ContentLength; r.ContentLength < 0 {
		r.ContentLength = r.body.Len()
	}
	if r.body.Done() {
		r.release(true)
		return
	}
	if r.s.decompress && !r.fields.coding && isGzip(r.head.ContentEncoding()) {
		r.Decoded, r.ContentLength, r.gz = true, -1, newGunzip(r)
	}
	r.c.hold()
}

func isGzip(coding []byte) bool {
	return len(coding) > 0 && (strings.EqualFold(string(coding), "gzip") || strings.EqualFold(string(coding), "x-gzip"))
}

// maxInterim is how many interim responses may precede the answer.
const maxInterim = 16

// readHead reads the head of the final answer.
func (x *exchange) readHead(ctx context.Context) error {
	c, head := x.c, x.head
	for interim := 0; ; {
		if len(c.in) == 0 {
			if err := c.fill(ctx); err != nil {
				return err
			}
		}
		n, done, err := head.Parse(c.in, http1.Limits{})
		c.in = c.in[n:]
		if err != nil {
			return err
		}
		if !done {
			continue
		}
		if head.Status >= 200 {
			return nil
		}
		interim++
		if err := passInterim(head.Status, interim); err != nil {
			return err
		}
		head.Reset()
	}
}

// passInterim says what is wrong with the nth interim response, if anything.
func passInterim(status, n int) error {
	switch {
	case status == 101:
		return &http1.ProtocolError{What: "the server switches protocols unasked"}
	case n > maxInterim:
		return &http1.ProtocolError{What: fmt.Sprintf("more than %d interim responses", maxInterim)}
	}
	return nil
}

// write sends x, in one system call if there is no body.
func (x *exchange) write(ctx context.Context) error {
	buf := x.s.bufs.get()
	p := x.appendHead(buf[:0])
	var err error
	if x.upload != nil {
		err = x.writeBody(ctx, p)
	} else {
		x.whole = true
		err = x.c.write(ctx, p)
	}
	x.s.bufs.put(buf)
	return err
}

func (x *exchange) appendHead(p []byte) []byte {
	fields, hostname := x.fields.all, x.fields.host
	if x.open {
		fields, hostname = x.fields.open, ""
	}
	if hostname == "" {
		hostname = x.host.header
	}
	auth := ""
	if x.u.UserInfo != "" && !x.fields.has("Authorization") {
		auth = "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(x.u.UserInfo)) + "\r\n"
	}
	return http1.AppendRequest(p, x.method, x.u.Target, hostname, fields, auth, x.upload.line(x.method))
}

// writeBody sends the head in p, whose buffer it goes on to use, and the body. It leaves whole
// false if the server stopped it with an answer, perhaps, on its way.
func (x *exchange) writeBody(ctx context.Context, p []byte) error {
	x.upload.used, x.whole = true, false
	defer x.c.raw.SetWriteDeadline(time.Time{})
	piece := x.s.bufs.get()
	defer x.s.bufs.put(piece)
	left := x.upload.length
	for end := false; !end; {
		n, err := x.upload.read(piece, left)
		if err != nil && err != io.EOF {
			return &fault{KindBody, fmt.Errorf("body of the request: %w", err)}
		}
		end = err == io.EOF
		if left >= 0 {
			left -= int64(n)
			p = append(p, piece[:n]...)
		} else {
			if n > 0 {
				p = http1.AppendChunk(p, piece[:n])
			}
			if end {
				p = http1.AppendChunk(p, nil)
			}
		}
		if len(p) == 0 {
			continue
		}
		t, late := x.deadline(x.s.timeouts.Read, KindTimeoutRead)
		x.late = late
		x.c.raw.SetWriteDeadline(t)
		if err := x.c.write(ctx, p); err != nil {
			var f *fault
			if !errors.As(err, &f) && !isLate(err) && errors.As(ioFault(err, false), &f) && f.kind == KindReset {
				return nil // it may have answered nevertheless: too large, say
			}
			return err
		}
		p = p[:0]
	}
	x.whole = true
	return nil
}

package rondohttp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/rondo-go/rondo/internal/http1"
)

// What of an exchange is HTTP/1.1's own lies behind four functions, all of which another protocol would have too:
// [Response.transfer] sends the request and reads the head of the answer, [Response.raw] returns the next of the body,
// [Response.skip] drops what is here of it, and [Session.release] gives the connection back. Queue, limits, clocks, redirects and
// retries don't know how many exchanges a connection carries: a permit of the pool is one exchange's.

// transfer sends r's request over r.c, and reads the head of the answer into r.head.
func (r *Response) transfer(ctx context.Context) error {
	if r.c.h2 != nil {
		return r.transferH2(ctx)
	}
	r.head, r.ready = r.s.heads.get(), false
	if err := r.write(ctx); err != nil {
		return err
	}
	if t := r.trace; t != nil && t.WroteRequest != nil {
		t.WroteRequest()
	}
	if r.ready {
		return nil
	}
	r.arm(r.limits.FirstByte, KindTimeoutFirstByte)
	return r.readHead(ctx)
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
		if x.trace != nil {
			x.trace.firstByte(head)
		}
		n, done, err := head.Parse(c.in, http1.Limits{})
		c.in = c.in[n:]
		if err != nil {
			return err
		}
		if !done {
			continue
		}
		if head.Status >= 200 || head.Status == http.StatusSwitchingProtocols && x.upgrade {
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
	fields, name, target := x.fields.all, x.fields.host, x.u.Target
	if x.open {
		fields, name = x.fields.open, ""
	}
	if name == "" {
		name = x.host.header
	}
	var cookie, auth, expect, proxyAuth string
	if x.s.jar != nil && !x.once {
		fields, cookie = x.cookies()
	}
	if x.u.UserInfo != "" || x.s.netrc != nil && !x.once {
		auth = x.credentials()
	}
	if x.expects() && !x.fields.has("Expect") {
		expect = "Expect: 100-continue\r\n"
	}
	if via := x.host.via; via != nil && via.forwards(x.host) {
		target, proxyAuth = "http://"+x.host.header+target, via.auth
	}
	return http1.AppendRequest(p, x.method, target, name, fields, cookie, auth, expect, proxyAuth, x.upload.line(x.method))
}

// credentials returns the Authorization line that follows from x's URL, or from netrc.
func (x *exchange) credentials() string {
	user := x.u.UserInfo
	if user == "" {
		user = x.s.netrc.lookup(hostname(x.u.Host))
	}
	if user == "" || x.fields.has("Authorization") && !x.open {
		return ""
	}
	return "Authorization: " + basic(user) + "\r\n"
}

// writeBody sends the head in p, whose buffer it goes on to use, and the body. It leaves whole
// false if the server stopped it with an answer, perhaps, on its way.
func (x *exchange) writeBody(ctx context.Context, p []byte) error {
	x.whole = false
	defer x.c.raw.SetWriteDeadline(time.Time{})
	if x.expects() {
		if wanted, err := x.ask(ctx, p); !wanted {
			return err
		}
		p = p[:0]
	}
	x.upload.used = true
	if x.upload.pieces != nil {
		return x.writePieces(ctx, p)
	}
	piece := x.s.bufs.get()
	defer x.s.bufs.put(piece)
	defer x.upload.stop()
	left := x.upload.length
	for end := false; !end; {
		n, err := x.upload.read(piece, left)
		if err != nil && err != io.EOF {
			return bodyFault(err)
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
		if gone, err := x.push(ctx, p); gone || err != nil {
			return err
		}
		p = p[:0]
	}
	x.whole = true
	return nil
}

func bodyFault(err error) error {
	return &fault{KindBody, fmt.Errorf("body of the request: %w", err)}
}

func shortBy(n int64) error {
	return fmt.Errorf("it ended %d bytes short of its length: %w", n, io.ErrUnexpectedEOF)
}

// writePieces is writeBody for a body that comes as a sequence.
func (x *exchange) writePieces(ctx context.Context, p []byte) error {
	left := x.upload.length
	for piece, err := range x.upload.pieces {
		switch {
		case err != nil:
			return bodyFault(err)
		case len(piece) == 0:
			continue
		case left >= 0 && int64(len(piece)) > left:
			return bodyFault(errors.New("it is longer than its length"))
		case left >= 0:
			left -= int64(len(piece))
			p = append(p, piece...)
		default:
			p = http1.AppendChunk(p, piece)
		}
		if gone, err := x.push(ctx, p); gone || err != nil {
			return err
		}
		p = p[:0]
	}
	switch {
	case left > 0:
		return bodyFault(shortBy(left))
	case left < 0:
		p = http1.AppendChunk(p, nil)
	}
	if len(p) > 0 {
		if gone, err := x.push(ctx, p); gone || err != nil {
			return err
		}
	}
	x.whole = true
	return nil
}

// push writes one piece. It reports whether the server has gone: it may have answered nevertheless,
// that the body is too large, say.
func (x *exchange) push(ctx context.Context, p []byte) (gone bool, err error) {
	t, late := x.deadline(x.limits.Read, KindTimeoutRead)
	x.late = late
	x.c.raw.SetWriteDeadline(t)
	err = x.c.write(ctx, p)
	var f *fault
	if err != nil && !errors.As(err, &f) && !isLate(err) && errors.As(ioFault(err, false), &f) && f.kind == KindReset {
		return true, nil
	}
	return false, err
}

// expects reports whether the server is asked before the body is sent (RFC 9110 section 10.1.1).
func (x *exchange) expects() bool { return x.expect > 0 && x.upload != nil && x.upload.length != 0 }

// ask sends the head in p, and waits until the server wants the body, or has said nothing
// for so long as x expects. If it answers for good instead, that is x's answer.
func (x *exchange) ask(ctx context.Context, p []byte) (wanted bool, err error) {
	if gone, err := x.push(ctx, p); gone || err != nil {
		return false, err
	}
	x.arm(x.expect, KindTimeoutFirstByte)
	c := x.c
	for {
		if len(c.in) == 0 {
			err := c.fill(ctx)
			if isLate(err) && x.late != KindTimeoutTotal && !isFault(err) {
				return true, nil
			}
			if err != nil {
				return false, err
			}
		}
		if x.trace != nil {
			x.trace.firstByte(x.head)
		}
		n, done, err := x.head.Parse(c.in, http1.Limits{})
		c.in = c.in[n:]
		switch {
		case err != nil:
			return false, err
		case !done:
		case x.head.Status == http.StatusSwitchingProtocols:
			return false, passInterim(x.head.Status, 1)
		case x.head.Status < 200:
			wanted = x.head.Status == http.StatusContinue
			x.head.Reset()
			if wanted {
				c.hold() // an answer may be here already
				return true, nil
			}
		default:
			x.ready = true
			return false, nil
		}
	}
}

func isFault(err error) bool {
	var f *fault
	return errors.As(err, &f)
}

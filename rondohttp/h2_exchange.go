package rondohttp

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/rondo-go/rondo/internal/http1"
	"github.com/rondo-go/rondo/internal/http2core"
)

// maxUnseen is how often a request is sent that servers say they have not looked at.
const maxUnseen = 5

// errNotWanted ends the sending of a body that the server has answered without.
var errNotWanted = errors.New("the server has answered without the rest of the body")

// transferH2 is [Response.transfer] over a stream of r.c, where r has a slot.
func (r *Response) transferH2(ctx context.Context) error {
	hc := r.c.h2
	if !hc.usable() {
		// It broke off, or was closed to new streams, while r was on its way here.
		return &fault{KindClosed, &h2error{text: "the connection has ended before the request was sent", unseen: true}}
	}
	if ctx.Err() != nil && !ownContext(ctx) {
		return contextFault(ctx)
	}
	r.head, r.ready, r.whole = r.s.heads.get(), false, true
	body := r.upload != nil && r.upload.length != 0
	r.st = hc.open(&r.exchange, !body)
	if body {
		if err := r.uploadH2(ctx); err != nil {
			return err
		}
	}
	if t := r.trace; t != nil && t.WroteRequest != nil {
		t.WroteRequest()
	}
	st := r.st
	if !st.headed {
		st.begin(ctx, &r.exchange, r.limits.FirstByte, KindTimeoutFirstByte)
		err := st.await(nil)
		st.end()
		if err != nil {
			return err
		}
	}
	if t := r.trace; t != nil && t.FirstByte != nil {
		t.FirstByte()
	}
	return nil
}

// uploadH2 sends the body of the request. It leaves whole false if the server did not want all of it.
func (x *exchange) uploadH2(ctx context.Context) error {
	st := x.st
	if x.expects() {
		st.begin(ctx, x, x.expect, KindTimeoutFirstByte)
		err := st.await(func() bool { return st.wanted })
		st.end()
		var late *lateError
		switch {
		case err == nil && st.headed:
			x.whole = false
			return nil
		case errors.As(err, &late) && late.what == "no answer": // for so long as x expects one
		case err != nil:
			return err
		}
	}
	x.upload.used = true
	err := x.sendBody(ctx)
	if err == errNotWanted && st.headed {
		x.whole = false
		return nil
	}
	if err == nil {
		st.done = true
		if st.peerDone {
			st.hc.close(st)
		}
	}
	return err
}

// sendBody is uploadH2 once the server is ready for it.
func (x *exchange) sendBody(ctx context.Context) error {
	left := x.upload.length
	if x.upload.pieces != nil {
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
			}
			if err := x.pushH2(ctx, piece, false); err != nil {
				return err
			}
		}
		if left > 0 {
			return bodyFault(shortBy(left))
		}
		return x.pushH2(ctx, nil, true)
	}
	piece := x.s.bufs.get()
	defer x.s.bufs.put(piece)
	defer x.upload.stop()
	for {
		n, err := x.upload.read(piece, left)
		if err != nil && err != io.EOF {
			return bodyFault(err)
		}
		if left >= 0 {
			left -= int64(n)
		}
		end := err == io.EOF
		if n > 0 || end {
			if err := x.pushH2(ctx, piece[:n], end); err != nil {
				return err
			}
		}
		if end {
			return nil
		}
	}
}

// pushH2 sends one piece, as the windows of the server allow.
func (x *exchange) pushH2(ctx context.Context, p []byte, end bool) error {
	st := x.st
	if st.peerDone {
		return errNotWanted
	}
	st.begin(ctx, x, x.limits.Read, KindTimeoutRead)
	_, err := st.send.Send(p, end)
	st.end()
	return err
}

// beginH2 is what [Response.begin] does about the body.
func (r *Response) beginH2() {
	st := r.st
	switch {
	case st.recv.Done():
		r.ContentLength = max(r.ContentLength, 0)
		r.body = http1.Body{}
		r.release(true)
	case r.body.Done() && !st.peerDone:
		r.c, r.st = nil, nil
		if r.whole && !st.closed {
			st.orphan()
		} else {
			st.cancel()
		}
	}
}

// rawH2 is [Response.raw] for a stream.
func (r *Response) rawH2(ctx context.Context, limit int) ([]byte, error) {
	st := r.st
	if limit <= 0 {
		limit = 1 << 30
	}
	waits := st.recv.Buffered() == 0 && st.recv.Err() == nil
	if waits {
		if ctx.Err() != nil && !ownContext(ctx) {
			return nil, contextFault(ctx)
		}
		st.begin(ctx, &r.exchange, r.limits.Read, KindTimeoutRead)
	}
	data, err := st.recv.Next(limit)
	if waits {
		st.end()
	}
	switch {
	case err == io.EOF:
		r.trailer = st.trailer
		r.release(true)
		return nil, io.EOF
	case err != nil:
		return nil, ioFault(err, true)
	}
	return data, nil
}

// releaseH2 gives up r's stream.
func (r *Response) releaseH2() {
	st := r.st
	r.c, r.st = nil, nil
	st.cancel()
}

// failedH2 is [exchange.failed] for a request over HTTP/2. It has no slot afterwards.
func (x *exchange) failedH2(err error) (again bool, _ error) {
	answered := false
	hc := x.c.h2
	if st := x.st; st != nil {
		answered = st.headed
		st.cancel()
	} else {
		x.s.pool.leave(hc)
	}
	used := x.c.used
	x.c, x.st = nil, nil
	if x.head != nil {
		x.s.heads.put(x.head)
		x.head = nil
	}
	var f *fault
	if err = ioFault(err, answered); !errors.As(err, &f) || x.s.closed {
		return false, err
	}
	var he *h2error
	if errors.As(err, &he) {
		again = he.unseen && x.tries < maxUnseen
	} else {
		again = used && !answered && x.tries == 0 && idempotent(x.method) && (f.kind == KindClosed || f.kind == KindReset)
	}
	if again {
		if again, _ = x.upload.restart(); again {
			x.tries++
			if t := x.trace; t != nil && t.Retry != nil {
				t.Retry(x.tries, 0, err)
			}
		}
	}
	return again, err
}

// h2Fields adds the head of x's request to w.
func (x *exchange) h2Fields(w *http2core.Writer) {
	name := x.fields.host
	if x.open || name == "" {
		name = x.host.header
	}
	w.Field(":method", x.method, false)
	w.Field(":scheme", x.u.Scheme, false)
	w.Field(":authority", name, false)
	w.Field(":path", x.u.Target, false)
	if x.s.jar != nil && !x.once {
		lines, cookie := x.cookies()
		addLines(w, lines)
		addLines(w, cookie)
	} else if x.open {
		addLines(w, x.fields.open)
	} else {
		addLines(w, x.fields.all)
	}
	if x.u.UserInfo != "" || x.s.netrc != nil && !x.once {
		addLines(w, x.credentials())
	}
	if x.expects() && !x.fields.has("Expect") {
		w.Field("expect", "100-continue", false)
	}
	switch u := x.upload; {
	case u != nil && u.length >= 0:
		w.Field("content-length", strconv.FormatInt(u.length, 10), false)
	case u == nil && (x.method == http.MethodPost || x.method == http.MethodPut || x.method == http.MethodPatch):
		w.Field("content-length", "0", false)
	}
}

// addLines adds fields that are rendered as lines of HTTP/1.1, but for those that HTTP/2 has other means for
// (RFC 9113 section 8.2.2).
func addLines(w *http2core.Writer, lines string) {
	for lines != "" {
		line, rest, _ := strings.Cut(lines, "\r\n")
		lines = rest
		name, value, _ := strings.Cut(line, ": ")
		switch name = strings.ToLower(name); name {
		case "connection", "keep-alive", "proxy-connection", "upgrade", "transfer-encoding", "http2-settings":
		case "te":
			if value == "trailers" {
				w.Field(name, value, false)
			}
		default:
			w.Field(name, value, name == "authorization")
		}
	}
}

package rondohttp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/rondo-go/rondo/internal/http1"
)

// A ServerResponse is the answer to a [ServerRequest]. Status and fields come first,
// then the body, by any of the Write methods. A body that is short, or whose
// handler returns without [ServerResponse.Flush], gets its Content-Length by itself; a long one goes out
// in chunks unless a Content-Length was set. It is valid until the handler returns.
type ServerResponse struct {
	v      *visit
	status int
	fields []byte // whole lines
	body   []byte // as long as the head has not been committed
	length int64  // announced, -1 if it is not
	wrote  int64
	err    error
	outAt  int // where in the visit's out this answer begins

	trailers []byte

	committed bool // the head is in out
	chunked   bool
	bodiless  bool // no bytes of a body are to be sent
	keep      bool // the connection goes on after it
	hasDate   bool
	hasType   bool
	upgrade   bool
}

// bodyBuffer is how much of a body may gather before the head is committed.
const bodyBuffer = 8 << 10

func (w *ServerResponse) reset() {
	v := w.v
	s := v.shard.server
	w.status, w.length, w.wrote, w.err = http.StatusOK, -1, 0, nil
	w.fields, w.body, w.trailers = w.fields[:0], w.body[:0], w.trailers[:0]
	w.outAt = len(v.out)
	w.committed, w.chunked, w.hasDate, w.hasType, w.upgrade = false, false, false, false, false
	w.bodiless = string(v.head.Method()) == http.MethodHead
	w.keep = v.head.KeepAlive && (s.limits.Requests <= 0 || v.x.served < s.limits.Requests)
}

// Errors of writing an answer.
var (
	ErrHeaderSent = errors.New("rondohttp: the head of the answer has been sent already")
	errBadStatus  = errors.New("rondohttp: status out of range")
)

// SetStatus sets the status: 200 to 999, or 101 before [ServerResponse.Hijack].
func (w *ServerResponse) SetStatus(status int) {
	switch {
	case w.committed:
		w.fault(ErrHeaderSent)
	case status < 200 && status != http.StatusSwitchingProtocols || status > 999:
		w.fault(fmt.Errorf("%w: %d", errBadStatus, status))
	default:
		w.status = status
	}
}

// Status returns the status as it is now.
func (w *ServerResponse) Status() int { return w.status }

// Written returns how many bytes of the body have been written so far, for a log.
func (w *ServerResponse) Written() int64 { return w.wrote + int64(len(w.body)) }

// fault notes the first error, which becomes that of the handler.
func (w *ServerResponse) fault(err error) {
	if w.err == nil {
		w.err = err
	}
}

// Add adds a field. A Content-Length is taken at its word; Transfer-Encoding, which follows from the body, is
// left out, and so is Connection but for close and Upgrade. What cannot stand in a
// field is an error that the server reports in the end.
func (w *ServerResponse) Add(name, value string) {
	if w.committed {
		w.fault(ErrHeaderSent)
		return
	}
	if !http1.ValidMethod(name) || !http1.ValidValue(value) {
		w.fault(fmt.Errorf("rondohttp: invalid field %q: %q", name, value))
		return
	}
	w.add(name, value)
}

// add adds a field that is valid.
func (w *ServerResponse) add(name, value string) {
	switch len(name) {
	case len("date"):
		w.hasDate = w.hasDate || strings.EqualFold(name, "Date")
	case len("connection"):
		if strings.EqualFold(name, "Connection") {
			if hasToken(value, "close") {
				w.keep = false
			}
			if hasToken(value, "upgrade") {
				w.upgrade = true
			}
			return
		}
	case len("content-type"):
		w.hasType = w.hasType || strings.EqualFold(name, "Content-Type")
	case len("content-length"):
		if strings.EqualFold(name, "Content-Length") {
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil || n < 0 {
				w.fault(fmt.Errorf("rondohttp: invalid Content-Length %q", value))
				return
			}
			w.length = n
			return
		}
	case len("transfer-encoding"):
		if strings.EqualFold(name, "Transfer-Encoding") {
			return
		}
	}
	b := append(w.fields, name...)
	b = append(b, ": "...)
	b = append(b, value...)
	w.fields = append(b, "\r\n"...)
}

// AddTrailer adds a field that follows the body, if that is sent in chunks: the body is longer than
// a buffer, or has been flushed, and no Content-Length was set. It may be called until the handler returns.
func (w *ServerResponse) AddTrailer(name, value string) {
	b, err := http1.AppendField(w.trailers, name, value)
	if err != nil {
		w.fault(err)
		return
	}
	w.trailers = b
}

// SetContentType sets the Content-Type.
func (w *ServerResponse) SetContentType(t string) { w.Add("Content-Type", t) }

// SetContentLength announces the length of the body. A body of another length is an error.
func (w *ServerResponse) SetContentLength(n int64) { w.length = n }

// hasToken reports whether a list of tokens holds token.
func hasToken(list, token string) bool {
	if len(list) == len(token) {
		return strings.EqualFold(list, token)
	}
	for tok := range strings.SplitSeq(list, ",") {
		if strings.EqualFold(strings.Trim(tok, " \t"), token) {
			return true
		}
	}
	return false
}

// Write implements io.Writer: it adds to the body. It parks if the client does not keep up.
//
// Errors: [http.ErrBodyNotAllowed] for a status without a body; [http.ErrContentLength] beyond the length announced; those
// of the connection.
func (w *ServerResponse) Write(p []byte) (int, error) { return write(w, p) }

// WriteString is Write for a string.
func (w *ServerResponse) WriteString(s string) (int, error) { return write(w, s) }

func write[T []byte | string](w *ServerResponse, p T) (int, error) {
	if !w.committed {
		if len(w.body)+len(p) <= bodyBuffer {
			if !bodyAllowed(w.status) {
				return 0, http.ErrBodyNotAllowed
			}
			if w.length >= 0 && int64(len(w.body)+len(p)) > w.length {
				return 0, http.ErrContentLength
			}
			w.body = append(w.body, p...)
			return len(p), nil
		}
		if err := w.commit(false); err != nil {
			return 0, err
		}
	}
	if err := w.send([]byte(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// bodyAllowed reports whether an answer of that status has a body, RFC 9110 section 6.4.1.
func bodyAllowed(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

// send sends a part of the body behind the head that has been committed.
func (w *ServerResponse) send(p []byte) error {
	if !bodyAllowed(w.status) {
		return http.ErrBodyNotAllowed
	}
	if w.length >= 0 && w.wrote+int64(len(p)) > w.length {
		return http.ErrContentLength
	}
	w.wrote += int64(len(p))
	v := w.v
	if w.bodiless || len(p) == 0 {
		return v.outErr
	}
	if v.stream != nil {
		return v.stream.write(p, false)
	}
	if w.chunked {
		v.out = strconv.AppendUint(v.out, uint64(len(p)), 16)
		v.out = append(v.out, "\r\n"...)
	}
	if len(v.out)+len(p) <= flushAt {
		v.out = append(v.out, p...)
	} else {
		// What is large is not copied, but for what fills a packet with the head.
		if n := len(v.out); n < 1<<10 {
			k := min(len(p), 4<<10)
			v.out = append(v.out, p[:k]...)
			p = p[k:]
		}
		if err := v.flush(); err != nil {
			return err
		}
		if len(p) > 0 {
			if err := v.write(p); err != nil {
				return err
			}
		}
	}
	if w.chunked {
		v.out = append(v.out, "\r\n"...)
	}
	return v.outErr
}

// Flush sends what there is so far, the head first.
func (w *ServerResponse) Flush() error {
	if err := w.commit(false); err != nil {
		return err
	}
	return w.v.flush()
}

// Interim sends an answer of status 100 to 199 ahead of the real one, such as 103 (Early Hints), with the fields that
// have been added so far, which stay for the real one. Clients of HTTP/1.0 know no such thing, and get none.
func (w *ServerResponse) Interim(status int) error {
	if w.committed {
		return ErrHeaderSent
	}
	if status < 100 || status > 199 || status == http.StatusSwitchingProtocols {
		return fmt.Errorf("%w: %d", errBadStatus, status)
	}
	v := w.v
	if v.head.Minor == 0 {
		return nil
	}
	if status == http.StatusContinue {
		v.body.expect.Store(false)
	}
	if v.stream != nil {
		return v.stream.interim(status, w.fields)
	}
	v.out = appendStatus(v.out, status)
	if status != http.StatusContinue {
		v.out = append(v.out, w.fields...)
	}
	v.out = append(v.out, "\r\n"...)
	err := v.flush()
	w.outAt = len(v.out)
	return err
}

// commit puts the head into the visit's buffer, and the body so far behind it. Whole: that is all of it.
func (w *ServerResponse) commit(whole bool) error {
	if w.committed {
		return nil
	}
	if w.err != nil {
		return w.err
	}
	w.committed = true
	v := w.v
	if v.stream != nil {
		return v.stream.commit(w, whole)
	}
	if unmet := v.body.expect.Load() && v.body.expect.Swap(false); w.keep && (unmet || v.shard.server.closing.Load() || !v.body.drainable()) {
		w.keep = false
	}
	v.out = w.appendHead(v.out, whole)
	body := w.body
	w.body = w.body[:0]
	switch {
	case len(body) == 0:
		return nil
	case whole && !w.bodiless && !w.chunked && len(v.out)+len(body) <= flushAt:
		v.out = append(v.out, body...)
		w.wrote = int64(len(body))
		return nil
	}
	return w.send(body)
}

// appendHead renders the head.
func (w *ServerResponse) appendHead(b []byte, whole bool) []byte {
	v := w.v
	switch {
	case w.hasDate:
		b = appendStatus(b, w.status)
	case v.shard.kernel == nil || !v.shard.kernel.OnLoop():
		b = appendDate(appendStatus(b, w.status), time.Now())
	case w.status == http.StatusOK:
		b = append(b, v.shard.okHead()...)
	default:
		b = append(appendStatus(b, w.status), v.shard.dateField()...)
	}
	b = append(b, w.fields...)
	switch {
	case !bodyAllowed(w.status):
		if w.status == http.StatusNotModified && w.length >= 0 {
			b = appendLength(b, w.length)
		}
	case w.length >= 0:
		b = appendLength(b, w.length)
	case whole && len(w.trailers) == 0:
		if !w.bodiless || len(w.body) > 0 {
			b = appendLength(b, int64(len(w.body)))
		}
	case v.head.Minor > 0 && !v.foreign:
		if w.chunked = !w.bodiless; w.chunked {
			b = append(b, "Transfer-Encoding: chunked\r\n"...)
		}
	default:
		w.keep = w.keep && w.bodiless // the end of the connection ends the body
	}
	switch {
	case w.upgrade && w.status == http.StatusSwitchingProtocols:
		b = append(b, "Connection: Upgrade\r\n"...)
	case !w.keep:
		b = append(b, "Connection: close\r\n"...)
	case v.head.Minor == 0:
		b = append(b, "Connection: keep-alive\r\n"...)
	case w.upgrade:
		b = append(b, "Connection: Upgrade\r\n"...)
	}
	return append(b, "\r\n"...)
}

func appendLength(b []byte, n int64) []byte {
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, n, 10)
	return append(b, "\r\n"...)
}

// finish ends the answer.
func (w *ServerResponse) finish() error {
	if err := w.commit(true); err != nil {
		return err
	}
	v := w.v
	if v.stream != nil {
		return v.stream.end(w)
	}
	if w.chunked {
		v.out = append(v.out, "0\r\n"...)
		v.out = append(v.out, w.trailers...)
		v.out = append(v.out, "\r\n"...)
	}
	if w.length >= 0 && w.wrote < w.length && !w.bodiless && bodyAllowed(w.status) {
		w.keep = false // the peer waits for more: its end tells it
		return errShortBody
	}
	if len(v.out) >= flushAt {
		return v.flush()
	}
	return v.outErr
}

var errShortBody = errors.New("rondohttp: handler wrote less than the Content-Length it announced")

// fail makes it the answer to a request whose handler has failed.
func (w *ServerResponse) fail(status int) {
	w.reset()
	w.status = status
	w.add("Content-Type", "text/plain; charset=utf-8")
	w.body = append(append(w.body, http.StatusText(status)...), '\n')
}

// statusOf returns the status for the error of a handler: it is the client's if that is what the body has failed with.
func (v *visit) statusOf(err error) int {
	var be *bodyError
	switch {
	case errors.Is(err, ErrBodyTooLarge):
		return http.StatusRequestEntityTooLarge
	case errors.As(err, &be):
		return be.status
	case v.body.err != nil && v.body.err != io.EOF && errors.Is(err, v.body.err):
		return http.StatusBadRequest
	}
	return http.StatusInternalServerError
}

// Hijack takes the connection over: the server does nothing with it any more. It returns the connection, which works on
// the loop and off it, and the bytes that have come already and were not taken. Whoever takes it
// closes it; the server waits for that, also when it shuts down. What was set or
// written by then, and not flushed, is dropped, but for an answer of status 101, which
// is sent first.
func (w *ServerResponse) Hijack() (net.Conn, []byte, error) {
	v := w.v
	if v.taken {
		return nil, nil, http.ErrHijacked
	}
	if v.stream != nil {
		return nil, nil, http.ErrNotSupported
	}
	if w.status == http.StatusSwitchingProtocols {
		if err := w.commit(true); err != nil {
			return nil, nil, err
		}
	}
	return v.hijack()
}

// ReadFrom implements io.ReaderFrom.
func (w *ServerResponse) ReadFrom(r io.Reader) (n int64, err error) {
	v := w.v
	if v.stream != nil {
		return io.Copy(writerOnly{w}, r)
	}
	if err := w.commit(false); err != nil {
		return 0, err
	}
	to, ok := v.conn.(io.ReaderFrom)
	if !ok || w.chunked || w.bodiless || w.length < 0 {
		return io.Copy(writerOnly{w}, r)
	}
	if err := v.flush(); err != nil {
		return 0, err
	}
	const piece = 256 << 10
	for v.outErr == nil && n < w.length-w.wrote {
		v.beginWrite()
		k, err := to.ReadFrom(&io.LimitedReader{R: r, N: min(piece, w.length-w.wrote-n)})
		v.writeBy.Store(0)
		n += k
		if err != nil {
			v.outErr = err
		}
		if k == 0 {
			break
		}
	}
	w.wrote += n
	return n, v.outErr
}

// A writerOnly has no ReadFrom.
type writerOnly struct{ io.Writer }

// report logs the error of a handler unless it is the client's doing, and says what follows from it.
func (v *visit) report(err error) error {
	switch {
	case errors.Is(err, http.ErrAbortHandler):
		return errAborted
	case v.outErr != nil, v.body.err != nil && errors.Is(err, v.body.err), errors.Is(err, context.Canceled), errors.Is(err, ErrBodyTooLarge):
		return err
	}
	v.shard.server.log.Error("rondohttp: handler failed", "method", string(v.head.Method()), "target", string(v.head.Target()), "remote", v.conn.RemoteAddr(), "err", err)
	return err
}

// panicked is report for a panic, nil if the handler has called runtime.Goexit.
func (v *visit) panicked(p any) error {
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) || p == nil {
		return errAborted
	}
	v.shard.server.log.Error("rondohttp: handler panicked", "method", string(v.head.Method()), "target", string(v.head.Target()), "remote", v.conn.RemoteAddr(),
		"panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	return fmt.Errorf("rondohttp: handler panicked: %v", p)
}

package rondohttp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/rondo-go/rondo/internal/http1"
)

// A Kind says in one word what went wrong. The words are part of the output of
// programs and do not change.
type Kind string

// The kinds of [Error].
const (
	KindBadURL           Kind = "bad-url"
	KindBadRequest       Kind = "bad-request" // a method or a header that cannot be sent
	KindDNS              Kind = "dns"
	KindConnect          Kind = "connect"
	KindTLS              Kind = "tls"
	KindProxy            Kind = "proxy" // the proxy cannot be reached, or refuses
	KindTimeoutQueue     Kind = "timeout-queue"
	KindTimeoutConnect   Kind = "timeout-connect"
	KindTimeoutTLS       Kind = "timeout-tls"
	KindTimeoutFirstByte Kind = "timeout-first-byte"
	KindTimeoutRead      Kind = "timeout-read"
	KindTimeoutTotal     Kind = "timeout-total"
	KindReset            Kind = "reset"     // the peer reset the connection
	KindClosed           Kind = "closed"    // the peer closed it before it answered
	KindTruncated        Kind = "truncated" // the body ended before its framing said so
	KindProtocol         Kind = "protocol"  // the answer is not HTTP/1.1
	KindHeaderTooLarge   Kind = "header-too-large"
	KindRedirect         Kind = "redirect"      // a redirect that cannot be followed
	KindRedirectLoop     Kind = "redirect-loop" // more redirects than allowed
	KindEncoding         Kind = "encoding"      // the body is not in the coding it is said to be in
	KindTooLarge         Kind = "too-large"     // the decoded body exceeds the limit
	KindBomb             Kind = "bomb"          // the body decodes to too many times its length
	KindContent          Kind = "content"       // the body is not what it was asked for as
	KindCanceled         Kind = "canceled"
	KindBody             Kind = "body" // the request's own body could not be read
	KindIO               Kind = "io"   // anything else that the system reports
)

// An Error is what every method of this package returns when an exchange fails.
// errors.Is sees through it: timeouts are [os.ErrDeadlineExceeded], a cancel is
// [context.Canceled], a body cut short is [io.ErrUnexpectedEOF].
type Error struct {
	Op   string // the method of the request, in lower case, or "read" for the body
	URL  string // without its user and password
	Kind Kind
	Err  error
}

func (e *Error) Error() string { return e.Op + " " + e.URL + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Timeout reports whether one of the clocks ran out, as [net.Error] has it.
func (e *Error) Timeout() bool { return strings.HasPrefix(string(e.Kind), "timeout-") }

// Temporary completes [net.Error], where it is deprecated. It equals Timeout.
func (e *Error) Temporary() bool { return e.Timeout() }

var _ net.Error = (*Error)(nil)

// ErrSessionClosed is the cause when a closed session is asked for a request.
var ErrSessionClosed = errors.New("session is closed")

// A fault is an error that knows its kind, and not yet what URL it belongs to.
type fault struct {
	kind Kind
	err  error
}

func (f *fault) Error() string { return f.err.Error() }
func (f *fault) Unwrap() error { return f.err }

func faultf(kind Kind, format string, args ...any) error {
	return &fault{kind, fmt.Errorf(format, args...)}
}

// A cause has a text of its own and the standard error that it stands for.
type cause struct {
	text string
	err  error
}

func (c *cause) Error() string { return c.text }
func (c *cause) Unwrap() error { return c.err }

// A lateError is the cause of a timeout: what was awaited, and for how long.
type lateError struct {
	what  string
	limit time.Duration
}

func (e *lateError) Error() string {
	if e.limit <= 0 {
		return e.what + " before the deadline of its context"
	}
	return fmt.Sprintf("%s within %v", e.what, e.limit)
}

func (e *lateError) Is(target error) bool {
	return target == os.ErrDeadlineExceeded || target == context.DeadlineExceeded
}

// late returns the error of a clock that ran out.
func (t *Timeouts) late(kind Kind) error {
	e := &lateError{"not done", t.Total}
	switch kind {
	case KindTimeoutQueue:
		e = &lateError{"no connection was free", t.Queue}
	case KindTimeoutConnect:
		e = &lateError{"no connection", t.Connect}
	case KindTimeoutTLS:
		e = &lateError{"no TLS handshake", t.TLS}
	case KindTimeoutFirstByte:
		e = &lateError{"no answer", t.FirstByte}
	case KindTimeoutRead:
		e = &lateError{"nothing moved", t.Read}
	}
	return &fault{kind, e}
}

func isLate(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded)
}

// ioFault gives an error of reading or writing its kind; answered says whether a byte of
// the answer has come.
func ioFault(err error, answered bool) error {
	var f *fault
	var pe *http1.ProtocolError
	var te *http1.TruncatedError
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, context.Canceled):
		return &fault{KindCanceled, err}
	case errors.Is(err, net.ErrClosed): // nobody else closes a connection in use
		return &fault{KindClosed, ErrSessionClosed}
	case errors.Is(err, http1.ErrHeaderTooLarge):
		return &fault{KindHeaderTooLarge, err}
	case errors.As(err, &pe):
		return &fault{KindProtocol, err}
	case errors.As(err, &te):
		return &fault{KindTruncated, err}
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNABORTED):
		return &fault{KindReset, err}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		if answered {
			return &fault{KindTruncated, &cause{"connection closed in the middle of the answer", io.ErrUnexpectedEOF}}
		}
		return &fault{KindClosed, &cause{"connection closed before an answer", io.ErrUnexpectedEOF}}
	case isTLSError(err):
		return &fault{KindTLS, err}
	}
	return &fault{KindIO, err}
}

// newError makes err the error of an exchange, unless it is one already.
func newError(op, url string, err error) error {
	var e *Error
	if errors.As(err, &e) {
		return err
	}
	kind := KindIO
	var f *fault
	if errors.As(err, &f) {
		kind, err = f.kind, f.err
	} else if errors.Is(err, context.Canceled) {
		kind = KindCanceled
	} else if isLate(err) {
		kind = KindTimeoutTotal
	}
	return &Error{Op: op, URL: redact(url), Kind: kind, Err: err}
}

// redact takes the user and the password out of a URL: an error ends up in a log.
func redact(s string) string {
	head, rest, ok := strings.Cut(s, "://")
	if !ok {
		return s
	}
	authority := rest
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority = rest[:i]
	}
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		return head + "://" + rest[i+1:]
	}
	return s
}

package http1

import (
	"errors"
	"fmt"
	"io"
)

// ErrHeaderTooLarge reports a head, or the trailers of a chunked body, that outgrew its [Limits].
var ErrHeaderTooLarge = errors.New("header too large")

// A ProtocolError reports bytes that are not the HTTP/1.1 that was expected, and quotes them.
type ProtocolError struct {
	What string // what is wrong with them
	Got  []byte // the first of the offending bytes, at most maxQuote; may be nil
}

const maxQuote = 64

func (e *ProtocolError) Error() string {
	if len(e.Got) == 0 {
		return e.What
	}
	return fmt.Sprintf("%s: %q", e.What, e.Got)
}

// protocolError quotes a copy of got, which usually lies in a buffer that will be used again.
func protocolError(what string, got []byte) error {
	return &ProtocolError{What: what, Got: append([]byte(nil), got[:min(len(got), maxQuote)]...)}
}

// A TruncatedError reports a body that ended before its framing said it would.
// It wraps [io.ErrUnexpectedEOF].
type TruncatedError struct {
	Got  int64 // decoded bytes that arrived
	Want int64 // bytes announced; -1 for a chunked body, which announces none
}

func (e *TruncatedError) Error() string {
	if e.Want < 0 {
		return fmt.Sprintf("body ended after %d bytes, before its last chunk", e.Got)
	}
	return fmt.Sprintf("body ended after %d of %d bytes", e.Got, e.Want)
}

// Unwrap returns [io.ErrUnexpectedEOF].
func (e *TruncatedError) Unwrap() error { return io.ErrUnexpectedEOF }

package rondo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/rondo-go/rondo/loop"
)

// A Stream is a connection with buffers: asyncio's StreamReader and StreamWriter
// in one. It reads lines, messages and blocks, and its writes never park.
//
// A stream made on a loop is for that loop, of which one task at a time reads and
// any number write; its connection must be one that parks there, a [Conn] or
// something on top of one. A stream made off every loop is for goroutines, of
// which one at a time reads.
//
// Methods that read take no context, like those of a [Conn]: what ends a read
// early is the cancellation of the running task, a [Timeout] around it or a
// deadline, and all of that reaches through any net.Conn in between. A context
// derived otherwise could not: the connection below parks more than once. Drain
// and WaitClosed park in the stream itself, and take one.
type Stream struct {
	conn  net.Conn
	own   *Conn // conn, if it is one
	home  *Loop // nil: made off every loop
	limit int

	streamReader
	streamWriter
}

// DefaultLimit is the limit of a stream that was made without [WithLimit].
const DefaultLimit = 64 << 10

// Default water marks of a stream.
const (
	DefaultHighWater = 64 << 10
	DefaultLowWater  = 16 << 10
)

// A StreamOption is an option of [NewStream] and [OpenStream].
type StreamOption func(*Stream)

// WithLimit bounds what ReadLine and ReadUntil return, without the separator, to
// n bytes. It panics if n is not positive.
func WithLimit(n int) StreamOption {
	if n <= 0 {
		panic("rondo: limit of a stream must be positive")
	}
	return func(s *Stream) { s.limit = n }
}

// WithWaterMarks is [Stream.SetWaterMarks].
func WithWaterMarks(low, high int) StreamOption {
	return func(s *Stream) { s.SetWaterMarks(low, high) }
}

// NewStream returns a stream over c, which it owns from then on: reads or writes
// beside it would disturb it. One of crypto/tls must have had its handshake: it
// guards that with a mutex, on which the stream's writer and a reader would hold
// the loop.
func NewStream(c net.Conn, opts ...StreamOption) *Stream {
	s := &Stream{conn: c, home: RunningLoop(), limit: DefaultLimit}
	s.own, _ = c.(*Conn)
	s.low, s.high = DefaultLowWater, DefaultHighWater
	if s.own != nil {
		s.flushCall.Init((*flushCall)(s))
	} else {
		s.flushCall.InitCallback((*flushCall)(s)) // it starts a task at once
	}
	for _, f := range opts {
		f(s)
	}
	return s
}

// OpenStream is [Dial] and [NewStream]. It is asyncio's open_connection.
func OpenStream(ctx context.Context, network, address string, opts ...StreamOption) (*Stream, error) {
	c, err := Dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return NewStream(c, opts...), nil
}

// An IncompleteReadError says that the stream ended inside of what was to be
// read. It wraps io.ErrUnexpectedEOF, or io.EOF if there was nothing at all, as
// io.ReadFull has it.
type IncompleteReadError struct {
	Partial  []byte // what there was; it is the caller's
	Expected int    // how many bytes were to be read; 0: up to a separator
}

func (e *IncompleteReadError) Error() string {
	if e.Expected == 0 {
		return fmt.Sprintf("read stream: end after %d bytes, without a separator", len(e.Partial))
	}
	return fmt.Sprintf("read stream: end after %d of %d bytes", len(e.Partial), e.Expected)
}

// Unwrap returns the error of package io.
func (e *IncompleteReadError) Unwrap() error {
	if len(e.Partial) == 0 {
		return io.EOF
	}
	return io.ErrUnexpectedEOF
}

// A LimitOverrunError says that what was to be read is longer than the stream's
// limit. The data is still in the stream: [Stream.Discard] drops it.
type LimitOverrunError struct {
	Consumed int // how many bytes of it belong to no separator
	Limit    int
}

func (e *LimitOverrunError) Error() string {
	return fmt.Sprintf("read stream: no separator within the limit of %d bytes", e.Limit)
}

// ErrStreamBusy says that another task is reading from the stream.
var ErrStreamBusy = errors.New("rondo: another task is reading from the stream")

// Conn returns the connection below.
func (s *Stream) Conn() net.Conn { return s.conn }

// check says why s cannot be used here.
func (s *Stream) check() error {
	if s.home == nil {
		return nil
	}
	switch here, _ := loop.Current(); here {
	case s.home.k:
		return nil
	case nil:
		return ErrNotTask
	default:
		return ErrOtherLoop
	}
}

// LocalAddr implements net.Conn.
func (s *Stream) LocalAddr() net.Addr { return s.conn.LocalAddr() }

// RemoteAddr implements net.Conn.
func (s *Stream) RemoteAddr() net.Addr { return s.conn.RemoteAddr() }

// SetDeadline implements net.Conn.
func (s *Stream) SetDeadline(t time.Time) error { return s.conn.SetDeadline(t) }

// SetReadDeadline implements net.Conn.
func (s *Stream) SetReadDeadline(t time.Time) error { return s.conn.SetReadDeadline(t) }

// SetWriteDeadline bounds the time until what is written is with the system.
// When it is over, the stream fails; see [Stream.Drain].
func (s *Stream) SetWriteDeadline(t time.Time) error { return s.conn.SetWriteDeadline(t) }

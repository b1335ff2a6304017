package rondotls

import (
	"context"
	"errors"
	"io"
	"net"
)

// recordHeader is the length of a record's header (RFC 8446, section 5.1): a
// type, a version, and the length of what follows.
const recordHeader = 5

// A recordReader never reads past the record that it was asked for. Left to
// itself, crypto/tls reads what comes behind its last record and keeps it.
type recordReader struct {
	from func([]byte) (int, error)
	buf  []byte // read from the peer
	next []byte // what crypto/tls has not had yet: a part of buf
	left int    // how much of the present record it has not had yet
}

// Read reads from the present record, or the header of the next one and what
// follows of it.
func (r *recordReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	want := 1
	if r.left == 0 {
		want = recordHeader
	}
	for len(r.next) < want {
		if err := r.fill(); err != nil {
			if err == io.EOF && len(r.next) > 0 {
				break // crypto/tls is to see that the header is cut off
			}
			return 0, err
		}
	}
	if r.left == 0 {
		if len(r.next) < recordHeader {
			r.left = len(r.next)
		} else {
			r.left = recordHeader + int(r.next[3])<<8 + int(r.next[4])
		}
	}
	n := copy(p[:min(len(p), r.left)], r.next)
	r.next, r.left = r.next[n:], r.left-n
	return n, nil
}

// fill reads more.
func (r *recordReader) fill() error {
	if r.buf == nil {
		r.buf = make([]byte, 4<<10)
	}
	kept := copy(r.buf, r.next)
	n, err := r.from(r.buf[kept:])
	r.next = r.buf[:kept+n]
	if n > 0 {
		return nil
	}
	return err
}

// errNoUnwrap: crypto/tls may hold plain bytes already.
var errNoUnwrap = errors.New("rondotls: the connection was not made with WithUnwrap")

// Unwrap ends TLS and returns the connection below, for plain use, with the bytes that the peer
// has sent behind its last record. It sends close_notify and waits for the
// peer's, dropping what comes before it. It is the opposite of an upgrade in the
// middle of a stream, for a peer that does the same. The Conn must not be used
// any more, unless Unwrap fails. If the task is canceled, Unwrap can be called again.
//
// Errors: those of Read and CloseWrite; ctx's; if the connection was not made
// [WithUnwrap].
func (c *Conn) Unwrap(ctx context.Context) (raw net.Conn, rest []byte, err error) {
	if c.wire.records == nil {
		return nil, nil, errNoUnwrap
	}
	stop := context.AfterFunc(ctx, func() { c.SetReadDeadline(past) })
	defer stop()
	if err := c.CloseWrite(); err != nil {
		return nil, nil, err
	}
	for {
		if _, err := c.Read(make([]byte, 4<<10)); err == io.EOF {
			break
		} else if err != nil {
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			return nil, nil, err
		}
	}
	if err := c.flush(); err != nil {
		return nil, nil, err
	}
	rest = append(append(rest, c.wire.records.next...), c.wire.early...)
	return c.wire.raw, rest, nil
}

package websocket

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"iter"
	"net"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// Read returns the next message, parking until it is here. Its data is the caller's.
//
// Errors, of which all but a cancellation are for good:
//   - a [*CloseError] if the connection was closed by the protocol, because of a fault of the peer's, say.
//   - [ErrPongTimeout] if the peer does not answer.
//   - one that wraps [io.ErrUnexpectedEOF] or the system's if it broke off; [net.ErrClosed] after CloseNow.
//   - the cause of ctx, or a [rondo.CanceledError]: what of a message has come already is kept for the next Read.
func (c *Conn) Read(ctx context.Context) (Message, error) {
	if err := c.rd.acquire(ctx); err != nil {
		return Message{}, err
	}
	m, err := c.whole(ctx, false)
	c.rd.release()
	return m, err
}

// Messages ranges over the messages that come, as [Conn.Read] returns them. It ends without an error when the
// connection was closed by this side, or by the peer with StatusNormal, StatusGoingAway or no status;
// any other error comes last. Leaving the loop leaves the connection open.
func (c *Conn) Messages(ctx context.Context) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		for {
			m, err := c.Read(ctx)
			if isEnd(err) {
				return
			}
			if !yield(m, err) || err != nil {
				return
			}
		}
	}
}

// isEnd reports whether err tells of an orderly end.
func isEnd(err error) bool {
	var e *CloseError
	if errors.As(err, &e) {
		return e.Code == StatusNormal || e.Code == StatusGoingAway || e.Code == StatusNone
	}
	return errors.Is(err, net.ErrClosed)
}

// Reader returns the next message as a stream, parking until it begins. Its methods park under ctx. What
// is not read of it is skipped by the next Reader or Read. A compressed message is read whole first.
//
// Errors: those of [Conn.Read].
func (c *Conn) Reader(ctx context.Context) (MessageType, io.Reader, error) {
	if err := c.rd.acquire(ctx); err != nil {
		return 0, nil, err
	}
	defer c.rd.release()
	if err := c.skip(ctx); err != nil {
		return 0, nil, err
	}
	p, last, err := c.step(ctx)
	if err != nil {
		return 0, nil, err
	}
	if c.packed {
		c.msg = append(c.msg, p...)
		if !last {
			m, err := c.whole(ctx, false)
			return m.Type, bytes.NewReader(m.Data), err
		}
		m, err := c.unpack(ctx)
		return m.Type, bytes.NewReader(m.Data), err
	}
	r := &reader{c: c, ctx: ctx, rest: append([]byte(nil), p...), last: last}
	if err := r.check(ctx, p); err != nil {
		return 0, nil, err
	}
	c.streamed = r
	if last {
		c.streamed = nil
	}
	return MessageType(c.op), r, nil
}

// A reader is a message that is read as a stream.
type reader struct {
	c    *Conn
	ctx  context.Context
	rest []byte
	last bool // rest is all that is left
	err  error
}

func (r *reader) check(ctx context.Context, p []byte) error {
	c := r.c
	if c.op == ws.OpText && (!c.text.write(p) || r.last && !c.text.end()) {
		return c.fail(ctx, StatusInvalidData, "invalid UTF-8")
	}
	return nil
}

// Read implements [io.Reader].
func (r *reader) Read(p []byte) (n int, err error) {
	for len(r.rest) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		if r.last {
			return 0, io.EOF
		}
		if err := r.next(); err != nil {
			return 0, err
		}
	}
	n = copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

var errSkipped = errors.New("websocket: message was skipped by a later Reader")

// next gets the next piece of the message.
func (r *reader) next() error {
	c := r.c
	if err := c.rd.acquire(r.ctx); err != nil {
		return err
	}
	defer c.rd.release()
	if c.streamed != r {
		r.err = errSkipped
		return r.err
	}
	p, last, err := c.step(r.ctx)
	if err != nil {
		return err
	}
	r.rest, r.last = append(r.rest[:0], p...), last
	if last {
		c.streamed = nil
	}
	return r.check(r.ctx, p)
}

// skip reads the rest of a message that was begun by Reader.
func (c *Conn) skip(ctx context.Context) error {
	for c.streamed != nil {
		_, last, err := c.step(ctx)
		if err != nil {
			return err
		}
		if last {
			c.streamed = nil
			c.text.end()
		}
	}
	return nil
}

// whole reads the next message. Borrowed: its data may lie in the buffer, and holds until more is read.
func (c *Conn) whole(ctx context.Context, borrowed bool) (Message, error) {
	if err := c.skip(ctx); err != nil {
		return Message{}, err
	}
	for {
		p, last, err := c.step(ctx)
		if err != nil {
			return Message{}, err
		}
		if !c.packed && c.op == ws.OpText && (!c.text.write(p) || last && !c.text.end()) {
			return Message{}, c.fail(ctx, StatusInvalidData, "invalid UTF-8")
		}
		if last && len(c.msg) == 0 && !c.packed {
			if !borrowed {
				p = append(make([]byte, 0, len(p)), p...)
			}
			return Message{MessageType(c.op), p}, nil
		}
		if c.msg == nil {
			c.msg = make([]byte, 0, len(p)+int(min(c.left, 64<<10)))
		}
		c.msg = append(c.msg, p...)
		switch {
		case !last:
		case c.packed:
			return c.unpack(ctx)
		default:
			m := Message{MessageType(c.op), c.msg}
			c.msg = nil
			return m, nil
		}
	}
}

// unpack decompresses the message in msg.
func (c *Conn) unpack(ctx context.Context) (Message, error) {
	p, err := c.deflate.decompress(c.msg, c.set.messageLimit)
	c.msg = nil
	switch {
	case errors.Is(err, errTooBig):
		return Message{}, c.fail(ctx, StatusTooBig, "message too big")
	case err != nil:
		return Message{}, c.fail(ctx, StatusInvalidData, "invalid compression")
	case c.op == ws.OpText && (!c.text.write(p) || !c.text.end()):
		return Message{}, c.fail(ctx, StatusInvalidData, "invalid UTF-8")
	}
	return Message{MessageType(c.op), p}, nil
}

// step returns the next piece of a message's data, as much as is here, which holds until more is read, and
// whether it is the last. It deals with control frames in between. What it has not done yet is in c, not on its stack: it
// goes on after any error that is not for good.
func (c *Conn) step(ctx context.Context) (p []byte, last bool, err error) {
	for {
		if c.left > 0 {
			if len(c.in) > 0 {
				return c.take()
			}
			c.drop()
			if err := c.fill(ctx); err != nil {
				return nil, false, err
			}
			continue
		}
		if err := c.fault(); err != nil {
			return nil, false, err
		}
		h, n, ok := parseHeader(c.in)
		if !ok || h.OpCode.IsControl() && h.Length <= ws.MaxControlFramePayloadSize && int64(len(c.in)-n) < h.Length {
			if len(c.in) >= 2 { // what is wrong can be told early
				if err := c.checkHeader(ctx, h, n, ok); err != nil {
					return nil, false, err
				}
			}
			c.drop()
			if err := c.fill(ctx); err != nil {
				return nil, false, err
			}
			continue
		}
		if err := c.checkHeader(ctx, h, n, true); err != nil {
			return nil, false, err
		}
		c.in = c.in[n:]
		if h.OpCode.IsControl() {
			p := c.in[:h.Length]
			c.in = c.in[h.Length:]
			if h.Masked {
				ws.Cipher(p, h.Mask, 0)
			}
			if err := c.control(ctx, h.OpCode, p); err != nil {
				return nil, false, err
			}
			continue
		}
		if h.OpCode != ws.OpContinuation {
			c.op, c.packed, c.total = h.OpCode, h.Rsv1(), 0
		}
		c.total += h.Length
		c.left, c.mask, c.phase, c.fin, c.within = h.Length, h.Mask, 0, h.Fin, !h.Fin
		if c.left == 0 {
			return nil, c.fin, nil
		}
	}
}

// take returns what is here of the present frame.
func (c *Conn) take() (p []byte, last bool, err error) {
	n := int(min(c.left, int64(len(c.in))))
	p = c.in[:n:n]
	c.in = c.in[n:]
	c.left -= int64(n)
	if !c.set.client {
		ws.Cipher(p, c.mask, int(c.phase))
		c.phase = (c.phase + uint8(n&3)) & 3
	}
	return p, c.left == 0 && c.fin, nil
}

// parseHeader parses the header of a frame, RFC 6455 section 5.2. If it is not whole, that is not ok, and h
// has its first byte.
func parseHeader(b []byte) (h ws.Header, n int, ok bool) {
	if len(b) < 2 {
		return h, 0, false
	}
	h.Fin, h.Rsv, h.OpCode, h.Masked = b[0]&0x80 != 0, b[0]&0x70>>4, ws.OpCode(b[0]&0xf), b[1]&0x80 != 0
	n = 2
	length := b[1] & 0x7f
	switch length {
	case 126:
		n += 2
	case 127:
		n += 8
	default:
		h.Length = int64(length)
	}
	if h.Masked {
		n += 4
	}
	if len(b) < n {
		return h, n, false
	}
	switch length {
	case 126:
		h.Length = int64(binary.BigEndian.Uint16(b[2:]))
	case 127:
		h.Length = int64(binary.BigEndian.Uint64(b[2:])) // negative: invalid
	}
	if h.Masked {
		copy(h.Mask[:], b[n-4:])
	}
	return h, n, true
}

// checkHeader fails c if h, of n bytes, may not come now.
func (c *Conn) checkHeader(ctx context.Context, h ws.Header, n int, whole bool) error {
	state := ws.StateServerSide
	if c.set.client {
		state = ws.StateClientSide
	}
	if c.within {
		state = state.Set(ws.StateFragmented)
	}
	rsv := h.Rsv
	if c.deflate != nil && (h.OpCode == ws.OpText || h.OpCode == ws.OpBinary) {
		h.Rsv &= 3 // the first bit is that of compression, RFC 7692 section 6
	}
	if err := ws.CheckHeader(h, state); err != nil {
		return c.fail(ctx, StatusProtocolError, err.Error())
	}
	h.Rsv = rsv
	switch {
	case !whole:
		return nil
	case h.Length < 0 || n > ws.HeaderSize(h):
		return c.fail(ctx, StatusProtocolError, "invalid length of a frame")
	case h.OpCode.IsControl():
		return nil
	case h.Length > c.set.frameLimit:
		return c.fail(ctx, StatusTooBig, "frame too big")
	case c.within && h.Length > c.set.messageLimit-c.total, h.Length > c.set.messageLimit:
		return c.fail(ctx, StatusTooBig, "message too big")
	}
	return nil
}

// control deals with a control frame.
func (c *Conn) control(ctx context.Context, op ws.OpCode, p []byte) error {
	switch op {
	case ws.OpPing:
		c.answer(p)
	case ws.OpPong:
		c.ponged(p)
	case ws.OpClose:
		return c.closed(ctx, p)
	}
	return nil
}

// closed deals with the peer's close, RFC 6455 section 5.5.1.
func (c *Conn) closed(ctx context.Context, p []byte) error {
	code, reason := StatusNone, ""
	var answer []byte
	if len(p) > 0 {
		status, text := ws.ParseCloseFrameData(p)
		if !validCode(StatusCode(status)) || !utf8.ValidString(text) {
			return c.fail(ctx, StatusProtocolError, "invalid close")
		}
		code, reason, answer = StatusCode(status), text, p[:2:2]
	}
	c.mu.Lock()
	if c.err == nil {
		e := &CloseError{Code: code, Reason: reason}
		if c.sentClose && c.closing != nil {
			e = c.closing
		}
		c.err = e
	}
	err := c.err
	c.mu.Unlock()
	c.sendClose(answer)
	if c.set.client {
		c.linger() // the server ends the connection, section 7.1.1
	}
	c.shut()
	return err
}

// validCode reports whether a close may have that code: RFC 6455 section 7.4, and those that were registered since.
func validCode(c StatusCode) bool {
	switch {
	case c >= 1000 && c <= 1003, c >= 1007 && c <= 1014, c >= 3000 && c <= 4999:
		return true
	}
	return false
}

// fail ends the connection because of a fault of the peer's.
func (c *Conn) fail(ctx context.Context, code StatusCode, reason string) error {
	c.mu.Lock()
	if c.err == nil {
		c.err = &CloseError{Code: code, Reason: reason, Local: true}
	}
	err := c.err
	c.mu.Unlock()
	if c.sendClose(ws.NewCloseFrameBody(ws.StatusCode(code), reason)) == nil {
		c.linger()
	}
	c.shut()
	return err
}

// linger waits for the peer to end the connection, for a while: if it were closed with bytes unread, the system would reset
// it, and the peer might lose what was sent last.
func (c *Conn) linger() {
	if w, ok := c.conn.(interface{ CloseWrite() error }); ok && !c.set.client {
		w.CloseWrite()
	}
	const most = 1 << 20
	c.conn.SetReadDeadline(time.Now().Add(min(c.set.closing, time.Second)))
	b := buffer(4 << 10)
	defer putBuffer(b)
	for got := 0; got < most; {
		n, err := c.conn.Read(*b)
		got += n
		if err != nil {
			return
		}
	}
}

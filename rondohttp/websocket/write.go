package websocket

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"time"

	"github.com/gobwas/ws"

	"github.com/rondo-go/rondo"
)

// Write sends a message, and parks until the system has taken it. Of several that write each waits for its turn.
//
// Errors: one that wraps [net.ErrClosed] when the connection is closed or being closed; the system's; the cause of ctx, or a
// [rondo.CanceledError]: if a part of the message is sent then, the connection is lost.
func (c *Conn) Write(ctx context.Context, t MessageType, data []byte) error {
	if err := c.message.acquire(ctx); err != nil {
		return err
	}
	defer c.message.release()
	d := c.deflate
	if d == nil || len(data) < max(d.threshold, 1) {
		return c.writeFrame(ctx, ws.OpCode(t), true, false, data)
	}
	b := buffer(len(data)/2 + 64)
	p, err := d.compress((*b)[:0], data)
	if err == nil {
		packed := d.sendContext || len(p) < len(data) // what has become context has to be sent as such
		if !packed {
			p = data
		}
		err = c.writeFrame(ctx, ws.OpCode(t), true, packed, p)
		if err != nil && d.sendContext {
			c.lose(err) // the peer's context would not be the same any more
		}
	}
	putBuffer(b)
	return err
}

// Writer returns a writer of a message of unknown length: each Write sends a frame, or more, and Close ends the message. Its
// methods park under ctx. Other messages wait until it is closed. It does not compress.
//
// Errors: those of [Conn.Write].
func (c *Conn) Writer(ctx context.Context, t MessageType) (io.WriteCloser, error) {
	if err := c.message.acquire(ctx); err != nil {
		return nil, err
	}
	return &writer{c: c, ctx: ctx, op: ws.OpCode(t)}, nil
}

type writer struct {
	c      *Conn
	ctx    context.Context
	op     ws.OpCode
	closed bool
}

func (w *writer) Write(p []byte) (int, error) {
	if w.closed {
		return 0, net.ErrClosed
	}
	if err := w.c.writeFrame(w.ctx, w.op, false, false, p); err != nil {
		return 0, err
	}
	w.op = ws.OpContinuation
	return len(p), nil
}

func (w *writer) Close() error {
	if w.closed {
		return net.ErrClosed
	}
	w.closed = true
	defer w.c.message.release()
	return w.c.writeFrame(w.ctx, w.op, true, false, nil)
}

var errClosed = fmt.Errorf("websocket: %w", net.ErrClosed)

// writeFrame writes one frame, when it is its turn.
func (c *Conn) writeFrame(ctx context.Context, op ws.OpCode, fin, packed bool, p []byte) error {
	if err := c.wr.acquire(ctx); err != nil {
		return err
	}
	defer c.endWrite()
	if err := c.writable(); err != nil {
		return err
	}
	return c.frame(ctx, op, fin, packed, p)
}

// endWrite gives wr back, when the pong that is due has been sent.
func (c *Conn) endWrite() {
	for {
		c.sendPong()
		c.wr.release()
		c.mu.Lock()
		due := c.pong != nil && !c.sentClose && !c.over
		c.mu.Unlock()
		if !due || !c.wr.tryAcquire() {
			return
		}
	}
}

// writable says why nothing can be written.
func (c *Conn) writable() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sentClose || c.over {
		if c.err != nil {
			return fmt.Errorf("%w: %w", errClosed, c.err)
		}
		return errClosed
	}
	return nil
}

// piece is how much of a frame is put together with its header, or masked, at a time.
const piece = 16 << 10

// frame writes one frame. It is for the holder of wr.
func (c *Conn) frame(ctx context.Context, op ws.OpCode, fin, packed bool, p []byte) error {
	b := buffer(min(len(p), piece) + ws.MaxHeaderSize)
	defer putBuffer(b)
	var mask [4]byte
	if c.set.client {
		binary.NativeEndian.PutUint32(mask[:], rand.Uint32())
	}
	out := appendHeader((*b)[:0], op, fin, packed, len(p), c.set.client, mask)
	sent := false
	for phase := 0; ; {
		n := min(len(p), cap(out)-len(out))
		if !c.set.client && len(out) == 0 {
			n = 0 // there is nothing to be put together any more
			out = p
			p = nil
		}
		at := len(out)
		if n > 0 {
			out = append(out, p[:n]...)
			p = p[n:]
			if c.set.client {
				ws.Cipher(out[at:], mask, phase)
				phase += n
			}
		}
		k, err := c.send(ctx, out)
		if sent = sent || k > 0; err != nil {
			if sent || !isInterruption(ctx, err) || c.raw == nil {
				return c.lose(fmt.Errorf("websocket: write: %w", err))
			}
			return err
		}
		if len(p) == 0 {
			return nil
		}
		out = (*b)[:0]
	}
}

// send writes p.
func (c *Conn) send(ctx context.Context, p []byte) (n int, err error) {
	if c.own(ctx) {
		return c.conn.Write(p)
	}
	err = c.under(ctx, c.conn.SetWriteDeadline, func() (err error) {
		n, err = c.conn.Write(p)
		return err
	})
	return n, err
}

// appendHeader renders the header of a frame.
func appendHeader(b []byte, op ws.OpCode, fin, packed bool, n int, masked bool, mask [4]byte) []byte {
	first, second := byte(op), byte(0)
	if fin {
		first |= 0x80
	}
	if packed {
		first |= 0x40
	}
	if masked {
		second = 0x80
	}
	switch {
	case n < 126:
		b = append(b, first, second|byte(n))
	case n < 1<<16:
		b = append(b, first, second|126, byte(n>>8), byte(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, first, second|127), uint64(n))
	}
	if masked {
		b = append(b, mask[:]...)
	}
	return b
}

// answer sends a pong, or leaves that to whoever is writing: only the last ping needs an answer (RFC 6455 section 5.5.3).
func (c *Conn) answer(p []byte) {
	payload := append([]byte(nil), p...)
	c.mu.Lock()
	c.pong = &payload
	c.mu.Unlock()
	if !c.wr.tryAcquire() {
		return
	}
	c.endWrite()
}

// sendPong sends the pong that is due. It is for the holder of wr.
func (c *Conn) sendPong() {
	for {
		c.mu.Lock()
		p := c.pong
		c.pong = nil
		dead := c.sentClose || c.over
		c.mu.Unlock()
		if p == nil || dead {
			return
		}
		if err := c.frame(context.Background(), ws.OpPong, true, false, *p); err != nil {
			return // reading meets it, too
		}
	}
}

// sendClose sends a close with that body, unless one was sent already. Whoever is writing is given a while to be done.
func (c *Conn) sendClose(body []byte) error {
	c.mu.Lock()
	if c.sentClose || c.over {
		c.mu.Unlock()
		return errClosed
	}
	c.sentClose = true
	c.mu.Unlock()
	c.conn.SetWriteDeadline(time.Now().Add(c.set.closing))
	if err := c.wr.acquire(context.Background()); err != nil {
		return err
	}
	defer c.wr.release()
	return c.frame(context.Background(), ws.OpClose, true, false, body)
}

// Close closes the connection by the protocol: it sends a close with code and reason, and parks until the peer has agreed,
// for at most CloseTimeout. What the peer sends meanwhile is skipped unless somebody reads it. Then, or when
// that fails, it closes the connection beneath. A reason is of at most 123 bytes. A connection that is closed or being closed returns an error
// that wraps [net.ErrClosed].
//
// Errors: those of [Conn.Write]; one that wraps [context.DeadlineExceeded] if the peer does not answer.
func (c *Conn) Close(ctx context.Context, code StatusCode, reason string) error {
	if len(reason) > ws.MaxControlFramePayloadSize-2 {
		return fmt.Errorf("websocket: close: reason of %d bytes is too long", len(reason))
	}
	c.mu.Lock()
	if c.closing == nil && !c.sentClose {
		c.closing = &CloseError{Code: code, Reason: reason, Local: true}
	}
	c.mu.Unlock()
	var body []byte
	if code != StatusNone {
		body = ws.NewCloseFrameBody(ws.StatusCode(code), reason)
	}
	if err := c.sendClose(body); err != nil {
		if errors.Is(err, net.ErrClosed) && c.fault() == nil {
			return err // another one is at it
		}
		c.shut()
		return err
	}
	err := c.forAtMost(ctx, c.set.closing, c.awaitClose)
	c.mu.Lock()
	if c.err == nil {
		c.err = c.closing
	}
	c.mu.Unlock()
	c.shut()
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("websocket: close: the peer does not answer: %w", err)
	}
	return err
}

// awaitClose waits until the peer has agreed to a close.
func (c *Conn) awaitClose(ctx context.Context) error {
	if h := c.handler; h != nil && h.atRest {
		over := rondo.NewFuture[struct{}]()
		c.atEnd(func(error) { over.Set(struct{}{}) })
		_, err := over.Await(ctx)
		return err
	}
	if err := c.rd.acquire(ctx); err != nil {
		return err
	}
	defer c.rd.release()
	for {
		_, _, err := c.step(ctx)
		switch {
		case err == nil:
		case isInterruption(ctx, err):
			return err
		default:
			return nil
		}
	}
}

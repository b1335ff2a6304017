package rondo

import (
	"net"

	"github.com/rondo-go/rondo/loop"
	"github.com/rondo-go/rondo/poll"
)

// An outbox holds what a Transport has not sent yet. It is there while something
// is, and kept small between.
type outbox struct {
	t         *Transport
	op        poll.Op
	step      loop.Handle // sends, at the end of the iteration
	tell      loop.Handle // tells a FlowProtocol
	buf       []byte
	sent      int // of buf
	scheduled bool
	waiting   bool // the system takes nothing now
	eof       bool // shut the writing side down when all is sent
	full      bool // above high, and not below low since
	toldFull  bool
	telling   bool
	high, low int
}

// The marks that a Transport begins with.
const (
	writeHigh = 64 << 10
	writeLow  = 16 << 10
)

func (t *Transport) outbox() *outbox {
	if t.out == nil {
		b := &outbox{t: t, high: writeHigh, low: writeLow}
		b.op.Owner = b
		b.step.Init(loop.Func(b.flush))
		b.tell.InitCallback(loop.Func(b.tellFlow))
		t.out = b
	}
	return t.out
}

// Write takes p, to be sent. Small writes of one iteration leave in one system
// call, at its end. What the system does not take is kept: a [FlowProtocol] is
// told when that is too much, and Buffered says how much it is.
//
// Errors: net.ErrClosed after Close, WriteEOF or the loss of the connection.
func (t *Transport) Write(p []byte) (int, error) {
	if t.closing || t.lost || t.out != nil && t.out.eof {
		return 0, t.conn.opError("write", net.ErrClosed)
	}
	n := len(p)
	b := t.outbox()
	if len(b.buf) == 0 && !b.waiting && len(p) >= writeLow {
		k, err, ok := t.conn.e.Write(&b.op, p) // too much to be copied without need
		switch {
		case !ok:
			b.wait()
		case err != nil:
			t.lose(t.conn.opError("write", err))
			return 0, t.err
		}
		p = p[k:]
	}
	if len(p) == 0 {
		return n, nil
	}
	b.buf = append(b.buf, p...)
	if !b.waiting && !b.scheduled {
		b.scheduled = true
		t.conn.loop.k.Schedule(&b.step)
	}
	b.level()
	return n, nil
}

// WriteEOF shuts the writing side down once all is sent.
func (t *Transport) WriteEOF() {
	b := t.outbox()
	if b.eof || t.lost {
		return
	}
	b.eof = true
	b.finish()
}

// Buffered returns how many bytes have not been sent yet.
func (t *Transport) Buffered() int {
	if t.out == nil {
		return 0
	}
	return len(t.out.buf) - t.out.sent
}

// SetWriteMarks sets above how many unsent bytes a [FlowProtocol] is told to pause,
// and at how few to resume. They begin as 64 KiB and 16 KiB.
func (t *Transport) SetWriteMarks(high, low int) {
	b := t.outbox()
	b.high, b.low = high, min(low, high)
	b.level()
}

func (b *outbox) wait() {
	if !b.waiting {
		b.waiting = true
		b.t.conn.loop.k.Inflight(1)
	}
}

// Ready implements [poll.Owner].
func (b *outbox) Ready(*poll.Op) {
	b.waiting = false
	b.t.conn.loop.k.Inflight(-1)
	if !b.scheduled {
		b.scheduled = true
		b.t.conn.loop.k.Schedule(&b.step)
	}
}

// flush sends what the system takes.
func (b *outbox) flush() {
	b.scheduled = false
	t := b.t
	for b.sent < len(b.buf) && !t.lost && !t.promoted {
		n, err, ok := t.conn.e.Write(&b.op, b.buf[b.sent:])
		if !ok {
			b.wait()
			break
		}
		if err != nil {
			t.lose(t.conn.opError("write", err))
			return
		}
		b.sent += n
	}
	if t.lost || t.promoted {
		return
	}
	if b.sent == len(b.buf) {
		b.sent = 0
		if cap(b.buf) > writeLow {
			b.buf = nil
		} else {
			b.buf = b.buf[:0]
		}
	}
	b.level()
	b.finish()
}

// finish does what waits for all to be sent.
func (b *outbox) finish() {
	if b.t.Buffered() > 0 || b.t.lost {
		return
	}
	switch {
	case b.t.closing:
		b.t.lose(nil)
	case b.eof:
		b.t.conn.e.CloseWrite()
	}
}

// level compares what is left with the marks.
func (b *outbox) level() {
	n := b.t.Buffered()
	if n > b.high {
		b.full = true
	} else if n <= b.low {
		b.full = false
	}
	if b.full != b.toldFull && !b.telling {
		if _, ok := b.t.protocol.(FlowProtocol); ok {
			b.telling = true
			b.t.conn.loop.k.Schedule(&b.tell)
		}
	}
}

func (b *outbox) tellFlow() {
	b.telling = false
	p, ok := b.t.protocol.(FlowProtocol)
	if !ok || b.t.lost || b.t.promoted || b.full == b.toldFull {
		return
	}
	b.toldFull = b.full
	b.t.guarded(func() {
		if b.toldFull {
			p.PauseWriting()
		} else {
			p.ResumeWriting()
		}
	})
}

// drop forgets everything.
func (b *outbox) drop() {
	if b.waiting {
		b.waiting = false
		b.t.conn.loop.k.Inflight(-1)
		b.t.conn.e.Cancel(&b.op)
	}
	b.buf, b.sent = nil, 0
}

// take returns what is not sent, and forgets it.
func (b *outbox) take() []byte {
	left := b.buf[b.sent:]
	b.drop()
	return left
}

package rondo

import (
	"context"
	"io"
	"net"
	"slices"

	"github.com/rondo-go/rondo/loop"
)

// A Transport is the connection of a [Protocol]. It is for the loop's thread, and
// none of its methods parks.
type Transport struct {
	conn     *Conn
	protocol Protocol
	step     loop.Handle // tells the protocol something
	out      *outbox     // what waits to be sent; nil if nothing ever did
	err      error       // for Lost

	connected bool // Connected was called
	scheduled bool // step is in the ready queue
	reading   bool // a read is in flight
	paused    bool // PauseReading was called
	ended     bool // the peer sends no more
	closing   bool // nothing more is taken in either direction
	lost      bool // the connection is closed; Lost is to be called, or was
	told      bool // Lost was called
	promoted  bool // a task has it
}

// transportTurn is how often a transport reads before others have their turn.
const transportTurn = 16

// Conn returns the connection, for its addresses and options.
func (t *Transport) Conn() *Conn { return t.conn }

// Closing says whether the connection is closed, or will be when all is sent.
func (t *Transport) Closing() bool { return t.closing || t.lost }

// receive gives the protocol what is there.
func (t *Transport) receive() {
	for range transportTurn {
		if t.paused || t.closing || t.ended || t.lost || t.promoted {
			return
		}
		err, ok := t.receiveOnce()
		switch {
		case !ok:
			t.reading = true
			t.conn.loop.k.Inflight(1)
			return
		case err == io.EOF:
			t.ended = true
			if !t.protocol.Ended() {
				t.Close()
			}
			return
		case err != nil:
			t.lose(t.conn.opError("read", err))
			return
		}
	}
	t.schedule()
}

func (t *Transport) receiveOnce() (err error, ok bool) {
	c := t.conn
	if b, is := t.protocol.(BufferedProtocol); is {
		n, err, ok := c.e.Read(&c.rest.op, b.Buffer())
		if ok && err == nil {
			b.Filled(n)
		}
		return err, ok
	}
	p, err, ok := c.e.Borrow(&c.rest.op)
	if ok && err == nil {
		c.loop.lent = p
		t.protocol.Received(p)
	}
	return err, ok
}

// stopReading withdraws the read in flight.
func (t *Transport) stopReading() {
	if t.reading {
		t.reading = false
		t.conn.loop.k.Inflight(-1)
		t.conn.e.Cancel(&t.conn.rest.op)
	}
}

// PauseReading has the protocol receive nothing until ResumeReading: what comes
// stays with the system, which makes the peer wait in the end.
func (t *Transport) PauseReading() {
	t.paused = true
	t.stopReading()
}

// ResumeReading is described at PauseReading.
func (t *Transport) ResumeReading() {
	if t.paused {
		t.paused = false
		t.schedule()
	}
}

// Close closes the connection once all is sent. The protocol receives nothing any
// more but Lost.
func (t *Transport) Close() {
	if t.closing || t.lost {
		return
	}
	t.closing = true
	t.stopReading()
	if t.Buffered() == 0 {
		t.lose(nil)
	}
}

// Abort closes the connection at once: what is not sent is lost, and the peer sees
// a reset.
func (t *Transport) Abort() {
	if t.lost {
		return
	}
	if t.Buffered() > 0 {
		t.conn.SetLinger(0)
	}
	t.lose(nil)
}

// lose closes the connection. The protocol is told in the next iteration.
func (t *Transport) lose(err error) {
	if t.lost {
		return
	}
	t.lost, t.closing, t.err = true, true, err
	t.stopReading()
	if t.out != nil {
		t.out.drop()
	}
	t.conn.rest.transport = nil
	t.conn.closeNow()
	t.schedule()
}

// tellLost makes the last call.
func (t *Transport) tellLost() {
	if t.told {
		return
	}
	t.told = true
	if v := t.conn.rest.service; v != nil {
		v.left()
	}
	t.protocol.Lost(t.err)
}

// closedBelow is told that somebody has closed the connection.
func (t *Transport) closedBelow() { t.lose(net.ErrClosed) }

// Promote ends the protocol, and has a task serve the connection with h: the way
// from callbacks to straight-line code. Unread are bytes that the protocol has
// received and not used; h gets a copy. None of the protocol's methods is called
// any more, not even Lost. The connection is closed when h returns.
//
// What was written and not sent yet is sent first: h begins after it.
func (t *Transport) Promote(unread []byte, h func(ctx context.Context, c *Conn, unread []byte) error) {
	if t.lost || t.promoted {
		return
	}
	t.promoted, t.told = true, true
	t.stopReading()
	unread = slices.Clone(unread)
	serve := func(ctx context.Context, c *Conn) error {
		if err := t.drain(c); err != nil {
			return err
		}
		return h(ctx, c, unread)
	}
	c := t.conn
	c.rest.transport = nil
	if v := c.rest.service; v != nil {
		c.rest.next = serve
		v.start(c)
		return
	}
	x := spawnCore(c.loop.ctx, c.loop.k, func(ctx context.Context) error {
		defer c.Close()
		return serve(ctx, c)
	}, nil, nil)
	x.start(nil)
}

// drain sends what is left, for the task that has taken over.
func (t *Transport) drain(c *Conn) error {
	if t.out == nil {
		return nil
	}
	left := t.out.take()
	if len(left) == 0 {
		return nil
	}
	_, err := c.Write(left)
	return err
}

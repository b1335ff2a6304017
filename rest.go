package rondo

import (
	"errors"
	"net"

	"github.com/rondo-go/rondo/loop"
	"github.com/rondo-go/rondo/poll"
)

// A rest is the part of a Conn that serves while no task does.
type rest struct {
	op      poll.Op
	on      bool
	service *service // which accepted the connection, or nil
	next    Handler
	since   loop.Time

	transport *Transport // whose protocol is told instead of a handler, or nil

	open         bool  // it rests by RestOpen
	newer, older *Conn // among those of the service that rest
}

// ErrResting is the error of a read from a connection at rest: what comes is its
// server's.
var ErrResting = errors.New("rondo: connection rests with its server")

var errRest = errors.New("rondo: handler returned its connection to rest, but it was not called by a server")

// Rest is for handlers of a [Server]: returned as a handler's error, it gives the
// connection back to the server until more bytes arrive (or the peer closes it),
// and then next is called; nil: the server's own handler. Meanwhile the
// connection holds no task, no stack and no buffer:
//
//	func echo(ctx context.Context, c *rondo.Conn) error {
//		p, err := c.Borrow()
//		if err != nil {
//			return err
//		}
//		if _, err = c.Write(p); err != nil {
//			return err
//		}
//		return c.Rest(nil)
//	}
//
// Bytes that a handler has read and not used, in a buffer of its own, do not
// count as arriving. A server with [WithIdleTimeout] closes what rests too long.
func (c *Conn) Rest(next Handler) error {
	c.rest.next, c.rest.open = next, false
	return errRest
}

// RestOpen is [Conn.Rest] for a protocol that ends its connections itself, with a farewell: neither
// the idle timeout nor [Server.Close] closes what rests so, and [Server.Shutdown] waits for it. If it is closed
// all the same, by [Conn.Close] or [Server.AbortClients], next is called too, and its reads fail.
func (c *Conn) RestOpen(next Handler) error {
	c.rest.next, c.rest.open = next, true
	return errRest
}

// A resting is a Conn as the owner of its operation at rest.
type resting Conn

// Ready implements [poll.Owner].
func (r *resting) Ready(*poll.Op) {
	c := (*Conn)(r)
	c.endRest()
	c.rest.service.start(c)
}

// beginRest leaves c without a task, until it is readable. It returns false if it
// is already.
func (c *Conn) beginRest() bool {
	c.dropSides()
	c.rest.op.Owner = (*resting)(c)
	if c.e.Readable(&c.rest.op) {
		return false
	}
	c.rest.on = true
	c.loop.k.Inflight(1)
	c.rest.list().push(c)
	return true
}

// list returns the list of those that rest in the same way.
func (r *rest) list() *restList {
	if r.open {
		return &r.service.open
	}
	return &r.service.resting
}

func (c *Conn) endRest() {
	c.rest.on = false
	c.loop.k.Inflight(-1)
	c.rest.list().remove(c)
}

// wake is for the closing of c: if it rests, it leaves its server, and its protocol
// is told.
func (c *Conn) wake() {
	if c.rest.on {
		c.endRest()
		if c.rest.open {
			c.rest.service.start(c)
		} else {
			c.rest.service.left()
		}
	}
	if c.rest.transport != nil {
		c.rest.transport.closedBelow()
	}
}

// A restList holds the connections of a service that rest, in the order in which
// they came to.
type restList struct{ oldest, newest *Conn }

func (q *restList) push(c *Conn) {
	c.rest.older, c.rest.newer = q.newest, nil
	if q.newest != nil {
		q.newest.rest.newer = c
	} else {
		q.oldest = c
	}
	q.newest = c
}

func (q *restList) remove(c *Conn) {
	older, newer := c.rest.older, c.rest.newer
	if older != nil {
		older.rest.newer = newer
	} else {
		q.oldest = newer
	}
	if newer != nil {
		newer.rest.older = older
	} else {
		q.newest = older
	}
	c.rest.older, c.rest.newer = nil, nil
}

// isEnd says whether err is an ordinary end of a connection.
func isEnd(err error) bool {
	return isClosed(err) || isPeerGone(err)
}

var _ net.Conn = (*Conn)(nil)

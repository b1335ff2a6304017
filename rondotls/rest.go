package rondotls

import (
	"context"
	"crypto/tls"
	"errors"
	"io"

	"github.com/rondo-go/rondo"
)

// A Handler serves one connection, as [rondo.Handler] does.
type Handler func(ctx context.Context, c *Conn) error

// Handle makes a [rondo.Handler] of h, for a [rondo.Server]: it does the
// handshake, has h serve the connection, and closes it with the close_notify alert.
//
//	server := rondo.NewServer(rondotls.Handle(cfg, h), rondo.WithLazyStart())
//
// Its errors are those of [Server] and of h.
func Handle(cfg *tls.Config, h Handler, opts ...ConnOption) rondo.Handler {
	return func(ctx context.Context, raw *rondo.Conn) error {
		c, err := Server(ctx, raw, cfg, opts...)
		if err != nil {
			return err
		}
		c.next, c.resume = h, c.serve
		return c.serve(ctx, raw)
	}
}

var errRest = errors.New("rondotls: handler returned its connection to rest, but it was not called by Handle")

// Rest is [rondo.Conn.Rest] for a handler given to [Handle]: returned as its error,
// it gives the connection back to the server until more bytes arrive, and then
// next is called; nil: the same handler again. If bytes have arrived that were not
// read yet, that is at once. What rests holds no task and no stack, and is closed
// by its server without close_notify.
func (c *Conn) Rest(next Handler) error {
	if next != nil {
		c.next = next
	}
	c.open = false
	return errRest
}

// RestOpen is [Conn.Rest] by [rondo.Conn.RestOpen].
func (c *Conn) RestOpen(next Handler) error {
	err := c.Rest(next)
	c.open = true
	return err
}

// serve has the handler serve c, until it ends or returns it to rest.
func (c *Conn) serve(ctx context.Context, raw *rondo.Conn) error {
	for {
		err := c.next(ctx, c)
		if err != errRest {
			if cerr := c.end(); err == nil {
				err = cerr
			}
			return err
		}
		if c.buffered() {
			continue
		}
		if err := c.flush(); err != nil { // the answer to a key update, say
			return err
		}
		if c.open {
			return raw.RestOpen(c.resume)
		}
		return raw.Rest(c.resume)
	}
}

// end closes c, if the handler has not.
func (c *Conn) end() error {
	if c.closed.Load() {
		return nil
	}
	return c.Close()
}

// errProbe is what the wire returns for a read that would have to wait, to a probe.
var errProbe = interruption{errors.New("rondotls: probe")}

// buffered says whether a Read would return at once without anything arriving:
// whether bytes, or the end, are in crypto/tls already. It reads one byte to find
// out, which the next Read gets first.
func (c *Conn) buffered() bool {
	if !c.rd.tryEnter() {
		return false // a reader is at it
	}
	defer c.rd.leave()
	if c.peeked {
		return true
	}
	n, err := c.probe(c.peek[:])
	c.peeked = n > 0
	return n > 0 || err != nil && interrupted(err) != errProbe.error
}

// probe is a Read that does not wait. It is for the holder of rd.
func (c *Conn) probe(p []byte) (int, error) {
	c.wire.probing = true
	n, err := c.tls.Read(p)
	c.wire.probing = false
	return n, err
}

// readPeeked is Read when there is a byte from buffered.
func (c *Conn) readPeeked(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	p[0], c.peeked = c.peek[0], false
	n, err := c.probe(p[1:])
	if err != io.EOF {
		err = nil // it comes again
	}
	return 1 + n, err
}

package rondo

import (
	"errors"
	"net"
	"time"

	"github.com/rondo-go/rondo/loop"
)

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error {
	return c.setDeadline(t, net.Conn.SetReadDeadline, func(x *offSide) { x.rdl = t }, (*Conn).reading)
}

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.setDeadline(t, net.Conn.SetWriteDeadline, func(x *offSide) { x.wdl = t }, (*Conn).writing)
}

// setDeadline sets one deadline on the loop and, if the connection is used there,
// off it.
func (c *Conn) setDeadline(t time.Time, off func(net.Conn, time.Time) error, keep func(*offSide), side func(*Conn) *side) error {
	if c.closed.Load() {
		return c.opError("set", net.ErrClosed)
	}
	c.mu.Lock()
	x := c.extra()
	keep(x)
	conn := x.conn
	c.mu.Unlock()
	if c.loop.k.OnLoop() {
		side(c).setDeadline(t)
	} else {
		h := new(loop.Handle)
		h.Init(loop.Func(func() {
			if !c.closed.Load() {
				side(c).setDeadline(t)
			}
		}))
		c.loop.k.Post(h)
	}
	if conn != nil {
		return off(conn, t)
	}
	return nil
}

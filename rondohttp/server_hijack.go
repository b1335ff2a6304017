package rondohttp

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/rondo-go/rondo"
)

// A hijackedConn is a connection that a handler has taken over.
type hijackedConn struct {
	net.Conn
	gone *rondo.Future[struct{}]
	over atomic.Bool
}

// Close closes the connection, and lets the server forget it.
func (c *hijackedConn) Close() error {
	err := c.Conn.Close()
	if !c.over.Swap(true) {
		c.gone.Set(struct{}{})
	}
	return err
}

// CloseWrite ends the connection in one direction.
func (c *hijackedConn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return http.ErrNotSupported
}

// NetConn returns the connection of the loop, or of TLS on it, that c is.
func (c *hijackedConn) NetConn() net.Conn { return c.Conn }

// hijack hands the connection over, with what has been read of it.
func (v *visit) hijack() (*hijackedConn, []byte, error) {
	if v.foreign || v.stream != nil {
		return nil, nil, http.ErrNotSupported
	}
	if err := v.flush(); err != nil {
		return nil, nil, err
	}
	v.stopWatch()
	v.taken, v.lost = true, true
	v.conn.SetDeadline(time.Time{})
	c := &hijackedConn{Conn: v.conn, gone: rondo.NewFuture[struct{}]()}
	v.hijacked = c
	return c, v.in[v.r:v.w:v.w], nil
}

// outlive waits until the connection that a handler has taken is closed, which may be long after the handler has returned.
func (v *visit) outlive(ctx context.Context) {
	defer v.hijacked.Conn.Close()
	v.hijacked.gone.Await(ctx)
}

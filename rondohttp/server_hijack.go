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
	if err := v.take(); err != nil {
		return nil, nil, err
	}
	v.conn.SetDeadline(time.Time{})
	c := &hijackedConn{Conn: v.conn, gone: rondo.NewFuture[struct{}]()}
	v.hijacked = c
	return c, v.in[v.r:v.w:v.w], nil
}

// take ends what the server does with the connection. That is for the loop's thread.
func (v *visit) take() error {
	if k := v.shard.kernel; !k.OnLoop() {
		l, _ := k.Data.(*rondo.Loop)
		x, err := rondo.SpawnThreadsafe(context.Background(), l, func(context.Context) (struct{}, error) { return struct{}{}, v.take() })
		if err == nil {
			_, err = x.Await(context.Background())
		}
		return err
	}
	v.taken, v.lost = true, true
	v.stopWatch()
	return nil
}

// outlive waits until the connection that a handler has taken is closed, which may be long after the handler has returned.
func (v *visit) outlive(ctx context.Context) {
	defer v.hijacked.Conn.Close()
	if ctx.Err() != nil {
		return // the handler knows already, and may have left without a Close
	}
	v.hijacked.gone.Await(ctx)
}

package rondohttp

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/loop"
)

// A hijackedConn is a connection that a handler has taken over.
type hijackedConn struct {
	net.Conn
	x    *serverConn
	gone *rondo.Future[struct{}]
	over atomic.Bool
}

// Close closes the connection, and lets the server forget it.
func (c *hijackedConn) Close() error {
	err := c.Conn.Close()
	if !c.over.Swap(true) {
		c.gone.Set(struct{}{})
		c.onLoop(func() { delete(c.x.shard.leaving, c) })
	}
	return err
}

// onLoop calls f on the loop's thread: at once if this is it.
func (c *hijackedConn) onLoop(f func()) {
	if c.x.shard.kernel.OnLoop() {
		f()
		return
	}
	h := new(loop.Handle)
	h.Init(loop.Func(f))
	c.x.shard.kernel.Post(h)
}

// OnShutdown has f called on the loop's thread, as a callback, when the server is shut down, unless c is closed
// before. It is for protocols that take leave of their peers.
func (c *hijackedConn) OnShutdown(f func()) {
	c.onLoop(func() {
		switch {
		case c.over.Load():
		case c.x.shard.server.closing.Load():
			f()
		default:
			if c.x.shard.leaving == nil {
				c.x.shard.leaving = make(map[*hijackedConn]func())
			}
			c.x.shard.leaving[c] = f
		}
	})
}

// Rest hands c over to serve, which is called when the handler of the request has returned, and returns whether c is to
// rest, by [rondo.Conn.RestOpen]: then it is called again when bytes have arrived, or c is closed. It is for the task
// of that handler; elsewhere it returns false.
func (c *hijackedConn) Rest(serve func(ctx context.Context) (rest bool, err error)) bool {
	if !c.x.shard.kernel.OnLoop() {
		return false
	}
	c.x.taken = serve
	return true
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
	c := &hijackedConn{Conn: v.conn, x: v.x, gone: rondo.NewFuture[struct{}]()}
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

// outlive waits until the connection that a handler has taken is closed, which may be long after the handler has returned, unless it
// is to be served by another now.
func (v *visit) outlive(ctx context.Context) {
	if v.x.taken != nil {
		return
	}
	defer v.hijacked.Conn.Close()
	if ctx.Err() != nil {
		return // the handler knows already, and may have left without a Close
	}
	v.hijacked.gone.Await(ctx)
}

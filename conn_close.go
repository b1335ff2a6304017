package rondo

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/rondo-go/rondo/loop"
	"github.com/rondo-go/rondo/poll"
)

// Close closes the connection. Calls in progress end with net.ErrClosed.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return c.opError("close", net.ErrClosed)
	}
	if c.loop.k.OnLoop() {
		c.closeNow()
		return nil
	}
	c.mu.Lock()
	if !c.gone {
		c.detach() // even if only the loop has used it
	}
	var off net.Conn
	if c.off != nil {
		off = c.off.conn
	}
	c.mu.Unlock()
	// The peer is to see the end now, whatever the loop is busy with.
	if w, ok := off.(closeReader); ok {
		w.CloseWrite()
	}
	if off != nil {
		off.Close()
	}
	h := new(loop.Handle)
	h.Init(loop.Func(c.closeNow))
	if c.loop.k.Post(h) != nil {
		c.closeEndpoint() // the loop is over, and nobody else will
	}
	return nil
}

// closeNow closes the endpoint, on the loop.
func (c *Conn) closeNow() {
	c.closed.Store(true)
	if !c.closeEndpoint() {
		return
	}
	c.loop.delist(c)
	if c.sides != nil {
		c.sides.rd.fail(net.ErrClosed)
		c.sides.wr.fail(net.ErrClosed)
	}
	c.wake()
}

// closeEndpoint closes both descriptors. It returns false if it was done before.
func (c *Conn) closeEndpoint() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return false
	}
	c.gone = true
	c.e.LocalAddr() // they can be asked for after the end
	c.e.RemoteAddr()
	c.e.Close()
	if c.off != nil && c.off.conn != nil {
		c.off.conn.Close()
	}
	return true
}

func (c *Conn) closeWithLoop() { c.closeNow() }

func (c *Conn) isClosed() bool { return c.closed.Load() }

// String names the connection, for humans.
func (c *Conn) String() string {
	return fmt.Sprintf("connection %v -> %v", c.LocalAddr(), c.RemoteAddr())
}

// CloseRead and CloseWrite shut one side down.
func (c *Conn) CloseRead() error { return c.shut(poll.Endpoint.CloseRead, closeReader.CloseRead) }

// CloseWrite is described at CloseRead.
func (c *Conn) CloseWrite() error { return c.shut(poll.Endpoint.CloseWrite, closeReader.CloseWrite) }

type closeReader interface {
	CloseRead() error
	CloseWrite() error
}

func (c *Conn) shut(on func(poll.Endpoint) error, off func(closeReader) error) error {
	if c.loop.k.OnLoop() && !c.closed.Load() {
		c.mu.Lock()
		err := on(c.e)
		c.mu.Unlock()
		if f := c.detachedFile(); f != nil && err == nil {
			err = off(f)
		}
		return c.opError("shutdown", err)
	}
	d, err := c.detached()
	if err != nil {
		return c.opError("shutdown", err)
	}
	if d, ok := d.(closeReader); ok {
		if c.detachedFile() != nil {
			h := new(loop.Handle)
			h.Init(loop.Func(func() {
				c.mu.Lock()
				defer c.mu.Unlock()
				on(c.e)
			}))
			c.loop.k.Post(h)
		}
		return off(d)
	}
	return c.opError("shutdown", errors.ErrUnsupported)
}

// detachedFile returns what serves goroutines if that is a pipe's or another file's
// duplicate. Unlike a socket, it is not shut down together with the endpoint.
func (c *Conn) detachedFile() closeReader {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.off == nil {
		return nil
	}
	f, ok := c.off.conn.(*poll.FileConn)
	if !ok {
		return nil
	}
	return f
}

// isClosed says whether err tells that the descriptor was closed under a call.
func isClosed(err error) bool { return errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrClosed) }

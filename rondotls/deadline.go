package rondotls

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// The deadlines of a connection are those of the connection below, except during
// the handshake, which has a limit of its own.
type deadlines struct {
	wdl atomic.Int64 // the write deadline in Unix nanoseconds; 0: none

	mu          sync.Mutex // guards what follows; never held across a park
	read, write time.Time  // as set
	shaking     bool       // the handshake is under way
	limit       time.Time  // of the handshake
}

var past = time.Unix(1, 0)

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read = t
	return c.wire.raw.SetReadDeadline(sooner(t, c.limit))
}

// SetWriteDeadline implements net.Conn. A Write whose deadline has passed can be
// followed by others, once there is a new deadline.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.write = t
	at := int64(0)
	if !t.IsZero() {
		at = max(t.UnixNano(), 1)
	}
	c.wdl.Store(at)
	if c.closed.Load() {
		return nil // Close has set its own
	}
	return c.wire.raw.SetWriteDeadline(sooner(t, c.limit))
}

// sooner returns the sooner of two deadlines, either of which may be none.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// startLimit sets the limit of the handshake.
func (c *Conn) startLimit() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shaking = true
	if c.hsTimeout > 0 {
		c.limit = time.Now().Add(c.hsTimeout)
		c.apply()
	}
}

// endHandshake makes a handshake that is under way fail. Any goroutine may call it.
func (c *Conn) endHandshake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shaking {
		c.limit = past
		c.apply()
	}
}

// stopLimit takes the limit back. It says whether it was sooner than the deadlines.
func (c *Conn) stopLimit() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shaking = false
	if c.limit.IsZero() {
		return false
	}
	was := c.limit
	c.limit = time.Time{}
	c.apply()
	return sooner(sooner(c.read, c.write), was).Equal(was)
}

func (c *Conn) apply() {
	c.wire.raw.SetReadDeadline(sooner(c.read, c.limit))
	c.wire.raw.SetWriteDeadline(sooner(c.write, c.limit))
}

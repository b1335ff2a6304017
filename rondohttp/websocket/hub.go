package websocket

import (
	"context"
	"slices"
	"sync"

	"github.com/gobwas/ws"
)

// A SlowPolicy says what a [Hub] does for a member whose queue is full.
type SlowPolicy uint8

// The policies.
const (
	DropOldest SlowPolicy = iota // it misses the oldest of what waits for it
	DropNewest                   // it misses the new message
	CloseSlow                    // it is closed, with StatusTryAgainLater
)

// A Hub sends messages to many connections. Each has a queue of its own: one that is slow makes neither the sender
// nor the others wait, and costs no more than its queue. A Hub may be used from anywhere, and have members
// of several loops.
type Hub struct {
	queue  int
	policy SlowPolicy

	mu      sync.Mutex
	members map[*Conn]*member
}

// NewHub returns a hub whose members have queues of so many messages, at least one.
func NewHub(queue int, policy SlowPolicy) *Hub {
	return &Hub{queue: max(queue, 1), policy: policy, members: make(map[*Conn]*member)}
}

// A member is a connection of a hub.
type member struct {
	hub     *Hub
	conn    *Conn
	queue   []*broadcast // guarded by hub.mu, as all here
	dropped int
	busy    bool // somebody is writing what is in queue
	gone    bool
}

// A broadcast is a message to many: its frame is the same for all who get it from a server, uncompressed.
type broadcast struct {
	op    ws.OpCode
	data  []byte
	frame []byte
}

// Add makes c a member, until it is closed or removed.
func (h *Hub) Add(c *Conn) {
	h.mu.Lock()
	_, there := h.members[c]
	if !there {
		h.members[c] = &member{hub: h, conn: c}
	}
	h.mu.Unlock()
	if !there {
		c.atEnd(func(error) { h.Remove(c) })
	}
}

// Remove makes c a member no more: what waits for it is dropped.
func (h *Hub) Remove(c *Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if m := h.members[c]; m != nil {
		m.queue, m.gone = nil, true
		delete(h.members, c)
	}
}

// Len returns the number of members.
func (h *Hub) Len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.members)
}

// Dropped returns how many messages c has missed.
func (h *Hub) Dropped(c *Conn) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if m := h.members[c]; m != nil {
		return m.dropped
	}
	return 0
}

// Broadcast sends a message to all members. It does not park, and copies data.
func (h *Hub) Broadcast(t MessageType, data []byte) {
	b := &broadcast{op: ws.OpCode(t)}
	b.frame = appendHeader(make([]byte, 0, len(data)+ws.MaxHeaderSize), b.op, true, false, len(data), false, [4]byte{})
	b.frame = append(b.frame, data...)
	b.data = b.frame[len(b.frame)-len(data):]
	var start, slow []*member
	h.mu.Lock()
	for _, m := range h.members {
		if len(m.queue) >= h.queue {
			m.dropped++
			switch h.policy {
			case DropOldest:
				m.queue = slices.Delete(m.queue, 0, 1)
			case DropNewest:
				continue
			case CloseSlow:
				slow = append(slow, m)
				continue
			}
		}
		m.queue = append(m.queue, b)
		if !m.busy {
			m.busy = true
			start = append(start, m)
		}
	}
	h.mu.Unlock()
	for _, m := range start {
		m.conn.spawn(m.flush)
	}
	for _, m := range slow {
		h.Remove(m.conn)
		m.conn.spawn(func(ctx context.Context) { m.conn.Close(ctx, StatusTryAgainLater, "too slow") })
	}
}

// flush writes what is in the queue.
func (m *member) flush(ctx context.Context) {
	for {
		m.hub.mu.Lock()
		if len(m.queue) == 0 {
			m.busy = false
			m.hub.mu.Unlock()
			return
		}
		b := m.queue[0]
		m.queue = slices.Delete(m.queue, 0, 1)
		m.hub.mu.Unlock()
		if m.conn.writeBroadcast(ctx, b) != nil {
			m.hub.Remove(m.conn)
			return
		}
	}
}

// writeBroadcast is Write for a message of a hub's.
func (c *Conn) writeBroadcast(ctx context.Context, b *broadcast) error {
	if c.set.client || c.deflate != nil && len(b.data) >= c.deflate.threshold {
		return c.Write(ctx, MessageType(b.op), b.data)
	}
	if err := c.message.acquire(ctx); err != nil {
		return err
	}
	defer c.message.release()
	if err := c.wr.acquire(ctx); err != nil {
		return err
	}
	defer c.endWrite()
	if err := c.writable(); err != nil {
		return err
	}
	n, err := c.send(ctx, b.frame)
	if err != nil && (n > 0 || c.raw == nil || !isInterruption(ctx, err)) {
		err = c.lose(err)
	}
	return err
}

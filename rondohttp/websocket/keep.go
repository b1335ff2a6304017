package websocket

import (
	"context"
	"encoding/binary"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/loop"
)

// Ping sends a ping and parks until its pong is here, which takes somebody who reads, or a connection at rest.
//
// Errors: those of [Conn.Write]; why the connection ended; the cause of ctx.
func (c *Conn) Ping(ctx context.Context) error {
	answered := rondo.NewFuture[struct{}]()
	c.mu.Lock()
	if err := c.err; err != nil {
		c.mu.Unlock()
		return err
	}
	c.lastPing++
	id := c.lastPing
	if c.pings == nil {
		c.pings = make(map[uint64]*rondo.Future[struct{}])
	}
	c.pings[id] = answered
	c.mu.Unlock()
	err := c.writeFrame(ctx, ws.OpPing, true, false, binary.BigEndian.AppendUint64(nil, id))
	if err == nil {
		_, err = answered.Await(ctx)
	}
	c.mu.Lock()
	delete(c.pings, id)
	c.mu.Unlock()
	return err
}

// ponged deals with a pong: it answers all pings up to its own.
func (c *Conn) ponged(p []byte) {
	if len(p) != 8 {
		return
	}
	last := binary.BigEndian.Uint64(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, f := range c.pings {
		if id <= last {
			delete(c.pings, id)
			f.Set(struct{}{})
		}
	}
}

// A keeping is what a connection has for being kept alive. It is for the loop's thread.
type keeping struct {
	prev, next *Conn
	heard      loop.Time // of the peer, or when somebody began to listen
	listening  bool
	pinged     bool
	kept       bool
}

// A keeper looks after the connections of one loop, by one timer.
type keeper struct {
	loop  *rondo.Loop
	first *Conn
	every time.Duration
	timer *rondo.TimerHandle
}

var keepers sync.Map // *rondo.Loop to *keeper

// watch begins to look after c.
func (c *Conn) watch() {
	if c.loop == nil || c.set.ping < 0 {
		return
	}
	v, ok := keepers.Load(c.loop)
	if !ok {
		v, _ = keepers.LoadOrStore(c.loop, &keeper{loop: c.loop})
	}
	k := v.(*keeper)
	c.keep.kept, c.keep.next = true, k.first
	if k.first != nil {
		k.first.keep.prev = c
	}
	k.first = c
	every := max(min(c.set.ping, c.set.pong)/4, time.Millisecond)
	if k.timer == nil || every < k.every {
		if k.timer != nil {
			k.timer.Cancel()
		}
		k.every = every
		k.timer = k.loop.CallLater(k.every, k.look)
	}
}

// unwatch ends what watch began.
func (c *Conn) unwatch() {
	if c.loop == nil {
		return
	}
	end := func() {
		if !c.keep.kept {
			return
		}
		c.keep.kept = false
		v, ok := keepers.Load(c.loop)
		if !ok {
			return
		}
		k := v.(*keeper)
		prev, next := c.keep.prev, c.keep.next
		if prev != nil {
			prev.keep.next = next
		} else {
			k.first = next
		}
		if next != nil {
			next.keep.prev = prev
		}
		if k.first == nil {
			k.timer.Cancel()
			keepers.Delete(c.loop)
		}
	}
	if rondo.RunningLoop() == c.loop {
		end()
	} else if c.loop.CallSoonThreadsafe(end) != nil {
		keepers.Delete(c.loop) // it is over
	}
}

// look sends the pings that are due, and gives up who has not answered.
func (k *keeper) look() {
	now := k.loop.Kernel().Now()
	for c := k.first; c != nil; {
		next := c.keep.next
		if c.keep.listening {
			silent := now.Sub(c.keep.heard)
			switch {
			case silent >= c.set.ping+c.set.pong:
				c.lose(ErrPongTimeout)
			case silent >= c.set.ping && !c.keep.pinged:
				c.keep.pinged = true
				c.spawn(c.probe)
			}
		}
		c = next
	}
	if k.first != nil {
		k.timer = k.loop.CallLater(k.every, k.look)
	}
}

// probe sends a ping of the keeper's.
func (c *Conn) probe(ctx context.Context) { c.writeFrame(ctx, ws.OpPing, true, false, nil) }

// listen notes that somebody begins to listen to the peer, or has heard of it.
func (c *Conn) listen(begin bool) {
	if !c.keep.kept || begin && c.keep.listening {
		return
	}
	c.keep.heard, c.keep.listening, c.keep.pinged = c.now(), begin, false
}

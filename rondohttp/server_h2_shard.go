package rondohttp

import (
	"os"
	"time"

	"github.com/rondo-go/rondo/internal/http2core"
	"github.com/rondo-go/rondo/loop"
)

// enterH2 takes c among those that are watched, unless it is there still.
func (h *shard) enterH2(c *serverH2) {
	if c.listed {
		return
	}
	c.listed, c.index = true, len(h.h2s)
	h.h2s = append(h.h2s, c)
	if !h.timer.Running() {
		h.kernel.StartTimer(&h.timer, h.clock().Add(h.tick))
	}
}

// leaveH2 is the opposite of enterH2.
func (h *shard) leaveH2(c *serverH2) {
	c.listed = false
	last := len(h.h2s) - 1
	h.h2s[c.index] = h.h2s[last]
	h.h2s[c.index].index = c.index
	h.h2s[last] = nil
	h.h2s = h.h2s[:last]
}

// watchH2 ends what is overdue. What has come to rest, and has sent all that it had to, is watched no more.
func (h *shard) watchH2(now loop.Time) {
	for i := 0; i < len(h.h2s); {
		c := h.h2s[i]
		c.watch(now)
		if c.task == nil && c.w.Queued() == 0 {
			h.leaveH2(c)
		} else {
			i++
		}
	}
}

// headBuffer is the size of the buffers for heads of requests of HTTP/2.
const headBuffer = 1 << 10

// enterStream returns a visit for s.
func (h *shard) enterStream(s *serverStream) *visit {
	v := h.takeVisit()
	v.x, v.conn, v.stream = s.c.x, s.c.x.conn, s
	if n := len(h.heads); n > 0 {
		v.in = h.heads[n-1]
		h.heads = h.heads[:n-1]
	} else {
		v.in = make([]byte, 0, headBuffer)
	}
	return v
}

// leaveStream takes v back.
func (h *shard) leaveStream(v *visit) {
	if v.lost {
		return
	}
	if cap(v.in) <= 4*headBuffer && len(h.heads) < 256 {
		h.heads = append(h.heads, v.in[:0])
	}
	v.stream = nil
	v.ownWrite.Store(false)
	v.clear()
	if len(h.free) < 256 {
		h.free = append(h.free, v)
	}
}

// watch ends what is overdue.
func (c *serverH2) watch(now loop.Time) {
	s := c.shard.server
	if c.readBy != 0 && c.readBy <= now && !c.late {
		c.late = true
		c.x.conn.SetReadDeadline(time.Unix(1, 0))
	}
	switch {
	case c.w.Queued() == 0:
		c.writeBy = 0
	case c.writeBy == 0 || c.w.Sent() != c.sent:
		c.sent, c.writeBy = c.w.Sent(), 0
		if s.limits.Write > 0 {
			c.writeBy = now.Add(s.limits.Write)
		}
	case c.writeBy <= now:
		c.x.raw.SetLinger(0)
		c.w.Fail(os.ErrDeadlineExceeded)
		return
	}
	if c.leaving == warned && now.Sub(c.askedAt) > time.Second {
		c.leaveNow()
		c.look()
	}
	for i := 0; i < len(c.served); i++ {
		c.served[i].watch(now)
	}
}

// useH2 has s speak HTTP/2.
func (s *Server) useH2() {
	s.byALPN = map[string]protocol{"h2": serveH2}
	s.byPreface = map[string]protocol{http2core.Preface: serveH2}
}

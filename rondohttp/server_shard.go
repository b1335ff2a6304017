package rondohttp

import (
	"net/http"
	"strconv"
	"time"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/loop"
)

// A shard is what a server has on one loop, to whose thread it belongs: the connections
// at work, the buffers that they take turns with, and the clock.
type shard struct {
	server *Server
	kernel *loop.Loop
	loop   *rondo.Loop
	visits []*visit // at work
	free   []*visit
	bufs   [][]byte
	h2s    []*serverH2
	heads  [][]byte // buffers for heads of HTTP/2
	timer  loop.Timer

	leaving map[*hijackedConn]func() // to be called at Shutdown

	tick time.Duration // how often deadlines are looked at

	now       loop.Time // as of iteration
	iteration uint64

	// The date, and the head of the usual answer with it, as of now.
	ok        []byte
	date      []byte // part of ok
	dateUntil loop.Time

	// The same for HTTP/2, and texts of fields.
	dateString    string
	dateTextUntil loop.Time
	fieldTexts    map[string]fieldText
}

// shardOf returns the shard of the running loop.
func (s *Server) shardOf() *shard {
	l := rondo.RunningLoop()
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.shards[l]
	if h == nil {
		h = &shard{server: s, kernel: l.Kernel(), loop: l, tick: s.limits.tick()}
		h.timer.Init(loop.Func(h.watch))
		s.shards[l] = h
	}
	return h
}

// tick returns how often deadlines need a look, for them to be late by an eighth at most.
func (l *ServerLimits) tick() time.Duration {
	d := 8 * time.Second
	for _, t := range []time.Duration{l.Header, l.Idle, l.Body, l.Write} {
		if t > 0 {
			d = min(d, t)
		}
	}
	return max(d/8, time.Millisecond)
}

// inBuffer is the size of the buffers that requests are read into. One that outgrows it,
// because of a large head, is not kept.
const inBuffer = 16 << 10

func (h *shard) buffer() []byte {
	if n := len(h.bufs); n > 0 {
		b := h.bufs[n-1]
		h.bufs = h.bufs[:n-1]
		return b
	}
	return make([]byte, inBuffer)
}

func (h *shard) putBuffer(b []byte) {
	if cap(b) == inBuffer && len(h.bufs) < 256 {
		h.bufs = append(h.bufs, b[:inBuffer])
	}
}

// enter returns a visit for x.
func (h *shard) enter(x *serverConn) *visit {
	v := h.takeVisit()
	v.x, v.conn = x, x.conn
	v.in = h.buffer()
	v.index = len(h.visits)
	h.visits = append(h.visits, v)
	if !h.timer.Running() {
		h.kernel.StartTimer(&h.timer, h.clock().Add(h.tick))
	}
	return v
}

// takeVisit returns a visit that is not used.
func (h *shard) takeVisit() (v *visit) {
	if n := len(h.free); n > 0 {
		v = h.free[n-1]
		h.free = h.free[:n-1]
		return v
	}
	v = &visit{shard: h, out: make([]byte, 0, 4<<10)}
	v.req.v, v.res.v = v, v
	v.res.fields = make([]byte, 0, 256)
	return v
}

// leave takes v back. One that others may still hold of is not used again.
func (h *shard) leave(v *visit) {
	last := len(h.visits) - 1
	h.visits[v.index] = h.visits[last]
	h.visits[v.index].index = v.index
	h.visits[last] = nil
	h.visits = h.visits[:last]
	if v.lost {
		return
	}
	h.putBuffer(v.in)
	v.clear()
	if len(h.free) < 256 {
		h.free = append(h.free, v)
	}
}

// watch ends the operations that are overdue. There is one timer a loop, not one an operation.
func (h *shard) watch() {
	now := int64(h.kernel.Now())
	for i := 0; i < len(h.visits); i++ {
		v := h.visits[i]
		if at := v.readBy.Load(); at != 0 && at <= now {
			v.readBy.Store(0)
			v.late.Store(true)
			v.conn.SetReadDeadline(time.Unix(1, 0))
		}
		if at := v.writeBy.Load(); at != 0 && at <= now {
			v.writeBy.Store(0)
			v.conn.SetWriteDeadline(time.Unix(1, 0))
		}
	}
	h.watchH2(loop.Time(now))
	if len(h.visits)+len(h.h2s) > 0 {
		h.kernel.StartTimer(&h.timer, h.kernel.Now().Add(h.tick))
	}
}

// closeIdle ends the visits that wait for a request, and tells those who have taken connections.
func (h *shard) closeIdle() {
	for c, f := range h.leaving {
		delete(h.leaving, c)
		f()
	}
	for _, v := range h.visits {
		if v.idle {
			v.conn.SetReadDeadline(time.Unix(1, 0))
		}
	}
	for _, c := range h.h2s {
		c.leave()
		c.look()
	}
}

// clock returns the time, which it looks at once an iteration of the loop.
func (h *shard) clock() loop.Time {
	if i := h.kernel.Iteration(); i != h.iteration {
		h.iteration, h.now = i, h.kernel.Now()
	}
	return h.now
}

// okHead returns the status line of 200 and the date.
func (h *shard) okHead() []byte {
	if now := h.clock(); now >= h.dateUntil {
		h.renew(now)
	}
	return h.ok
}

// dateField returns the Date field.
func (h *shard) dateField() []byte {
	h.okHead()
	return h.date
}

func (h *shard) renew(now loop.Time) {
	t := time.Now()
	const status = "HTTP/1.1 200 OK\r\n"
	h.ok = appendDate(append(h.ok[:0], status...), t)
	h.date = h.ok[len(status):]
	h.dateUntil = now.Add(time.Second - time.Duration(t.Nanosecond()))
}

func appendDate(b []byte, t time.Time) []byte {
	b = append(b, "Date: "...)
	b = t.UTC().AppendFormat(b, http.TimeFormat)
	return append(b, "\r\n"...)
}

// appendStatus appends a status line.
func appendStatus(b []byte, status int) []byte {
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	b = append(b, http.StatusText(status)...)
	return append(b, "\r\n"...)
}

package rondohttp

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/loop"
)

// How requests come to streams
//
// The limits of a pool are of connections. One that speaks HTTP/2 serves as many requests at a time as it has slots, and
// holds its permits while any is taken. So a request to an origin that may speak HTTP/2 gets either a slot of a
// connection in use, or the permits for another connection: then it is the opener, of whom an origin has one at a
// time. All others wait, first come first served, for a slot or to become the opener.
//
// What an origin speaks is known once its first connection stands. Until then nobody else opens one, so many
// requests at once to an origin of HTTP/2 share a connection; if it turns out to speak HTTP/1.1, those that wait all go for
// permits, and open their connections side by side.

// A version is what an origin speaks.
type version uint8

const (
	unknownVersion version = iota
	version1
	version2
)

// A mux is what a host has if it may speak HTTP/2.
type mux struct {
	speaks  version
	conns   []*h2conn // with a slot taken, and usable
	used    int       // slots taken of all connections of HTTP/2
	most    int       // of them; 0 is no bound
	strict  bool      // one connection only
	opening bool      // somebody is the opener
	waiting []*slotWaiter
}

// A slotWaiter is a request that waits for a slot. Who wakes it hands it one of these.
type slotWaiter struct {
	m      *mux
	task   *loop.Task
	slot   *h2conn
	opener bool
	permit bool  // and has the permits already
	retry  bool  // look again
	err    error // the opener's, who could not connect
}

func (w *slotWaiter) woken() bool { return w.slot != nil || w.opener || w.retry || w.err != nil }

// Abort implements [loop.Aborter].
func (w *slotWaiter) Abort(*loop.Task, loop.Reason, error) loop.Verdict {
	if w.woken() {
		return loop.Refused
	}
	if i := slices.Index(w.m.waiting, w); i >= 0 {
		w.m.waiting = slices.Delete(w.m.waiting, i, i+1)
	}
	return loop.Aborted
}

// newMux returns that of a host, nil if it cannot speak HTTP/2.
func (c *config) newMux(tls bool) *mux {
	m := &mux{most: c.perHostStreams, strict: c.http2.StrictMaxConcurrentRequests}
	switch {
	case tls && c.protocols.HTTP2():
		return m
	case !tls && c.protocols.UnencryptedHTTP2():
		m.speaks = version2
		return m
	}
	return nil
}

// join takes a slot of a connection in use, if there is one.
func (m *mux) join() *h2conn {
	if m.full() {
		return nil
	}
	for _, hc := range m.conns {
		if hc.slots < hc.max {
			m.enter(hc)
			return hc
		}
	}
	return nil
}

func (m *mux) full() bool { return m.most > 0 && m.used >= m.most }

func (m *mux) enter(hc *h2conn) {
	m.used++
	hc.slots++
	if hc.slots == 1 {
		hc.heard = true
		hc.watch()
	}
}

// admit returns a slot of a connection to h, or none and the permits for one. It is [pool.permit] for a
// host that may speak HTTP/2. It reports whether the caller is the opener, who calls [pool.opened].
func (p *pool) admit(ctx context.Context, h *host, limit time.Duration) (hc *h2conn, opener, waited bool, err error) {
	m := h.mux
	if len(m.waiting) == 0 {
		if hc = m.join(); hc != nil {
			return hc, false, false, nil
		}
		if m.speaks == version1 {
			waited, err = p.permit(ctx, h, limit)
			return nil, false, waited, err
		}
		if !m.opening && !m.full() && !(m.strict && len(m.conns) > 0) && p.tryPermit(h) {
			m.opening = true
			return nil, true, false, nil
		}
	}
	wait := func(ctx context.Context) (err error) {
		hc, opener, err = p.slot(ctx, h)
		return err
	}
	if limit > 0 {
		err = rondo.Timeout(ctx, limit, wait)
	} else {
		err = wait(ctx)
	}
	return hc, opener, true, err
}

// slot is the slow way of admit.
func (p *pool) slot(ctx context.Context, h *host) (hc *h2conn, opener bool, err error) {
	m := h.mux
	for {
		if len(m.waiting) == 0 {
			if hc = m.join(); hc != nil {
				return hc, false, nil
			}
			if m.speaks == version1 {
				_, err = p.permit(ctx, h, 0)
				return nil, false, err
			}
			if !m.opening && len(m.conns) == 0 && !m.full() {
				m.opening = true
				return nil, true, p.become(ctx, h)
			}
		}
		w := &slotWaiter{m: m}
		if err = p.await(ctx, h, w); err != nil {
			return nil, false, err
		}
		switch {
		case w.slot != nil:
			return w.slot, false, nil
		case w.err != nil:
			return nil, false, w.err
		case w.permit:
			return nil, true, nil
		case w.opener:
			return nil, true, p.become(ctx, h)
		}
	}
}

// become gets the opener its permits.
func (p *pool) become(ctx context.Context, h *host) error {
	_, err := p.permit(ctx, h, 0)
	if err != nil {
		h.mux.opening = false
		p.kick(h)
	}
	return err
}

// await parks until w is woken. If that is too late for a canceled task, what it was handed goes to the next.
func (p *pool) await(ctx context.Context, h *host, w *slotWaiter) error {
	k, t := loop.Current()
	if t == nil {
		return rondo.ErrNotTask
	}
	m := h.mux
	if !ownContext(ctx) {
		if ctx.Err() != nil {
			return contextFault(ctx)
		}
		stop := context.AfterFunc(ctx, func() {
			late := new(loop.Handle)
			late.Init(loop.Func(func() {
				if !w.woken() {
					w.Abort(t, loop.Leave, nil)
					w.err = contextFault(ctx)
					t.Unpark()
				}
			}))
			k.Post(late)
		})
		defer stop()
	}
	w.task = t
	m.waiting = append(m.waiting, w)
	err := t.Park(w)
	if err == nil || !w.woken() {
		return err
	}
	switch {
	case w.slot != nil:
		h.refs++ // leave takes one
		p.leave(w.slot)
	case w.opener:
		if w.permit {
			p.unpermit(h)
		}
		m.opening = false
		p.kick(h)
	}
	return err
}

// opened notes how the opener fared: with c, or err. Those who wait get slots of c; if it does not speak HTTP/2
// they look after themselves; and an error that is not the opener's alone is theirs as well.
func (p *pool) opened(h *host, c *conn, err error) {
	m := h.mux
	m.opening = false
	switch {
	case err != nil:
		if len(m.conns) == 0 && !personal(err) {
			m.wakeAll(func(w *slotWaiter) { w.err = err })
		}
	case c.h2 == nil:
		m.speaks = version1
		m.wakeAll(func(w *slotWaiter) { w.retry = true })
	default:
		m.speaks = version2
		m.opening = c.h2.fresh
		if c.h2.usable() {
			m.conns = append(m.conns, c.h2)
		}
		m.enter(c.h2)
	}
	p.kick(h)
}

// personal reports whether a failure to connect is of the request alone that tried.
func personal(err error) bool {
	var f *fault
	return !errors.As(err, &f) || f.kind == KindCanceled || f.kind == KindTimeoutTotal || errors.Is(err, ErrSessionClosed)
}

func (m *mux) wakeAll(hand func(*slotWaiter)) {
	for _, w := range m.waiting {
		hand(w)
		w.task.Unpark()
	}
	m.waiting = nil
}

// kick hands out what there is to those who wait for it.
func (p *pool) kick(h *host) {
	m := h.mux
	if m == nil {
		return
	}
	n := 0
	for n < len(m.waiting) {
		w := m.waiting[n]
		if w.slot = m.join(); w.slot == nil {
			if m.opening || m.full() || m.strict && len(m.conns) > 0 {
				break
			}
			w.permit = p.tryPermit(h)
			w.opener = w.permit || len(m.conns) == 0
			if !w.opener {
				break
			}
			m.opening = true
		}
		w.task.Unpark()
		n++
	}
	if n > 0 {
		m.waiting = slices.Delete(m.waiting, 0, n)
	}
}

// leave gives a slot of hc back. When it was the last, hc is idle, or closed if it is of no more use.
func (p *pool) leave(hc *h2conn) {
	c, h := hc.c, hc.c.host
	hc.slots--
	h.mux.used--
	p.kick(h)
	if hc.slots == 0 {
		h.mux.remove(hc)
		if hc.usable() && !hc.s.closed {
			p.put(c, hc.s.kernel.Now())
			hc.s.watchIdle()
		} else {
			p.close(c)
		}
		p.unpermit(h)
		p.kick(h)
	}
	p.forget(h)
}

// retire keeps new streams from hc, which has broken off, or is to end once it has no more streams.
func (p *pool) retire(hc *h2conn) {
	hc.c.host.mux.remove(hc)
	if c := hc.c; hc.slots == 0 && slices.Contains(c.host.idle, c) {
		p.drop(c)
	}
}

func (m *mux) remove(hc *h2conn) {
	if i := slices.Index(m.conns, hc); i >= 0 {
		m.conns = slices.Delete(m.conns, i, i+1)
	}
}

package rondohttp

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"time"

	"golang.org/x/net/idna"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/internal/http1"
	"github.com/rondo-go/rondo/loop"
)

// How the pool keeps its limits
//
// A request holds one permit of its host and one of the session from before it has a
// connection until the connection is idle or closed again. Permits are handed out
// first come, first served, each by a semaphore. The host's comes first, so that
// requests which wait for a busy host hold nothing that others could use.
//
// Idle connections hold no permit, but count as open. A request with its permits and
// no idle connection to its host may always open one: if as many are open as allowed, then not all
// of them are in use, and the one that has been idle longest is closed.

// A hostKey names what a connection is good for.
type hostKey struct {
	tls    bool
	host   string      // lower case, without the scheme's own port
	config *tls.Config // of a request that brings its own, else nil

	upgrade bool // for another protocol: of HTTP/1.1 from end to end
}

// A host is one origin: its idle connections and its limit.
type host struct {
	key    hostKey
	addr   string // to dial
	header string // of the Host field
	tls    *tls.Config
	via    *proxy           // nil: straight
	routed bool             // via has been settled
	sem    *rondo.Semaphore // nil without a limit
	refs   int              // requests that hold or await a permit
	idle   []*conn          // the longest idle one first
	mux    *mux             // nil if it speaks HTTP/1.1 only
}

// A pool holds the connections of a session.
type pool struct {
	limit, perHost int
	total          *rondo.Semaphore
	hosts          map[hostKey]*host
	open           int      // connections, idle ones and ones being dialled included
	idle, busy     connList // idle: in the order they became so
	rates          rates
	newMux         func(tls bool) *mux
}

func newPool(c *config) pool {
	return pool{limit: c.limit, perHost: c.perHost, total: rondo.NewSemaphore(c.limit), hosts: map[hostKey]*host{},
		rates: newRates(c.rate, c.hostRate), newMux: c.newMux}
}

// A way is how a request comes to a connection to a host.
type way struct {
	host   *host
	slot   *h2conn // nil: it has the permits for a connection
	opener bool    // and has to call opened
	waited bool    // it parked
}

// acquire returns the way to the host of u, parking until there is one.
// A caller that is canceled, or waits longer than limit, holds nothing.
func (p *pool) acquire(ctx context.Context, u *http1.URL, own *tls.Config, upgrade bool, limit time.Duration) (w way, err error) {
	if w.host, err = p.lookup(u, own, upgrade); err != nil {
		return way{}, err
	}
	w.host.refs++
	if p.paced() {
		w.waited, limit, err = p.pace(ctx, w.host, limit)
	}
	if err == nil {
		err = p.enter(ctx, &w, limit)
	}
	if err != nil {
		p.forget(w.host)
	}
	return w, err
}

// enter is acquire for a host that is counted as referred to, whose rates have let the request through.
func (p *pool) enter(ctx context.Context, w *way, limit time.Duration) (err error) {
	waited := false
	if w.host.mux != nil {
		w.slot, w.opener, waited, err = p.admit(ctx, w.host, limit)
	} else {
		waited, err = p.permit(ctx, w.host, limit)
	}
	w.waited = w.waited || waited
	return err
}

// permit gets the permits for a connection to h.
func (p *pool) permit(ctx context.Context, h *host, limit time.Duration) (waited bool, err error) {
	if h.sem != nil && !h.sem.TryAcquire() {
		waited = true
		err = p.wait(ctx, h, limit)
	} else if !p.total.TryAcquire() {
		waited = true
		if limit > 0 {
			err = rondo.Timeout(ctx, limit, p.total.Acquire)
		} else {
			err = p.total.Acquire(ctx)
		}
		if err != nil && h.sem != nil {
			h.sem.Release()
		}
	}
	return waited, err
}

// tryPermit is permit for those who do not wait.
func (p *pool) tryPermit(h *host) bool {
	if h.sem != nil && !h.sem.TryAcquire() {
		return false
	}
	if p.total.TryAcquire() {
		return true
	}
	if h.sem != nil {
		h.sem.Release()
	}
	return false
}

// wait is the slow way of permit, when the host's limit is reached.
func (p *pool) wait(ctx context.Context, h *host, limit time.Duration) error {
	both := func(ctx context.Context) error {
		if err := h.sem.Acquire(ctx); err != nil {
			return err
		}
		err := p.total.Acquire(ctx)
		if err != nil {
			h.sem.Release()
		}
		return err
	}
	if limit > 0 {
		return rondo.Timeout(ctx, limit, both)
	}
	return both(ctx)
}

// release gives the permits back.
func (p *pool) release(h *host) {
	p.unpermit(h)
	if h.mux != nil {
		p.kick(h)
	}
	p.forget(h)
}

func (p *pool) unpermit(h *host) {
	p.total.Release()
	if h.sem != nil {
		h.sem.Release()
	}
}

func (p *pool) forget(h *host) {
	h.refs--
	p.tidy(h)
}

// tidy drops a host that is of no more use: a crawl of many hosts takes no more memory at its end.
func (p *pool) tidy(h *host) {
	if h.refs == 0 && len(h.idle) == 0 {
		delete(p.hosts, h.key)
	}
}

func (p *pool) lookup(u *http1.URL, own *tls.Config, upgrade bool) (*host, error) {
	key := hostKey{tls: u.Scheme == "https", host: u.Host, upgrade: upgrade}
	if key.tls {
		key.config = own
	}
	for i := range len(key.host) {
		if c := key.host[i]; 'A' <= c && c <= 'Z' {
			key.host = strings.ToLower(key.host)
			break
		}
	}
	if key.tls {
		key.host = strings.TrimSuffix(key.host, ":443")
	} else {
		key.host = strings.TrimSuffix(key.host, ":80")
	}
	if h := p.hosts[key]; h != nil {
		return h, nil
	}
	name := hostname(u.Host)
	zoneless, _, _ := strings.Cut(name, "%") // a zone is this machine's affair
	if zoneless == name && !ascii(name) {
		var err error
		if name, err = idna.Lookup.ToASCII(name); err != nil {
			return nil, faultf(KindBadURL, "host name %q: %w", hostname(u.Host), err)
		}
		zoneless = name
	}
	h := &host{key: key, addr: net.JoinHostPort(name, u.Port()), header: zoneless}
	if strings.Contains(zoneless, ":") {
		h.header = "[" + zoneless + "]"
	}
	if i := strings.LastIndexByte(key.host, ':'); i > strings.LastIndexByte(key.host, ']') {
		h.header += key.host[i:]
	}
	if p.perHost > 0 {
		h.sem = rondo.NewSemaphore(p.perHost)
	}
	if !upgrade {
		h.mux = p.newMux(key.tls)
	}
	p.hosts[key] = h
	return h, nil
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// take returns the connection to h that became idle last, nil if there is none.
// Such that the peer has closed meanwhile are closed here, too.
func (p *pool) take(h *host) *conn {
	for n := len(h.idle); n > 0; n-- {
		c := h.idle[n-1]
		h.idle[n-1] = nil
		h.idle = h.idle[:n-1]
		p.idle.remove(c)
		p.busy.push(c)
		if !c.stale() {
			return c
		}
		p.close(c)
	}
	return nil
}

// reserve counts a connection that is about to be dialled, and makes room for it.
func (p *pool) reserve() {
	if p.open >= p.limit && p.idle.first != nil {
		p.drop(p.idle.first)
	}
	p.open++
}

// put makes c idle.
func (p *pool) put(c *conn, now loop.Time) {
	p.busy.remove(c)
	p.idle.push(c)
	c.idleSince = now
	c.host.idle = append(c.host.idle, c)
}

// drop closes the idle connection c.
func (p *pool) drop(c *conn) {
	h := c.host
	for i, o := range h.idle {
		if o == c {
			h.idle = append(h.idle[:i], h.idle[i+1:]...)
			break
		}
	}
	p.idle.remove(c)
	p.busy.push(c)
	p.close(c)
	p.tidy(h)
}

// close closes c, which is busy.
func (p *pool) close(c *conn) {
	p.busy.remove(c)
	p.open--
	c.raw.Close()
}

// dropIdle closes the connections that have been idle since before t. It returns when the
// first of the others became idle, and false if there is none.
func (p *pool) dropIdle(t loop.Time) (next loop.Time, left bool) {
	for c := p.idle.first; c != nil; c = p.idle.first {
		if c.idleSince >= t {
			return c.idleSince, true
		}
		p.drop(c)
	}
	return 0, false
}

// A connList is a list of connections, each of which is in one list only.
type connList struct{ first, last *conn }

func (l *connList) push(c *conn) {
	c.prev, c.next = l.last, nil
	if l.last != nil {
		l.last.next = c
	} else {
		l.first = c
	}
	l.last = c
}

func (l *connList) remove(c *conn) {
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		l.first = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	} else {
		l.last = c.prev
	}
	c.prev, c.next = nil, nil
}

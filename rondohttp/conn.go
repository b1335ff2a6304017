package rondohttp

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/internal/http1"
	"github.com/rondo-go/rondo/loop"
	"github.com/rondo-go/rondo/rondotls"
)

// A conn is one connection to a host. It is used by one exchange at a time.
type conn struct {
	s        *Session
	host     *host
	raw      *rondo.Conn
	tls      *rondotls.Conn // nil for http
	h2       *h2conn        // nil if it speaks HTTP/1.1: then the rest serves
	in       []byte         // bytes of the connection that nobody has taken yet
	own      []byte         // the buffer that in lies in, nil if that is the loop's own
	holder   *loop.Task     // tells c before it parks, so that in can be saved
	deadline time.Time      // for reading, as armed
	used     bool           // it has answered before

	prev, next *conn // in a connList
	idleSince  loop.Time
}

// fill reads into c.in, which is empty, parking until something comes.
func (c *conn) fill(ctx context.Context) error {
	if ownContext(ctx) {
		return c.read()
	}
	return c.under(ctx, func() error { return c.read() })
}

// ownContext reports whether the end of ctx cancels the task itself, and thereby whatever
// it is parked in: that of a task or a block of Rondo's, which are the contexts
// that have this method (and so do without a goroutine when others derive from them).
func ownContext(ctx context.Context) bool {
	_, own := ctx.(interface {
		AfterFunc(f func()) (stop func() bool)
	})
	return own || ctx.Done() == nil
}

// under does I/O on c that ends when ctx does, for a context of another making: the
// methods of a net.Conn take none.
func (c *conn) under(ctx context.Context, io func() error) error {
	if ctx.Err() != nil {
		return contextFault(ctx)
	}
	stop := context.AfterFunc(ctx, func() { c.raw.SetDeadline(time.Unix(1, 0)) })
	err := io()
	if !stop() {
		// The deadline may be set only now: c is of no more use, whatever came of io.
		return contextFault(ctx)
	}
	return err
}

// contextFault is the error of a context that is done.
func contextFault(ctx context.Context) error {
	err := context.Cause(ctx)
	if isLate(err) {
		return &fault{KindTimeoutTotal, err}
	}
	return &fault{KindCanceled, err}
}

func (c *conn) read() (err error) {
	if c.tls == nil {
		c.settle()
		c.in, err = c.raw.Borrow()
		return err
	}
	// The buffer of a TLS connection is its own, not one that all share: a Read may
	// park after it has filled it.
	if c.own == nil {
		c.own = c.s.bufs.get()
	}
	n, err := c.tls.Read(c.own)
	if c.in = c.own[:n]; n > 0 {
		err = nil // it comes again
	}
	return err
}

// hold makes c.in, of which a part is left, outlast a park. The rest stays where it is, in the loop's
// buffer, as long as the task goes on without parking, which it mostly does; it is
// copied when it parks, and only then.
func (c *conn) hold() {
	if len(c.in) == 0 {
		c.let()
		return
	}
	if c.own != nil || c.holder != nil {
		return
	}
	_, t := loop.Current()
	if t == nil {
		c.save()
		return
	}
	if before := t.OnPark(c); before != nil && before != loop.Call(c) {
		t.OnPark(before) // somebody else waits for the park: copy now
		c.save()
		return
	}
	c.holder = t
}

// Call is the holding task about to park: it implements [loop.Call].
func (c *conn) Call() { c.save() }

// save copies what is left in the loop's buffer.
func (c *conn) save() {
	c.let()
	if len(c.in) == 0 || c.own != nil {
		return
	}
	c.own = c.s.bufs.get()
	if len(c.own) < len(c.in) {
		c.own = make([]byte, len(c.in))
	}
	c.in = c.own[:copy(c.own, c.in)]
}

// let takes back what hold asked for.
func (c *conn) let() {
	if t := c.holder; t != nil {
		c.holder = nil
		if before := t.OnPark(nil); before != loop.Call(c) {
			t.OnPark(before)
		}
	}
}

// settle gives the buffer back once all that was in it has been taken.
func (c *conn) settle() {
	c.let()
	if c.own != nil && len(c.in) == 0 {
		c.s.bufs.put(c.own)
		c.own, c.in = nil, nil
	}
}

func (c *conn) write(ctx context.Context, p []byte) (err error) {
	if !ownContext(ctx) {
		return c.under(ctx, func() error { return c.write(context.Background(), p) })
	}
	if c.tls != nil {
		_, err = c.tls.Write(p)
	} else {
		_, err = c.raw.Write(p)
	}
	return err
}

// stale reports whether the peer has closed c, or said something unasked, while it was idle.
func (c *conn) stale() bool {
	if c.h2 != nil {
		return !c.h2.usable()
	}
	return c.raw.Stale()
}

// dial opens a connection to x's host, in the time that the clocks allow.
func (x *exchange) dial(ctx context.Context) (c *conn, err error) {
	if err := x.s.route(x.host); err != nil {
		return nil, err
	}
	limit, late := x.bound(x.limits.Connect, KindTimeoutConnect)
	c = &conn{s: x.s, host: x.host}
	if err = x.connectTo(ctx, c, limit); err != nil {
		return nil, x.dialFault(ctx, err, late)
	}
	if x.host.key.tls {
		if err := x.handshake(ctx, c); err != nil {
			c.raw.Close()
			return nil, err
		}
	}
	return c, x.agree(c)
}

// agree finds out what c speaks. An error closes it.
func (x *exchange) agree(c *conn) error {
	switch p := &x.s.protocols; {
	case x.host.key.tls && x.host.mux != nil && c.tls.ConnectionState().NegotiatedProtocol == "h2",
		!x.host.key.tls && x.host.mux != nil:
		newH2(x.s, c)
	case !p.HTTP1() && (p.HTTP2() || p.UnencryptedHTTP2()):
		c.raw.Close()
		return faultf(KindProtocol, "%s does not offer HTTP/2", x.host.origin())
	}
	return nil
}

// origin names h as a URL does.
func (h *host) origin() string {
	if h.key.tls {
		return "https://" + h.header
	}
	return "http://" + h.header
}

// connectTo connects c, within limit: to x's host, or through its proxy.
func (x *exchange) connectTo(ctx context.Context, c *conn, limit time.Duration) (err error) {
	network, addr := "tcp", x.host.addr
	if x.host.via != nil {
		addr = x.host.via.addr
	}
	if x.s.unix != "" {
		network, addr = "unix", x.s.unix
	}
	var until time.Time
	if x.host.via != nil && limit > 0 {
		until = time.Now().Add(limit)
	}
	d := x.s.dialer
	d.Timeout, d.Resolver = limit, x.resolver()
	if x.trace != nil && x.trace.ConnectStart != nil {
		x.trace.ConnectStart(network, addr)
	}
	c.raw, err = d.Dial(ctx, network, addr)
	if x.trace != nil && x.trace.ConnectDone != nil {
		x.trace.ConnectDone(network, addr, err)
	}
	if err == nil && x.host.via != nil {
		if err = x.throughProxy(ctx, c, until); err != nil {
			c.discard()
			c.raw.Close()
		}
	} else if err != nil && x.host.via != nil {
		err = x.proxyFault(err)
	}
	return err
}

// resolver returns what looks names up for x.
func (x *exchange) resolver() rondo.Resolver {
	r := x.s.dialer.Resolver
	if t := x.trace; t != nil && (t.DNSStart != nil || t.DNSDone != nil) {
		r = &tracedResolver{r, t}
	}
	return r
}

func (x *exchange) dialFault(ctx context.Context, err error, late Kind) error {
	var dns *net.DNSError
	var f *fault
	switch {
	case ctx.Err() != nil && !ownContext(ctx):
		return contextFault(ctx)
	case errors.As(err, &f):
		return err
	case isLate(err):
		return x.limits.late(late)
	case errors.Is(err, context.Canceled):
		return &fault{KindCanceled, err}
	case errors.As(err, &dns):
		return &fault{KindDNS, err}
	}
	return &fault{KindConnect, err}
}

// handshake runs TLS with x's host on c.
func (x *exchange) handshake(ctx context.Context, c *conn) error {
	t, late := x.deadline(x.limits.TLS, KindTimeoutTLS)
	c.deadline = t
	c.raw.SetDeadline(t)
	if x.trace != nil && x.trace.TLSStart != nil {
		x.trace.TLSStart()
	}
	err := x.secure(ctx, c, x.s.tlsFor(c.host))
	if x.trace != nil && x.trace.TLSDone != nil {
		var state tls.ConnectionState
		if err == nil {
			state = c.tls.ConnectionState()
		}
		x.trace.TLSDone(state, err)
	}
	var f *fault
	switch {
	case err == nil:
		return c.raw.SetWriteDeadline(time.Time{})
	case refusesOffer(err) && !x.s.protocols.HTTP1():
		return faultf(KindProtocol, "%s does not offer HTTP/2: %w", c.host.origin(), err)
	case errors.As(err, &f):
		return f
	case isLate(err):
		return x.limits.late(late)
	}
	// A connection that broke off is no fault of TLS's, and worth another try.
	if errors.As(ioFault(err, false), &f); f.kind != KindIO && f.kind != KindTLS {
		return faultf(f.kind, "handshake with %s: %w", c.host.addr, f.err)
	}
	return faultf(KindTLS, "handshake with %s: %w", c.host.addr, explainTLS(err))
}

// discard drops what has come and was not taken.
func (c *conn) discard() {
	c.in = nil
	c.settle()
}

// A bufferList keeps buffers for use again. It belongs to one loop.
type bufferList [][]byte

const bufferSize = 32 << 10

func (l *bufferList) get() []byte {
	if n := len(*l); n > 0 {
		b := (*l)[n-1]
		*l = (*l)[:n-1]
		return b
	}
	return make([]byte, bufferSize)
}

func (l *bufferList) put(b []byte) {
	if len(b) >= bufferSize && len(b) <= 2*bufferSize && len(*l) < 64 {
		*l = append(*l, b)
	}
}

// A headList is a bufferList of heads.
type headList []*http1.Head

func (l *headList) get() *http1.Head {
	if n := len(*l); n > 0 {
		h := (*l)[n-1]
		*l = (*l)[:n-1]
		h.Reset()
		return h
	}
	return new(http1.Head)
}

func (l *headList) put(h *http1.Head) {
	if len(*l) < 64 {
		*l = append(*l, h)
	}
}

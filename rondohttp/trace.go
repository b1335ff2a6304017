package rondohttp

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/internal/http1"
	"github.com/rondo-go/rondo/loop"
)

// A Trace holds functions that are told how a request gets on; nil ones are not called. They run
// in its task and must neither park nor keep it long. A request with redirects goes through most of them
// several times, Done is called once and last. A middleware that sends a request again begins anew with its trace.
//
// Without a trace a request pays for it with a few comparisons.
type Trace struct {
	// Queued is called when the limits and rates have let the request through, after wait, or have not.
	Queued func(wait time.Duration, err error)

	// A new connection, to the proxy if there is one. Addresses of a name that are tried
	// in vain are not told of.
	DNSStart     func(host string)
	DNSDone      func(host string, addrs []netip.Addr, err error)
	ConnectStart func(network, addr string)
	ConnectDone  func(network, addr string, err error)
	TLSStart     func()
	TLSDone      func(state tls.ConnectionState, err error)

	GotConn      func(c ConnInfo)                     // a connection is there, a new one or not
	WroteRequest func()                               // all of it, or as much as the server wanted
	FirstByte    func()                               // of an answer
	Headers      func(status int, header http.Header) // of the answer, as they came
	Chunk        func(n int)                          // n bytes of the body, decoded, were handed out
	Redirect     func(status int, url string)         // it is followed to url

	// Retry is called when another attempt is due, after wait: the one before, counted from 1, failed with err, or if
	// that is nil its answer is not final.
	Retry func(attempt int, wait time.Duration, err error)

	Done func(err error) // the body ended or was closed, or all failed
}

// ConnInfo tells of the connection of an exchange.
type ConnInfo struct {
	Reused        bool
	Idle          time.Duration // how long it was, if reused
	Local, Remote net.Addr
	Stream        uint32 // of HTTP/2, 0 otherwise

	conn net.Conn // for net/http's traces
}

func (t *Trace) gotConn(c *conn, now loop.Time) {
	if t.GotConn == nil {
		return
	}
	info := ConnInfo{Reused: c.used, Local: c.raw.LocalAddr(), Remote: c.raw.RemoteAddr(), conn: c.raw}
	switch {
	case c.h2 != nil:
		info.Stream, info.Reused = c.h2.next, c.h2.next > 1
		if info.Reused && c.h2.slots == 1 {
			info.Idle = now.Sub(c.idleSince)
		}
	case c.used:
		info.Idle = now.Sub(c.idleSince)
	}
	t.GotConn(info)
}

func (t *Trace) firstByte(head *http1.Head) {
	if t.FirstByte != nil && !head.Started() {
		t.FirstByte()
	}
}

// A tracedResolver tells a trace what it looks up.
type tracedResolver struct {
	rondo.Resolver // nil: net.DefaultResolver
	t              *Trace
}

// OnLoop reports true: the trace's functions run in the task.
func (r *tracedResolver) OnLoop() bool { return true }

func (r *tracedResolver) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if r.t.DNSStart != nil {
		r.t.DNSStart(host)
	}
	ips, err := lookUp(ctx, r.Resolver, network, host)
	if r.t.DNSDone != nil {
		r.t.DNSDone(host, ips, err)
	}
	return ips, err
}

// lookUp asks r for the addresses of host, off the loop if need be.
func lookUp(ctx context.Context, r rondo.Resolver, network, host string) ([]netip.Addr, error) {
	if r == nil {
		r = net.DefaultResolver
	}
	if here, ok := r.(interface{ OnLoop() bool }); ok && here.OnLoop() {
		return r.LookupNetIP(ctx, network, host)
	}
	return rondo.ToThread(ctx, func() ([]netip.Addr, error) {
		return r.LookupNetIP(context.Background(), network, host)
	})
}

// finished tells the trace, once, that all is over.
func (x *exchange) finished(err error) {
	if t := x.trace; t != nil && t.Done != nil && !x.ended {
		x.ended = true
		t.Done(err)
	}
}

package rondohttp

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"

	"github.com/rondo-go/rondo/internal/http1"
	"github.com/rondo-go/rondo/loop"
)

// A Trace holds functions that are told how a request gets on; nil ones are not called. They run
// in its task and must neither park nor keep it long. A request with redirects goes through most of them
// several times, Done is called once and last. A middleware that sends a request again begins anew with its trace.
//
// Without a trace a request pays for it with a few comparisons.
type Trace struct {
	Queued       func(wait time.Duration, err error)            // the limits and rates let it through, after wait, or did not
	DNSStart     func(host string)                              // a name is looked up
	DNSDone      func(host string, addrs []string, err error)   //
	ConnectStart func(network, addr string)                     // a new connection, to the proxy if there is one
	ConnectDone  func(network, addr string, err error)          //
	TLSStart     func()                                         //
	TLSDone      func(state tls.ConnectionState, err error)     //
	GotConn      func(c ConnInfo)                               // a connection is there, a new one or not
	WroteRequest func()                                         // all of it, or as much as the server wanted
	FirstByte    func()                                         // of the answer
	Headers      func(status int, header http.Header)           // of the answer, as they came
	Chunk        func(n int)                                    // n bytes of the body, decoded, were handed out
	Redirect     func(status int, url string)                   // it is followed to url
	Retry        func(attempt int, wait time.Duration, e error) // attempt, counted from 1, failed with e, or its answer is not final; another is made after wait
	Done         func(err error)                                // the body ended, was closed, or all failed
}

// ConnInfo tells of the connection of an exchange.
type ConnInfo struct {
	Reused        bool
	Idle          time.Duration // how long it was, if reused
	Local, Remote net.Addr

	conn net.Conn // for net/http's traces
}

func (t *Trace) gotConn(c *conn, now loop.Time) {
	if t.GotConn == nil {
		return
	}
	info := ConnInfo{Reused: c.used, Local: c.raw.LocalAddr(), Remote: c.raw.RemoteAddr(), conn: c.raw}
	if c.used {
		info.Idle = now.Sub(c.idleSince)
	}
	t.GotConn(info)
}

func (t *Trace) firstByte(head *http1.Head) {
	if t.FirstByte != nil && !head.Started() {
		t.FirstByte()
	}
}

// finished tells the trace, once, that all is over.
func (x *exchange) finished(err error) {
	if t := x.trace; t != nil && t.Done != nil && !x.ended {
		x.ended = true
		t.Done(err)
	}
}

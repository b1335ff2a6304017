package rondotest

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rondo-go/rondo"
)

// Faults are what is wrong with a connection, in one direction or in both. The zero Faults is nothing.
type Faults struct {
	// AtMost bounds how many bytes go in one read or write of the connection beneath.
	AtMost int
	// Cut ends the connection after so many bytes; at once if it is negative.
	Cut int64
	// Reset makes the end of Cut a reset of TCP, RFC 9293 section 3.5.3.
	Reset bool
	// Delay passes before each read or write beneath, on the loop's clock if a task calls.
	Delay time.Duration
}

// A FaultyConn is a connection with faults, in front of a sound one. Called by a task it parks, and a deadline or
// a cancellation is noticed, like on the connection beneath, only that a deadline does not cut a Delay short. It adds nothing
// that a [net.Conn] has not, but for CloseWrite.
type FaultyConn struct {
	net.Conn
	rd, wr stretch
	cut    atomic.Bool
}

// A stretch is a direction of a FaultyConn.
type stretch struct {
	Faults
	passed int64 // bytes; of whoever reads, or writes
}

// NewFaultyConn puts faults in front of c: read for what comes out of it, and write for what goes in.
func NewFaultyConn(c net.Conn, read, write Faults) *FaultyConn {
	return &FaultyConn{Conn: c, rd: stretch{Faults: read}, wr: stretch{Faults: write}}
}

// Read implements [io.Reader]. At the cut it returns io.EOF, or ECONNRESET.
func (c *FaultyConn) Read(p []byte) (int, error) {
	n, err := c.allow(&c.rd, len(p))
	if err != nil {
		if c.cut.Load() && !c.rd.Reset {
			return 0, io.EOF
		}
		return 0, c.opError("read", err)
	}
	n, err = c.Conn.Read(p[:n])
	c.rd.passed += int64(n)
	return n, err
}

// Write implements [io.Writer]. At the cut it returns EPIPE, or ECONNRESET.
func (c *FaultyConn) Write(p []byte) (n int, err error) {
	for {
		k, err := c.allow(&c.wr, len(p)-n)
		if err != nil {
			return n, c.opError("write", err)
		}
		k, err = c.Conn.Write(p[n : n+k])
		n += k
		c.wr.passed += int64(k)
		if err != nil || n == len(p) {
			return n, err
		}
	}
}

// allow waits for the delay of s, and says how many of n bytes may go.
func (c *FaultyConn) allow(s *stretch, n int) (int, error) {
	if s.Delay > 0 {
		if err := pause(s.Delay); err != nil {
			return 0, err
		}
	}
	if s.AtMost > 0 {
		n = min(n, s.AtMost)
	}
	if s.Cut != 0 {
		left := max(s.Cut, 0) - s.passed
		if left <= 0 {
			return 0, c.sever(s.Reset)
		}
		n = int(min(int64(n), left))
	}
	return n, nil
}

func pause(d time.Duration) error {
	if rondo.CurrentTask() != nil {
		return rondo.Sleep(context.Background(), d)
	}
	time.Sleep(d) // off the loop there is no other clock
	return nil
}

// sever ends the connection, and returns what a writer is told.
func (c *FaultyConn) sever(reset bool) error {
	c.cut.Store(true)
	if !reset {
		c.Conn.Close()
		return syscall.EPIPE
	}
	if l, ok := c.Conn.(interface{ SetLinger(int) error }); ok {
		l.SetLinger(0)
	}
	c.Conn.Close()
	return syscall.ECONNRESET
}

func (c *FaultyConn) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

// CloseWrite ends the connection in one direction, if the one beneath can.
func (c *FaultyConn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return errors.ErrUnsupported
}

// A Proxy passes connections on to a server, with faults. It runs where a [Server] would.
type Proxy struct {
	Addr string // 127.0.0.1:port

	host
	target             string
	toServer, toClient Faults
	server             *rondo.Server
}

// NewProxy starts a proxy in front of target, host:port, with faults in what goes to it and in what comes back. A cut
// in either ends the connection to both sides.
func NewProxy(t testing.TB, target string, toServer, toClient Faults) *Proxy {
	t.Helper()
	p := &Proxy{target: target, toServer: toServer, toClient: toClient}
	p.server = rondo.NewServer(p.serve, rondo.WithErrorHandler(func(*rondo.Conn, error) {}))
	p.Addr = p.host.start(t, 1, func(ctx context.Context, ready func(net.Addr)) error {
		return p.server.ListenAndServe(ctx, "tcp", "127.0.0.1:0", ready)
	}, func() {
		p.server.Close()
		p.server.AbortClients()
	}).String()
	return p
}

// Connections returns how many connections there are.
func (p *Proxy) Connections() int { return p.server.Connections() }

func (p *Proxy) serve(ctx context.Context, c *rondo.Conn) error {
	up, err := rondo.Dial(ctx, "tcp", p.target)
	if err != nil {
		c.SetLinger(0)
		return err
	}
	defer up.Close()
	client, server := NewFaultyConn(c, p.toServer, Faults{}), NewFaultyConn(up, p.toClient, Faults{})
	return rondo.WithGroup(ctx, func(g *rondo.Group) error {
		g.Go(func(context.Context) error { return pass(up, client) })
		g.Go(func(context.Context) error { return pass(c, server) })
		return nil
	})
}

// pass copies what comes from a side to the other, up to its end.
func pass(to *rondo.Conn, from *FaultyConn) error {
	p := make([]byte, 16<<10)
	for {
		n, err := from.Read(p)
		if n > 0 {
			if _, werr := to.Write(p[:n]); werr != nil {
				return werr
			}
		}
		switch {
		case err == nil:
		case from.cut.Load() && from.rd.Reset:
			to.SetLinger(0)
			to.Close()
			return err
		case from.cut.Load():
			to.Close()
			return err
		case err == io.EOF:
			return to.CloseWrite()
		case errors.Is(err, syscall.ECONNRESET):
			to.SetLinger(0)
			return err
		default:
			return err
		}
	}
}

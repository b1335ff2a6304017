package rondohttp

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/rondo-go/rondo"
)

// Upgrade sends req, whose fields Connection and Upgrade ask for another protocol (RFC 9110 section 7.8), as
// [Session.Do] does. If the server switches, with status 101, the connection is the caller's, together with the bytes that
// came behind the answer, and counts no more among those of s; it is for tasks of the loop. With any other status the connection is nil, and the
// answer is read or closed as usual. Through a proxy it goes by a tunnel.
func (s *Session) Upgrade(ctx context.Context, req *Request) (*Response, net.Conn, []byte, error) {
	again := *req
	again.upgrade = true
	r, err := s.Do(ctx, &again)
	if err != nil || r.Status != http.StatusSwitchingProtocols || r.c == nil {
		return r, nil, nil, err
	}
	r.Header() // it outlasts the head
	c := r.c
	r.c = nil
	read := slices.Clone(c.in)
	c.discard()
	s.pool.busy.remove(c)
	s.pool.open--
	s.pool.release(c.host)
	c.raw.SetDeadline(time.Time{})
	r.finished(nil)
	if c.tls == nil {
		return r, c.raw, read, nil
	}
	c.beneath.free = true
	return r, &upgradedTLS{Conn: c.tls, wire: c.beneath}, read, nil
}

// An upgradedTLS is a connection of TLS that several tasks may read and write at a time. A [tls.Conn] holds
// a mutex while it writes, on which a reader that has something to answer would block the thread; so beneath it writing does not
// park, and here it waits for what was left to do.
type upgradedTLS struct {
	*tls.Conn
	wire *upgradeWire
}

// Write parks until p is with the system. If the task is canceled meanwhile, p is sent all the same.
func (c *upgradedTLS) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err == nil {
		err = c.wire.drain()
	}
	return n, err
}

// An upgradeWire is what lies beneath TLS.
type upgradeWire struct {
	net.Conn
	free    bool // writing does not park
	queue   []byte
	flusher *rondo.Task[struct{}] // nil: there is nothing to do
	err     error
}

// Write takes p, and has it written.
func (w *upgradeWire) Write(p []byte) (int, error) {
	if !w.free {
		return w.Conn.Write(p)
	}
	if w.err != nil {
		return 0, w.err
	}
	w.queue = append(w.queue, p...)
	if w.flusher == nil {
		w.flusher = rondo.Spawn(context.Background(), w.flush)
	}
	return len(p), nil
}

func (w *upgradeWire) flush(context.Context) (struct{}, error) {
	for len(w.queue) > 0 && w.err == nil {
		p := w.queue
		w.queue = nil
		_, w.err = w.Conn.Write(p)
	}
	w.flusher = nil
	return struct{}{}, nil
}

// drain waits until all has been written.
func (w *upgradeWire) drain() error {
	for w.flusher != nil {
		if _, err := rondo.Shield(w.flusher).Await(context.Background()); err != nil {
			return err
		}
	}
	return w.err
}

package rondohttp

import (
	"context"
	"net"
	"net/http"
	"slices"
	"time"
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
	return r, c.tls, read, nil
}

package portable

import (
	"fmt"
	"net"

	"github.com/rondo-go/rondo/poll"
)

// A handover is a user of a socket that is in no poller. Goroutines that work for the
// socket go on meanwhile, and leave their results in its buffers.
type handover struct {
	s *socket // nil once received or closed
}

// Release implements [poll.Endpoint]. The socket moves with its buffers.
func (e *endpoint) Release() (poll.Handover, error) {
	if err := e.usable(); err != nil {
		return nil, fmt.Errorf("release %v: %w", e.remote, err)
	}
	e.closed = true
	e.r.settle()
	e.w.settle()
	e.s.mu.Lock()
	e.s.p, e.s.r, e.s.w = nil, nil, nil
	e.s.mu.Unlock()
	return &handover{e.s}, nil
}

// Receive implements [poll.Poller] for what another poller of this kind has released.
func (p *Poller) Receive(h poll.Handover) (poll.Endpoint, error) {
	o, ok := h.(*handover)
	if !ok {
		return nil, fmt.Errorf("receive %T: %w", h, poll.ErrUnsupported)
	}
	s := o.s
	if s == nil {
		return nil, fmt.Errorf("receive: %w", net.ErrClosed)
	}
	o.s = nil
	e := &endpoint{p: p, s: s, local: s.conn.LocalAddr(), remote: s.conn.RemoteAddr()}
	s.mu.Lock()
	s.p, s.r, s.w = p, &e.r, &e.w
	s.mu.Unlock()
	return e, nil
}

// Close implements [poll.Handover].
func (h *handover) Close() error {
	if h.s == nil {
		return net.ErrClosed
	}
	s := h.s
	h.s = nil
	return s.release(false)
}

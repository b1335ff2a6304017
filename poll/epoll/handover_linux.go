package epoll

import (
	"fmt"
	"net"

	"github.com/rondo-go/rondo/internal/sys"
	"github.com/rondo-go/rondo/poll"
)

// A handover is an endpoint that is in no poller. What is known of its readiness
// stays valid: the edges that its next poller misses are told anew when it adds the
// descriptor.
type handover struct {
	e    endpoint // goes on as it lies here, one allocation for both
	gone bool     // received or closed
}

// Release implements [poll.Endpoint]. The descriptor moves as it is.
func (e *endpoint) Release() (poll.Handover, error) {
	switch {
	case e.fd < 0:
		return nil, fmt.Errorf("release %v: %w", e.RemoteAddr(), net.ErrClosed)
	case e.connecting:
		return nil, fmt.Errorf("release %v: still connecting: %w", e.RemoteAddr(), poll.ErrUnsupported)
	}
	if err := e.watch.remove(); err != nil {
		return nil, fmt.Errorf("release %v: %w", e.RemoteAddr(), err)
	}
	h := &handover{e: *e}
	e.fd = -1
	return h, nil
}

// Receive implements [poll.Poller] for what another epoll poller has released.
func (p *Poller) Receive(h poll.Handover) (poll.Endpoint, error) {
	o, ok := h.(*handover)
	if !ok {
		return nil, fmt.Errorf("receive %T: %w", h, poll.ErrUnsupported)
	}
	e := &o.e
	if o.gone {
		return nil, fmt.Errorf("receive %v: %w", e.RemoteAddr(), net.ErrClosed)
	}
	e.p = p
	if err := e.add(); err != nil {
		return nil, fmt.Errorf("receive %v: %w", e.RemoteAddr(), err)
	}
	o.gone = true
	return e, nil
}

// Close implements [poll.Handover].
func (h *handover) Close() error {
	if h.gone {
		return net.ErrClosed
	}
	h.gone = true
	return sys.Close(int(h.e.fd))
}

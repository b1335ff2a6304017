package rondo

import (
	"fmt"
	"os"

	"github.com/rondo-go/rondo/poll"
	"github.com/rondo-go/rondo/poll/epoll"
	"github.com/rondo-go/rondo/poll/portable"
)

// newPoller makes the backend that RONDO_POLLER names: epoll (the default) or
// portable.
func newPoller() (poll.Poller, error) {
	switch name := os.Getenv("RONDO_POLLER"); name {
	case "", "epoll":
		return epoll.New()
	case "portable":
		return portable.New()
	default:
		return nil, fmt.Errorf("rondo: RONDO_POLLER=%s is unknown (use epoll or portable)", name)
	}
}

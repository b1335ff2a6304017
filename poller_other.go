//go:build !linux

package rondo

import (
	"fmt"
	"os"

	"github.com/rondo-go/rondo/poll"
	"github.com/rondo-go/rondo/poll/portable"
)

// newPoller makes the backend that RONDO_POLLER names: portable is the only one.
func newPoller() (poll.Poller, error) {
	if name := os.Getenv("RONDO_POLLER"); name != "" && name != "portable" {
		return nil, fmt.Errorf("rondo: RONDO_POLLER=%s is unknown here (only portable is)", name)
	}
	return portable.New()
}

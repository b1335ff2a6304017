//go:build !unix || aix || solaris || illumos

package portable

import (
	"fmt"

	"github.com/rondo-go/rondo/poll"
)

// A watcher does not exist here.
type watcher struct{}

func (*watcher) close() {}

// Watch implements [poll.Poller]. There is nothing to watch descriptors with here.
func (p *Poller) Watch(fd uintptr) (poll.Watch, error) {
	return nil, fmt.Errorf("watch fd %d: %w", fd, poll.ErrUnsupported)
}

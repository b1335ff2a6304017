package portable

import (
	"fmt"
	"net"
	"os"

	"github.com/rondo-go/rondo/internal/sys"
	"github.com/rondo-go/rondo/poll"
)

// Open implements [poll.Poller]. The descriptor is duplicated where there are
// descriptors, so that Go's runtime poller serves it whatever mode it was in.
func (p *Poller) Open(f *os.File) (poll.Endpoint, error) {
	if err := poll.CheckStream(f); err != nil {
		return nil, err
	}
	t, err := sys.TakeFile(f)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", f.Name(), err)
	}
	var c net.Conn
	switch {
	case t.Socket:
		if t.Stream {
			c, err = net.FileConn(t.File)
		} else {
			err = fmt.Errorf("not a stream: %w", poll.ErrUnsupported)
		}
		t.Close()
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", f.Name(), err)
		}
	case !t.Pollable:
		t.Close()
		return nil, poll.NotPollable(f)
	default:
		c = poll.NewFileConn(t.File, t.Mode)
	}
	if !t.Original && !t.Standard {
		f.Close()
	}
	return p.Adopt(c)
}

package loop

import (
	"errors"
	"net"
	"os"

	"github.com/rondo-go/rondo/poll"
)

// fakePoller refuses everything: loops in this package's tests do no I/O.
type fakePoller struct {
	poll.PacketPoller
	poll.WatchPoller
}

var errNoIO = errors.New("no I/O in this test")

func (fakePoller) Name() string { return "fake" }
func (fakePoller) Connect(string, net.Addr, poll.ConnectOptions) (poll.Endpoint, error) {
	return nil, errNoIO
}
func (fakePoller) Listen(string, string, poll.ListenOptions) (poll.Listener, error) {
	return nil, errNoIO
}
func (fakePoller) Adopt(net.Conn) (poll.Endpoint, error)        { return nil, errNoIO }
func (fakePoller) Open(*os.File) (poll.Endpoint, error)         { return nil, errNoIO }
func (fakePoller) Receive(poll.Handover) (poll.Endpoint, error) { return nil, errNoIO }
func (fakePoller) Close() error                                 { return nil }

package polltest

import (
	"errors"
	"net"
	"net/netip"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/rondo-go/rondo/poll"
)

// controlled notes the calls of a ControlFunc, which may come from any goroutine.
type controlled struct {
	mu    sync.Mutex
	calls [][2]string
	err   error
}

func (c *controlled) call(network, address string, rc syscall.RawConn) error {
	err := rc.Control(func(fd uintptr) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.calls = append(c.calls, [2]string{network, address})
	})
	return errors.Join(err, c.err)
}

func (c *controlled) take() [][2]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	calls := c.calls
	c.calls = nil
	return calls
}

// A ControlFunc is told of the socket of a connection, and of a listener.
func testControl(r *Rig) {
	path := filepath.Join(r.TempDir(), "s")
	for _, test := range []struct{ network, address, as string }{
		{"tcp", "127.0.0.1:0", "tcp4"}, {"tcp4", "127.0.0.1:0", "tcp4"}, {"tcp6", "[::1]:0", "tcp6"}, {"unix", path, "unix"},
	} {
		var c controlled
		l, err := r.P.Listen(test.network, test.address, poll.ListenOptions{Control: c.call, ReusePort: test.network != "unix", Backlog: 7})
		if err != nil {
			r.Fatal(err)
		}
		if calls := c.take(); len(calls) != 1 || calls[0] != [2]string{test.as, test.address} {
			r.Errorf("listen %v: told of %v", test, calls)
		}
		e, err := r.P.Connect(test.network, l.Addr(), poll.ConnectOptions{Control: c.call})
		if err != nil {
			r.Fatal(err)
		}
		op := r.Op()
		r.Await(op, func() (ok bool) { err, ok = e.Connected(&op.Op); return ok })
		if err != nil {
			r.Fatal(err)
		}
		if calls := c.take(); len(calls) != 1 || calls[0] != [2]string{test.as, l.Addr().String()} {
			r.Errorf("connect %v: told of %v", test, calls)
		}
		r.Close(e, r.Accept(l), l)
	}
}

// Its error is that of the attempt.
func testControlFails(r *Rig) {
	refused := errors.New("refused by control")
	c := controlled{err: refused}
	_, err := r.P.Listen("tcp", "127.0.0.1:0", poll.ListenOptions{Control: c.call})
	r.WantErr("listen", err, refused)
	remote := net.TCPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:1"))
	e, err := r.P.Connect("tcp", remote, poll.ConnectOptions{Control: c.call})
	if err == nil { // it may be told later
		op := r.Op()
		r.Await(op, func() (ok bool) { err, ok = e.Connected(&op.Op); return ok })
		r.Close(e)
	}
	r.WantErr("connect", err, refused)
}

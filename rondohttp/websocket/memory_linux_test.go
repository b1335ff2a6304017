package websocket

import (
	"context"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/rondo-go/rondo"
)

// inUse returns the bytes of live objects, and of stacks.
func inUse() int64 {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

func TestConnRestsInLittleMemory(t *testing.T) {
	if os.Getenv("RONDO_POLLER") == "portable" {
		t.Skip("the portable poller has goroutines of its own")
	}
	const n, most = 2000, 2048
	run(t, accepting(t, nil, resting), func(ctx context.Context, s *site) {
		dial := func() *rawPeer {
			p, _ := s.raw(t, ctx)
			p.Write([]byte("\x81\x81\x00\x00\x00\x00x"))
			if b := make([]byte, 3); p.Conn != nil {
				p.Read(b)
			}
			return p
		}
		for range 20 {
			dial()
		}
		peers := make([]*rondo.Conn, 0, n)
		before := inUse()
		for range n {
			peers = append(peers, dial().Conn.(*rondo.Conn))
		}
		both := (inUse() - before) / n
		// What the clients hold is not the server's: a plain connection at its end costs as much as one of this loop that nobody reads.
		client := restingCost(t, ctx, n)
		t.Logf("%d bytes for both ends, of which %d are the client's", both, client)
		if got := both - client; got > most {
			t.Errorf("a connection at rest holds %d bytes, want %d at most", got, most)
		}
		for _, c := range peers {
			c.Close()
		}
	})
}

// restingCost returns what a connection of the loop holds that has been written to and read from, and nothing happens to.
func restingCost(t *testing.T, ctx context.Context, n int) int64 {
	ln, err := rondo.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	before := inUse()
	var all []*rondo.Conn
	for range n / 2 {
		c, err := rondo.Dial(ctx, "tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		o, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range []net.Conn{c, o} {
			x.Write([]byte("x"))
		}
		for _, x := range []net.Conn{c, o} {
			x.Read(make([]byte, 1))
		}
		all = append(all, c, o.(*rondo.Conn))
	}
	cost := (inUse() - before) / int64(len(all))
	for _, c := range all {
		c.Close()
	}
	return cost
}

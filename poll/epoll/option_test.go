//go:build linux

package epoll

import (
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/rondo-go/rondo/poll"
)

// Connections are set as package net sets its own, accepted ones by what they inherit
// from the listener (tcp(7) does not promise it, so it is tested).
func TestEndpointHasOptionsOfPackageNet(t *testing.T) {
	r := newRig(t)
	get := func(fd uintptr, level, name int) int {
		n, err := syscall.GetsockoptInt(int(fd), level, name)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	names := map[string][2]int{
		"SO_KEEPALIVE": {syscall.SOL_SOCKET, syscall.SO_KEEPALIVE}, "TCP_NODELAY": {syscall.IPPROTO_TCP, syscall.TCP_NODELAY},
		"TCP_KEEPIDLE": {syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE}, "TCP_KEEPINTVL": {syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL},
		"TCP_KEEPCNT": {syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT},
	}
	client, server := r.Pair("tcp")
	e, c := r.Peer("tcp")
	rc, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for name, o := range names {
		var want int
		rc.Control(func(fd uintptr) { want = get(fd, o[0], o[1]) })
		for which, end := range map[string]poll.Endpoint{"connected": client, "accepted": server} {
			end.Control(func(fd uintptr) {
				if got := get(fd, o[0], o[1]); got != want {
					t.Errorf("%s: %s is %d, package net has %d", which, name, got, want)
				}
			})
		}
	}
	err = server.Options().SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 90*time.Second + 1, Interval: -1})
	if err != nil {
		t.Fatal(err)
	}
	server.Control(func(fd uintptr) {
		for name, want := range map[string]int{"TCP_KEEPIDLE": 91, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 9} {
			if got := get(fd, names[name][0], names[name][1]); got != want {
				t.Errorf("%s is %d, want %d", name, got, want)
			}
		}
	})
	r.Close(client, server, e)
}

func TestEndpointWritevAllocatesNothing(t *testing.T) {
	r := newRig(t)
	e, peer := r.Pair("tcp")
	op := r.Op()
	a, b, p := []byte("head"), []byte("body"), make([]byte, 8)
	bufs := make([][]byte, 2)
	allocs := testing.AllocsPerRun(100, func() {
		bufs[0], bufs[1] = a, b
		if n, err, ok := e.Writev(&op.Op, bufs); n != 8 || err != nil || !ok {
			t.Fatal(n, err, ok)
		}
		for got := 0; got < 8; {
			n, err, ok := peer.Read(&op.Op, p)
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				r.P.Wait(-1)
				continue
			}
			got += n
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
	r.Close(e, peer)
}

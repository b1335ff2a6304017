// Package polltest is the contract of package poll as a test suite. Every backend
// runs it:
//
//	func TestPoller(t *testing.T) { polltest.Run(t, epoll.New) }
package polltest

import (
	"errors"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/rondo-go/rondo/poll"
)

// patience is how long a test waits for what must happen. It is real time, and
// spent only by a test that fails.
const patience = 20 * time.Second

// Run runs the suite, each test with a poller that newPoller makes.
func Run(t *testing.T, newPoller func() (poll.Poller, error)) {
	for _, test := range []struct {
		name string
		run  func(*Rig)
	}{
		{"wait-times-out", testWaitTimesOut},
		{"wake-is-kept-for-next-wait", testWakeIsKept},
		{"wake-ends-present-wait", testWakeEndsWait},
		{"wake-concurrent", testWakeConcurrent},
		{"wake-after-close", testWakeAfterClose},

		{"connect-tcp", testConnectTCP},
		{"connect-tcp6", testConnectTCP6},
		{"connect-unix", testConnectUnix},
		{"connect-from-local-address", testConnectFromLocal},
		{"connect-refused", testConnectRefused},
		{"connect-no-such-path", testConnectNoSuchPath},
		{"connect-unknown-network", testConnectUnknownNetwork},
		{"connect-closed-underway", testConnectClosedUnderway},
		{"control", testControl},
		{"control-fails", testControlFails},
		{"listen-any-takes-both-families", testListenAny},
		{"listen-in-use", testListenInUse},
		{"listen-reuse-port", testListenReusePort},
		{"listen-bad-address", testListenBadAddress},
		{"accept-burst", testAcceptBurst},
		{"accept-canceled-keeps-connection", testAcceptCanceled},
		{"accept-close-withdraws", testAcceptClose},
		{"addresses", testAddresses},

		{"echo-tcp", testEchoTCP},
		{"echo-unix", testEchoUnix},
		{"empty-transfer", testEmptyTransfer},
		{"short-read-then-more", testShortReadThenMore},
		{"small-buffer-reads-all", testSmallBuffer},
		{"data-with-end", testDataWithEnd},
		{"end-wakes-reader", testEndWakesReader},
		{"half-close", testHalfClose},
		{"close-read", testCloseRead},
		{"write-after-close-write", testWriteAfterCloseWrite},
		{"reset-wakes-reader", testResetWakesReader},
		{"reset-wakes-writer", testResetWakesWriter},
		{"slow-reader", testSlowReader},
		{"both-ways-at-once", testBothWays},
		{"borrow", testBorrow},
		{"close-flushes", testCloseFlushes},
		{"readable", testReadable},

		{"cancel-read-keeps-bytes", testCancelRead},
		{"cancel-write-takes-nothing", testCancelWrite},
		{"close-withdraws", testCloseWithdraws},
		{"close-twice", testCloseTwice},
		{"stale-event", testStaleEvent},
		{"many-endpoints", testManyEndpoints},

		{"writev", testWritev},
		{"writev-errors", testWritevErrors},
		{"send-file", testSendFile},
		{"send-file-canceled", testSendFileCanceled},
		{"send-file-errors", testSendFileErrors},
		{"splice", testSplice},
		{"splice-canceled", testSpliceCanceled},
		{"splice-errors", testSpliceErrors},
		{"raw", testRaw},
		{"options", testOptions},

		{"pipe", testPipe},
		{"pipe-ends", testPipeEnds},
		{"pipe-half-close", testPipeHalfClose},
		{"pipe-canceled", testPipeCanceled},
		{"pipe-detach", testPipeDetach},
		{"open-refuses-what-is-always-ready", testOpenRefuses},
		{"open-socket", testOpenSocket},

		{"release-and-receive", testRelease},
		{"release-with-operations-in-flight", testReleaseInFlight},
		{"release-detached", testReleaseDetached},
		{"release-closed-by-nobody", testReleaseClose},
		{"release-errors", testReleaseErrors},

		{"adopt", testAdopt},
		{"detach", testDetach},
		{"detach-outlives-endpoint", testDetachOutlives},
		{"detach-after-canceled-read", testDetachAfterCanceledRead},
		{"detach-deadline", testDetachDeadline},
		{"detach-listener", testDetachListener},

		{"packet-echo", testPacketEcho},
		{"packet-batch-burst", testPacketBurst},
		{"packet-empty-is-data", testPacketEmpty},
		{"packet-truncated", testPacketTruncated},
		{"packet-connected-filters", testPacketConnectedFilters},
		{"packet-refused", testPacketRefused},
		{"packet-too-large", testPacketTooLarge},
		{"packet-wrong-receiver", testPacketWrongReceiver},
		{"packet-any-takes-both-families", testPacketAny},
		{"packet-reuse-port", testPacketReusePort},
		{"packet-bad-address", testPacketBadAddress},
		{"packet-unixgram", testPacketUnix},
		{"packet-slow-receiver", testPacketSlowReceiver},
		{"packet-canceled-keeps-datagram", testPacketCanceled},
		{"packet-detach", testPacketDetach},
		{"packet-close-withdraws", testPacketClose},

		{"pass-files", testPassFiles},
		{"pass-too-many-files", testPassTooManyFiles},
		{"pass-files-to-slow-reader", testPassFilesToSlowReader},
		{"peer-credentials", testPeerCredentials},

		{"watch-level", testWatchLevel},
		{"watch-writable", testWatchWritable},
		{"watch-both-sides", testWatchBothSides},
		{"watch-cancel", testWatchCancel},
		{"watch-end", testWatchEnd},
		{"watch-refuses-file", testWatchRefusesFile},
		{"watch-descriptor-reused", testWatchReused},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, err := newPoller()
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := p.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			}()
			test.run(&Rig{TB: t, P: p, New: newPoller})
		})
	}
}

// A Rig drives a poller from a test or a benchmark, which is its loop's thread.
type Rig struct {
	testing.TB
	P   poll.Poller
	New func() (poll.Poller, error) // makes another; nil if the test needs only one
}

// An Op is an operation with an owner that checks what the contract says about
// being told.
type Op struct {
	poll.Op
	t     testing.TB
	Fired int // how often the owner was told
}

// Op makes an operation.
func (r *Rig) Op() *Op {
	op := &Op{t: r.TB}
	op.Owner = op
	return op
}

// Ready implements [poll.Owner].
func (o *Op) Ready(op *poll.Op) {
	if op != &o.Op {
		o.t.Error("owner told of another's operation")
	}
	if op.Pending {
		o.t.Error("operation still pending as its owner is told")
	}
	o.Fired++
}

// Await calls try, which is an operation with op, until it is done.
func (r *Rig) Await(op *Op, try func() bool) {
	r.Helper()
	for !try() {
		if !op.Pending {
			r.Fatal("operation neither done nor pending")
		}
		fired := op.Fired
		r.Until(func() bool { return op.Fired > fired })
		if op.Fired != fired+1 {
			r.Fatalf("owner told %d times", op.Fired-fired)
		}
	}
	if op.Pending {
		r.Fatal("operation both done and pending")
	}
}

// Until waits until a condition holds.
func (r *Rig) Until(cond func() bool) {
	r.Helper()
	for end := time.Now().Add(patience); !cond(); {
		left := time.Until(end)
		if left <= 0 {
			r.Fatal("nothing happened")
		}
		if _, err := r.P.Wait(left); err != nil {
			r.Fatalf("wait: %v", err)
		}
	}
}

// Linger waits a while for something that must not happen: op's owner being told.
// It is real time, since there is no event to wait for.
func (r *Rig) Linger(op *Op) {
	r.Helper()
	fired := op.Fired
	for end := time.Now().Add(20 * time.Millisecond); time.Now().Before(end); {
		if _, err := r.P.Wait(5 * time.Millisecond); err != nil {
			r.Fatalf("wait: %v", err)
		}
	}
	if op.Fired != fired {
		r.Fatal("owner told of what was not in flight")
	}
}

// Read reads once, Write writes once, and ReadFull and WriteAll go on.
func (r *Rig) Read(e poll.Endpoint, p []byte) (n int, err error) {
	r.Helper()
	op := r.Op()
	r.Await(op, func() (ok bool) { n, err, ok = e.Read(&op.Op, p); return ok })
	if len(p) > 0 && n == 0 && err == nil {
		r.Fatal("read of nothing")
	}
	return n, err
}

// Write: see Read.
func (r *Rig) Write(e poll.Endpoint, p []byte) (n int, err error) {
	r.Helper()
	op := r.Op()
	r.Await(op, func() (ok bool) { n, err, ok = e.Write(&op.Op, p); return ok })
	if len(p) > 0 && n == 0 && err == nil {
		r.Fatal("write of nothing")
	}
	return n, err
}

// ReadFull: see Read.
func (r *Rig) ReadFull(e poll.Endpoint, n int) []byte {
	r.Helper()
	p := make([]byte, n)
	for got := 0; got < n; {
		k, err := r.Read(e, p[got:])
		if err != nil {
			r.Fatalf("read after %d of %d: %v", got, n, err)
		}
		got += k
	}
	return p
}

// WriteAll: see Read.
func (r *Rig) WriteAll(e poll.Endpoint, p []byte) {
	r.Helper()
	for len(p) > 0 {
		n, err := r.Write(e, p)
		if err != nil {
			r.Fatalf("write: %v", err)
		}
		p = p[n:]
	}
}

// StartRead leaves a read in flight, of which the owner has not been told yet.
func (r *Rig) StartRead(e poll.Endpoint, p []byte) *Op {
	r.Helper()
	op := r.Op()
	for {
		n, err, ok := e.Read(&op.Op, p)
		if ok {
			r.Fatalf("read: %d, %v at once", n, err)
		}
		// The connection's own first edge may still be under way; it is a spurious
		// completion, and taken out of the way here.
		for op.Pending {
			if n, err := r.P.Wait(0); err != nil {
				r.Fatal(err)
			} else if n == 0 {
				op.Fired = 0
				return op
			}
		}
	}
}

// Listen listens on loopback, or in a directory of the test's own.
func (r *Rig) Listen(network string) poll.Listener {
	r.Helper()
	address := "127.0.0.1:0"
	switch network {
	case "tcp6":
		address = "[::1]:0"
	case "unix":
		address = filepath.Join(r.TempDir(), "s")
	}
	l, err := r.P.Listen(network, address, poll.ListenOptions{})
	if err != nil {
		r.Fatal(err)
	}
	return l
}

// Connect connects to an address.
func (r *Rig) Connect(network string, local, remote net.Addr) (poll.Endpoint, error) {
	r.Helper()
	e, err := r.P.Connect(network, remote, poll.ConnectOptions{Local: local})
	if err != nil {
		return nil, err
	}
	op := r.Op()
	r.Await(op, func() (ok bool) { err, ok = e.Connected(&op.Op); return ok })
	if err != nil {
		if err := e.Close(); err != nil {
			r.Errorf("close of what did not connect: %v", err)
		}
		return nil, err
	}
	return e, nil
}

// Accept accepts a connection.
func (r *Rig) Accept(l poll.Listener) (e poll.Endpoint) {
	r.Helper()
	op := r.Op()
	r.Await(op, func() (ok bool) {
		var err error
		e, err, ok = l.Accept(&op.Op)
		if err != nil {
			r.Fatalf("accept: %v", err)
		}
		return ok
	})
	return e
}

// Pair makes two connected endpoints.
func (r *Rig) Pair(network string) (client, server poll.Endpoint) {
	r.Helper()
	l := r.Listen(network)
	defer l.Close()
	client, err := r.Connect(network, nil, l.Addr())
	if err != nil {
		r.Fatal(err)
	}
	return client, r.Accept(l)
}

// Peer makes an endpoint whose other end is a connection of package net.
func (r *Rig) Peer(network string) (poll.Endpoint, net.Conn) {
	r.Helper()
	l := r.Listen(network)
	defer l.Close()
	c, err := net.Dial(l.Addr().Network(), l.Addr().String())
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return r.Accept(l), c
}

// Close closes endpoints and listeners.
func (r *Rig) Close(closers ...interface{ Close() error }) {
	r.Helper()
	for _, c := range closers {
		if err := c.Close(); err != nil {
			r.Errorf("close: %v", err)
		}
	}
}

// WantErr checks an error.
func (r *Rig) WantErr(what string, got, want error) {
	r.Helper()
	if !errors.Is(got, want) {
		r.Errorf("%s: error %v, want %v", what, got, want)
	}
}

// Pattern is n bytes in which each place is recognizable.
func Pattern(n int) []byte {
	p := make([]byte, n)
	x := uint32(1)
	for i := range p {
		x = x*1664525 + 1013904223
		p[i] = byte(x >> 24)
	}
	return p
}

//go:build linux

package epoll

import (
	"encoding/binary"
	"io"
	"net"
	"os"
	"reflect"
	"syscall"
	"testing"
	"time"

	"github.com/rondo-go/rondo/internal/sys"
	"github.com/rondo-go/rondo/poll"
	"github.com/rondo-go/rondo/poll/polltest"
)

func TestPoller(t *testing.T) { polltest.Run(t, New) }

func newRig(t testing.TB) *polltest.Rig {
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return &polltest.Rig{TB: t, P: p}
}

func TestPollerIgnoresEventOfEarlierGeneration(t *testing.T) {
	r := newRig(t)
	p := r.P.(*Poller)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	adopt := func() (poll.Endpoint, int32, int32) {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		e, err := p.Adopt(c)
		if err != nil {
			t.Fatal(err)
		}
		slot := e.(*endpoint).slot
		return e, slot, p.slots[slot].gen
	}
	e, slot, gen := adopt()
	r.Close(e)
	late := sys.EpollEvent{Events: sys.EpollIn, Fd: slot, Pad: gen}
	if n := p.dispatch(&late); n != 0 {
		t.Error("event of a closed endpoint reported")
	}
	e, slot2, gen2 := adopt()
	if slot2 != slot || gen2 == gen {
		t.Fatalf("slot %d generation %d, then %d and %d", slot, gen, slot2, gen2)
	}
	op := r.StartRead(e, make([]byte, 1))
	if n := p.dispatch(&late); n != 0 || !op.Pending {
		t.Error("event of the slot's earlier endpoint reported to the present one")
	}
	late.Pad = gen2
	if n := p.dispatch(&late); n != 1 || op.Pending {
		t.Error("event of the present endpoint ignored")
	}
	r.Close(e)
}

// Wake is cheap for a loop that is busy: it writes only if the loop sleeps.
func TestPollerWakeWritesOnlyToSleeper(t *testing.T) {
	r := newRig(t)
	p := r.P.(*Poller)
	count := func() uint64 {
		var n [8]byte
		if _, err := syscall.Read(p.wakefd, n[:]); err == syscall.EAGAIN {
			return 0
		} else if err != nil {
			t.Fatal(err)
		}
		return binary.NativeEndian.Uint64(n[:])
	}
	for range 10 {
		p.Wake()
	}
	p.Wait(-1)
	if n := count(); n != 0 {
		t.Errorf("%d writes, though nobody slept", n)
	}
	p.state.Store(sleeping)
	for range 10 {
		p.Wake()
	}
	if n := count(); n != 1 {
		t.Errorf("%d writes to a sleeper, want 1", n)
	}
}

func TestEndpointSkipsReadAfterShortOne(t *testing.T) {
	r := newRig(t)
	e, c := r.Peer("tcp")
	c.Write([]byte("request"))
	r.ReadFull(e, 7)
	quieten(r, e)

	c.Write([]byte("request"))
	w := &e.(*endpoint).watch
	r.Until(func() bool { return w.bits&readable != 0 })
	if n, err := r.Read(e, make([]byte, 100)); n != 7 || err != nil {
		t.Fatal(n, err)
	}
	if w.bits&readable != 0 {
		t.Error("still thought readable after a short read")
	}
	// An exact fit proves nothing.
	c.Write([]byte("request"))
	r.Until(func() bool { return w.bits&readable != 0 })
	r.ReadFull(e, 7)
	if w.bits&readable == 0 {
		t.Error("thought drained after a read that got all it asked for")
	}
	r.Close(e)
}

// quieten takes a fresh endpoint's first edge away, so that the next one has to tell
// of what is sent from now on.
func quieten(r *polltest.Rig, e poll.Endpoint) {
	r.Helper()
	op := r.StartRead(e, make([]byte, 1))
	e.Cancel(&op.Op)
}

// untilReadable waits for an edge, and for all else that may be under way.
func untilReadable(r *polltest.Rig, e poll.Endpoint) {
	r.Helper()
	r.Until(func() bool { return e.(*endpoint).bits&readable != 0 })
	for n := -1; n != 0; {
		n, _ = r.P.Wait(0)
	}
}

// A receive stops at the urgent mark, with more bytes behind it.
func TestEndpointReadsOnBehindUrgentData(t *testing.T) {
	r := newRig(t)
	e, c := r.Peer("tcp")
	quieten(r, e)
	rc, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	rc.Control(func(fd uintptr) {
		for _, m := range []struct {
			text  string
			flags int
		}{{"before", 0}, {"!", syscall.MSG_OOB}, {"behind", 0}} {
			if err := syscall.Sendto(int(fd), []byte(m.text), m.flags, nil); err != nil {
				t.Error(err)
			}
		}
	})
	untilReadable(r, e)
	var got []byte
	p := make([]byte, 100)
	for len(got) < 12 {
		n, err := r.Read(e, p)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, p[:n]...)
	}
	if string(got) != "beforebehind" {
		t.Errorf("got %q", got)
	}
	r.Close(e)
}

// A receive stops behind a message that carries descriptors, with more bytes
// behind it.
func TestEndpointReadsOnBehindPassedDescriptor(t *testing.T) {
	r := newRig(t)
	e, c := r.Peer("unix")
	quieten(r, e)
	rights := syscall.UnixRights(0)
	if _, _, err := c.(*net.UnixConn).WriteMsgUnix([]byte("with"), rights, nil); err != nil {
		t.Fatal(err)
	}
	c.Write([]byte("behind"))
	untilReadable(r, e)
	var got []byte
	p := make([]byte, 100)
	for len(got) < 10 {
		n, err := r.Read(e, p)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, p[:n]...)
	}
	if string(got) != "withbehind" {
		t.Errorf("got %q", got)
	}
	r.Close(e)
}

func TestEndpointKnowsItsOwnShutdown(t *testing.T) {
	r := newRig(t)
	e, _ := r.Peer("tcp")
	quieten(r, e)
	if err := e.CloseRead(); err != nil {
		t.Fatal(err)
	}
	op := r.Op()
	if n, err, ok := e.Read(&op.Op, make([]byte, 1)); n != 0 || err != io.EOF || !ok {
		t.Errorf("read at once: %d, %v, %v", n, err, ok)
	}
	for ok := true; ok; {
		var err error
		if _, err, ok = e.Write(&op.Op, make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	e.Cancel(&op.Op)
	if err := e.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	_, err, ok := e.Write(&op.Op, make([]byte, 1))
	if !ok {
		t.Error("write in flight after shutdown")
	}
	r.WantErr("write", err, syscall.EPIPE)
	r.Close(e)
}

// The file status flags are shared with every duplicate of the descriptor, one of
// which may be set to blocking.
func TestEndpointNeverBlocksOnBlockingSocket(t *testing.T) {
	r := newRig(t)
	e, c := r.Peer("tcp")
	if err := syscall.SetNonblock(int(e.(*endpoint).fd), false); err != nil {
		t.Fatal(err)
	}
	op := r.StartRead(e, make([]byte, 10))
	e.Cancel(&op.Op)
	wop := r.Op()
	for {
		if _, err, ok := e.Write(&wop.Op, make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		} else if !ok {
			break
		}
	}
	c.Close()
	r.Close(e)
}

func TestListenerReturnsEMFILEAndRecovers(t *testing.T) {
	r := newRig(t)
	l := r.Listen("tcp")
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	low := syscall.Rlimit{Cur: 3, Max: was.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	op := r.Op()
	_, err, ok := l.Accept(&op.Op)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	if !ok {
		t.Fatal("accept in flight, want EMFILE")
	}
	r.WantErr("accept", err, syscall.EMFILE)
	r.Close(r.Accept(l), l)
}

func TestListenerConnectionsInheritNoDelay(t *testing.T) {
	r := newRig(t)
	client, server := r.Pair("tcp")
	for _, e := range []poll.Endpoint{client, server} {
		if on, err := syscall.GetsockoptInt(int(e.(*endpoint).fd), syscall.IPPROTO_TCP, syscall.TCP_NODELAY); on == 0 || err != nil {
			t.Errorf("TCP_NODELAY = %d, %v", on, err)
		}
	}
	r.Close(client, server)
}

func TestListenerRemovesItsPath(t *testing.T) {
	r := newRig(t)
	l := r.Listen("unix")
	path := l.Addr().String()
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	r.Close(l)
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("path after close: %v", err)
	}
}

func TestAdoptRefusesWhatItCannotWatch(t *testing.T) {
	r := newRig(t)
	a, b := net.Pipe()
	defer b.Close()
	_, err := r.P.Adopt(a)
	r.WantErr("adopt pipe", err, poll.ErrUnsupported)
	go b.Write([]byte("x"))
	if n, err := a.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("refused connection was touched: %v", err)
	}
	u, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: t.TempDir() + "/s"})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	_, err = r.P.Adopt(u)
	r.WantErr("adopt datagram socket", err, poll.ErrUnsupported)
	u.SetReadDeadline(time.Unix(1, 0))
	_, err = u.Read(make([]byte, 1))
	r.WantErr("read of refused socket", err, os.ErrDeadlineExceeded)
}

func TestEndpointIsSmall(t *testing.T) {
	if size := reflect.TypeFor[endpoint]().Size(); size > 144 {
		t.Errorf("an endpoint has %d bytes", size)
	}
}

// quiet is an owner without checks, for what is measured.
type quiet struct{}

func (quiet) Ready(*poll.Op) {}

// pong sends n bytes from a to b, and waits at b until they are there.
func pong(r *polltest.Rig, a, b poll.Endpoint, aop, bop *poll.Op, p []byte) {
	if n, err, ok := a.Write(aop, p); n != len(p) || err != nil || !ok {
		r.Fatal(n, err, ok)
	}
	for got := 0; got < len(p); {
		lent, err, ok := b.Borrow(bop)
		if err != nil {
			r.Fatal(err)
		}
		if got += len(lent); !ok {
			r.P.Wait(-1)
		}
	}
}

func TestPollerAllocatesNothing(t *testing.T) {
	r := newRig(t)
	a, b := r.Pair("tcp")
	aop, bop := &poll.Op{Owner: quiet{}}, &poll.Op{Owner: quiet{}}
	p := make([]byte, 64)
	allocs := testing.AllocsPerRun(100, func() {
		pong(r, a, b, aop, bop, p)
		pong(r, b, a, bop, aop, p)
		b.Read(bop, p)
		b.Cancel(bop)
		r.P.Wake()
		r.P.Wait(time.Second)
		r.P.Wait(time.Nanosecond)
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
	r.Close(a, b)
}

func BenchmarkPingPong(b *testing.B) {
	for _, size := range []int{64, 4096, 65536} {
		b.Run(map[int]string{64: "64B", 4096: "4KB", 65536: "64KB"}[size], func(b *testing.B) {
			r := newRig(b)
			x, y := r.Pair("tcp")
			xop, yop := &poll.Op{Owner: quiet{}}, &poll.Op{Owner: quiet{}}
			p := make([]byte, size)
			b.ReportAllocs()
			b.SetBytes(2 * int64(size))
			for b.Loop() {
				pong(r, x, y, xop, yop, p)
				pong(r, y, x, yop, xop, p)
			}
			r.Close(x, y)
		})
	}
}

func BenchmarkWaitNothing(b *testing.B) {
	r := newRig(b)
	b.ReportAllocs()
	for b.Loop() {
		r.P.Wait(0)
	}
}

func BenchmarkReadInFlight(b *testing.B) {
	r := newRig(b)
	x, y := r.Pair("tcp")
	op := r.StartRead(x, make([]byte, 64))
	x.Cancel(&op.Op)
	p := make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		x.Read(&op.Op, p)
		x.Cancel(&op.Op)
	}
	r.Close(x, y)
}

func BenchmarkWake(b *testing.B) {
	b.Run("busy", func(b *testing.B) {
		r := newRig(b)
		b.ReportAllocs()
		for b.Loop() {
			r.P.Wake()
		}
	})
	b.Run("sleeper", func(b *testing.B) {
		r := newRig(b)
		p := r.P.(*Poller)
		b.ReportAllocs()
		for b.Loop() {
			p.state.Store(sleeping)
			p.Wake()
		}
	})
}

func BenchmarkAccept(b *testing.B) {
	r := newRig(b)
	l := r.Listen("unix")
	op := &poll.Op{Owner: quiet{}}
	b.ReportAllocs()
	for b.Loop() {
		e, err := r.P.Connect("unix", l.Addr(), poll.ConnectOptions{})
		if err != nil {
			b.Fatal(err)
		}
		s, err, ok := l.Accept(op)
		if err != nil || !ok {
			b.Fatal(err, ok)
		}
		e.Close()
		s.Close()
	}
	r.Close(l)
}

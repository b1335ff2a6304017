package polltest

import (
	"bytes"
	"io"
	"net"
	"syscall"

	"github.com/rondo-go/rondo/poll"
)

// second makes a rig with another poller of the same kind.
func (r *Rig) second() *Rig {
	r.Helper()
	p, err := r.New()
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { r.Close(p) })
	return &Rig{TB: r.TB, P: p, New: r.New}
}

func (r *Rig) release(e poll.Endpoint) poll.Handover {
	r.Helper()
	h, err := e.Release()
	if err != nil {
		r.Fatal(err)
	}
	return h
}

func (r *Rig) receive(h poll.Handover) poll.Endpoint {
	r.Helper()
	e, err := r.P.Receive(h)
	if err != nil {
		r.Fatal(err)
	}
	return e
}

// An endpoint moves to and fro between two pollers, with bytes that have been read and
// with bytes that have not, and misses none.
func testRelease(r *Rig) {
	other := r.second()
	for _, network := range []string{"tcp", "unix"} {
		e, c := r.Peer(network)
		local, remote := e.LocalAddr().String(), e.RemoteAddr().String()
		rigs := []*Rig{r, other}
		for i := range 10 {
			here, there := rigs[i%2], rigs[(i+1)%2]
			c.Write([]byte("before"))
			if i%3 == 0 {
				here.ReadFull(e, 2)
			} else {
				here.P.Wait(0)
			}
			h := here.release(e)
			c.Write([]byte("between"))
			moved := there.receive(h)
			if i%3 != 0 {
				there.ReadFull(moved, 2)
			}
			if got := there.ReadFull(moved, 11); string(got) != "forebetween" {
				r.Fatalf("%s: got %q", network, got)
			}
			there.WriteAll(moved, []byte("back"))
			p := make([]byte, 4)
			if _, err := io.ReadFull(c, p); err != nil || string(p) != "back" {
				r.Fatalf("%s: peer got %q, %v", network, p, err)
			}
			// The next bytes wake a reader there.
			op := there.StartRead(moved, p)
			c.Write([]byte("next"))
			there.Until(func() bool { return op.Fired > 0 })
			if got := there.ReadFull(moved, 4); string(got) != "next" {
				r.Fatalf("%s: got %q", network, got)
			}
			if l, m := moved.LocalAddr().String(), moved.RemoteAddr().String(); l != local || m != remote {
				r.Errorf("%s: moved %s to %s, was %s to %s", network, l, m, local, remote)
			}
			e = moved
		}
		r.Close(e)
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			r.Errorf("%s: peer: %v, want the end", network, err)
		}
	}
	rd, wr := r.OpenPipe()
	r.WriteAll(wr, []byte("pipe"))
	moved := other.receive(r.release(rd))
	if got := other.ReadFull(moved, 4); string(got) != "pipe" {
		r.Errorf("got %q", got)
	}
	r.Close(moved, wr)
}

func testReleaseInFlight(r *Rig) {
	other := r.second()
	e, c := r.Peer("tcp")
	sent, wop := r.fill(e, Pattern(64<<10))
	rop := r.StartRead(e, make([]byte, 10))
	h := r.release(e)
	if rop.Pending || wop.Pending {
		r.Error("pending after release")
	}
	fired := wop.Fired
	c.Write([]byte("kept"))
	moved := other.receive(h)
	if got := other.ReadFull(moved, 4); string(got) != "kept" {
		r.Errorf("got %q", got)
	}
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, sent) {
		r.Errorf("bytes are wrong, or %v", err)
	}
	r.Linger(rop)
	if wop.Fired != fired {
		r.Error("writer told after release")
	}
	other.WriteAll(moved, []byte("after"))
	r.Close(moved)
	if rest, err := io.ReadAll(c); string(rest) != "after" || err != nil {
		r.Errorf("then came %q, %v", rest, err)
	}
}

func testReleaseDetached(r *Rig) {
	other := r.second()
	e, c := r.Peer("tcp")
	d, err := e.Detach()
	if err != nil {
		r.Fatal(err)
	}
	moved := other.receive(r.release(e))
	go d.Write([]byte("off"))
	p := make([]byte, 3)
	if _, err := io.ReadFull(c, p); err != nil || string(p) != "off" {
		r.Errorf("peer got %q, %v", p, err)
	}
	c.Write([]byte("in!"))
	if got := other.ReadFull(moved, 3); string(got) != "in!" {
		r.Errorf("got %q", got)
	}
	r.Close(moved, d)
}

func testReleaseClose(r *Rig) {
	e, c := r.Peer("tcp")
	h := r.release(e)
	r.Close(h)
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		r.Errorf("peer: %v, want the end", err)
	}
	r.WantErr("close", h.Close(), net.ErrClosed)
	_, err := r.P.Receive(h)
	r.WantErr("receive", err, net.ErrClosed)
}

// A strange handover is of no backend.
type strange struct{ poll.Handover }

func testReleaseErrors(r *Rig) {
	a, b := r.Pair("tcp")
	h := r.release(a)
	_, err := a.Release()
	r.WantErr("release", err, net.ErrClosed)
	_, err = r.Read(a, make([]byte, 1))
	r.WantErr("read", err, net.ErrClosed)
	r.WantErr("close", a.Close(), net.ErrClosed)
	_, err = r.P.Receive(strange{h})
	r.WantErr("receive", err, poll.ErrUnsupported)
	r.Close(h, b)

	l := r.Listen("tcp")
	e, err := r.P.Connect("tcp", l.Addr(), poll.ConnectOptions{})
	if err != nil {
		r.Fatal(err)
	}
	if _, err := e.Release(); err == nil {
		r.Error("released what is still connecting")
	}
	op := r.Op()
	r.Await(op, func() (ok bool) { err, ok = e.Connected(&op.Op); return ok })
	if err != nil && err != error(syscall.ECONNREFUSED) {
		r.Error(err)
	}
	r.Close(e, l)
}

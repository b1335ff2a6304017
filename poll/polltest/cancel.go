package polltest

import (
	"bytes"
	"io"
	"net"
	"testing"

	"github.com/rondo-go/rondo/poll"
)

func testCancelRead(r *Rig) {
	e, c := r.Peer("tcp")
	p := make([]byte, 100)
	for range 20 {
		op := r.StartRead(e, p)
		e.Cancel(&op.Op)
		if op.Pending {
			r.Fatal("pending after cancel")
		}
		e.Cancel(&op.Op) // does nothing
		c.Write([]byte("kept"))
		if got := r.ReadFull(e, 4); string(got) != "kept" {
			r.Fatalf("got %q", got)
		}
		if op.Fired != 0 {
			r.Fatal("owner told of a canceled read")
		}
	}

	// Canceled after it was reported, before it was collected.
	op := r.StartRead(e, p)
	c.Write([]byte("kept"))
	r.Until(func() bool { return op.Fired > 0 })
	e.Cancel(&op.Op)
	if got := r.ReadFull(e, 4); string(got) != "kept" {
		r.Fatalf("got %q", got)
	}

	// Canceling another's operation leaves this one in flight.
	op, other := r.StartRead(e, p), r.Op()
	e.Cancel(&other.Op)
	c.Write([]byte("more"))
	r.Until(func() bool { return op.Fired == 1 })
	r.Close(e)
}

func testCancelWrite(r *Rig) {
	for _, network := range []string{"tcp", "unix"} {
		e, c := r.Peer(network)
		sent, op := r.fill(e, Pattern(64<<10))
		e.Cancel(&op.Op)
		if op.Pending {
			r.Fatal("pending after cancel")
		}
		got := make([]byte, len(sent))
		if _, err := io.ReadFull(c, got); err != nil {
			r.Fatal(err)
		}
		if !bytes.Equal(got, sent) {
			r.Fatal("bytes are wrong")
		}
		r.Linger(op)
		r.WriteAll(e, []byte("after"))
		r.Close(e)
		if rest, err := io.ReadAll(c); string(rest) != "after" || err != nil {
			r.Errorf("%s: after the canceled write came %d bytes, %v", network, len(rest), err)
		}
	}
}

func testCloseWithdraws(r *Rig) {
	e, c := r.Peer("tcp")
	_, wop := r.fill(e, Pattern(64<<10))
	rop := r.StartRead(e, make([]byte, 10))
	r.Close(e)
	if rop.Pending || wop.Pending {
		r.Error("pending after close")
	}
	c.Close()
	fired := wop.Fired
	r.Linger(rop)
	if wop.Fired != fired {
		r.Error("writer told after close")
	}
	_, err, ok := e.Read(&rop.Op, make([]byte, 10))
	if !ok {
		r.Fatal("read of a closed endpoint in flight")
	}
	r.WantErr("read", err, net.ErrClosed)
	_, err, ok = e.Borrow(&rop.Op)
	if !ok {
		r.Fatal("borrow of a closed endpoint in flight")
	}
	r.WantErr("borrow", err, net.ErrClosed)
	_, err, ok = e.Write(&wop.Op, []byte("x"))
	if !ok {
		r.Fatal("write to a closed endpoint in flight")
	}
	r.WantErr("write", err, net.ErrClosed)
	_, err = e.Detach()
	r.WantErr("detach", err, net.ErrClosed)
}

func testCloseTwice(r *Rig) {
	a, b := r.Pair("tcp")
	r.Close(a, b)
	r.WantErr("close", a.Close(), net.ErrClosed)
	r.WantErr("close read", a.CloseRead(), net.ErrClosed)
	r.WantErr("close write", a.CloseWrite(), net.ErrClosed)
}

// An endpoint is closed while an event for it is under way; the next endpoint gets
// its descriptor and its place. The event must reach neither.
func testStaleEvent(r *Rig) {
	l := r.Listen("tcp")
	defer r.Close(l)
	connect := func() (poll.Endpoint, net.Conn) {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			r.Fatal(err)
		}
		return r.Accept(l), c
	}
	p := make([]byte, 10)
	for range 100 {
		e, c := connect()
		old := r.StartRead(e, p)
		c.Write([]byte("late"))
		r.Close(e)
		c.Close()
		e, c = connect()
		op := r.StartRead(e, p)
		c.Write([]byte("new"))
		r.Await(op, func() bool {
			n, err, ok := e.Read(&op.Op, p)
			if ok && (err != nil || !bytes.HasPrefix([]byte("new"), p[:n])) {
				r.Fatalf("read %q, %v", p[:n], err)
			}
			return ok
		})
		if old.Fired != 0 {
			r.Fatal("owner told of a closed endpoint's read")
		}
		r.Close(e)
		c.Close()
	}
}

func testManyEndpoints(r *Rig) {
	pairs := 1000
	if testing.Short() {
		pairs = 100
	}
	l := r.Listen("unix") // so that no port is left waiting
	defer r.Close(l)
	type pair struct {
		client, server poll.Endpoint
		op             *Op
		got            int
	}
	all := make([]*pair, pairs)
	for i := range all {
		c, err := r.Connect("unix", nil, l.Addr())
		if err != nil {
			r.Fatal(err)
		}
		all[i] = &pair{client: c, server: r.Accept(l), op: r.Op()}
	}
	buf := make([]byte, 64)
	const rounds = 3
	for round := range rounds {
		for i, p := range all {
			r.WriteAll(p.client, []byte{byte(i), byte(i >> 8), byte(round)})
		}
		r.Until(func() bool {
			left := 0
			for i, p := range all {
				for p.got < 3 && !p.op.Pending {
					n, err, ok := p.server.Read(&p.op.Op, buf[:3-p.got])
					if err != nil {
						r.Fatal(err)
					}
					if !ok {
						break
					}
					want := []byte{byte(i), byte(i >> 8), byte(round)}[p.got:][:n]
					if !bytes.Equal(buf[:n], want) {
						r.Fatalf("endpoint %d got another's bytes", i)
					}
					p.got += n
				}
				if p.got < 3 {
					left++
				}
			}
			return left == 0
		})
		for _, p := range all {
			p.got = 0
		}
	}
	for _, p := range all {
		r.Close(p.client, p.server)
	}
}

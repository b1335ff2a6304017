package portable

import (
	"context"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rondo-go/rondo/poll"
	"github.com/rondo-go/rondo/poll/polltest"
)

func TestPoller(t *testing.T) { polltest.Run(t, New) }

func TestPollerSleepsOnVirtualClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := New()
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		for i := range 3 {
			n, err := p.Wait(time.Hour)
			if n != 0 || err != nil {
				t.Fatalf("wait: %d, %v", n, err)
			}
			if took, want := time.Since(start), time.Duration(i+1)*time.Hour; took != want {
				t.Fatalf("slept until %v, want %v", took, want)
			}
		}
		go func() {
			time.Sleep(time.Minute)
			p.Wake()
		}()
		p.Wait(-1)
		if took, want := time.Since(start), 3*time.Hour+time.Minute; took != want {
			t.Errorf("woken at %v, want %v", took, want)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestEndpointWaitsOnVirtualClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := New()
		if err != nil {
			t.Fatal(err)
		}
		r := &polltest.Rig{TB: t, P: p}
		a, b := net.Pipe()
		e, err := p.Adopt(a)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			time.Sleep(10 * time.Second)
			b.Write([]byte("late"))
			time.Sleep(10 * time.Second)
			b.Close()
		}()
		start := time.Now()
		op := r.Op()
		buf := make([]byte, 10)
		if n, err, ok := e.Read(&op.Op, buf); ok {
			t.Fatalf("read at once: %d, %v", n, err)
		}
		if n, err := p.Wait(time.Second); n != 0 || err != nil || time.Since(start) != time.Second {
			t.Fatalf("wait: %d, %v after %v", n, err, time.Since(start))
		}
		if n, err := p.Wait(-1); n != 1 || err != nil || time.Since(start) != 10*time.Second {
			t.Fatalf("wait: %d, %v after %v", n, err, time.Since(start))
		}
		if n, err, ok := e.Read(&op.Op, buf); n != 4 || err != nil || !ok {
			t.Fatalf("read: %d, %v, %v", n, err, ok)
		}
		if n, err := r.Read(e, buf); n != 0 || err != io.EOF || time.Since(start) != 20*time.Second {
			t.Fatalf("read: %d, %v after %v", n, err, time.Since(start))
		}
		r.Close(e, p)
	})
}

// A peer that does not read keeps a closed socket, and the poller's Close, only for
// so long.
func TestPollerCloseLingersForWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := New()
		if err != nil {
			t.Fatal(err)
		}
		r := &polltest.Rig{TB: t, P: p}
		a, b := net.Pipe()
		e, err := p.Adopt(a)
		if err != nil {
			t.Fatal(err)
		}
		r.WriteAll(e, []byte("unread"))
		start := time.Now()
		r.Close(e)
		if took := time.Since(start); took != 0 {
			t.Errorf("endpoint's close took %v", took)
		}
		r.Close(p)
		if took := time.Since(start); took != linger {
			t.Errorf("poller's close took %v, want %v", took, linger)
		}
		b.Close()
	})
}

// A reset that the goroutine of a write was told of is no end to who reads: that write
// was done before.
func TestEndpointReadsResetThatWriteMet(t *testing.T) {
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	r := &polltest.Rig{TB: t, P: p}
	for range 200 { // the system tells of it whichever goroutine comes first
		e, c := r.Peer("tcp")
		r.WriteAll(e, make([]byte, 1000))
		op := r.StartRead(e, make([]byte, 10))
		c.(*net.TCPConn).SetLinger(0)
		go c.Close()
		wop := r.Op()
		for { // until there is nobody any more
			_, err, ok := e.Write(&wop.Op, make([]byte, 1000))
			if err != nil {
				break
			}
			if !ok {
				r.Until(func() bool { return !wop.Pending })
			}
		}
		var rerr error
		r.Await(op, func() (ok bool) { _, rerr, ok = e.Read(&op.Op, make([]byte, 10)); return ok })
		if rerr == nil || rerr == io.EOF {
			t.Fatalf("read of a reset connection: %v", rerr)
		}
		r.Close(e)
	}
	r.Close(p)
}

// A failed write counts what the peer got, also of the piece that failed.
func TestDetachedWriteCountsWhatWasSent(t *testing.T) {
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	r := &polltest.Rig{TB: t, P: p}
	for _, sent := range []int{10, writeSize, writeSize + 10} {
		a, b := net.Pipe()
		e, err := p.Adopt(a)
		if err != nil {
			t.Fatal(err)
		}
		d, err := e.Detach()
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			io.ReadFull(b, make([]byte, sent))
			b.Close()
		}()
		if n, err := d.Write(make([]byte, 3*writeSize)); n != sent || err == nil {
			t.Errorf("wrote %d, %v, want %d and an error", n, err, sent)
		}
		r.Close(d, e)
	}
	r.Close(p)
}

// The goroutine of a connect may succeed after the endpoint was closed.
func TestDialClosesWhatNobodyWants(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	told := false
	d := &dial{cancel: func() {}, abandoned: true}
	d.run(context.Background(), "tcp", ln.Addr(), poll.ConnectOptions{}, func() { told = true })
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Read(make([]byte, 1)); err != io.EOF || !told {
		t.Errorf("read: %v, want the end", err)
	}
}

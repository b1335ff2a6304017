package polltest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"time"
)

func testAdopt(r *Rig) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.Fatal(err)
	}
	defer l.Close()
	dialed, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		r.Fatal(err)
	}
	c, err := l.Accept()
	if err != nil {
		r.Fatal(err)
	}
	c.Write([]byte("early"))
	e, err := r.P.Adopt(dialed)
	if err != nil {
		r.Fatal(err)
	}
	if e.RemoteAddr().String() != l.Addr().String() || e.LocalAddr().String() != c.RemoteAddr().String() {
		r.Errorf("adopted %v to %v", e.LocalAddr(), e.RemoteAddr())
	}
	if got := r.ReadFull(e, 5); string(got) != "early" {
		r.Errorf("got %q", got)
	}
	go io.Copy(c, struct{ io.Reader }{c})
	want := Pattern(1 << 20)
	if got := r.exchange(e, want, len(want)); !bytes.Equal(got, want) {
		r.Error("bytes are wrong")
	}
	r.Close(e)
	c.Close()
}

func testDetach(r *Rig) {
	for _, network := range []string{"tcp", "unix"} {
		e, c := r.Peer(network)
		op := r.StartRead(e, make([]byte, 10))
		d, err := e.Detach()
		if err != nil {
			r.Fatal(err)
		}
		if d.RemoteAddr().String() != c.LocalAddr().String() || d.LocalAddr().String() != c.RemoteAddr().String() {
			r.Errorf("detached %v to %v", d.LocalAddr(), d.RemoteAddr())
		}
		// A goroutine writes by the detached connection while the loop reads.
		want := Pattern(1 << 20)
		wrote := make(chan error, 1)
		go func() {
			_, err := d.Write(want)
			wrote <- err
		}()
		go io.Copy(c, struct{ io.Reader }{c})
		e.Cancel(&op.Op)
		if got := r.ReadFull(e, len(want)); !bytes.Equal(got, want) {
			r.Errorf("%s: bytes are wrong", network)
		}
		if err := <-wrote; err != nil {
			r.Errorf("%s: write: %v", network, err)
		}
		// And the other way round.
		read := make(chan error, 1)
		go func() {
			got := make([]byte, len(want))
			_, err := io.ReadFull(d, got)
			if err == nil && !bytes.Equal(got, want) {
				err = errors.New("bytes are wrong")
			}
			read <- err
		}()
		r.WriteAll(e, want)
		if err := <-read; err != nil {
			r.Errorf("%s: read: %v", network, err)
		}
		// Closing it leaves the endpoint alone.
		r.Close(d)
		r.WriteAll(e, []byte("on"))
		if got := r.ReadFull(e, 2); string(got) != "on" {
			r.Errorf("%s: got %q", network, got)
		}
		r.Close(e)
	}
}

func testDetachOutlives(r *Rig) {
	e, c := r.Peer("tcp")
	d, err := e.Detach()
	if err != nil {
		r.Fatal(err)
	}
	op := r.StartRead(e, make([]byte, 10))
	r.Close(e)
	c.Write([]byte("hello"))
	p := make([]byte, 10)
	if n, err := io.ReadFull(d, p[:5]); err != nil || string(p[:n]) != "hello" {
		r.Errorf("read %q, %v", p[:n], err)
	}
	r.Linger(op)
	if n, err := d.Write([]byte("world")); n != 5 || err != nil {
		r.Errorf("write: %d, %v", n, err)
	}
	if n, err := io.ReadFull(c, p[:5]); err != nil || string(p[:n]) != "world" {
		r.Errorf("peer read %q, %v", p[:n], err)
	}
	// A blocked read ends with its connection; and with the last, the socket closes.
	got := make(chan error)
	go func() {
		_, err := d.Read(p)
		got <- err
	}()
	time.Sleep(time.Millisecond) // real, so that the read most likely blocks by then
	r.Close(d)
	r.WantErr("read", <-got, net.ErrClosed)
	_, err = d.Write(p)
	r.WantErr("write", err, net.ErrClosed)
	r.WantErr("close", d.Close(), net.ErrClosed)
	if _, err := c.Read(p); err != io.EOF {
		r.Errorf("peer: %v, want the end", err)
	}
}

// A backend whose canceled read goes on behind the scenes must not lose its bytes to
// the detached connection.
func testDetachAfterCanceledRead(r *Rig) {
	e, c := r.Peer("tcp")
	op := r.StartRead(e, make([]byte, 10))
	e.Cancel(&op.Op)
	d, err := e.Detach()
	if err != nil {
		r.Fatal(err)
	}
	want := Pattern(200_000)
	go func() {
		c.Write(want)
		c.Close()
	}()
	if got, err := io.ReadAll(d); err != nil || !bytes.Equal(got, want) {
		r.Errorf("%d bytes of %d, %v", len(got), len(want), err)
	}
	r.Close(e, d)
}

func testDetachDeadline(r *Rig) {
	e, c := r.Peer("tcp")
	d, err := e.Detach()
	if err != nil {
		r.Fatal(err)
	}
	p := make([]byte, 10)
	d.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
	for range 2 {
		n, err := d.Read(p)
		r.WantErr("read", err, os.ErrDeadlineExceeded)
		if ne, ok := errors.AsType[net.Error](err); n != 0 || !ok || !ne.Timeout() {
			r.Errorf("read: %d, %v", n, err)
		}
	}
	d.SetReadDeadline(time.Time{})
	c.Write([]byte("late"))
	if n, err := io.ReadFull(d, p[:4]); err != nil || string(p[:n]) != "late" {
		r.Errorf("read %q, %v", p[:n], err)
	}
	// A deadline set from elsewhere ends a read that is under way.
	go func() {
		time.Sleep(time.Millisecond) // real, so that the read most likely blocks by then
		d.SetDeadline(time.Unix(1, 0))
	}()
	_, err = d.Read(p)
	r.WantErr("read", err, os.ErrDeadlineExceeded)
	_, err = d.Write(p)
	r.WantErr("write", err, os.ErrDeadlineExceeded)
	// A write counts what it has handed over before its deadline.
	d.SetDeadline(time.Now().Add(20 * time.Millisecond))
	n, err := d.Write(make([]byte, 64<<20))
	r.WantErr("write", err, os.ErrDeadlineExceeded)
	d.SetDeadline(time.Time{})
	r.Close(d, e)
	if got, err := io.Copy(io.Discard, c); err != nil || got != int64(n) {
		r.Errorf("wrote %d, the peer read %d, %v", n, got, err)
	}
}

func testDetachListener(r *Rig) {
	for _, network := range []string{"tcp", "unix"} {
		l := r.Listen(network)
		op := r.Op()
		if _, _, ok := l.Accept(&op.Op); ok {
			r.Fatal("accepted nobody")
		}
		d, err := l.Detach()
		if err != nil {
			r.Fatal(err)
		}
		if d.Addr().String() != l.Addr().String() {
			r.Errorf("detached %v from %v", d.Addr(), l.Addr())
		}
		r.Close(l) // the socket goes on listening
		c, err := net.Dial(network, l.Addr().String())
		if err != nil {
			r.Fatal(err)
		}
		s, err := d.Accept()
		if err != nil {
			r.Fatal(err)
		}
		s.Close()
		c.Close()
		got := make(chan error)
		go func() {
			_, err := d.Accept()
			got <- err
		}()
		time.Sleep(time.Millisecond) // real, so that the accept most likely blocks by then
		r.Close(d)
		r.WantErr("accept", <-got, net.ErrClosed)
		if _, err := net.Dial(network, l.Addr().String()); err == nil {
			r.Error("still listening when both are closed")
		}
	}
}

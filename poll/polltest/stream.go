package polltest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"runtime"
	"syscall"
	"time"

	"github.com/rondo-go/rondo/poll"
)

func testEchoTCP(r *Rig)  { testEcho(r, "tcp") }
func testEchoUnix(r *Rig) { testEcho(r, "unix") }

// The peer echoes, so that from some size on a write is pending until what came
// back has been read: writer and reader go at once.
func testEcho(r *Rig, network string) {
	for _, size := range []int{1, 2, 100, 4095, 4096, 4097, 64 << 10, 1 << 20, 5<<20 + 3} {
		e, c := r.Peer(network)
		go io.Copy(c, struct{ io.Reader }{c}) // hide splice, to have many sizes of chunks
		want := Pattern(size)
		got := r.exchange(e, want, size)
		if !bytes.Equal(got, want) {
			r.Fatalf("%d bytes came back wrong", size)
		}
		r.Close(e)
	}
}

// exchange writes out and reads n bytes at the same time.
func (r *Rig) exchange(e poll.Endpoint, out []byte, n int) []byte {
	r.Helper()
	in := make([]byte, 0, n)
	chunk := make([]byte, 10000)
	rop, wop := r.Op(), r.Op()
	r.Until(func() bool {
		for len(out) > 0 && !wop.Pending {
			n, err, ok := e.Write(&wop.Op, out)
			if err != nil {
				r.Fatalf("write: %v", err)
			}
			if !ok {
				break
			}
			out = out[n:]
		}
		for len(in) < n && !rop.Pending {
			n, err, ok := e.Read(&rop.Op, chunk)
			if err != nil {
				r.Fatalf("read: %v", err)
			}
			if !ok {
				break
			}
			in = append(in, chunk[:n]...)
		}
		return len(out) == 0 && len(in) >= n
	})
	return in
}

func testEmptyTransfer(r *Rig) {
	e, c := r.Peer("tcp")
	op := r.Op()
	if n, err, ok := e.Read(&op.Op, nil); n != 0 || err != nil || !ok {
		r.Errorf("empty read: %d, %v, %v", n, err, ok)
	}
	if n, err, ok := e.Write(&op.Op, nil); n != 0 || err != nil || !ok {
		r.Errorf("empty write: %d, %v, %v", n, err, ok)
	}
	c.Close()
	if n, err := r.Read(e, make([]byte, 1)); n != 0 || err != io.EOF {
		r.Errorf("read at the end: %d, %v", n, err)
	}
	if n, err, ok := e.Read(&op.Op, nil); n != 0 || err != nil || !ok {
		r.Errorf("empty read at the end: %d, %v, %v", n, err, ok)
	}
	r.Close(e)
}

func testShortReadThenMore(r *Rig) {
	e, c := r.Peer("tcp")
	p := make([]byte, 4096)
	for i := range 50 {
		msg := Pattern(i + 1)
		c.Write(msg)
		var got []byte
		for len(got) < len(msg) {
			n, err := r.Read(e, p)
			if err != nil {
				r.Fatal(err)
			}
			got = append(got, p[:n]...)
		}
		if !bytes.Equal(got, msg) {
			r.Fatalf("message %d is wrong", i)
		}
	}
	// In flight first, bytes after that.
	for range 50 {
		op := r.StartRead(e, p)
		c.Write([]byte("x"))
		r.Await(op, func() bool {
			n, err, ok := e.Read(&op.Op, p)
			if ok && (n != 1 || err != nil) {
				r.Fatalf("read: %d, %v", n, err)
			}
			return ok
		})
	}
	r.Close(e)
}

// Bytes that lie there already are read without another edge.
func testSmallBuffer(r *Rig) {
	e, c := r.Peer("tcp")
	want := Pattern(10000)
	c.Write(want)
	var got []byte
	for len(got) < len(want) {
		p := make([]byte, 1+len(got)%777)
		n, err := r.Read(e, p)
		if err != nil {
			r.Fatal(err)
		}
		got = append(got, p[:n]...)
	}
	if !bytes.Equal(got, want) {
		r.Error("bytes are wrong")
	}
	r.Close(e)
}

// The last bytes and the end arrive in one edge, and the read that takes the bytes is
// a short one.
func testDataWithEnd(r *Rig) {
	for _, network := range []string{"tcp", "unix"} {
		for _, early := range []bool{false, true} {
			e, c := r.Peer(network)
			if early { // a read is in flight by then
				op := r.StartRead(e, make([]byte, 1))
				e.Cancel(&op.Op)
			}
			c.Write([]byte("last words"))
			c.Close()
			if got := r.ReadFull(e, 10); string(got) != "last words" {
				r.Errorf("got %q", got)
			}
			for range 2 { // the end stays the end
				if n, err := r.Read(e, make([]byte, 100)); n != 0 || err != io.EOF {
					r.Errorf("%s: read at the end: %d, %v", network, n, err)
				}
			}
			r.Close(e)

			e, c = r.Peer(network)
			c.Write([]byte("last words"))
			c.Close()
			r.P.Wait(0)
			p := make([]byte, 100)
			n := 0
			for {
				k, err := r.Read(e, p[n:])
				n += k
				if err == io.EOF {
					break
				}
				if err != nil {
					r.Fatal(err)
				}
			}
			if string(p[:n]) != "last words" {
				r.Errorf("got %q", p[:n])
			}
			r.Close(e)
		}
	}
}

func testEndWakesReader(r *Rig) {
	for _, network := range []string{"tcp", "unix"} {
		e, c := r.Peer(network)
		p := make([]byte, 10)
		op := r.StartRead(e, p)
		c.Close()
		r.Await(op, func() bool {
			n, err, ok := e.Read(&op.Op, p)
			if ok && (n != 0 || err != io.EOF) {
				r.Errorf("%s: read: %d, %v", network, n, err)
			}
			return ok
		})
		r.Close(e)
	}
}

func testHalfClose(r *Rig) {
	for _, network := range []string{"tcp", "unix"} {
		e, c := r.Peer(network)
		want := Pattern(300 << 10)
		go func() {
			got, err := io.ReadAll(c)
			if err != nil {
				r.Errorf("peer: %v", err)
			}
			c.Write(got)
			c.Close()
		}()
		r.WriteAll(e, want)
		if err := e.CloseWrite(); err != nil {
			r.Fatal(err)
		}
		if got := r.ReadFull(e, len(want)); !bytes.Equal(got, want) {
			r.Errorf("%s: bytes are wrong", network)
		}
		if n, err := r.Read(e, make([]byte, 1)); n != 0 || err != io.EOF {
			r.Errorf("%s: read at the end: %d, %v", network, n, err)
		}
		r.Close(e)
	}
}

func testCloseRead(r *Rig) {
	for _, network := range []string{"tcp", "unix"} {
		e, c := r.Peer(network)
		p := make([]byte, 10)
		op := r.StartRead(e, p)
		if err := e.CloseRead(); err != nil {
			r.Fatal(err)
		}
		r.Await(op, func() bool {
			n, err, ok := e.Read(&op.Op, p)
			if ok && (n != 0 || err != io.EOF) {
				r.Errorf("%s: read: %d, %v", network, n, err)
			}
			return ok
		})
		r.WriteAll(e, []byte("still writing"))
		if _, err := io.ReadFull(c, make([]byte, 13)); err != nil {
			r.Errorf("%s: peer: %v", network, err)
		}
		r.Close(e)
	}
}

func testWriteAfterCloseWrite(r *Rig) {
	e, _ := r.Peer("tcp")
	if err := e.CloseWrite(); err != nil {
		r.Fatal(err)
	}
	var err error
	r.Until(func() bool { // a backend may take some bytes before it notices
		_, err = r.Write(e, []byte("x"))
		return err != nil
	})
	if runtime.GOOS != "windows" {
		r.WantErr("write", err, syscall.EPIPE)
	}
	r.Close(e)
}

// wantReset checks the error of a connection that the peer has reset.
func (r *Rig) wantReset(what string, err error) {
	r.Helper()
	if err == nil || err == io.EOF ||
		runtime.GOOS != "windows" && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		r.Errorf("%s: error %v, want a reset", what, err)
	}
}

func testResetWakesReader(r *Rig) {
	e, c := r.Peer("tcp")
	p := make([]byte, 10)
	op := r.StartRead(e, p)
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
	var err error
	r.Await(op, func() (ok bool) { _, err, ok = e.Read(&op.Op, p); return ok })
	r.wantReset("read", err)
	r.Close(e)
}

// fill writes until the socket takes no more. It returns what it took, and the
// operation that is in flight with the rest of chunk.
func (r *Rig) fill(e poll.Endpoint, chunk []byte) (sent []byte, op *Op) {
	r.Helper()
	op = r.Op()
	for {
		rest := chunk
		for len(rest) > 0 {
			n, err, ok := e.Write(&op.Op, rest)
			if err != nil {
				r.Fatalf("write: %v", err)
			}
			if !ok {
				// It counts as full if it stays so: a backend may be about to move
				// bytes from its own buffer to the system's.
				fired := op.Fired
				for end := time.Now().Add(50 * time.Millisecond); op.Pending && time.Now().Before(end); {
					r.P.Wait(10 * time.Millisecond)
				}
				if op.Fired == fired {
					return sent, op
				}
				continue
			}
			sent = append(sent, rest[:n]...)
			rest = rest[n:]
		}
	}
}

func testResetWakesWriter(r *Rig) {
	e, c := r.Peer("tcp")
	chunk := Pattern(64 << 10)
	_, op := r.fill(e, chunk)
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
	var err error
	r.Until(func() bool {
		if !op.Pending {
			_, err, _ = e.Write(&op.Op, chunk)
		}
		return err != nil
	})
	r.wantReset("write", err)
	r.Close(e)
}

func testSlowReader(r *Rig) {
	for _, network := range []string{"tcp", "unix"} {
		e, c := r.Peer(network)
		chunk := Pattern(100_003)
		sent, op := r.fill(e, chunk)
		done := make(chan []byte)
		go func() {
			var got []byte
			p := make([]byte, 10_007)
			for {
				n, err := c.Read(p)
				got = append(got, p[:n]...)
				if err != nil {
					done <- got
					return
				}
			}
		}()
		for len(sent) < 8<<20 {
			r.Await(op, func() bool {
				n, err, ok := e.Write(&op.Op, chunk)
				if err != nil {
					r.Fatalf("write: %v", err)
				}
				sent = append(sent, chunk[:n]...)
				return ok
			})
		}
		r.Close(e)
		if got := <-done; !bytes.Equal(got, sent) {
			r.Errorf("%s: sent %d, got %d, or others", network, len(sent), len(got))
		}
	}
}

func testBothWays(r *Rig) {
	a, b := r.Pair("tcp")
	const n = 3 << 20
	ab, ba := Pattern(n), bytes.Repeat([]byte("ba"), n/2)
	type side struct {
		e        poll.Endpoint
		out, in  []byte
		rop, wop *Op
	}
	sides := []*side{{e: a, out: ab}, {e: b, out: ba}}
	for _, s := range sides {
		s.rop, s.wop = r.Op(), r.Op()
	}
	p := make([]byte, 32<<10)
	r.Until(func() bool {
		finished := true
		for _, s := range sides {
			for len(s.out) > 0 && !s.wop.Pending {
				n, err, ok := s.e.Write(&s.wop.Op, s.out)
				if err != nil {
					r.Fatal(err)
				}
				if !ok {
					break
				}
				s.out = s.out[n:]
			}
			for len(s.in) < n && !s.rop.Pending {
				n, err, ok := s.e.Read(&s.rop.Op, p)
				if err != nil {
					r.Fatal(err)
				}
				if !ok {
					break
				}
				s.in = append(s.in, p[:n]...)
			}
			finished = finished && len(s.out) == 0 && len(s.in) == n
		}
		return finished
	})
	if !bytes.Equal(sides[0].in, ba) || !bytes.Equal(sides[1].in, ab) {
		r.Error("bytes are wrong")
	}
	r.Close(a, b)
}

func testBorrow(r *Rig) {
	e, c := r.Peer("tcp")
	want := Pattern(1 << 20)
	go func() {
		c.Write(want)
		c.Close()
	}()
	var got []byte
	op := r.Op()
	var err error
	for err == nil {
		r.Await(op, func() (ok bool) {
			var p []byte
			p, err, ok = e.Borrow(&op.Op)
			if ok && err == nil && len(p) == 0 {
				r.Fatal("borrowed nothing")
			}
			got = append(got, p...)
			return ok
		})
	}
	if err != io.EOF || !bytes.Equal(got, want) {
		r.Errorf("borrowed %d bytes, %v", len(got), err)
	}
	r.Close(e)
}

// What a Write has taken is sent, though the endpoint is closed at once.
func testCloseFlushes(r *Rig) {
	for _, half := range []bool{false, true} {
		e, c := r.Peer("tcp")
		sent, op := r.fill(e, Pattern(64<<10))
		e.Cancel(&op.Op)
		if half {
			if err := e.CloseWrite(); err != nil {
				r.Fatal(err)
			}
		}
		r.Close(e)
		got, err := io.ReadAll(c)
		if err != nil || !bytes.Equal(got, sent) {
			r.Errorf("sent %d, got %d, %v", len(sent), len(got), err)
		}
	}
}

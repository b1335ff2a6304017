package polltest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/rondo-go/rondo/poll"
)

// OpenPipe makes a pipe with both ends in the poller.
func (r *Rig) OpenPipe() (rd, wr poll.Endpoint) {
	r.Helper()
	rf, wf, err := os.Pipe()
	if err != nil {
		r.Fatal(err)
	}
	return r.open(rf), r.open(wf)
}

func (r *Rig) open(f *os.File) poll.Endpoint {
	r.Helper()
	e, err := r.P.Open(f)
	if err != nil {
		r.Fatal(err)
	}
	return e
}

func testPipe(r *Rig) {
	for _, size := range []int{1, 100, 4096, 64 << 10, 64<<10 + 1, 1 << 20} {
		rd, wr := r.OpenPipe()
		want := Pattern(size)
		var got []byte
		out := want
		rop, wop := r.Op(), r.Op()
		p := make([]byte, 10_007)
		r.Until(func() bool {
			for len(out) > 0 && !wop.Pending {
				n, err, ok := wr.Write(&wop.Op, out)
				if err != nil {
					r.Fatal(err)
				}
				if ok {
					out = out[n:]
				}
			}
			for len(got) < size && !rop.Pending {
				n, err, ok := rd.Read(&rop.Op, p)
				if err != nil {
					r.Fatal(err)
				}
				if ok {
					got = append(got, p[:n]...)
				}
			}
			return len(got) == size
		})
		if !bytes.Equal(got, want) {
			r.Errorf("%d bytes came out wrong", size)
		}
		r.Close(wr)
		if n, err := r.Read(rd, p); n != 0 || err != io.EOF {
			r.Errorf("read at the end: %d, %v", n, err)
		}
		r.Close(rd)
	}
}

func testPipeEnds(r *Rig) {
	p := make([]byte, 100)
	// The end wakes a reader, behind the last bytes.
	rd, wr := r.OpenPipe()
	op := r.StartRead(rd, p)
	r.WriteAll(wr, []byte("last"))
	r.Close(wr)
	r.Await(op, func() bool {
		n, err, ok := rd.Read(&op.Op, p)
		if ok && (string(p[:n]) != "last" || err != nil) {
			r.Fatalf("read: %q, %v", p[:n], err)
		}
		return ok
	})
	for range 2 {
		if n, err := r.Read(rd, p); n != 0 || err != io.EOF {
			r.Errorf("read at the end: %d, %v", n, err)
		}
	}
	r.Close(rd)

	// A pipe without a reader breaks, and the process goes on. A backend may take some
	// bytes before it notices.
	rd, wr = r.OpenPipe()
	_, op = r.fill(wr, Pattern(32<<10))
	r.Close(rd)
	var err error
	r.Until(func() bool {
		if !op.Pending {
			_, err, _ = wr.Write(&op.Op, p)
		}
		return err != nil
	})
	if runtime.GOOS != "windows" {
		r.WantErr("write", err, syscall.EPIPE)
	}
	r.Close(wr)
}

func testPipeHalfClose(r *Rig) {
	if runtime.GOOS == "windows" {
		r.Skip("a handle cannot be asked what it is open for")
	}
	p := make([]byte, 100)
	rd, wr := r.OpenPipe()
	r.WriteAll(wr, []byte("last"))
	if err := wr.CloseRead(); err != nil {
		r.Errorf("close the read side of a writing end: %v", err)
	}
	if err := wr.CloseWrite(); err != nil {
		r.Fatal(err)
	}
	if got := r.ReadFull(rd, 4); string(got) != "last" {
		r.Errorf("got %q", got)
	}
	if n, err := r.Read(rd, p); n != 0 || err != io.EOF {
		r.Errorf("read at the end: %d, %v", n, err)
	}
	_, err := r.Write(wr, p)
	r.WantErr("write behind the end", err, syscall.EPIPE)
	r.Close(rd, wr)
	r.WantErr("close", wr.Close(), net.ErrClosed)

	// A reader that is waiting, and a writer.
	rd, wr = r.OpenPipe()
	op := r.StartRead(rd, p)
	if err := rd.CloseRead(); err != nil {
		r.Fatal(err)
	}
	r.Await(op, func() bool {
		n, err, ok := rd.Read(&op.Op, p)
		if ok && (n != 0 || err != io.EOF) {
			r.Errorf("read: %d, %v", n, err)
		}
		return ok
	})
	for err = nil; err == nil; { // a backend may take some bytes before it notices
		_, err = r.Write(wr, p)
	}
	r.WantErr("write to nobody", err, syscall.EPIPE)
	r.Close(rd, wr)
}

func testPipeCanceled(r *Rig) {
	rd, wr := r.OpenPipe()
	op := r.StartRead(rd, make([]byte, 10))
	rd.Cancel(&op.Op)
	r.WriteAll(wr, []byte("kept"))
	if got := r.ReadFull(rd, 4); string(got) != "kept" || op.Fired != 0 {
		r.Errorf("got %q; owner told %d times", got, op.Fired)
	}
	sent, op := r.fill(wr, Pattern(5000))
	wr.Cancel(&op.Op)
	if got := r.ReadFull(rd, len(sent)); !bytes.Equal(got, sent) {
		r.Error("bytes are wrong")
	}
	r.WriteAll(wr, []byte("after"))
	if got := r.ReadFull(rd, 5); string(got) != "after" {
		r.Errorf("got %q behind the canceled write", got)
	}
	r.Close(rd, wr)
}

func testPipeDetach(r *Rig) {
	rd, wr := r.OpenPipe()
	d, err := wr.Detach()
	if err != nil {
		r.Fatal(err)
	}
	want := Pattern(300_000)
	wrote := make(chan error, 1)
	go func() {
		_, err := d.Write(want)
		wrote <- errors.Join(err, d.Close())
	}()
	if got := r.ReadFull(rd, len(want)); !bytes.Equal(got, want) {
		r.Error("bytes are wrong")
	}
	if err := <-wrote; err != nil {
		r.Error(err)
	}
	r.WriteAll(wr, []byte("on")) // closing it leaves the endpoint alone
	if got := r.ReadFull(rd, 2); string(got) != "on" {
		r.Errorf("got %q", got)
	}

	d, err = rd.Detach()
	if err != nil {
		r.Fatal(err)
	}
	p := make([]byte, 10)
	d.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
	_, err = d.Read(p)
	r.WantErr("read", err, os.ErrDeadlineExceeded)
	d.SetReadDeadline(time.Time{})
	got := make(chan error)
	go func() {
		_, err := d.Read(p)
		got <- err
	}()
	time.Sleep(time.Millisecond) // real, so that the read most likely blocks by then
	r.Close(d)
	r.WantErr("read", <-got, net.ErrClosed)
	r.WantErr("close", d.Close(), net.ErrClosed)
	r.Close(rd, wr)
}

func testOpenRefuses(r *Rig) {
	for _, path := range []string{r.TempDir(), filepath.Join(r.TempDir(), "file"), os.DevNull} {
		if path == os.DevNull && r.P.Name() == "portable" && runtime.GOOS != "linux" {
			continue // some can be waited for
		}
		f, err := os.Open(path)
		if err != nil {
			f, err = os.Create(path)
		}
		if err != nil {
			r.Fatal(err)
		}
		_, err = r.P.Open(f)
		r.WantErr("open "+path, err, poll.ErrUnsupported)
		if err != nil && !strings.Contains(err.Error(), "package file") {
			r.Errorf("error %q does not say what to do", err)
		}
		r.Close(f) // it is untouched
		if _, err := r.P.Open(f); err == nil {
			r.Error("opened a closed file")
		}
	}
}

func testOpenSocket(r *Rig) {
	if runtime.GOOS == "windows" {
		r.Skip("no files of sockets")
	}
	l := r.Listen("tcp")
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		r.Fatal(err)
	}
	f, err := c.(*net.TCPConn).File()
	if err != nil {
		r.Fatal(err)
	}
	c.Close()
	e, peer := r.open(f), r.Accept(l)
	if e.RemoteAddr().String() != l.Addr().String() {
		r.Errorf("opened %v", e.RemoteAddr())
	}
	r.WriteAll(e, []byte("ping"))
	if got := r.ReadFull(peer, 4); string(got) != "ping" {
		r.Errorf("got %q", got)
	}
	if err := e.CloseWrite(); err != nil {
		r.Error(err)
	}
	if n, err := r.Read(peer, make([]byte, 1)); n != 0 || err != io.EOF {
		r.Errorf("read at the end: %d, %v", n, err)
	}
	r.Close(e, peer, l)

	u, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		r.Fatal(err)
	}
	f, err = u.(*net.UDPConn).File()
	if err != nil {
		r.Fatal(err)
	}
	_, err = r.P.Open(f)
	r.WantErr("open a datagram socket", err, poll.ErrUnsupported)
	r.Close(f, u)
}

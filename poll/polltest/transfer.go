package polltest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/rondo-go/rondo/poll"
)

func testWritev(r *Rig) {
	for _, network := range []string{"tcp", "unix", "pipe"} {
		var e, peer poll.Endpoint
		if network == "pipe" {
			peer, e = r.OpenPipe()
		} else {
			e, peer = r.Pair(network)
		}
		for _, shape := range [][]int{{1}, {0, 1, 0}, {5, 0, 7, 1}, {100_000, 3, 200_000}, make([]int, 3000)} {
			if len(shape) == 3000 { // more than one call takes
				for i := range shape {
					shape[i] = i % 50
				}
			}
			var bufs [][]byte
			var want []byte
			for i, n := range shape {
				b := bytes.Repeat([]byte{byte(i + 1)}, n)
				bufs, want = append(bufs, b), append(want, b...)
			}
			var got []byte
			p := make([]byte, 50_000)
			rop, wop := r.Op(), r.Op()
			sent := 0
			r.Until(func() bool {
				for sent < len(want) && !wop.Pending {
					n, err, ok := e.Writev(&wop.Op, bufs)
					if err != nil {
						r.Fatal(err)
					}
					if !ok {
						break
					}
					if n == 0 {
						r.Fatal("wrote nothing")
					}
					sent += n
					for n > 0 || len(bufs) > 0 && len(bufs[0]) == 0 {
						k := min(n, len(bufs[0]))
						bufs[0] = bufs[0][k:]
						n -= k
						if len(bufs[0]) == 0 {
							bufs = bufs[1:]
						}
					}
				}
				for len(got) < len(want) && !rop.Pending {
					n, err, ok := peer.Read(&rop.Op, p)
					if err != nil {
						r.Fatal(err)
					}
					if ok {
						got = append(got, p[:n]...)
					}
				}
				return len(got) == len(want)
			})
			if !bytes.Equal(got, want) {
				r.Errorf("%s: bytes of %d buffers are wrong", network, len(shape))
			}
		}
		r.Close(e, peer)
	}
}

func testWritevErrors(r *Rig) {
	e, c := r.Peer("tcp")
	op := r.Op()
	for _, bufs := range [][][]byte{nil, {nil, {}}} {
		if n, err, ok := e.Writev(&op.Op, bufs); n != 0 || err != nil || !ok {
			r.Errorf("of nothing: %d, %v, %v", n, err, ok)
		}
	}
	sent, wop := r.fill(e, Pattern(64<<10))
	e.Cancel(&wop.Op)
	if n, err, ok := e.Writev(&op.Op, [][]byte{Pattern(10), Pattern(100)}); n != 0 || err != nil || ok {
		r.Errorf("to a full socket: %d, %v, %v", n, err, ok)
	}
	e.Cancel(&op.Op)
	go io.ReadFull(c, make([]byte, len(sent)))
	r.Await(op, func() bool {
		n, err, ok := e.Writev(&op.Op, [][]byte{[]byte("af"), []byte("ter")})
		if ok && (n != 5 || err != nil) {
			r.Errorf("after it: %d, %v", n, err)
		}
		return ok
	})
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
	var err error
	for err == nil {
		r.Await(op, func() (ok bool) {
			_, err, ok = e.Writev(&op.Op, [][]byte{Pattern(64 << 10), Pattern(64 << 10)})
			return ok
		})
	}
	r.wantReset("writev", err)
	r.Close(e)
	_, err, _ = e.Writev(&op.Op, [][]byte{{1}})
	r.WantErr("writev", err, net.ErrClosed)
}

// file makes a file for SendFile.
func (r *Rig) file(content []byte) (*os.File, syscall.RawConn) {
	r.Helper()
	f, err := os.Create(filepath.Join(r.TempDir(), "file"))
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { f.Close() })
	if _, err := f.Write(content); err != nil {
		r.Fatal(err)
	}
	rc, err := f.SyscallConn()
	if err != nil {
		r.Fatal(err)
	}
	return f, rc
}

// sends says whether the backend can send files; it may refuse all of them.
func (r *Rig) sends(e poll.Endpoint, file syscall.RawConn) bool {
	r.Helper()
	if r.P.Name() != "portable" {
		return true
	}
	op := r.Op()
	n, err, ok := e.SendFile(&op.Op, file, 0, 1)
	if n != 0 || !ok {
		r.Fatalf("sent %d, %v", n, ok)
	}
	r.WantErr("send a file", err, poll.ErrUnsupported)
	return false
}

func testSendFile(r *Rig) {
	want := Pattern(3 << 20)
	_, file := r.file(want)
	for _, network := range []string{"tcp", "unix"} {
		e, c := r.Peer(network)
		if !r.sends(e, file) {
			r.Close(e)
			continue
		}
		got := make(chan []byte)
		go func() {
			p, err := io.ReadAll(c)
			if err != nil {
				r.Error(err)
			}
			got <- p
		}()
		const from = 12_345
		at := int64(from)
		op := r.Op()
		for end := false; !end; {
			r.Await(op, func() bool {
				n, err, ok := e.SendFile(&op.Op, file, at, 700_001)
				at += int64(n)
				if end = err == io.EOF; err != nil && !end {
					r.Fatal(err)
				}
				return ok
			})
		}
		r.Close(e)
		if p := <-got; !bytes.Equal(p, want[from:]) {
			r.Errorf("%s: sent %d bytes of %d, or others", network, len(p), len(want)-from)
		}
	}
}

func testSendFileCanceled(r *Rig) {
	want := Pattern(16 << 20)
	_, file := r.file(want)
	e, c := r.Peer("tcp")
	if !r.sends(e, file) {
		r.Close(e)
		return
	}
	at := int64(0)
	op := r.Op()
	for {
		n, err, ok := e.SendFile(&op.Op, file, at, 1<<20)
		if err != nil {
			r.Fatal(err)
		}
		if !ok {
			break
		}
		at += int64(n)
	}
	e.Cancel(&op.Op)
	fired := op.Fired
	got := make([]byte, at)
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, want[:at]) {
		r.Errorf("%d bytes are wrong, or %v", at, err)
	}
	r.Linger(op)
	if op.Fired != fired {
		r.Error("owner told after cancel")
	}
	r.WriteAll(e, []byte("after"))
	r.Close(e)
	if rest, err := io.ReadAll(c); string(rest) != "after" || err != nil {
		r.Errorf("then came %q, %v", rest, err)
	}
}

func testSendFileErrors(r *Rig) {
	f, file := r.file(Pattern(10 << 20))
	e, c := r.Peer("tcp")
	if !r.sends(e, file) {
		r.Close(e)
		return
	}
	op := r.Op()
	if n, err, ok := e.SendFile(&op.Op, file, 0, 0); n != 0 || err != nil || !ok {
		r.Errorf("of nothing: %d, %v, %v", n, err, ok)
	}
	if n, err, ok := e.SendFile(&op.Op, file, 11<<20, 1); n != 0 || err != io.EOF || !ok {
		r.Errorf("behind the end: %d, %v, %v", n, err, ok)
	}
	// The peer goes away in the middle.
	go func() {
		io.ReadFull(c, make([]byte, 100))
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}()
	at := int64(0)
	var err error
	for err == nil {
		r.Await(op, func() (ok bool) {
			var n int
			n, err, ok = e.SendFile(&op.Op, file, at%(1<<20), 1<<20)
			at += int64(n)
			return ok
		})
	}
	r.wantReset("send a file", err)
	f.Close()
	if _, err, ok := e.SendFile(&op.Op, file, 0, 1); err == nil || !ok {
		r.Errorf("sent a closed file: %v, %v", err, ok)
	}
	r.Close(e)
	_, err, _ = e.SendFile(&op.Op, file, 0, 1)
	r.WantErr("send a file", err, net.ErrClosed)
}

func testRaw(r *Rig) {
	e, c := r.Peer("tcp")
	if err := e.Control(func(fd uintptr) {
		if int(fd) < 0 {
			r.Error("no descriptor")
		}
	}); err != nil {
		r.Error(err)
	}
	op := r.Op()
	calls := 0
	never := func(uintptr) bool { calls++; return false }
	_, ok := e.RawRead(&op.Op, never)
	if ok { // no readiness
		err, _ := e.RawRead(&op.Op, never)
		r.WantErr("raw read", err, poll.ErrUnsupported)
		err, _ = e.RawWrite(&op.Op, never)
		r.WantErr("raw write", err, poll.ErrUnsupported)
		r.Close(e)
		err, _ = e.RawRead(&op.Op, never)
		r.WantErr("raw read", err, net.ErrClosed)
		r.WantErr("control", e.Control(func(uintptr) {}), net.ErrClosed)
		return
	}
	e.Cancel(&op.Op)
	op = r.StartRead(e, make([]byte, 1)) // takes stray edges out of the way
	e.Cancel(&op.Op)
	calls = 0
	wait := func() bool {
		err, ok := e.RawRead(&op.Op, func(uintptr) bool { calls++; return calls == 3 })
		if err != nil {
			r.Error(err)
		}
		return ok
	}
	if wait() {
		r.Fatal("done at once")
	}
	for i := 2; i <= 3; i++ {
		c.Write([]byte("x"))
		r.Until(func() bool { return !op.Pending })
		if done := wait(); done != (i == 3) || calls != i {
			r.Fatalf("called %d times, done %v", calls, done)
		}
	}
	if got := r.ReadFull(e, 2); string(got) != "xx" {
		r.Errorf("got %q", got)
	}
	done := false
	err, ok := e.RawWrite(&op.Op, func(uintptr) bool { done = true; return true })
	if err != nil || !ok || !done {
		r.Errorf("raw write: %v, %v, called %v", err, ok, done)
	}
	r.Close(e)
	err, _ = e.RawRead(&op.Op, never)
	r.WantErr("raw read", err, net.ErrClosed)
	r.WantErr("control", e.Control(func(uintptr) {}), net.ErrClosed)
}

func testOptions(r *Rig) {
	set := func(o poll.Options) error {
		return errors.Join(o.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: -1, Count: 3}),
			o.SetKeepAliveConfig(net.KeepAliveConfig{}), o.SetNoDelay(false), o.SetNoDelay(true), o.SetLinger(-1), o.SetLinger(1))
	}
	buffers := func(o poll.Options) error {
		return errors.Join(o.SetReadBuffer(64<<10), o.SetWriteBuffer(64<<10))
	}
	e, c := r.Peer("tcp")
	if err := errors.Join(set(e.Options()), buffers(e.Options())); err != nil {
		r.Error(err)
	}
	// Reset by its linger of 0.
	if err := e.Options().SetLinger(0); err != nil {
		r.Error(err)
	}
	r.Close(e)
	_, err := c.Read(make([]byte, 1))
	r.wantReset("read", err)
	r.WantErr("options", set(e.Options()), net.ErrClosed)
	r.WantErr("options", buffers(e.Options()), net.ErrClosed)

	e, _ = r.Peer("unix")
	if err := buffers(e.Options()); err != nil {
		r.Error(err)
	}
	if runtime.GOOS != "windows" {
		r.WantErr("no delay", e.Options().SetNoDelay(true), poll.ErrUnsupported)
		r.WantErr("keep-alive", e.Options().SetKeepAliveConfig(net.KeepAliveConfig{Enable: true}), poll.ErrUnsupported)
	}
	rd, wr := r.OpenPipe()
	r.WantErr("options of a pipe", set(rd.Options()), poll.ErrUnsupported)
	r.WantErr("buffers of a pipe", buffers(wr.Options()), poll.ErrUnsupported)
	r.Close(e, rd, wr)
}

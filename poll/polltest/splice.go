package polltest

import (
	"bytes"
	"errors"
	"io"
	"net"

	"github.com/rondo-go/rondo/poll"
)

// splicer skips the test if the backend has none, which it says by its type.
func (r *Rig) splicer() poll.Splicer {
	s, ok := r.P.(poll.Splicer)
	if !ok {
		r.Skip("this backend does not splice")
	}
	return s
}

// Between sockets of all kinds, past a receiver that is slower, to the end.
func testSplice(r *Rig) {
	s := r.splicer()
	for _, network := range []string{"tcp", "unix"} {
		source, in := r.Pair(network)
		out, sink := r.Pair(network)
		want := Pattern(6<<20 + 7)
		left := want
		var got []byte
		var pipe poll.Conduit
		ended := false
		p := make([]byte, 70_000)
		feed, fill, drain, read := r.Op(), r.Op(), r.Op(), r.Op()
		r.Until(func() bool {
			for len(left) > 0 && !feed.Pending {
				n, err, ok := source.Write(&feed.Op, left)
				if err != nil {
					r.Fatal(err)
				}
				if left = left[n:]; !ok {
					break
				}
				if len(left) == 0 {
					source.CloseWrite()
				}
			}
			for !ended && !fill.Pending && !drain.Pending {
				if pipe == nil {
					var err error
					if pipe, err = s.Conduit(out, in); err != nil {
						r.Fatal(err)
					}
				}
				if pipe.Held() == 0 {
					n, err, ok := pipe.Fill(&fill.Op)
					switch {
					case !ok:
						pipe.Release() // empty, while it waits
						pipe = nil
						continue
					case err == io.EOF:
						ended = true
						pipe.Release()
						out.CloseWrite()
						continue
					case err != nil:
						r.Fatal(err)
					}
					if n != pipe.Held() {
						r.Fatalf("filled %d, holds %d", n, pipe.Held())
					}
				}
				held := pipe.Held()
				n, err, ok := pipe.Drain(&drain.Op)
				if err != nil {
					r.Fatal(err)
				}
				if ok && (n == 0 || pipe.Held() != held-n) {
					r.Fatalf("drained %d of %d, holds %d", n, held, pipe.Held())
				}
			}
			for i := 0; i < 3 && !read.Pending; i++ { // slowly
				n, err, ok := sink.Read(&read.Op, p)
				if err == io.EOF {
					return true
				}
				if err != nil {
					r.Fatal(err)
				}
				if ok {
					got = append(got, p[:n]...)
				}
			}
			r.P.Wake()
			return false
		})
		if !bytes.Equal(got, want) {
			r.Errorf("%s: %d bytes of %d came, or others", network, len(got), len(want))
		}
		r.Close(source, in, out, sink)
	}
}

// A fill that is canceled has taken nothing, and a conduit that was given back with
// bytes in it leaves none to the next.
func testSpliceCanceled(r *Rig) {
	s := r.splicer()
	in, source := r.Peer("tcp")
	out, sink := r.Peer("tcp")
	op := r.Op()
	pipe, err := s.Conduit(out, in)
	if err != nil {
		r.Fatal(err)
	}
	if _, err, ok := pipe.Fill(&op.Op); ok {
		// The connection's first edge may not have been taken in.
		r.Fatalf("filled with nothing: %v", err)
	}
	in.Cancel(&op.Op)
	pipe.Release()
	source.Write([]byte("kept"))
	r.Linger(op)
	if got := r.ReadFull(in, 4); string(got) != "kept" {
		r.Errorf("after a cancel: %q", got)
	}

	source.Write([]byte("lost"))
	pipe = r.filled(s, out, in)
	pipe.Release()
	source.Write([]byte("next"))
	pipe = r.filled(s, out, in)
	r.Await(op, func() bool { _, err, ok := pipe.Drain(&op.Op); return ok && err == nil })
	pipe.Release()
	p := make([]byte, 8)
	if n, err := sink.Read(p); string(p[:n]) != "next" {
		r.Errorf("after a loss: %q, %v", p[:n], err)
	}
	r.Close(in, out)
}

// filled returns a conduit with what comes next.
func (r *Rig) filled(s poll.Splicer, out, in poll.Endpoint) poll.Conduit {
	r.Helper()
	pipe, err := s.Conduit(out, in)
	if err != nil {
		r.Fatal(err)
	}
	op := r.Op()
	r.Await(op, func() (ok bool) {
		_, err, ok = pipe.Fill(&op.Op)
		return ok
	})
	if err != nil {
		r.Fatal(err)
	}
	return pipe
}

func testSpliceErrors(r *Rig) {
	s := r.splicer()
	in, source := r.Peer("tcp")
	out, sink := r.Peer("tcp")
	if _, err := s.Conduit(in, in); !errors.Is(err, poll.ErrUnsupported) {
		r.Errorf("of one endpoint: %v", err)
	}
	end, w := r.OpenPipe()
	if _, err := s.Conduit(out, end); !errors.Is(err, poll.ErrUnsupported) {
		r.Errorf("from a file: %v", err)
	}
	r.Close(end, w)

	// The destination is reset while bytes are under way.
	source.Write([]byte("some"))
	pipe := r.filled(s, out, in)
	sink.(*net.TCPConn).SetLinger(0)
	sink.Close()
	var err error
	op := r.Op()
	r.Until(func() bool { return r.reset(out) })
	r.Await(op, func() (ok bool) { _, err, ok = pipe.Drain(&op.Op); return ok })
	r.wantReset("drain", err)
	if pipe.Held() != 4 {
		r.Errorf("holds %d", pipe.Held())
	}
	pipe.Release()
	r.Close(out)
	pipe, err = s.Conduit(out, in)
	if err != nil {
		r.Fatal(err)
	}

	// The source is.
	source.(*net.TCPConn).SetLinger(0)
	source.Close()
	r.Await(op, func() (ok bool) { _, err, ok = pipe.Fill(&op.Op); return ok })
	r.wantReset("fill", err)
	r.Close(in)
	_, err, _ = pipe.Fill(&op.Op)
	r.WantErr("fill", err, net.ErrClosed)
	pipe.Release()
}

// reset says whether e has heard that its peer is gone.
func (r *Rig) reset(e poll.Endpoint) bool {
	op := r.Op()
	if e.Readable(&op.Op) {
		return true
	}
	e.Cancel(&op.Op)
	return false
}

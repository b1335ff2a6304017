package polltest

import (
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/rondo-go/rondo/poll"
)

// pipe makes a pipe and a watch of one of its ends.
func (r *Rig) pipe(end int) (w poll.Watch, in, out *os.File) {
	r.Helper()
	in, out, err := os.Pipe()
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { in.Close(); out.Close() })
	w, err = r.P.Watch([]*os.File{in, out}[end].Fd())
	r.skipIfUnsupported(err)
	return w, in, out
}

func (r *Rig) skipIfUnsupported(err error) {
	r.Helper()
	if err != nil && r.P.Name() == "portable" && !hasPoll {
		r.Skip(err)
	} else if err != nil {
		r.Fatal(err)
	}
}

// ready waits until a descriptor is ready to be read.
func (r *Rig) ready(w poll.Watch) {
	r.Helper()
	op := r.Op()
	r.Await(op, func() bool {
		err, ok := w.Readable(&op.Op)
		if err != nil {
			r.Fatal(err)
		}
		return ok
	})
}

// startWatch leaves an operation in flight that is not ready.
func (r *Rig) startWatch(try func(*poll.Op) (error, bool)) *Op {
	r.Helper()
	op := r.Op()
	if err, ok := try(&op.Op); err != nil || ok {
		r.Fatal("done at once", err)
	}
	r.Linger(op)
	return op
}

func testWatchLevel(r *Rig) {
	w, in, out := r.pipe(0)
	op := r.startWatch(w.Readable)
	out.Write([]byte("ab"))
	r.Await(op, func() bool { err, ok := w.Readable(&op.Op); return ok && err == nil })
	// It is ready as long as it has not been read dry.
	for range 3 {
		r.ready(w)
	}
	p := make([]byte, 1)
	in.Read(p)
	r.ready(w)
	in.Read(p)
	op = r.startWatch(w.Readable)
	out.Write(p)
	r.Await(op, func() bool { _, ok := w.Readable(&op.Op); return ok })
	r.Close(w)
	// The descriptor is still open.
	if _, err := in.Read(p); err != nil {
		r.Error(err)
	}
}

func testWatchWritable(r *Rig) {
	w, in, out := r.pipe(1)
	op := r.Op()
	try := func() bool {
		err, ok := w.Writable(&op.Op)
		if err != nil {
			r.Fatal(err)
		}
		return ok
	}
	r.Await(op, try)
	out.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)) // real: a pipe cannot be asked whether it is full
	chunk := make([]byte, 64<<10)
	if n, err := out.Write(chunk); n != len(chunk) {
		r.Logf("pipe took %d, %v", n, err)
	}
	op = r.startWatch(w.Writable)
	io.ReadFull(in, chunk)
	r.Await(op, try)
	r.Close(w)
}

func testWatchBothSides(r *Rig) {
	e, c := r.Peer("tcp")
	rc, err := c.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		r.Skip(err) // as on Windows
	}
	defer rc.Close()
	w, err := r.P.Watch(rc.Fd())
	r.skipIfUnsupported(err)
	// The side that is ready does not take the other's event away.
	rop := r.startWatch(w.Readable)
	wop := r.Op()
	for range 3 {
		r.Await(wop, func() bool { _, ok := w.Writable(&wop.Op); return ok })
	}
	if rop.Fired != 0 || !rop.Pending {
		r.Errorf("reader told %d times, pending %v", rop.Fired, rop.Pending)
	}
	r.Close(w, e)
}

func testWatchCancel(r *Rig) {
	w, _, out := r.pipe(0)
	op := r.startWatch(w.Readable)
	w.Cancel(&op.Op)
	out.Write([]byte("a"))
	r.Linger(op)
	r.ready(w)
	op2 := r.Op()
	w.Readable(&op2.Op)
	r.Close(w)
	r.Linger(op2)
	if op2.Pending {
		r.Error("pending after close")
	}
	if err, ok := w.Readable(&op2.Op); err == nil || !ok {
		r.Error("watch goes on after close")
	}
}

func testWatchEnd(r *Rig) {
	w, _, out := r.pipe(0)
	op := r.startWatch(w.Readable)
	out.Close()
	r.Await(op, func() bool { err, ok := w.Readable(&op.Op); return ok && err == nil })
	r.ready(w)
	r.Close(w)
}

func testWatchRefusesFile(r *Rig) {
	f, err := os.Create(filepath.Join(r.TempDir(), "file"))
	if err != nil {
		r.Fatal(err)
	}
	defer f.Close()
	_, err = r.P.Watch(f.Fd())
	r.WantErr("watch", err, poll.ErrUnsupported)
	if _, err = r.P.Watch(1 << 20); err == nil {
		r.Error("watches a descriptor that is not open")
	}
}

// A descriptor is closed under its watch, and its number taken by another file.
func testWatchReused(r *Rig) {
	w, in, out := r.pipe(0)
	r.startWatch(w.Readable)
	r.Close(w)
	fd := in.Fd()
	in.Close()
	in2, out2, err := os.Pipe()
	if err != nil {
		r.Fatal(err)
	}
	defer in2.Close()
	defer out2.Close()
	if in2.Fd() != fd {
		r.Logf("number %d not taken again", fd)
	}
	w, err = r.P.Watch(in2.Fd())
	if err != nil {
		r.Fatal(err)
	}
	op := r.startWatch(w.Readable)
	out.Write([]byte("x")) // to nobody
	r.Linger(op)
	out2.Write([]byte("x"))
	r.Await(op, func() bool { err, ok := w.Readable(&op.Op); return ok && err == nil })
	r.Close(w)
}

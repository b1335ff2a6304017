package polltest

import (
	"io"
	"time"
)

// testReadable: a connection rests until bytes, the end or an error come, of
// which Readable itself takes nothing.
func testReadable(r *Rig) {
	for _, network := range []string{"tcp", "unix"} {
		e, c := r.Peer(network)
		op := r.Op()
		ready := func() bool { return e.Readable(&op.Op) }
		if ready() || !op.Pending {
			r.Fatalf("%s: readable though nothing was sent", network)
		}
		r.P.Wait(time.Millisecond)
		if op.Fired != 0 {
			r.Errorf("%s: told though nothing was sent", network)
		}
		if _, err := c.Write([]byte("abc")); err != nil {
			r.Fatal(err)
		}
		r.Until(func() bool { return op.Fired == 1 })
		for range 2 {
			if !ready() || op.Pending {
				r.Fatalf("%s: not readable though bytes are there", network)
			}
		}
		// Some is taken, and the rest still counts.
		if n, err := r.Read(e, make([]byte, 2)); n != 2 || err != nil {
			r.Fatal(n, err)
		}
		if !ready() {
			r.Errorf("%s: not readable though a byte is left", network)
		}
		if p := r.ReadFull(e, 1); string(p) != "c" {
			r.Errorf("%s: read %q", network, p)
		}
		// A withdrawn rest is told of nothing, and a reader takes its place.
		r.Until(func() bool { return !ready() })
		e.Cancel(&op.Op)
		rop := r.StartRead(e, make([]byte, 8))
		c.Write([]byte("d"))
		r.Until(func() bool { return rop.Fired > 0 })
		if op.Fired > 2 {
			r.Errorf("%s: a withdrawn operation was told", network)
		}
		r.ReadFull(e, 1)

		r.Until(func() bool { return !ready() })
		c.Close()
		r.Until(func() bool { return !op.Pending })
		if !ready() {
			r.Errorf("%s: not readable at the end", network)
		}
		if _, err := r.Read(e, make([]byte, 1)); err != io.EOF {
			r.Errorf("%s: read at the end: %v", network, err)
		}
		r.Close(e)
		if !ready() {
			r.Errorf("%s: not readable though closed", network)
		}
	}
}

package http2core

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/loop"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// A sink is a connection that takes everything, and counts the writes.
type sink struct {
	bytes.Buffer
	writes int
	err    error
}

func (s *sink) Write(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	s.writes++
	return s.Buffer.Write(p)
}

// run runs f in a task, on virtual time.
func run(t *testing.T, f func(ctx context.Context, k *loop.Loop)) {
	t.Helper()
	err := rondo.Run(func(ctx context.Context) error {
		f(ctx, rondo.RunningLoop().Kernel())
		return nil
	}, rondo.WithoutSignals(), rondo.WithVirtualTime())
	if err != nil {
		t.Fatal(err)
	}
}

// frames reads what was written.
func frames(t *testing.T, s *sink) (all []string) {
	t.Helper()
	fr := http2.NewFramer(nil, &s.Buffer)
	fr.SetMaxReadFrameSize(1 << 20)
	fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	fr.MaxHeaderListSize = 1 << 20
	for {
		f, err := fr.ReadFrame()
		if err != nil {
			return all
		}
		h := f.Header()
		all = append(all, strings.TrimSpace(h.Type.String()+" "+strings.Repeat("x", int(h.StreamID))))
	}
}

func TestWriterWritesFramesOfAnIterationAtOnce(t *testing.T) {
	run(t, func(ctx context.Context, k *loop.Loop) {
		s := new(sink)
		w := NewWriter(s, nil)
		for id := uint32(1); id <= 3; id++ {
			rondo.Spawn(ctx, func(context.Context) (int, error) {
				var out Sender
				out.Open(w, id)
				w.BeginHeaders()
				w.Field(":status", "200", false)
				w.EndHeaders(id, false)
				return out.Send([]byte("body"), true)
			})
		}
		rondo.Sleep(ctx, time.Second)
		if err := w.Drain(); err != nil || s.writes != 1 || w.Queued() != 0 {
			t.Errorf("%d writes, %d bytes left, %v", s.writes, w.Queued(), err)
		}
		if got, want := strings.Join(frames(t, s), ","), "HEADERS x,DATA x,HEADERS xx,DATA xx,HEADERS xxx,DATA xxx"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}

func TestWriterSplitsLongLists(t *testing.T) {
	run(t, func(ctx context.Context, k *loop.Loop) {
		s := new(sink)
		w := NewWriter(s, nil)
		w.BeginHeaders()
		w.Field("x", strings.Repeat("~", 50000), true)
		w.EndHeaders(1, true)
		w.Ping(true, [8]byte{})
		if err := w.Drain(); err != nil {
			t.Fatal(err)
		}
		fr := http2.NewFramer(nil, &s.Buffer)
		var kinds []string
		length := 0
		dec := hpack.NewDecoder(4096, func(f hpack.HeaderField) { length += len(f.Value) })
		for {
			f, err := fr.ReadFrame()
			if err != nil {
				break
			}
			kinds = append(kinds, f.Header().Type.String())
			switch f := f.(type) {
			case *http2.HeadersFrame:
				dec.Write(f.HeaderBlockFragment())
			case *http2.ContinuationFrame:
				dec.Write(f.HeaderBlockFragment())
			}
		}
		if got := strings.Join(kinds, " "); !strings.HasPrefix(got, "HEADERS CONTINUATION") || !strings.HasSuffix(got, "CONTINUATION PING") || length != 50000 {
			t.Errorf("%s, %d bytes", got, length)
		}
	})
}

func TestWriterFailsThoseWhoWait(t *testing.T) {
	run(t, func(ctx context.Context, k *loop.Loop) {
		broken := errors.New("broken")
		s := &sink{err: broken}
		told := error(nil)
		w := NewWriter(s, func(err error) { told = err })
		var out Sender
		out.Open(w, 1)
		if _, err := out.Send(make([]byte, 100000), true); err != broken || told != broken || w.Drain() != broken {
			t.Errorf("Send: %v, told %v, Drain %v", err, told, w.Drain())
		}
	})
}

func TestSenderSharesTheConnectionsWindow(t *testing.T) {
	run(t, func(ctx context.Context, k *loop.Loop) {
		w := NewWriter(new(sink), nil)
		w.Peer().InitialWindow = 1 << 20
		var sent [4]int
		for i := range sent {
			rondo.Spawn(ctx, func(ctx context.Context) (int, error) {
				var out Sender
				out.Open(w, uint32(2*i+1))
				for {
					n, err := out.Send(make([]byte, 1000), false)
					if sent[i] += n; err != nil {
						return 0, nil
					}
				}
			})
		}
		rondo.Sleep(ctx, time.Second)
		before := sent
		for range 100 {
			if err := w.AddWindow(4000); err != nil {
				t.Fatal(err)
			}
			rondo.Sleep(ctx, time.Millisecond)
		}
		for i, n := range sent {
			if n-before[i] < 50000 {
				t.Errorf("stream %d got %d of 400000 bytes", i, n-before[i])
			}
		}
		w.Fail(io.ErrClosedPipe)
		rondo.Sleep(ctx, time.Millisecond)
	})
}

func TestSenderCanceledPassesTheWindowOn(t *testing.T) {
	run(t, func(ctx context.Context, k *loop.Loop) {
		w := NewWriter(new(sink), nil)
		w.Peer().InitialWindow = 1 << 20
		send := func(id uint32, n int) *rondo.Task[int] {
			return rondo.Spawn(ctx, func(context.Context) (int, error) {
				var out Sender
				out.Open(w, id)
				return out.Send(make([]byte, n), true)
			})
		}
		first := send(1, DefaultWindow+10)
		rondo.Sleep(ctx, time.Millisecond)
		second := send(3, 10)
		rondo.Sleep(ctx, time.Millisecond)
		w.AddWindow(10) // wakes the first alone
		first.Cancel("")
		if n, err := second.Await(ctx); n != 10 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		if n, err := first.Await(ctx); n != DefaultWindow || !errors.Is(err, context.Canceled) {
			t.Errorf("the canceled one: %d, %v", n, err)
		}
	})
}

func TestSenderSurvivesNegativeWindows(t *testing.T) {
	run(t, func(ctx context.Context, k *loop.Loop) {
		w := NewWriter(new(sink), nil)
		var out Sender
		out.Open(w, 1)
		if n, err := out.Send(make([]byte, 60000), false); n != 60000 || err != nil {
			t.Fatal(n, err)
		}
		out.Adjust(-DefaultWindow)
		x := rondo.Spawn(ctx, func(context.Context) (int, error) { return out.Send([]byte("x"), true) })
		rondo.Sleep(ctx, time.Millisecond)
		out.AddWindow(60000)
		rondo.Sleep(ctx, time.Millisecond)
		if x.Done() {
			t.Error("sent beyond the window")
		}
		out.AddWindow(1)
		if n, err := x.Await(ctx); n != 1 || err != nil {
			t.Error(n, err)
		}
		if err := out.AddWindow(1<<31 - 1); err != nil {
			t.Errorf("the largest window: %v", err)
		}
		if err := out.AddWindow(1); err != ErrFlowControl {
			t.Errorf("a larger one: %v", err)
		}
	})
}

func TestSenderInterruptEndsTheWait(t *testing.T) {
	run(t, func(ctx context.Context, k *loop.Loop) {
		w := NewWriter(new(sink), nil)
		w.Peer().InitialWindow = 0
		var out Sender
		out.Open(w, 1)
		late := errors.New("late")
		x := rondo.Spawn(ctx, func(context.Context) (int, error) { return out.Send([]byte("x"), true) })
		rondo.Sleep(ctx, time.Millisecond)
		out.Interrupt(late)
		if _, err := x.Await(ctx); err != late {
			t.Error(err)
		}
		out.Interrupt(nil)
		out.AddWindow(1)
		if n, err := out.Send([]byte("x"), true); n != 1 || err != nil {
			t.Error(n, err)
		}
	})
}

func receiver(k *loop.Loop, first, conn, most int) (*Receiver, *Inflow, *sink, *Writer) {
	s := new(sink)
	w := NewWriter(s, nil)
	in := NewInflow(k, w, first, conn, most)
	r := new(Receiver)
	r.Open(in, 1)
	return r, in, s, w
}

func put(t *testing.T, in *Inflow, r *Receiver, p []byte) {
	t.Helper()
	if err := in.Take(len(p)); err != nil {
		t.Fatal(err)
	}
	if err := r.Put(&Data{Payload: p, Length: len(p)}); err != nil {
		t.Fatal(err)
	}
}

func TestReceiverGivesBothWindowsBack(t *testing.T) {
	run(t, func(ctx context.Context, k *loop.Loop) {
		r, in, s, w := receiver(k, 1000, DefaultWindow, 4000)
		put(t, in, r, make([]byte, 1000))
		if err := r.Put(&Data{Payload: []byte("x"), Length: 1}); err != ErrFlowControl {
			t.Errorf("beyond the window: %v", err)
		}
		p, err := r.Next(400)
		if len(p) != 400 || err != nil {
			t.Fatal(len(p), err)
		}
		if n, err := r.Read(make([]byte, 400)); n != 400 || err != nil {
			t.Fatal(n, err)
		}
		w.Drain()
		if got := strings.Join(frames(t, s), ","); got != "WINDOW_UPDATE x" {
			t.Errorf("%s", got)
		}
		r.End(io.EOF)
		if rest, err := io.ReadAll(r); len(rest) != 200 || err != nil || !r.Done() {
			t.Errorf("%d, %v", len(rest), err)
		}
	})
}

func TestReceiverWindowGrowsForFastPeers(t *testing.T) {
	run(t, func(ctx context.Context, k *loop.Loop) {
		const first, most = 10000, 80000
		for _, pause := range []time.Duration{time.Millisecond, time.Second} {
			r, in, _, _ := receiver(k, first, 1<<20, most)
			in.RTT = loop.Time(10 * time.Millisecond)
			p := make([]byte, first/2)
			for range 50 {
				rondo.Sleep(ctx, pause)
				put(t, in, r, p)
				if n, err := io.ReadFull(r, p); err != nil {
					t.Fatal(n, err)
				}
			}
			want := int64(first)
			if pause < time.Second {
				want = most
			}
			if r.window.size != want {
				t.Errorf("pause %v: window %d, want %d", pause, r.window.size, want)
			}
		}
	})
}

func TestReceiverReadParksAndKeepsDataWhenCanceled(t *testing.T) {
	run(t, func(ctx context.Context, k *loop.Loop) {
		r, in, _, _ := receiver(k, 1000, DefaultWindow, 1000)
		p := make([]byte, 10)
		x := rondo.Spawn(ctx, func(context.Context) (int, error) { return r.Read(p) })
		rondo.Sleep(ctx, time.Millisecond)
		put(t, in, r, []byte("abc"))
		x.Cancel("")
		_, err := x.Await(ctx)
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if n, err := r.Read(p); string(p[:n]) != "abc" || err != nil {
			t.Errorf("%q, %v", p[:n], err)
		}
	})
}

func TestReceiverDiscardGivesTheConnectionItsWindow(t *testing.T) {
	run(t, func(ctx context.Context, k *loop.Loop) {
		r, in, _, _ := receiver(k, 1000, DefaultWindow, 1000)
		put(t, in, r, make([]byte, 500))
		r.Discard()
		put(t, in, r, make([]byte, 500))
		if in.conn.owed != 1000 || r.Buffered() != 0 {
			t.Errorf("%d bytes are owed, %d are kept", in.conn.owed, r.Buffered())
		}
		lent, in2, _, _ := receiver(k, 1000, DefaultWindow, 1000)
		put(t, in2, lent, []byte("abc"))
		p, _ := lent.Next(3)
		lent.Fail(io.ErrClosedPipe)
		other, in3, _, _ := receiver(k, 1000, DefaultWindow, 1000)
		put(t, in3, other, []byte("xyz"))
		if string(p) != "abc" || in2.conn.owed != 3 {
			t.Errorf("%q: a piece that is lent is another's; %d bytes are owed", p, in2.conn.owed)
		}
	})
}

// A drip gives one byte a read.
type drip struct{ io.Reader }

func (d drip) Read(p []byte) (int, error) { return d.Reader.Read(p[:1]) }

func TestReaderReadsFramesHoweverTheyCome(t *testing.T) {
	var raw bytes.Buffer
	fr := http2.NewFramer(&raw, nil)
	fr.WriteData(1, false, []byte("abc"))
	fr.WriteDataPadded(3, true, []byte("de"), make([]byte, 7))
	fr.WritePing(false, [8]byte{1})
	fr.WriteData(5, true, make([]byte, DefaultFrameSize))
	for name, conn := range map[string]io.Reader{"whole": bytes.NewReader(raw.Bytes()), "bytes": drip{bytes.NewReader(raw.Bytes())}} {
		r := NewReader(conn, nil, hpack.NewDecoder(4096, nil), 1<<16)
		for i, want := range []struct {
			id      uint32
			payload int
			length  int
			end     bool
		}{{1, 3, 3, false}, {3, 2, 10, true}, {}, {5, DefaultFrameSize, DefaultFrameSize, true}} {
			f, err := r.Next()
			if err != nil {
				t.Fatalf("%s: frame %d: %v", name, i, err)
			}
			if f != nil {
				if f.Header().Type != http2.FramePing || want.id != 0 {
					t.Errorf("%s: frame %d: %v", name, i, f)
				}
				continue
			}
			if d := r.Data; d.StreamID != want.id || len(d.Payload) != want.payload || d.Length != want.length || d.End != want.end {
				t.Errorf("%s: frame %d: stream %d, %d of %d bytes, end %v", name, i, d.StreamID, len(d.Payload), d.Length, d.End)
			}
		}
		if _, err := r.Next(); err != io.EOF {
			t.Errorf("%s: %v, want EOF", name, err)
		}
		r.Release()
	}
}

func BenchmarkSenderSend(b *testing.B) {
	b.ReportAllocs()
	err := rondo.Run(func(ctx context.Context) error {
		w := NewWriter(io.Discard, nil)
		var out Sender
		out.Open(w, 1)
		p := make([]byte, 1024)
		for b.Loop() {
			out.window, w.window = 1<<20, 1<<20
			if _, err := out.Send(p, false); err != nil {
				return err
			}
		}
		return w.Drain()
	}, rondo.WithoutSignals())
	if err != nil {
		b.Fatal(err)
	}
}

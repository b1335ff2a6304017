package rondohttp

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/net/http2"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/internal/http1"
	"github.com/rondo-go/rondo/internal/http2core"
	"github.com/rondo-go/rondo/loop"
)

// An h2stream is one exchange on a connection of HTTP/2. The reader fills it; one task at a time waits for it.
type h2stream struct {
	hc   *h2conn
	id   uint32
	head *http1.Head // of the exchange: filled until headed
	recv http2core.Receiver
	send http2core.Sender

	task  *loop.Task // waits for the head
	err   error      // what ended it before its time
	pause error      // what ends the wait in progress
	clock loop.Timer // of the wait in progress, or of an orphan
	late  error      // what it is when the clock runs out
	waits uint       // how many waits there were
	stop  func() bool

	want, got int64 // of the body; want is -1 if it is not known
	trailer   http.Header
	interims  int
	headed    bool // the head of the final answer is here
	wanted    bool // 100 Continue came
	empty     bool // the answer has no body, whatever its head says
	peerDone  bool // the server has said all
	done      bool // and so have we
	closed    bool // the slot is given back
}

// open opens a stream for x on hc, and adds the head of its request to what is to be sent. last says that it has no body.
func (hc *h2conn) open(x *exchange, last bool) *h2stream {
	st := &h2stream{hc: hc, id: hc.next, head: x.head, want: -1, empty: x.method == http.MethodHead, done: last}
	st.clock.Init((*h2clock)(st))
	if hc.next += 2; hc.next > 1<<31-1 {
		hc.drains = true
		hc.s.pool.retire(hc)
	}
	st.recv.Open(hc.in, st.id)
	st.send.Open(hc.w, st.id)
	hc.streams[st.id] = st
	hc.w.BeginHeaders()
	x.h2Fields(hc.w)
	hc.w.EndHeaders(st.id, last)
	hc.w.FlushSoon()
	return st
}

// close forgets st, which neither side will say more of, and gives its slot back.
func (hc *h2conn) close(st *h2stream) {
	if st.closed {
		return
	}
	st.closed = true
	hc.s.kernel.StopTimer(&st.clock)
	delete(hc.streams, st.id)
	hc.s.pool.leave(hc)
}

// fail ends st with err: what has come before can still be read.
func (st *h2stream) fail(err error) {
	if st.err == nil {
		st.err = err
	}
	st.recv.End(err)
	st.send.Fail(err)
	st.wake()
}

func (st *h2stream) wake() {
	st.hc.woke = true
	if st.task != nil {
		st.task.Unpark()
	}
}

// cancel ends st, of which nobody wants to know more.
func (st *h2stream) cancel() {
	if !st.closed {
		st.hc.w.Reset(st.id, http2.ErrCodeCancel)
		st.hc.w.FlushSoon()
		st.hc.close(st)
	}
	st.recv.Discard()
}

// orphan lets the server end a stream whose answer has no body. It has a second for that.
func (st *h2stream) orphan() {
	st.late = nil
	st.recv.Discard()
	k := st.hc.s.kernel
	k.StartTimer(&st.clock, k.Now().Add(time.Second))
}

// An h2clock is a stream whose time is up.
type h2clock h2stream

// Call implements [loop.Call].
func (c *h2clock) Call() {
	st := (*h2stream)(c)
	if st.late == nil {
		st.cancel()
		return
	}
	st.interrupt(st.late)
}

// interrupt ends the wait in progress.
func (st *h2stream) interrupt(err error) {
	st.pause = err
	st.recv.Interrupt(err)
	st.send.Interrupt(err)
	st.wake()
}

// begin bounds a wait of x, by limit and by ctx; end lifts that.
func (st *h2stream) begin(ctx context.Context, x *exchange, limit time.Duration, kind Kind) {
	k := x.s.kernel
	if d, kind := x.bound(limit, kind); d > 0 {
		st.late = x.limits.late(kind)
		k.StartTimer(&st.clock, k.Now().Add(d))
	}
	if ownContext(ctx) {
		return
	}
	n := st.waits
	st.stop = context.AfterFunc(ctx, func() {
		h := new(loop.Handle)
		h.Init(loop.Func(func() {
			if st.waits == n {
				st.interrupt(contextFault(ctx))
			}
		}))
		k.Post(h)
	})
}

func (st *h2stream) end() {
	st.waits++
	st.hc.s.kernel.StopTimer(&st.clock)
	if st.stop != nil {
		st.stop()
		st.stop = nil
	}
	if st.pause != nil {
		st.pause = nil
		st.recv.Interrupt(nil)
		st.send.Interrupt(nil)
	}
}

// Abort implements [loop.Aborter]: whoever waits for the head is handed nothing.
func (st *h2stream) Abort(*loop.Task, loop.Reason, error) loop.Verdict { return loop.Aborted }

// await parks until the head is here, or enough says so.
func (st *h2stream) await(enough func() bool) error {
	for !st.headed && st.err == nil {
		if st.pause != nil {
			return st.pause
		}
		if enough != nil && enough() {
			return nil
		}
		_, t := loop.Current()
		if t == nil {
			return rondo.ErrNotTask
		}
		st.task = t
		err := t.Park(st)
		st.task = nil
		if err != nil {
			return err
		}
	}
	if !st.headed {
		return st.err
	}
	return nil
}

// ended is the end of what the server says on st.
func (st *h2stream) ended() {
	st.peerDone = true
	if st.want > st.got {
		st.recv.End(&fault{KindTruncated, &http1.TruncatedError{Got: st.got, Want: st.want}})
	} else {
		st.recv.End(io.EOF)
	}
	if st.done {
		st.hc.close(st)
	}
	st.wake()
}

// data takes a DATA frame, RFC 9113 section 6.1.
func (hc *h2conn) data(d *http2core.Data) error {
	if hc.in.Take(d.Length) != nil {
		return protocolErr(http2.ErrCodeFlowControl, "the server sends more than the connection's window allows")
	}
	st, err := hc.find(d.StreamID)
	if err != nil {
		return err
	}
	n := int64(len(d.Payload))
	code, what := http2.ErrCodeProtocol, ""
	switch {
	case st == nil:
		hc.in.Give(d.Length)
		return nil
	case st.peerDone:
		code, what = http2.ErrCodeStreamClosed, "the server goes on after the end of a body"
	case !st.headed:
		what = "the server sends a body before its head"
	case st.empty && n > 0:
		what = "the server sends a body where none can be"
	case st.want >= 0 && st.got+n > st.want:
		what = fmt.Sprintf("the body is longer than its Content-Length, %d", st.want)
	}
	if what != "" {
		hc.in.Give(d.Length)
		hc.abort(st, code, what)
		return nil
	}
	st.got += n
	if st.recv.Put(d) != nil {
		hc.abort(st, http2.ErrCodeFlowControl, "the server sends more than the stream's window allows")
		return nil
	}
	hc.woke = true
	if d.End {
		st.ended()
	}
	return nil
}

// headers takes the head of an answer, an interim one, or the trailers.
func (hc *h2conn) headers(f *http2.MetaHeadersFrame) error {
	st, err := hc.find(f.StreamID)
	if st == nil || err != nil {
		return err
	}
	if f.Truncated {
		st.fail(&fault{KindHeaderTooLarge, fmt.Errorf("%w: more than %d bytes", http1.ErrHeaderTooLarge, muxHeaderBytes)})
		st.cancel()
		return nil
	}
	if what := st.take(f); what != "" {
		hc.abort(st, http2.ErrCodeProtocol, what)
	}
	return nil
}

// take takes a list of fields. It returns what is wrong with it.
func (st *h2stream) take(f *http2.MetaHeadersFrame) string {
	if st.peerDone {
		return "the server goes on after the end of a body"
	}
	pseudo := f.PseudoFields()
	if st.headed {
		if len(pseudo) > 0 || !f.StreamEnded() {
			return "the server sends a second head"
		}
		st.trailer = http.Header{}
		for _, t := range f.RegularFields() {
			st.trailer.Add(t.Name, t.Value)
		}
		st.ended()
		return ""
	}
	if len(pseudo) != 1 || pseudo[0].Name != ":status" || len(pseudo[0].Value) != 3 {
		return "the server sends a head without a proper status"
	}
	status, err := strconv.Atoi(pseudo[0].Value)
	if err != nil || status < 100 {
		return fmt.Sprintf("the server sends the status %q", pseudo[0].Value)
	}
	if status < 200 {
		st.interims++
		if err := passInterim(status, st.interims); err != nil {
			return err.Error()
		}
		if f.StreamEnded() {
			return "the server ends with an interim answer"
		}
		if status == http.StatusContinue {
			st.wanted = true
			st.wake()
		}
		return ""
	}
	st.head.Reset()
	st.head.Begin(status)
	for _, field := range f.RegularFields() {
		if err := st.head.Add(field.Name, field.Value); err != nil {
			st.head.Reset()
			return err.Error()
		}
	}
	st.headed = true
	if status == http.StatusNoContent || status == http.StatusNotModified {
		st.empty = true
	}
	if !st.empty {
		st.want = st.head.ContentLength
	}
	if f.StreamEnded() {
		st.ended()
	}
	st.wake()
	return ""
}

// reset takes a RST_STREAM frame.
func (hc *h2conn) reset(f *http2.RSTStreamFrame) error {
	st, err := hc.find(f.StreamID)
	if st == nil || err != nil {
		return err
	}
	if f.ErrCode == http2.ErrCodeNo && st.peerDone {
		st.send.Fail(errNotWanted) // the answer is whole, and the rest of the request is of no use (RFC 9113 section 8.1)
	} else {
		text := "the server resets the stream: " + inWords(f.ErrCode)
		st.fail(&fault{KindReset, &h2error{code: f.ErrCode, text: text, unseen: f.ErrCode == http2.ErrCodeRefusedStream}})
	}
	hc.close(st)
	return nil
}

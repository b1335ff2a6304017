package rondohttp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/internal/http2core"
	"github.com/rondo-go/rondo/loop"
)

// How HTTP/2 is spoken
//
// A connection has one task that reads: it takes frames apart, fills heads and bodies of streams, and wakes the tasks
// that wait for them. What is to be sent is gathered by a [http2core.Writer], and leaves in one write for all who had
// something to say in the same iteration of the loop. So a request costs a park, and no task of its own.
//
// A stream holds a slot of its connection from before it is opened until both sides have closed it, or either
// has reset it; the slots are what the pool hands out, see h2_slots.go. The connection holds the permits of the
// pool as long as a slot is taken.
//
// The reader ends with the connection, and everything else with the reader: whatever breaks calls [h2conn.fail], which
// ends every stream, and the reader closes.

// An h2conn is a connection that speaks HTTP/2 (RFC 9113).
type h2conn struct {
	c       *conn
	s       *Session
	w       *http2core.Writer
	in      *http2core.Inflow
	dec     *hpack.Decoder
	streams map[uint32]*h2stream
	next    uint32 // number of the next stream
	slots   int    // taken
	max     int    // slots there are: 1 until the server's settings are here
	err     error  // why it is of no more use; nil: it is
	drains  bool   // takes no new streams
	fresh   bool   // the server's settings are not here
	woke    bool   // somebody was woken since the reader last let others run
	heard   bool   // a frame came since health was looked at
	pinged  bool
	health  loop.Timer
	sent    loop.Time // when the settings were
}

// Defaults of what [WithHTTP2] sets.
const (
	muxStreams     = 256
	muxFirstWindow = 256 << 10
	muxMostWindow  = 4 << 20
	muxConnWindow  = muxStreams * muxFirstWindow
	muxHeaderBytes = 64 << 10
	muxPing        = 30 * time.Second
	muxPingTimeout = 15 * time.Second
)

// newH2 makes c a connection of HTTP/2, and starts its reader.
func newH2(s *Session, c *conn) *h2conn {
	hc := &h2conn{c: c, s: s, streams: map[uint32]*h2stream{}, next: 1, max: 1, fresh: true}
	c.h2 = hc
	c.deadline = time.Time{}
	c.raw.SetDeadline(time.Time{})
	hc.w = http2core.NewWriter(h2wire{hc}, hc.fail)
	hc.w.Raw(http2core.Preface)
	most := orDefault(s.http2.MaxReceiveBufferPerStream, muxMostWindow)
	first := min(most, muxFirstWindow)
	table := orDefault(s.http2.MaxDecoderHeaderTableSize, http2core.DefaultTableBytes)
	hc.w.Settings(
		http2.Setting{ID: http2.SettingEnablePush, Val: 0},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(first)},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: muxHeaderBytes},
		http2.Setting{ID: http2.SettingHeaderTableSize, Val: uint32(table)},
	)
	hc.in = http2core.NewInflow(s.kernel, hc.w, first, orDefault(s.http2.MaxReceiveBufferPerConnection, max(muxConnWindow, first)), most)
	hc.dec = hpack.NewDecoder(uint32(table), nil)
	hc.sent = s.kernel.Now()
	hc.health.Init((*h2health)(hc))
	rondo.Spawn(context.Background(), hc.read)
	return hc
}

func orDefault(n, usual int) int {
	if n > 0 {
		return n
	}
	return usual
}

// An h2wire is an h2conn as what is read from and written to.
type h2wire struct{ *h2conn }

func (w h2wire) Read(p []byte) (int, error) {
	if w.c.tls != nil {
		return w.c.tls.Read(p)
	}
	return w.c.raw.Read(p)
}

func (w h2wire) Write(p []byte) (int, error) {
	if w.c.tls == nil {
		return w.c.raw.Write(p)
	}
	return w.c.tls.Write(p)
}

// usable reports whether new streams may be opened.
func (hc *h2conn) usable() bool { return hc.err == nil && !hc.drains }

// read is the task that reads.
func (hc *h2conn) read(context.Context) (struct{}, error) {
	rd := http2core.NewReader(h2wire{hc}, nil, hc.dec, muxHeaderBytes)
	_, t := loop.Current()
	err := hc.frames(rd, t)
	if hc.err == nil {
		hc.broken(err)
	}
	hc.c.raw.SetWriteDeadline(time.Now().Add(time.Second))
	hc.w.Drain() // the reason, if it can still be told
	hc.c.raw.Close()
	hc.w.Fail(hc.err)
	rd.Drop()
	return struct{}{}, nil
}

// frames takes frames until there is an error.
func (hc *h2conn) frames(rd *http2core.Reader, t *loop.Task) error {
	first := true
	for hc.err == nil {
		if hc.woke && !rd.Frame() {
			hc.woke = false
			if err := t.Yield(); err != nil {
				return err
			}
		}
		f, err := rd.Next()
		hc.heard = true
		var se http2.StreamError
		switch {
		case errors.As(err, &se):
			if err = hc.malformed(se); err != nil {
				return err
			}
		case err != nil:
			if first && errors.Is(err, http2.ErrFrameTooLarge) {
				return protocolErr(http2.ErrCodeProtocol, "the server does not answer in HTTP/2")
			}
			return err
		case first:
			if s, ok := f.(*http2.SettingsFrame); !ok || s.IsAck() {
				return protocolErr(http2.ErrCodeProtocol, "the server does not begin with its settings")
			}
			first = false
			fallthrough
		default:
			if err := hc.frame(f, &rd.Data); err != nil {
				return err
			}
		}
		if hc.w.Queued() > 1<<20 {
			return protocolErr(http2.ErrCodeEnhanceYourCalm, "the server asks for more answers than it reads")
		}
		hc.w.FlushSoon()
	}
	return hc.err
}

// frame takes one frame; a nil one is DATA.
func (hc *h2conn) frame(f http2.Frame, data *http2core.Data) error {
	switch f := f.(type) {
	case nil:
		return hc.data(data)
	case *http2.MetaHeadersFrame:
		return hc.headers(f)
	case *http2.SettingsFrame:
		return hc.settings(f)
	case *http2.WindowUpdateFrame:
		return hc.window(f)
	case *http2.RSTStreamFrame:
		return hc.reset(f)
	case *http2.PingFrame:
		if !f.IsAck() {
			hc.w.Ping(true, f.Data)
		}
	case *http2.GoAwayFrame:
		hc.goAway(f)
	case *http2.PushPromiseFrame:
		return protocolErr(http2.ErrCodeProtocol, "the server pushes, which it was told not to")
	}
	return nil
}

func (hc *h2conn) settings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		if hc.in.RTT == 0 {
			hc.in.RTT = max(hc.s.kernel.Now()-hc.sent, 1)
		}
		return nil
	}
	if v, ok := f.Value(http2.SettingEnablePush); ok && v != 0 {
		return protocolErr(http2.ErrCodeProtocol, "the server allows itself to be pushed to")
	}
	delta, err := hc.w.Apply(f)
	if err != nil {
		return err
	}
	if delta != 0 {
		for _, st := range hc.streams {
			if err := st.send.Adjust(delta); err != nil {
				return protocolErr(http2.ErrCodeFlowControl, "the server makes a window too large")
			}
		}
	}
	own := orDefault(hc.s.http2.MaxConcurrentStreams, muxStreams)
	hc.max = int(min(int64(hc.w.Peer().MaxStreams), int64(own)))
	hc.known()
	return nil
}

// known ends the time in which others wait for what hc turns out to be.
func (hc *h2conn) known() {
	h := hc.c.host
	if hc.fresh {
		hc.fresh, h.mux.opening = false, false
	}
	hc.s.pool.kick(h)
}

func (hc *h2conn) window(f *http2.WindowUpdateFrame) error {
	if f.StreamID == 0 {
		if err := hc.w.AddWindow(f.Increment); err != nil {
			return protocolErr(http2.ErrCodeFlowControl, "the server makes the connection's window too large")
		}
		return nil
	}
	st, err := hc.find(f.StreamID)
	if st == nil || err != nil {
		return err
	}
	if err := st.send.AddWindow(f.Increment); err != nil {
		hc.abort(st, http2.ErrCodeFlowControl, "the server makes the stream's window too large")
	}
	return nil
}

// find returns an open stream, nil if it is closed already.
func (hc *h2conn) find(id uint32) (*h2stream, error) {
	if st := hc.streams[id]; st != nil {
		return st, nil
	}
	if id&1 == 0 || id >= hc.next {
		return nil, protocolErr(http2.ErrCodeProtocol, fmt.Sprintf("a frame for stream %d, which was never opened", id))
	}
	return nil, nil
}

// goAway: no new streams, and those above the last that the server looks at were never seen.
func (hc *h2conn) goAway(f *http2.GoAwayFrame) {
	hc.drain()
	text := fmt.Sprintf("the server goes away: %s", inWords(f.ErrCode))
	if d := f.DebugData(); len(d) > 0 {
		text += fmt.Sprintf(" (%.200q)", d)
	}
	for id, st := range hc.streams {
		if id > f.LastStreamID {
			st.fail(&fault{KindClosed, &h2error{code: f.ErrCode, text: text, unseen: true}})
			hc.close(st)
		}
	}
	hc.s.pool.kick(hc.c.host)
}

// drain keeps new streams from hc, and closes it if there are none.
func (hc *h2conn) drain() {
	hc.drains = true
	hc.s.pool.retire(hc)
}

// malformed answers a frame that is an error of one stream.
func (hc *h2conn) malformed(se http2.StreamError) error {
	st, err := hc.find(se.StreamID)
	if st == nil || err != nil {
		return err
	}
	what := "the server sends a malformed frame"
	if se.Cause != nil {
		what = "the server sends a malformed head: " + se.Cause.Error()
	}
	hc.abort(st, se.Code, what)
	return nil
}

// abort ends a stream that the server has got wrong.
func (hc *h2conn) abort(st *h2stream, code http2.ErrCode, what string) {
	st.fail(&fault{KindProtocol, &h2error{code: code, text: what + " (" + inWords(code) + ")"}})
	hc.w.Reset(st.id, code)
	hc.w.FlushSoon()
	hc.close(st)
}

// broken ends hc with what reading came to, and tells the server if it is its fault.
func (hc *h2conn) broken(err error) {
	var he *h2error
	var ce http2.ConnectionError
	switch {
	case errors.As(err, &he):
	case errors.As(err, &ce):
		he = &h2error{code: http2.ErrCode(ce)}
		he.text = "the server breaks the protocol: " + inWords(he.code)
	case errors.Is(err, http2.ErrFrameTooLarge):
		he = &h2error{code: http2.ErrCodeFrameSize, text: "the server sends a frame that is too large"}
	}
	if he == nil {
		hc.fail(err)
		return
	}
	hc.w.GoAway(0, he.code, "")
	hc.fail(&fault{KindProtocol, he})
}

// fail ends hc and all its streams.
func (hc *h2conn) fail(err error) {
	if hc.err != nil {
		return
	}
	hc.err = err
	if hc.w.Err() != nil {
		hc.c.raw.Close() // the reader notices
	}
	hc.s.kernel.StopTimer(&hc.health)
	for _, st := range hc.streams {
		st.fail(h2fault(err, st.headed))
		hc.close(st)
	}
	hc.s.pool.retire(hc)
	hc.known()
}

// h2fault is ioFault for a connection that has broken off.
func h2fault(err error, answered bool) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, net.ErrClosed) {
		return &fault{KindClosed, ErrSessionClosed}
	}
	return ioFault(err, answered)
}

// An h2health looks after a connection with streams: when nothing has come for a while it asks for a sign of
// life.
type h2health h2conn

// Call implements [loop.Call].
func (h *h2health) Call() {
	hc := (*h2conn)(h)
	switch {
	case hc.err != nil || hc.slots == 0:
		hc.pinged = false
		return
	case hc.heard:
		hc.heard, hc.pinged = false, false
	case hc.pinged:
		d := hc.pingTimeout()
		hc.fail(&fault{KindReset, &cause{fmt.Sprintf("the connection is dead: no answer to a ping within %v", d), io.ErrUnexpectedEOF}})
		hc.c.raw.Close()
		return
	default:
		hc.pinged = true
		hc.w.Ping(false, [8]byte{'r', 'o', 'n', 'd', 'o'})
		hc.w.FlushSoon()
	}
	hc.watch()
}

func (hc *h2conn) pingTimeout() time.Duration {
	if d := hc.s.http2.PingTimeout; d > 0 {
		return d
	}
	return muxPingTimeout
}

// watch has the health looked at in time.
func (hc *h2conn) watch() {
	d := hc.s.http2.SendPingTimeout
	switch {
	case hc.pinged:
		d = hc.pingTimeout()
	case d == 0:
		d = muxPing
	case d < 0:
		return
	}
	hc.s.kernel.StartTimer(&hc.health, hc.s.kernel.Now().Add(d))
}

// An h2error is what one side of HTTP/2 told the other.
type h2error struct {
	code   http2.ErrCode
	text   string
	unseen bool // the server has not looked at the request: it may be sent again whatever it is
}

func (e *h2error) Error() string { return e.text }

// Unwrap returns the code as an error of golang.org/x/net/http2.
func (e *h2error) Unwrap() error { return http2.ConnectionError(e.code) }

func protocolErr(code http2.ErrCode, what string) error {
	return &h2error{code: code, text: what + " (" + inWords(code) + ")"}
}

// inWords says what an error code means, RFC 9113 section 7.
func inWords(code http2.ErrCode) string {
	if text, ok := h2words[code]; ok {
		return text + ", " + code.String()
	}
	return fmt.Sprintf("error code %d", uint32(code))
}

var h2words = map[http2.ErrCode]string{
	http2.ErrCodeNo:                 "no error",
	http2.ErrCodeProtocol:           "protocol error",
	http2.ErrCodeInternal:           "internal error",
	http2.ErrCodeFlowControl:        "flow control violated",
	http2.ErrCodeSettingsTimeout:    "settings not acknowledged in time",
	http2.ErrCodeStreamClosed:       "stream is closed",
	http2.ErrCodeFrameSize:          "frame of the wrong size",
	http2.ErrCodeRefusedStream:      "stream refused before it was processed",
	http2.ErrCodeCancel:             "stream canceled",
	http2.ErrCodeCompression:        "header compression broken",
	http2.ErrCodeConnect:            "tunnel broken",
	http2.ErrCodeEnhanceYourCalm:    "too much load",
	http2.ErrCodeInadequateSecurity: "TLS not secure enough",
	http2.ErrCodeHTTP11Required:     "HTTP/1.1 required",
}

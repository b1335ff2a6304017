package http2core

import (
	"context"
	"encoding/binary"
	"io"
	"sync"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/loop"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// A Writer gathers the frames of a connection, of all its streams, and has them written in one piece: by a task of
// its own, which is there as long as there is something to write. To add a frame never parks and never fails.
// Frames leave in the order they were added, once [Writer.FlushSoon] is called.
type Writer struct {
	conn     io.Writer
	buf      []byte // gathered; nil if nothing is
	unsent   int    // bytes of the write in progress
	sent     int64
	flushing bool  // the task is there
	err      error // of writing

	enc   *hpack.Encoder
	block int // where in buf the HEADERS frame that is being added begins

	peer    PeerSettings
	window  int64     // of the connection: what may still be sent
	waiting []*Sender // for the window or for room, first come first served
	stalled []*Sender // for the windows of their streams
	drain   *loop.Task
	ended   func(error)
}

// PeerSettings are what the peer's SETTINGS frames have said.
type PeerSettings struct {
	Received         bool   // a frame came
	MaxStreams       uint32 // that the peer lets this side open; unbounded at first
	InitialWindow    int64  // of new streams, for this side to send
	FrameSize        int    // for this side to send
	HeaderBytes      uint32 // of a list of fields; advisory; unbounded at first
	ConnectProtocol  bool   // extended CONNECT, RFC 8441
	headerTableBytes uint32
}

// roomAt is how much may wait to be sent before senders of DATA wait.
const roomAt = 64 << 10

// Buffers are of two sizes: one for answers that are short, one for what gathers until there is no room.
const (
	outBuffer = 16 << 10
	bigBuffer = roomAt + 2*outBuffer
)

var (
	outBuffers = sync.Pool{New: func() any { return new([outBuffer]byte) }}
	bigBuffers = sync.Pool{New: func() any { return new([bigBuffer]byte) }}
)

// NewWriter returns a writer to conn, whose Write parks. Ended, if not nil, is called once when writing fails.
func NewWriter(conn io.Writer, ended func(error)) *Writer {
	w := &Writer{conn: conn, window: DefaultWindow, ended: ended}
	w.peer = PeerSettings{MaxStreams: 1<<32 - 1, InitialWindow: DefaultWindow, FrameSize: DefaultFrameSize, HeaderBytes: 1<<32 - 1, headerTableBytes: DefaultTableBytes}
	return w
}

// Peer returns the peer's settings.
func (w *Writer) Peer() *PeerSettings { return &w.peer }

// Err returns the error that writing has failed with.
func (w *Writer) Err() error { return w.err }

// Queued returns how many bytes have been added and are not with the system yet.
func (w *Writer) Queued() int { return len(w.buf) + w.unsent }

// Sent returns how many bytes the system has taken.
func (w *Writer) Sent() int64 { return w.sent }

// room returns buf, for n bytes to be appended.
func (w *Writer) room(n int) []byte {
	if n <= cap(w.buf)-len(w.buf) {
		return w.buf
	}
	old := w.buf
	switch n += len(old); {
	case n <= outBuffer:
		w.buf = outBuffers.Get().(*[outBuffer]byte)[:0]
	case n <= bigBuffer:
		w.buf = bigBuffers.Get().(*[bigBuffer]byte)[:0]
	default:
		w.buf = make([]byte, 0, 2*n)
	}
	w.buf = append(w.buf, old...)
	dropBuffer(old)
	return w.buf
}

func dropBuffer(b []byte) {
	switch cap(b) {
	case outBuffer:
		outBuffers.Put((*[outBuffer]byte)(b[:outBuffer]))
	case bigBuffer:
		bigBuffers.Put((*[bigBuffer]byte)(b[:bigBuffer]))
	}
}

// header appends the header of a frame.
func (w *Writer) header(length int, kind http2.FrameType, flags http2.Flags, stream uint32) []byte {
	return append(w.room(frameHeader+length), byte(length>>16), byte(length>>8), byte(length), byte(kind), byte(flags),
		byte(stream>>24), byte(stream>>16), byte(stream>>8), byte(stream))
}

// data adds a DATA frame, for which the windows have been charged.
func (w *Writer) data(stream uint32, p []byte, end bool) {
	var flags http2.Flags
	if end {
		flags = http2.FlagDataEndStream
	}
	w.buf = append(w.header(len(p), http2.FrameData, flags, stream), p...)
}

// BeginHeaders begins a HEADERS frame: [Writer.Field] adds fields, and [Writer.EndHeaders] ends it. No other
// frame may be added, and nothing park, in between.
func (w *Writer) BeginHeaders() {
	if w.enc == nil {
		w.enc = hpack.NewEncoder((*blockWriter)(w))
		w.enc.SetMaxDynamicTableSizeLimit(DefaultTableBytes)
		w.enc.SetMaxDynamicTableSize(min(DefaultTableBytes, w.peer.headerTableBytes))
	}
	w.block = len(w.buf)
	w.buf = w.header(0, http2.FrameHeaders, 0, 0)
}

// Field adds a field, whose name is in lower case. A sensitive one is kept out of the tables of compression.
func (w *Writer) Field(name, value string, sensitive bool) {
	w.enc.WriteField(hpack.HeaderField{Name: name, Value: value, Sensitive: sensitive})
}

// EndHeaders ends the list of fields, in CONTINUATION frames if it is longer than a frame may be.
func (w *Writer) EndHeaders(stream uint32, end bool) {
	flags := http2.FlagHeadersEndHeaders
	if end {
		flags |= http2.FlagHeadersEndStream
	}
	most := w.peer.FrameSize
	length := len(w.buf) - w.block - frameHeader
	if length > most {
		flags &^= http2.FlagHeadersEndHeaders
	}
	w.putHeader(w.block, min(length, most), http2.FrameHeaders, flags, stream)
	if length <= most {
		return
	}
	rest := append([]byte(nil), w.buf[w.block+frameHeader+most:]...)
	w.buf = w.buf[:w.block+frameHeader+most]
	for len(rest) > 0 {
		piece := rest[:min(len(rest), most)]
		rest = rest[len(piece):]
		var flags http2.Flags
		if len(rest) == 0 {
			flags = http2.FlagContinuationEndHeaders
		}
		w.buf = append(w.header(len(piece), http2.FrameContinuation, flags, stream), piece...)
	}
}

func (w *Writer) putHeader(at, length int, kind http2.FrameType, flags http2.Flags, stream uint32) {
	b := w.buf[at:]
	b[0], b[1], b[2], b[3], b[4] = byte(length>>16), byte(length>>8), byte(length), byte(kind), byte(flags)
	binary.BigEndian.PutUint32(b[5:], stream)
}

// A blockWriter is a Writer as what the encoder writes to.
type blockWriter Writer

func (b *blockWriter) Write(p []byte) (int, error) {
	b.buf = append((*Writer)(b).room(len(p)), p...)
	return len(p), nil
}

// Raw adds bytes that are no frame: the preface.
func (w *Writer) Raw(s string) { w.buf = append(w.room(len(s)), s...) }

// Settings adds a SETTINGS frame.
func (w *Writer) Settings(list ...http2.Setting) {
	b := w.header(6*len(list), http2.FrameSettings, 0, 0)
	for _, s := range list {
		b = binary.BigEndian.AppendUint16(b, uint16(s.ID))
		b = binary.BigEndian.AppendUint32(b, s.Val)
	}
	w.buf = b
}

// SettingsAck adds a SETTINGS frame that acknowledges the peer's.
func (w *Writer) SettingsAck() { w.buf = w.header(0, http2.FrameSettings, http2.FlagSettingsAck, 0) }

// Ping adds a PING frame, an answer to one if ack.
func (w *Writer) Ping(ack bool, data [8]byte) {
	var flags http2.Flags
	if ack {
		flags = http2.FlagPingAck
	}
	w.buf = append(w.header(8, http2.FramePing, flags, 0), data[:]...)
}

// GoAway adds a GOAWAY frame.
func (w *Writer) GoAway(last uint32, code http2.ErrCode, why string) {
	b := w.header(8+len(why), http2.FrameGoAway, 0, 0)
	b = binary.BigEndian.AppendUint32(b, last)
	b = binary.BigEndian.AppendUint32(b, uint32(code))
	w.buf = append(b, why...)
}

// Reset adds a RST_STREAM frame.
func (w *Writer) Reset(stream uint32, code http2.ErrCode) {
	w.buf = binary.BigEndian.AppendUint32(w.header(4, http2.FrameRSTStream, 0, stream), uint32(code))
}

// WindowUpdate adds a WINDOW_UPDATE frame. Stream 0 is the connection.
func (w *Writer) WindowUpdate(stream uint32, n int) {
	w.buf = binary.BigEndian.AppendUint32(w.header(4, http2.FrameWindowUpdate, 0, stream), uint32(n))
}

// FlushSoon has what was added written, by a task that is behind those that are ready now.
func (w *Writer) FlushSoon() {
	if w.flushing || len(w.buf) == 0 || w.err != nil {
		return
	}
	w.flushing = true
	rondo.Spawn(context.Background(), w.flush)
}

// flush is the task.
func (w *Writer) flush(context.Context) (struct{}, error) {
	for len(w.buf) > 0 && w.err == nil {
		p := w.buf
		w.buf, w.unsent = nil, len(p)
		n, err := w.conn.Write(p)
		w.sent += int64(n)
		w.unsent = 0
		dropBuffer(p)
		if err != nil {
			w.Fail(err)
			break
		}
		w.pump()
	}
	w.flushing = false
	if w.drain != nil {
		w.drain.Unpark()
	}
	return struct{}{}, nil
}

// Drain parks until all that was added is with the system, or writing has failed. It is for one task at a time.
func (w *Writer) Drain() error {
	for w.err == nil {
		w.FlushSoon()
		if !w.flushing {
			break
		}
		_, t := loop.Current()
		if t == nil {
			return rondo.ErrNotTask
		}
		w.drain = t
		err := t.Park(stay{})
		w.drain = nil
		if err != nil {
			return err
		}
	}
	return w.err
}

// Fail ends the writer: all who wait leave with err, and what was added and not sent is dropped.
func (w *Writer) Fail(err error) {
	if w.err != nil {
		return
	}
	w.err, w.buf = err, nil
	for _, s := range w.waiting {
		s.wake()
	}
	for _, s := range w.stalled {
		s.wake()
	}
	w.waiting = nil
	if w.ended != nil {
		w.ended(err)
	}
}

// Apply takes the peer's settings in, and acknowledges them. Delta is to be given to [Sender.Adjust] of every open
// stream.
//
// Errors: [http2.ConnectionError], RFC 9113 section 6.5.2.
func (w *Writer) Apply(f *http2.SettingsFrame) (delta int64, err error) {
	p := &w.peer
	p.Received = true
	before := p.InitialWindow
	err = f.ForeachSetting(func(s http2.Setting) error {
		if err := s.Valid(); err != nil {
			return err
		}
		switch s.ID {
		case http2.SettingHeaderTableSize:
			p.headerTableBytes = s.Val
			if w.enc != nil {
				w.enc.SetMaxDynamicTableSize(min(DefaultTableBytes, s.Val))
			}
		case http2.SettingMaxConcurrentStreams:
			p.MaxStreams = s.Val
		case http2.SettingInitialWindowSize:
			p.InitialWindow = int64(s.Val)
		case http2.SettingMaxFrameSize:
			p.FrameSize = int(s.Val)
		case http2.SettingMaxHeaderListSize:
			p.HeaderBytes = s.Val
		case http2.SettingEnableConnectProtocol:
			p.ConnectProtocol = s.Val == 1
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	w.SettingsAck()
	return p.InitialWindow - before, nil
}

// AddWindow is for a WINDOW_UPDATE of the connection. [ErrFlowControl]: it is too large.
func (w *Writer) AddWindow(n uint32) error {
	w.window += int64(n)
	if w.window > maxWindow {
		return ErrFlowControl
	}
	w.pump()
	return nil
}

// pump grants the connection's window to senders that wait, the longest waiting first, in equal shares of at least a
// frame.
func (w *Writer) pump() {
	credit := min(w.window, int64(roomAt-w.Queued()))
	if credit <= 0 || len(w.waiting) == 0 {
		return
	}
	share := max(credit/int64(len(w.waiting)), int64(w.peer.FrameSize))
	n := 0
	for n < len(w.waiting) && credit > 0 {
		s := w.waiting[n]
		s.granted = min(int64(s.want), share, credit)
		w.window -= s.granted
		credit -= s.granted
		s.listed = false
		s.wake()
		n++
	}
	k := copy(w.waiting, w.waiting[n:])
	clear(w.waiting[k:])
	w.waiting = w.waiting[:k]
}

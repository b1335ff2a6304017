package http2core

import (
	"encoding/binary"
	"io"
	"sync"

	"github.com/rondo-go/rondo/loop"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// A Reader reads the frames of a connection. It comes from a pool: a connection that waits for
// its peer's next frame can do without, see [Reader.Release]. Nothing of it is kept from one frame to the next but
// what the decoder holds.
type Reader struct {
	conn   io.Reader
	framer *http2.Framer
	buf    []byte // of which buf[r:w] is not taken yet
	r, w   int
	most   uint32 // length of a frame
	readIn uint64 // the loop's iteration of the last read
	Data   Data   // as of Next
}

// Data is a DATA frame.
type Data struct {
	StreamID uint32
	Payload  []byte // holds until the next call of Next
	Length   int    // what counts for flow control: with the padding
	End      bool
}

// readBuffer holds a frame of the usual greatest length, and much of the next.
const readBuffer = 32 << 10

var readers = sync.Pool{New: func() any {
	r := &Reader{buf: make([]byte, readBuffer)}
	r.framer = http2.NewFramer(nil, r)
	r.framer.SetReuseFrames()
	return r
}}

// NewReader returns a reader of frames from conn. Early has been read from it before. Dec is the
// connection's, which has a limit of strings set by NewReader, and headerBytes bounds a list of fields
// (SETTINGS_MAX_HEADER_LIST_SIZE). Frames are of at most [DefaultFrameSize].
func NewReader(conn io.Reader, early []byte, dec *hpack.Decoder, headerBytes uint32) *Reader {
	r := readers.Get().(*Reader)
	r.conn, r.r, r.w, r.most, r.readIn = conn, 0, 0, DefaultFrameSize, 0
	if len(early) > len(r.buf) {
		r.buf = make([]byte, len(early))
	}
	r.w = copy(r.buf, early)
	r.framer.ReadMetaHeaders = dec
	r.framer.MaxHeaderListSize = headerBytes
	r.framer.SetMaxReadFrameSize(r.most)
	return r
}

// Release gives r back. It must be between two frames, with nothing [Reader.Buffered], or never be used again.
func (r *Reader) Release() {
	r.conn, r.framer.ReadMetaHeaders, r.Data = nil, nil, Data{}
	if len(r.buf) == readBuffer {
		readers.Put(r)
	}
}

// Drop takes a reader out of use in the middle of a frame.
func (r *Reader) Drop() { r.conn, r.framer = nil, nil }

// Buffered returns how many bytes have been read from the connection and not taken by Next.
func (r *Reader) Buffered() int { return r.w - r.r }

// Frame reports whether Next will return without reading from the connection, but for a list of fields that
// goes on in CONTINUATION frames.
func (r *Reader) Frame() bool {
	b := r.buf[r.r:r.w]
	return len(b) >= frameHeader && (len(b)-frameHeader >= frameLength(b) || frameLength(b) > int(r.most))
}

func frameLength(b []byte) int { return int(b[0])<<16 | int(b[1])<<8 | int(b[2]) }

// Fill reads from the connection once. It parks until something comes. A peer that sends faster than it is served
// gets its turn, and no more: others run before a second read in one iteration of the loop.
func (r *Reader) Fill() error {
	if l, t := loop.Current(); t != nil {
		if l.Iteration() == r.readIn {
			if err := t.Yield(); err != nil {
				return err
			}
		}
		r.readIn = l.Iteration()
	}
	if r.r == r.w {
		r.r, r.w = 0, 0
	} else if r.w == len(r.buf) {
		r.w = copy(r.buf, r.buf[r.r:r.w])
		r.r = 0
	}
	n, err := r.conn.Read(r.buf[r.w:])
	r.w += n
	switch {
	case n > 0:
		return nil // an error comes again
	case err == nil:
		return io.ErrNoProgress
	}
	return err
}

// fill makes n bytes be there, of at most a frame.
func (r *Reader) fill(n int) error {
	if r.r > 0 && r.r+n > len(r.buf) {
		r.w = copy(r.buf, r.buf[r.r:r.w])
		r.r = 0
	}
	for r.w-r.r < n {
		if err := r.Fill(); err != nil {
			if err == io.EOF && r.w > r.r {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// Next returns the next frame. Of a DATA frame, f is nil and r.Data tells. Others are those of
// [http2.Framer] and hold until the next call; HEADERS come as [*http2.MetaHeadersFrame], with the
// CONTINUATION frames behind it. It parks while the frame is not complete.
//
// Errors: [http2.ConnectionError] and [http2.StreamError], which are the peer's fault, where the connection goes on after the
// latter; [http2.ErrFrameTooLarge]; io.EOF between two frames; those of the connection.
func (r *Reader) Next() (f http2.Frame, err error) {
	if err := r.fill(frameHeader); err != nil {
		return nil, err
	}
	b := r.buf[r.r:]
	if n := frameLength(b); http2.FrameType(b[3]) == http2.FrameData && n <= int(r.most) {
		if err := r.fill(frameHeader + n); err != nil {
			return nil, err
		}
		frame := r.buf[r.r : r.r+frameHeader+n]
		r.r += len(frame)
		return nil, r.data(frame)
	}
	return r.framer.ReadFrame()
}

// data parses a DATA frame, RFC 9113 section 6.1.
func (r *Reader) data(frame []byte) error {
	flags := http2.Flags(frame[4])
	p := frame[frameHeader:]
	r.Data = Data{
		StreamID: binary.BigEndian.Uint32(frame[5:]) & (1<<31 - 1),
		Length:   len(p),
		End:      flags.Has(http2.FlagDataEndStream),
	}
	if r.Data.StreamID == 0 {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	if flags.Has(http2.FlagDataPadded) {
		if len(p) == 0 {
			return http2.ConnectionError(http2.ErrCodeFrameSize)
		}
		pad := int(p[0])
		if p = p[1:]; pad > len(p) {
			return http2.ConnectionError(http2.ErrCodeProtocol)
		}
		p = p[:len(p)-pad]
	}
	r.Data.Payload = p
	return nil
}

// Read is for the framer.
func (r *Reader) Read(p []byte) (int, error) {
	if r.r == r.w {
		if err := r.Fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.buf[r.r:r.w])
	r.r += n
	return n, nil
}

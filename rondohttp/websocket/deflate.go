package websocket

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"
)

// A deflate is the compression of one connection, RFC 7692. Compressors and decompressors are shared by all
// connections: one that keeps its context keeps bytes, which are made the dictionary of the next message.
type deflate struct {
	threshold                   int
	sendContext, receiveContext bool
	sendBits, receiveBits       int
	sent, received              []byte // the contexts
}

// sendWindow bounds the context that is kept for sending: a dictionary costs time for each message.
const sendWindow = 4 << 10

func (c *Compression) deflate() *deflate {
	d := &deflate{threshold: c.Threshold, sendBits: c.bits(), receiveBits: 15}
	if d.threshold == 0 {
		d.threshold = 512
		if c.ContextTakeover {
			d.threshold = 128
		}
	}
	return d
}

// compressors are those for a window of 1 << index bytes.
var compressors [16]sync.Pool

var decompressors = sync.Pool{New: func() any { return flate.NewReader(nil) }}

// The empty block that a compressor ends with when it is flushed, which is not sent, and an empty last block.
const (
	flushed  = "\x00\x00\xff\xff"
	lastTail = flushed + "\x01\x00\x00\xff\xff"
)

// compress appends p, compressed, to b.
func (d *deflate) compress(b, p []byte) ([]byte, error) {
	out := bytes.NewBuffer(b)
	w, _ := compressors[d.sendBits].Get().(*flate.Writer)
	var err error
	if w == nil && d.sendBits < 15 {
		w, err = flate.NewWriterWindow(out, 1<<d.sendBits)
	} else if w == nil {
		w, err = flate.NewWriter(out, flate.BestSpeed)
	}
	if err != nil {
		return nil, err
	}
	w.ResetDict(out, d.sent)
	if _, err = w.Write(p); err == nil {
		err = w.Flush()
	}
	w.ResetDict(io.Discard, nil)
	compressors[d.sendBits].Put(w)
	if err != nil {
		return nil, err
	}
	if d.sendContext {
		d.sent = slide(d.sent, p, min(sendWindow, 1<<d.sendBits))
	}
	return bytes.TrimSuffix(out.Bytes(), []byte(flushed)), nil
}

var errTooBig = errors.New("too big")

// decompress returns p decompressed, of at most limit bytes. It uses the room behind p.
func (d *deflate) decompress(p []byte, limit int64) ([]byte, error) {
	src := bytes.NewReader(append(p, lastTail...))
	r := decompressors.Get().(io.ReadCloser)
	defer decompressors.Put(r)
	r.(flate.Resetter).Reset(src, d.received)
	out := make([]byte, 0, min(max(512, 3*len(p)), 64<<10))
	for {
		n, err := r.Read(out[len(out):cap(out)])
		out = out[:len(out)+n]
		if int64(len(out)) > limit {
			return nil, errTooBig
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if len(out) == cap(out) {
			out = append(out, 0)[:len(out)]
		}
	}
	if d.receiveContext {
		d.received = slide(d.received, out, 1<<d.receiveBits)
	}
	return out, nil
}

// slide returns the last size bytes of window and p.
func slide(window, p []byte, size int) []byte {
	if len(p) >= size {
		return append(window[:0], p[len(p)-size:]...)
	}
	if over := len(window) + len(p) - size; over > 0 {
		window = window[:copy(window, window[over:])]
	}
	return append(window, p...)
}

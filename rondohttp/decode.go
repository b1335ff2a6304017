package rondohttp

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// A coding is a content coding that is taken off (RFC 9110 section 8.4.1).
type coding uint8

const (
	notCoded coding = iota
	gzipped
	deflated
	brotlied
	zstdCoded
	numCodings
)

const acceptEncoding = "gzip, deflate, br, zstd"

var codingNames = [numCodings]string{gzipped: "gzip", deflated: "deflate", brotlied: "br", zstdCoded: "zstd"}

// codingOf returns the coding that a Content-Encoding names; notCoded if it is unknown, or there are several.
func codingOf(name []byte) coding {
	if len(name) > len("deflate") {
		return notCoded
	}
	for c := gzipped; c < numCodings; c++ {
		if strings.EqualFold(string(name), codingNames[c]) {
			return c
		}
	}
	if strings.EqualFold(string(name), "x-gzip") {
		return gzipped
	}
	return notCoded
}

// A decoder takes a coding off a body as it is read. All of it runs in the task that
// reads, which parks in the middle of the algorithm when the body is not here yet.
type decoder struct {
	r      *Response
	coding coding
	z      io.Reader
	br     *bufio.Reader
	buf    []byte
	ctx    context.Context // of the call of next that is under way
	open   bool            // z has been given this body
	taken  int64           // bytes of the coded body
}

const decoderInput = 8 << 10

// zstdWindow is what RFC 9659 says that a zstd body may ask a client to remember.
const zstdWindow = 8 << 20

// newDecoder returns a decoder for the body of r, used before if possible: one of gzip is 40 KB, one of zstd much more.
func newDecoder(r *Response, c coding) *decoder {
	s := r.s
	if free := s.decoders[c]; len(free) > 0 {
		d := free[len(free)-1]
		s.decoders[c] = free[:len(free)-1]
		d.r = r
		return d
	}
	d := &decoder{r: r, coding: c}
	d.br = bufio.NewReaderSize(d, decoderInput)
	return d
}

// Read is what the algorithm reads from.
func (d *decoder) Read(p []byte) (int, error) {
	data, err := d.r.raw(d.ctx, len(p))
	d.taken += int64(len(data))
	return copy(p, data), err
}

func (d *decoder) next(ctx context.Context, p []byte) ([]byte, error) {
	d.ctx = ctx
	if !d.open {
		d.br.Reset(d)
		if _, err := d.br.Peek(1); err != nil {
			return nil, err // an empty body is empty, whatever its coding
		}
		if err := d.begin(); err != nil {
			return nil, d.fault(err)
		}
		d.open = true
	}
	if p == nil {
		if d.buf == nil {
			d.buf = d.r.s.bufs.get()
		}
		p = d.buf
	}
	for {
		n, err := d.z.Read(p)
		if n > 0 {
			return p[:n], d.bomb(n) // an error comes again
		}
		if err == io.EOF {
			return nil, d.end()
		}
		if err != nil {
			return nil, d.fault(err)
		}
	}
}

// end returns io.EOF if the body ends where its coding does.
func (d *decoder) end() error {
	if _, err := d.br.Peek(1); err != nil {
		return err
	}
	return d.fault(errors.New("bytes follow its end"))
}

// begin makes d.z read this body, from its first byte.
func (d *decoder) begin() (err error) {
	switch d.coding {
	case gzipped:
		z, ok := d.z.(*gzip.Reader)
		if !ok {
			z = new(gzip.Reader)
			d.z = z
		}
		return z.Reset(d.br)
	case deflated:
		return d.beginDeflate()
	case brotlied:
		if z, ok := d.z.(*brotli.Reader); ok {
			return z.Reset(d.br)
		}
		d.z = brotli.NewReader(d.br)
	case zstdCoded:
		if z, ok := d.z.(*zstd.Decoder); ok {
			return z.Reset(d.br)
		}
		// One at a time is also what makes it decode in this task, not in goroutines of its own.
		d.z, err = zstd.NewReader(d.br, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(zstdWindow))
	}
	return err
}

// beginDeflate tells the two things that servers call deflate apart: zlib's format, which is
// right (RFC 9110 section 8.4.1.2), and the bare stream. The header of zlib cannot begin one that anybody makes: it
// would be a block of a reserved type, or a stored one of an odd length.
func (d *decoder) beginDeflate() (err error) {
	head, err := d.br.Peek(2)
	if err == nil && head[0]&0x0f == 8 && (int(head[0])<<8|int(head[1]))%31 == 0 {
		if z, ok := d.z.(zlib.Resetter); ok {
			return z.Reset(d.br, nil)
		}
		d.z, err = zlib.NewReader(d.br)
		return err
	}
	if err != nil && err != io.EOF {
		return err
	}
	d.z = flate.NewReader(d.br)
	return nil
}

// bomb looks, after n more bytes, whether the body is a bomb.
func (d *decoder) bomb(n int) error {
	ratio := d.r.s.maxRatio
	if got := d.r.got + int64(n); ratio > 0 && got > d.r.s.bombFrom && got/int64(ratio) > d.taken {
		return faultf(KindBomb, "body decodes to more than %d times its length", ratio)
	}
	return nil
}

// fault tells an error of the coding from one of the connection below it.
func (d *decoder) fault(err error) error {
	var f *fault
	if err == io.EOF || errors.As(err, &f) {
		return err
	}
	return faultf(KindEncoding, "body is not valid %s: %w", codingNames[d.coding], err)
}

// maxDecoders is how many idle decoders of a coding a session keeps.
var maxDecoders = [numCodings]int{gzipped: 16, deflated: 4, brotlied: 8, zstdCoded: 4}

func (d *decoder) free(s *Session) {
	if d.buf != nil {
		s.bufs.put(d.buf)
	}
	d.r, d.ctx, d.buf, d.open, d.taken = nil, nil, nil, false, 0
	if len(s.decoders[d.coding]) < maxDecoders[d.coding] {
		s.decoders[d.coding] = append(s.decoders[d.coding], d)
	}
}

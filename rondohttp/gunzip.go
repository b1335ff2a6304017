package rondohttp

import (
	"bufio"
	"context"
	"errors"
	"io"

	"github.com/klauspost/compress/gzip"
)

// A gunzip takes gzip off a body as it is read. All of it runs in the task that
// reads, which parks in the middle of the decoder when the body is not here yet.
type gunzip struct {
	r    *Response
	z    *gzip.Reader
	br   *bufio.Reader
	buf  []byte
	ctx  context.Context // of the call of next that is under way
	open bool            // z has read the first header
}

const gzipInput = 8 << 10

// newGunzip returns a decoder for the body of r, used before if possible: one is 40 KB.
func newGunzip(r *Response) *gunzip {
	s := r.s
	if n := len(s.gunzips); n > 0 {
		g := s.gunzips[n-1]
		s.gunzips = s.gunzips[:n-1]
		g.r = r
		return g
	}
	g := &gunzip{r: r, z: new(gzip.Reader)}
	g.br = bufio.NewReaderSize(g, gzipInput)
	return g
}

// Read is what the decoder reads from.
func (g *gunzip) Read(p []byte) (int, error) {
	data, err := g.r.raw(g.ctx, len(p))
	return copy(p, data), err
}

func (g *gunzip) next(ctx context.Context, p []byte) ([]byte, error) {
	g.ctx = ctx
	if !g.open {
		g.br.Reset(g)
		if _, err := g.br.Peek(1); err != nil {
			return nil, err // an empty body is empty, whatever its coding
		}
		if err := g.z.Reset(g.br); err != nil {
			return nil, gzipFault(err)
		}
		g.open = true
	}
	if p == nil {
		if g.buf == nil {
			g.buf = g.r.s.bufs.get()
		}
		p = g.buf
	}
	for {
		n, err := g.z.Read(p)
		if n > 0 {
			return p[:n], nil // an error comes again
		}
		if err != nil {
			return nil, gzipFault(err)
		}
	}
}

// gzipFault tells an error of the coding from one of the connection below it.
func gzipFault(err error) error {
	var f *fault
	if err == io.EOF || errors.As(err, &f) {
		return err
	}
	return faultf(KindEncoding, "body is not valid gzip: %w", err)
}

func (g *gunzip) free(s *Session) {
	if g.buf != nil {
		s.bufs.put(g.buf)
	}
	g.r, g.ctx, g.buf, g.open = nil, nil, nil, false
	if len(s.gunzips) < 16 {
		s.gunzips = append(s.gunzips, g)
	}
}

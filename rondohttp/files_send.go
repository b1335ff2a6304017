package rondohttp

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"sync"
	"syscall"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// ourCodings are what answers are compressed with, the preferred one first.
var ourCodings = [...]coding{brotlied, zstdCoded, gzipped}

// send answers with the file of e.
func (f *Files) send(ctx context.Context, x filesExchange, e *filesEntry) error {
	c, r, varies, err := f.choose(ctx, x, e)
	if err != nil {
		return err
	}
	if varies {
		x.set("Vary", "Accept-Encoding")
	}
	x.set("ETag", r.etag)
	if f.o.CacheControl != "" {
		x.set("Cache-Control", f.o.CacheControl)
	}
	s := selection{etag: r.etag}
	if e.modified != "" {
		s.modified = e.info.ModTime().Truncate(1e9)
	}
	switch s.conditions(x.method(), x.get) {
	case notModified:
		x.begin(http.StatusNotModified, -1)
		return nil
	case preconditionFailed:
		return failFile(x, http.StatusPreconditionFailed)
	}
	if e.modified != "" {
		x.set("Last-Modified", e.modified)
	}
	x.set("Accept-Ranges", "bytes")

	var ranges []byteRange
	if want := x.get("Range"); want != "" && x.method() == http.MethodGet && s.rangeApplies(x.get("If-Range")) {
		if ranges, err = parseRange(want, r.size); err != nil {
			if errors.Is(err, errUnsatisfied) {
				x.set("Content-Range", fmt.Sprintf("bytes */%d", r.size))
			}
			return failFile(x, http.StatusRequestedRangeNotSatisfiable)
		}
	}
	if c != notCoded {
		x.set("Content-Encoding", codingNames[c])
	}
	x.set("X-Content-Type-Options", "nosniff")
	switch len(ranges) {
	case 0:
		x.set("Content-Type", e.typ)
		x.begin(http.StatusOK, r.size)
		if x.method() == http.MethodHead {
			return nil
		}
		return r.copyTo(ctx, x, byteRange{0, r.size}, true)
	case 1:
		x.set("Content-Type", e.typ)
		x.set("Content-Range", ranges[0].contentRange(r.size))
		x.begin(http.StatusPartialContent, ranges[0].n)
		return r.copyTo(ctx, x, ranges[0], true)
	}
	return r.sendParts(ctx, x, e.typ, ranges)
}

// sendParts answers with several ranges (RFC 9110 section 14.6).
func (r *representation) sendParts(ctx context.Context, x filesExchange, typ string, ranges []byteRange) error {
	boundary := rand.Text()
	head := func(i int) string {
		lead := "\r\n"
		if i == 0 {
			lead = ""
		}
		return fmt.Sprintf("%s--%s\r\nContent-Range: %s\r\nContent-Type: %s\r\n\r\n", lead, boundary, ranges[i].contentRange(r.size), typ)
	}
	tail := "\r\n--" + boundary + "--\r\n"
	length := int64(len(tail))
	for i := range ranges {
		length += int64(len(head(i))) + ranges[i].n
	}
	x.set("Content-Type", "multipart/byteranges; boundary="+boundary)
	x.begin(http.StatusPartialContent, length)
	for i := range ranges {
		if _, err := io.WriteString(x, head(i)); err != nil {
			return err
		}
		if err := r.copyTo(ctx, x, ranges[i], false); err != nil {
			return err
		}
	}
	_, err := io.WriteString(x, tail)
	return err
}

// partBuffers hold what is on its way from a file to a connection that the system cannot send it to.
var partBuffers = sync.Pool{New: func() any { b := make([]byte, 128<<10); return &b }}

// copyTo writes a part of r. Whole: it is all of the answer's body.
func (r *representation) copyTo(ctx context.Context, x filesExchange, part byteRange, whole bool) error {
	if r.file == nil {
		_, err := x.Write(r.data[part.at : part.at+part.n])
		return err
	}
	if conn, ok := r.file.(syscall.Conn); ok && whole {
		p := &filePart{fileSource: r.file, conn: conn, info: r.info, at: part.at, end: part.at + part.n}
		if done, err := x.sendFile(p); done {
			return err
		}
	}
	b := partBuffers.Get().(*[]byte)
	for end := part.at + part.n; part.at < end; {
		p := (*b)[:min(int64(len(*b)), end-part.at)]
		n, err := offLoop(ctx, func() (int, error) { return r.file.ReadAt(p, part.at) })
		if n < len(p) {
			// The buffer is not used again: if the task was canceled it is still being read into.
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		if _, err := x.Write(p); err != nil {
			partBuffers.Put(b)
			return err
		}
		part.at += int64(n)
	}
	partBuffers.Put(b)
	return nil
}

// A filePart is a part of an open file that others read as well: it has a position of its own. It
// is what a [rondo.Conn] takes for a file that the system can send.
type filePart struct {
	fileSource
	conn    syscall.Conn
	info    fs.FileInfo
	at, end int64
}

func (p *filePart) size() int64 { return p.end - p.at }

// Stat implements [fs.File].
func (p *filePart) Stat() (fs.FileInfo, error) { return p.info, nil }

// SyscallConn implements [syscall.Conn].
func (p *filePart) SyscallConn() (syscall.RawConn, error) { return p.conn.SyscallConn() }

// Read implements io.Reader.
func (p *filePart) Read(b []byte) (int, error) {
	if p.at >= p.end {
		return 0, io.EOF
	}
	n, err := p.ReadAt(b[:min(int64(len(b)), p.end-p.at)], p.at)
	p.at += int64(n)
	return n, err
}

// Seek implements io.Seeker, for the position itself and for absolute ones.
func (p *filePart) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
		p.at = offset
	case io.SeekCurrent:
		p.at += offset
	default:
		return 0, fs.ErrInvalid
	}
	return p.at, nil
}

// Close does nothing: the file is others' as well.
func (p *filePart) Close() error { return nil }

// choose returns the representation of e to be sent, and whether others would get another.
func (f *Files) choose(ctx context.Context, x filesExchange, e *filesEntry) (c coding, r *representation, varies bool, err error) {
	plain := e.reps[notCoded].Load()
	make := f.o.Compress && plain.size >= minOnTheFly && plain.size <= maxOnTheFly && worthCoding(e.typ)
	for _, k := range ourCodings {
		varies = varies || e.reps[k].Load() != nil
	}
	if !varies && !make {
		return notCoded, plain, false, nil
	}
	accept := x.get("Accept-Encoding")
	if accept == "" {
		return notCoded, plain, true, nil
	}
	set := acceptedCodings(accept)
	for {
		c, r = notCoded, plain
		for _, k := range ourCodings {
			have := e.reps[k].Load()
			if set[k] > set[c] && have != useless && (have != nil || make) {
				c, r = k, have
			}
		}
		if r != nil {
			return c, r, true, nil
		}
		if err := f.compress(ctx, e, plain, c); err != nil {
			return c, nil, true, err
		}
	}
}

// compress makes the representation of e in a coding, or notes that it is of no use.
func (f *Files) compress(ctx context.Context, e *filesEntry, plain *representation, c coding) error {
	_, err := offLoop(ctx, func() (struct{}, error) {
		data, err := plain.all()
		if err != nil {
			return struct{}{}, err
		}
		packed, err := pack(c, data)
		if err != nil {
			return struct{}{}, err
		}
		r := useless
		if len(packed) < len(data)-len(data)/16 {
			r = &representation{size: int64(len(packed)), data: packed, etag: strings.TrimSuffix(plain.etag, `"`) + "-" + codingNames[c] + `"`}
		}
		if e.reps[c].CompareAndSwap(nil, r) {
			f.cache.grew(e, len(r.data))
		}
		return struct{}{}, nil
	})
	return err
}

// Levels of compression: what is kept is worth some effort.
const (
	brotliKept = 6
	gzipKept   = 7
)

// pack compresses p.
func pack(c coding, p []byte) ([]byte, error) {
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	switch c {
	case brotlied:
		w = brotli.NewWriterLevel(&b, brotliKept)
	case zstdCoded:
		w, err = zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedBetterCompression), zstd.WithWindowSize(1<<20))
	case gzipped:
		w, err = gzip.NewWriterLevel(&b, gzipKept)
	default:
		panic("rondohttp: no such coding")
	}
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(p); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

package rondohttp

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// CompressOptions say what [Compress] compresses. The zero value will do.
type CompressOptions struct {
	// MinSize is the least length of a body that is compressed, if it is known when the answer
	// begins, or is that of what is written before a Flush. Zero: 1,000 bytes.
	MinSize int

	// Types tells by a Content-Type whether such bodies get shorter. Nil: text, JSON, XML, and what else is known to, but not
	// events, which would be held back.
	Types func(contentType string) bool
}

// Compress returns h with its answers compressed for those who accept it: by brotli, zstd or gzip. Left alone are answers that are coded
// already, parts of something (206), those of other types, and short ones. The ETag of what is compressed becomes
// a weak one, since the bytes are others; Vary names Accept-Encoding. A Flush of the handler sends what it has written so far.
func Compress(h http.Handler, o CompressOptions) http.Handler {
	if o.MinSize == 0 {
		o.MinSize = 1000
	}
	if o.Types == nil {
		o.Types = worthCoding
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &compressor{ResponseWriter: w, o: &o, head: r.Method == http.MethodHead}
		if accept := r.Header["Accept-Encoding"]; len(accept) > 0 && r.Header.Get("Range") == "" {
			set := acceptedCodings(strings.Join(accept, ","))
			for _, k := range ourCodings {
				if set[k] > set[c.coding] {
					c.coding = k
				}
			}
		}
		returned := false
		defer func() {
			if !returned {
				c.free() // h panicked: what is in the encoder is not to be sent
			}
		}()
		h.ServeHTTP(c, r)
		returned = true
		c.close()
	})
}

// A compressor is the [http.ResponseWriter] that Compress gives to handlers.
type compressor struct {
	http.ResponseWriter
	o       *CompressOptions
	coding  coding // that the client wants, or in the end the one used
	head    bool
	status  int // 0 before WriteHeader
	decided bool
	held    []byte // written before it was decided
	z       encoder
}

// An encoder compresses.
type encoder interface {
	io.WriteCloser
	Flush() error
	Reset(w io.Writer)
}

// Levels for what is compressed once and thrown away.
const brotliOnce = 4

// encoders are those that rest: one of them is from 40 KB to some megabytes.
var encoders = [numCodings]sync.Pool{
	gzipped:  {New: func() any { w, _ := gzip.NewWriterLevel(nil, gzip.DefaultCompression); return encoder(w) }},
	brotlied: {New: func() any { return encoder(brotli.NewWriterLevel(nil, brotliOnce)) }},
	zstdCoded: {New: func() any {
		w, _ := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(256<<10))
		return encoder(w)
	}},
}

// Unwrap is for [http.ResponseController].
func (c *compressor) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// WriteHeader implements [http.ResponseWriter]. The head goes out when it is decided how.
func (c *compressor) WriteHeader(status int) {
	if status < 200 && status != http.StatusSwitchingProtocols {
		c.ResponseWriter.WriteHeader(status)
		return
	}
	if c.status != 0 {
		if c.decided {
			c.ResponseWriter.WriteHeader(status) // which complains
		}
		return
	}
	c.status = status
	if !bodyAllowed(status) {
		c.decide(0, true)
		return
	}
	if n, err := strconv.ParseInt(c.Header().Get("Content-Length"), 10, 64); err == nil && (n < int64(c.o.MinSize) || c.head) {
		c.decide(n, true)
	}
}

// decide sends the head. Size is how long the body is, or if that is not known how much of it is here.
func (c *compressor) decide(size int64, known bool) {
	c.decided = true
	h := c.Header()
	if c.varies() {
		if !hasToken(strings.Join(h["Vary"], ","), "Accept-Encoding") {
			h.Add("Vary", "Accept-Encoding")
		}
		if c.coding != notCoded && (size >= int64(c.o.MinSize) || !known) {
			h.Set("Content-Encoding", codingNames[c.coding])
			h.Del("Content-Length")
			h.Del("Accept-Ranges")
			if tag := h.Get("Etag"); strings.HasPrefix(tag, `"`) {
				h.Set("Etag", "W/"+tag)
			}
			if !c.head {
				c.z = encoders[c.coding].Get().(encoder)
				c.z.Reset(c.ResponseWriter)
			}
		}
	}
	c.ResponseWriter.WriteHeader(c.status)
}

// varies reports whether the answer is another for those who accept other codings.
func (c *compressor) varies() bool {
	h := c.Header()
	switch {
	case !bodyAllowed(c.status), c.status == http.StatusPartialContent, h.Get("Content-Range") != "", h.Get("Content-Encoding") != "":
		return false
	case strings.Contains(h.Get("Cache-Control"), "no-transform"):
		return false
	}
	return c.o.Types(h.Get("Content-Type"))
}

// Write implements [http.ResponseWriter].
func (c *compressor) Write(p []byte) (int, error) {
	if !c.decided {
		if h := c.Header(); h.Get("Content-Type") == "" && len(c.held) == 0 && len(p) > 0 {
			h.Set("Content-Type", http.DetectContentType(p))
		}
		if c.status == 0 {
			c.WriteHeader(http.StatusOK)
		}
	}
	if !c.decided {
		if len(c.held)+len(p) < c.o.MinSize {
			c.held = append(c.held, p...)
			return len(p), nil
		}
		if err := c.begin(int64(len(c.held)+len(p)), false); err != nil {
			return 0, err
		}
	}
	if c.z != nil {
		return c.z.Write(p)
	}
	return c.ResponseWriter.Write(p)
}

// begin decides, and writes what has been held.
func (c *compressor) begin(size int64, known bool) error {
	c.decide(size, known)
	held := c.held
	if c.held = nil; len(held) == 0 {
		return nil
	}
	if c.z != nil {
		_, err := c.z.Write(held)
		return err
	}
	_, err := c.ResponseWriter.Write(held)
	return err
}

// ReadFrom implements [io.ReaderFrom]: a file that is not to be compressed goes its usual way.
func (c *compressor) ReadFrom(r io.Reader) (n int64, err error) {
	for !c.decided {
		p := make([]byte, 512)
		k, err := r.Read(p)
		if _, werr := c.Write(p[:k]); werr != nil {
			return n, werr
		}
		n += int64(k)
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
	var k int64
	if c.z != nil {
		k, err = io.Copy(writerOnly{c.z}, r)
	} else {
		k, err = io.Copy(c.ResponseWriter, r)
	}
	return n + k, err
}

// FlushError is for [http.ResponseController].
func (c *compressor) FlushError() error {
	if !c.decided {
		if c.status == 0 {
			c.status = http.StatusOK
		}
		// What is known now is all there is for the moment: more of it is worth to be compressed.
		if err := c.begin(int64(len(c.held)), false); err != nil {
			return err
		}
	}
	if c.z != nil {
		if err := c.z.Flush(); err != nil {
			return err
		}
	}
	return http.NewResponseController(c.ResponseWriter).Flush()
}

// Flush implements [http.Flusher].
func (c *compressor) Flush() { c.FlushError() }

// Hijack implements [http.Hijacker].
func (c *compressor) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(c.ResponseWriter).Hijack()
	if err == nil {
		c.decided, c.held = true, nil
		c.free()
	}
	return conn, rw, err
}

// close ends the answer.
func (c *compressor) close() {
	if !c.decided && c.status != 0 {
		c.begin(int64(len(c.held)), true)
	}
	if c.z != nil {
		c.z.Close() // an error comes again, to the server
		c.free()
	}
}

// free lets others use the encoder.
func (c *compressor) free() {
	if c.z != nil {
		c.z.Reset(io.Discard)
		encoders[c.coding].Put(c.z)
		c.z = nil
	}
}

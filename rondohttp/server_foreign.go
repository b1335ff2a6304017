package rondohttp

import (
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/rondo-go/rondo/internal/http1"
)

// A foreignConn lets a [HandlerFunc] answer a request of another server's: it is the connection of a visit that speaks
// HTTP/1, of which the request is written for it to read, and whose answer is read from what it writes.
type foreignConn struct {
	net.Conn // nil: nothing else is used
	r        *http.Request
	w        http.ResponseWriter
	in       []byte // to be read
	head     http1.Head
	answered bool
	err      error
}

var errForeign = errors.New("rondohttp: not over a Server")

// serveForeign answers r, which has not come by a Server of this package.
func serveForeign(f HandlerFunc, w http.ResponseWriter, r *http.Request) {
	s := NewServer(f)
	c := &foreignConn{r: r, w: w}
	h := &shard{server: s}
	v := &visit{shard: h, x: &serverConn{shard: h, conn: c}, conn: c, in: make([]byte, inBuffer)}
	v.foreign, v.req.v, v.res.v = true, v, v
	head, err := c.request()
	if err != nil {
		http.Error(w, "Bad Request", http.StatusBadRequest)
		return
	}
	v.in = slices.Grow(head, inBuffer)[:len(head)+inBuffer]
	n, done, err := v.head.Parse(head, &http1.RequestLimits{HeadBytes: 1 << 30, Fields: 1 << 30, TargetBytes: 1 << 30})
	if !done || err != nil {
		http.Error(w, "Bad Request", http.StatusBadRequest)
		return
	}
	v.r, v.w, v.headAt = n, n, n
	v.body.reset(v)
	v.res.reset()
	v.res.keep = false
	err = v.serveNative(r.Context(), f)
	if err == nil {
		err = v.res.err
	}
	if err != nil {
		if v.res.committed || err == errAborted {
			panic(http.ErrAbortHandler)
		}
		v.res.fail(v.statusOf(err))
	}
	if v.res.finish() != nil || v.flush() != nil {
		panic(http.ErrAbortHandler)
	}
}

// request renders the head of the request. The body comes in chunks, or in the length that is known.
func (c *foreignConn) request() ([]byte, error) {
	r := c.r
	var fields []byte
	var err error
	for name, values := range r.Header {
		for _, v := range values {
			switch name {
			case "Host", "Content-Length", "Transfer-Encoding", "Connection", "Expect", "Upgrade":
				continue
			}
			if fields, err = http1.AppendField(fields, name, v); err != nil {
				return nil, err
			}
		}
	}
	target := r.RequestURI
	if target == "" {
		target = r.URL.RequestURI()
	}
	switch {
	case r.ContentLength > 0:
		fields = append(strconv.AppendInt(append(fields, "Content-Length: "...), r.ContentLength, 10), "\r\n"...)
	case r.ContentLength < 0:
		fields = append(fields, "Transfer-Encoding: chunked\r\n"...)
	}
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	return http1.AppendRequest(nil, r.Method, target, host, string(fields)), nil
}

// Read reads the body of the request.
func (c *foreignConn) Read(p []byte) (int, error) {
	if len(c.in) > 0 {
		n := copy(p, c.in)
		c.in = c.in[n:]
		return n, nil
	}
	if c.r.ContentLength >= 0 {
		return c.r.Body.Read(p)
	}
	piece := make([]byte, 8<<10)
	n, err := c.r.Body.Read(piece)
	switch {
	case n > 0:
		c.in = http1.AppendChunk(nil, piece[:n])
	case err == io.EOF:
		c.in = []byte("0\r\n")
		for name, values := range c.r.Trailer {
			for _, v := range values {
				c.in, _ = http1.AppendField(c.in, name, v)
			}
		}
		c.in = append(c.in, "\r\n"...)
	default:
		return 0, err
	}
	return c.Read(p)
}

// Write takes the answer apart.
func (c *foreignConn) Write(p []byte) (n int, err error) {
	for rest := p; len(rest) > 0 && c.err == nil; {
		if c.answered {
			_, c.err = c.w.Write(rest)
			break
		}
		k, done, err := c.head.Parse(rest, http1.Limits{HeadBytes: 1 << 30, Fields: 1 << 30})
		if rest = rest[k:]; err != nil {
			c.err = err
		}
		if done {
			c.begin()
		}
	}
	if c.err != nil {
		return 0, c.err
	}
	if f, ok := c.w.(http.Flusher); ok && c.answered {
		f.Flush()
	}
	return len(p), nil
}

// begin passes the head of the answer on.
func (c *foreignConn) begin() {
	h := c.w.Header()
	for name, value := range c.head.Each() {
		switch key := http.CanonicalHeaderKey(string(name)); key {
		case "Connection", "Transfer-Encoding":
		default:
			h[key] = append(h[key], string(value))
		}
	}
	c.w.WriteHeader(c.head.Status)
	c.answered = c.head.Status >= 200
	c.head.Reset()
}

// Close does nothing: the connection is another's.
func (c *foreignConn) Close() error { return errForeign }

// RemoteAddr returns that of the request, if it is one of TCP.
func (c *foreignConn) RemoteAddr() net.Addr {
	a, err := net.ResolveTCPAddr("tcp", c.r.RemoteAddr)
	if err != nil {
		return &net.TCPAddr{}
	}
	return a
}

// LocalAddr returns that of the server, if it tells.
func (c *foreignConn) LocalAddr() net.Addr {
	a, _ := c.r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if a == nil {
		a = &net.TCPAddr{}
	}
	return a
}

// SetDeadline, SetReadDeadline and SetWriteDeadline are refused.
func (c *foreignConn) SetDeadline(time.Time) error { return errForeign }

// SetReadDeadline is described at SetDeadline.
func (c *foreignConn) SetReadDeadline(time.Time) error { return errForeign }

// SetWriteDeadline is described at SetDeadline.
func (c *foreignConn) SetWriteDeadline(time.Time) error { return errForeign }

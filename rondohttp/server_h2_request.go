package rondohttp

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/rondo-go/rondo/internal/http1"
	"golang.org/x/net/http2"
)

// compose makes the head of the request, in the form of HTTP/1, which the parser of that checks: what both
// versions refuse is refused in one place, and handlers find one kind of head. What is malformed by RFC 9113 section 8
// is a stream error; what only goes beyond a limit is answered.
func (s *serverStream) compose(f *http2.MetaHeadersFrame) error {
	v := s.v
	if f.Truncated {
		s.status = http.StatusRequestHeaderFieldsTooLarge
	}
	text, expects, err := s.appendHead(v.in[:0], f)
	switch {
	case s.status != 0:
		text = append(text[:0], "GET / HTTP/1.1\r\nhost: \r\n\r\n"...)
	case err != nil:
		return err
	}
	limits := v.shard.server.heads
	if limits.HeadBytes > 0 {
		limits.HeadBytes += 64 // the request line is longer than what came
	}
	n, _, err := v.head.Parse(text, &limits)
	v.in, v.r, v.w, v.headAt = text, n, n, n
	var pe *http1.ProtocolError
	switch {
	case errors.As(err, &pe):
		return s.malformed(pe.What)
	case err != nil:
		s.status, _ = refusal(err)
		v.head.Reset()
		text = append(text[:0], "GET / HTTP/1.1\r\nhost: \r\n\r\n"...)
		n, _, _ = v.head.Parse(text, &limits)
		v.in, v.r, v.w, v.headAt = text, n, n, n
		return nil
	}
	h := &v.head
	s.want = h.ContentLength
	switch {
	case s.remoteClosed && s.want > 0:
		return s.malformed("no body, but a Content-Length")
	case s.want > v.shard.server.limits.BodyBytes:
		s.status = http.StatusRequestEntityTooLarge
	}
	h.Expect = expects && !s.remoteClosed
	h.Chunked = !s.remoteClosed
	return nil
}

func (s *serverStream) malformed(why string) error {
	return &streamError{s.id, http2.ErrCodeProtocol, why}
}

// appendHead appends the request line and the fields.
func (s *serverStream) appendHead(b []byte, f *http2.MetaHeadersFrame) (text []byte, expects bool, err error) {
	var method, scheme, path, authority string
	hasAuthority := false
	for _, p := range f.PseudoFields() {
		switch p.Name {
		case ":method":
			method = p.Value
		case ":scheme":
			scheme = p.Value
		case ":path":
			path = p.Value
		case ":authority":
			authority, hasAuthority = p.Value, true
		default:
			return nil, false, s.malformed("unknown pseudo-header field")
		}
	}
	fields := f.RegularFields()
	host := authority
	for i := range fields {
		if fields[i].Name != "host" {
			continue
		}
		if hasAuthority && !strings.EqualFold(authority, fields[i].Value) {
			return nil, false, s.malformed("Host and :authority differ")
		}
		if host = fields[i].Value; !hasAuthority {
			authority, hasAuthority = host, true
		}
	}
	target := path
	switch {
	case method == http.MethodConnect:
		if scheme != "" || path != "" || authority == "" {
			return nil, false, s.malformed("invalid CONNECT")
		}
		target = authority
	case method == "" || scheme == "" || path == "":
		return nil, false, s.malformed("a pseudo-header field is missing")
	case path[0] != '/' && (path != "*" || method != http.MethodOptions):
		return nil, false, s.malformed("invalid :path")
	}
	b = append(append(append(append(b, method...), ' '), target...), " HTTP/1.1\r\nhost: "...)
	b = append(append(b, host...), "\r\n"...)
	cookies := 0
	for i := range fields {
		name, value := fields[i].Name, fields[i].Value
		switch name {
		case "host":
			continue
		case "cookie":
			cookies++
			continue
		case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade":
			return nil, false, s.malformed("field of a connection of HTTP/1")
		case "te":
			if value != "trailers" {
				return nil, false, s.malformed("TE other than trailers")
			}
		case "expect":
			expects = strings.EqualFold(value, "100-continue")
		}
		b = appendField(b, name, value)
		if blankAround(value) {
			return nil, false, s.malformed("white space around a value")
		}
	}
	if cookies > 0 {
		// The pieces of one field, RFC 9113 section 8.2.3.
		b = append(b, "cookie: "...)
		for i := range fields {
			if fields[i].Name == "cookie" {
				b = append(b, fields[i].Value...)
				if cookies--; cookies > 0 {
					b = append(b, "; "...)
				}
			}
		}
		b = append(b, "\r\n"...)
	}
	return append(b, "\r\n"...), expects, nil
}

func appendField(b []byte, name, value string) []byte {
	b = append(append(b, name...), ": "...)
	return append(append(b, value...), "\r\n"...)
}

func blankAround(s string) bool {
	blank := func(c byte) bool { return c == ' ' || c == '\t' }
	return s != "" && (blank(s[0]) || blank(s[len(s)-1]))
}

// takeTrailers takes the HEADERS frame that ends a body.
func (s *serverStream) takeTrailers(f *http2.MetaHeadersFrame) error {
	switch {
	case s.remoteClosed:
		return &streamError{s.id, http2.ErrCodeStreamClosed, "HEADERS after the end"}
	case !f.StreamEnded():
		return s.malformed("trailers that do not end the stream")
	case len(f.PseudoFields()) > 0:
		return s.malformed("pseudo-header field in trailers")
	case f.Truncated:
		return s.malformed("trailers too large")
	}
	for _, t := range f.RegularFields() {
		var err error
		if s.trailers, err = http1.AppendField(s.trailers, t.Name, t.Value); err != nil {
			return s.malformed("invalid trailer")
		}
	}
	return s.endRemote()
}

// resetStream makes b the body of the request of s.
func (b *requestBody) resetStream(s *serverStream) {
	v := s.v
	b.v = v
	b.frame.ResetRequest(v.head.ContentLength, v.head.ContentLength < 0 && v.head.Chunked)
	b.err, b.started, b.shared = nil, false, nil
	b.expect.Store(v.head.Expect)
	b.own.Store(false)
	b.watch.Store(false)
	b.ended.Store(true)
	if b.frame.Done() {
		b.err = io.EOF
	}
}

// next is [requestBody.next] for s, and read [requestBody.read].
func (s *serverStream) next(n int) (p []byte, err error) {
	if s.away() {
		err = s.onLoop(func() error {
			p, err = s.next(n)
			return nil
		})
		return p, err
	}
	b := &s.v.body
	if b.err != nil {
		return nil, b.err
	}
	s.beginRead()
	p, err = s.recv.Next(n)
	return p, s.endRead(len(p), err)
}

func (s *serverStream) read(p []byte) (n int, err error) {
	if s.away() {
		failed := s.onLoop(func() error {
			n, err = s.read(p)
			return nil
		})
		if failed != nil {
			err = failed
		}
		return n, err
	}
	b := &s.v.body
	if b.err != nil || len(p) == 0 {
		return 0, b.err
	}
	s.beginRead()
	n, err = s.recv.Read(p)
	return n, s.endRead(n, err)
}

// beginRead asks for the body, and gives it its time.
func (s *serverStream) beginRead() {
	b := &s.v.body
	if !b.started {
		b.started, b.began = true, b.v.clock()
	}
	if b.expect.Swap(false) {
		if !b.v.res.committed {
			s.interim(http.StatusContinue, nil)
		}
	}
	l := &b.v.shard.server.limits
	if l.Body == 0 || b.own.Load() || s.recv.Buffered() > 0 {
		return
	}
	s.readBy = b.due(s.taken)
}

// endRead takes note of what a read has brought.
func (s *serverStream) endRead(n int, err error) error {
	b := &s.v.body
	s.readBy = 0
	s.taken += int64(n)
	switch {
	case s.taken > b.v.shard.server.limits.BodyBytes:
		b.err = ErrBodyTooLarge
		return b.err
	case n > 0 || err == nil:
		return nil
	case s.recv.Err() == nil:
		return fmt.Errorf("rondohttp: read of a request body: %w", err) // canceled, or a deadline of the handler's
	}
	b.err = err
	return err
}

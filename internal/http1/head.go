// Package http1 is the wire format of HTTP/1.1 (RFC 9112) as a client needs it: it
// parses heads and bodies out of byte slices that somebody else has read, and
// appends requests to byte slices that somebody else will write.
//
// Nothing here does I/O, parks, or keeps a slice that it was given. Everything is
// incremental: input may be split anywhere. The parser is strict where leniency
// lets two readers disagree about where a message ends (request smuggling), and
// lenient only about a line that ends with a bare LF in a head, which RFC 9112
// section 2.2 allows and old servers send.
package http1

import (
	"bytes"
	"iter"
)

// Limits bound what a head may cost. A zero field means its default.
type Limits struct {
	HeadBytes int // all of a head, line ends included; default 64 KiB
	Fields    int // default 1000
}

const (
	defaultHeadBytes = 64 << 10
	defaultFields    = 1000
)

// A Head is the status line and the fields of a response. The zero Head is ready
// for use; after [Head.Reset] it can be used again and allocates nothing unless a
// head is larger than any before it. A Head belongs to one goroutine.
type Head struct {
	Minor         int   // of the version, HTTP/1.Minor: 0 or 1 (a higher one counts as 1)
	Status        int   // 100 to 999
	ContentLength int64 // -1: the head has none
	Chunked       bool  // the body has the chunked transfer coding
	KeepAlive     bool  // the peer will take another request on this connection

	buf    []byte  // the lines so far, as they came, and the unfinished one
	line   int     // where the unfinished line starts in buf
	reason span    // reason phrase
	fields []field // of buf
	known  [numKnown]int32
	hint   connection
	te     bool // a Transfer-Encoding came
	status bool // the status line came
}

type span struct{ from, to int32 }

type field struct{ name, value span }

type connection uint8

const (
	sawClose connection = 1 << iota
	sawKeepAlive
)

// Fields that clients look for on every response: where they are is noted while parsing.
const (
	location = iota
	retryAfter
	contentEncoding
	setCookie
	numKnown
)

// Reset makes h ready for another head.
func (h *Head) Reset() {
	*h = Head{ContentLength: -1, buf: h.buf[:0], fields: h.fields[:0]}
}

// Parse takes the next bytes of the connection. It returns how many of them belong
// to the head, and whether the head is complete; until it is, all of b is taken.
// An interim response (status 1xx) is reported like any other: the caller resets h and goes on.
//
// Errors:
//   - [ErrHeaderTooLarge] if the head outgrows lim.
//   - [*ProtocolError] if the bytes are not a response by RFC 9112.
//
// After an error h must be reset, and the connection is of no more use.
func (h *Head) Parse(b []byte, lim Limits) (n int, done bool, err error) {
	if len(h.buf) == 0 {
		h.ContentLength = -1
	}
	maxBytes, maxFields := lim.HeadBytes, lim.Fields
	if maxBytes <= 0 {
		maxBytes = defaultHeadBytes
	}
	if maxFields <= 0 {
		maxFields = defaultFields
	}
	for {
		i := bytes.IndexByte(b[n:], '\n')
		end := n + i + 1
		if i < 0 {
			end = len(b)
		}
		if len(h.buf)+end-n > maxBytes {
			return n, false, ErrHeaderTooLarge
		}
		h.buf = append(h.buf, b[n:end]...)
		n = end
		if i < 0 {
			// What cannot become a status line is refused at once, not when the peer falls silent.
			if !h.status && !couldBeHTTP(h.buf) {
				return n, false, protocolError("not an HTTP response", h.buf)
			}
			return n, false, nil
		}
		from, to := h.line, len(h.buf)-1
		if to > from && h.buf[to-1] == '\r' {
			to--
		}
		h.line = len(h.buf)
		switch {
		case !h.status:
			err = h.parseStatus(from, to)
			h.status = true
		case from == to:
			return n, true, h.finish()
		case len(h.fields) == maxFields:
			err = ErrHeaderTooLarge
		default:
			err = h.parseField(from, to)
		}
		if err != nil {
			return n, false, err
		}
	}
}

// Started reports whether any byte of the head has come.
func (h *Head) Started() bool { return len(h.buf) > 0 }

const proto = "HTTP/1."

func couldBeHTTP(b []byte) bool {
	n := min(len(b), len(proto))
	return string(b[:n]) == proto[:n]
}

// parseStatus parses buf[from:to] by RFC 9112 section 4. A missing reason phrase is
// allowed with or without the space in front of it, since servers leave out both.
func (h *Head) parseStatus(from, to int) error {
	s := h.buf[from:to]
	if !couldBeHTTP(s) || len(s) < len("HTTP/1.1") {
		return protocolError("not an HTTP response", s)
	}
	minor := s[len(proto)]
	if len(s) < len("HTTP/1.1 200") || !isDigit(minor) || s[8] != ' ' ||
		!isDigit(s[9]) || !isDigit(s[10]) || !isDigit(s[11]) || s[9] == '0' ||
		len(s) > 12 && s[12] != ' ' || hasControl(s) {
		return protocolError("malformed status line", s)
	}
	h.Minor = min(int(minor-'0'), 1)
	h.Status = int(s[9]-'0')*100 + int(s[10]-'0')*10 + int(s[11]-'0')
	h.reason = span{int32(min(from+13, to)), int32(to)}
	return nil
}

// parseField parses the field line buf[from:to] by RFC 9112 section 5.
func (h *Head) parseField(from, to int) error {
	s := h.buf[from:to]
	colon, v, err := splitField(s)
	if err != nil {
		return err
	}
	name, value := s[:colon], s[v.from:v.to]
	off := int32(from)
	h.fields = append(h.fields, field{span{off, off + int32(colon)}, span{off + v.from, off + v.to}})
	switch len(name) {
	case len("location"):
		h.note(location, name, "location")
	case len("connection"):
		h.note(setCookie, name, "set-cookie")
		if equalFold(name, "connection") {
			h.parseConnection(value)
		}
	case len("retry-after"):
		h.note(retryAfter, name, "retry-after")
	case len("content-length"):
		if equalFold(name, "content-length") {
			return h.parseLength(value)
		}
	case len("content-encoding"):
		h.note(contentEncoding, name, "content-encoding")
	case len("transfer-encoding"):
		if equalFold(name, "transfer-encoding") {
			return h.parseTransferEncoding(value)
		}
	}
	return nil
}

// splitField finds the colon and the value in the field line s, which is not empty.
func splitField(s []byte) (colon int, value span, err error) {
	if s[0] == ' ' || s[0] == '\t' {
		return 0, span{}, protocolError("folded header line", s)
	}
	for colon < len(s) && isToken[s[colon]] {
		colon++
	}
	if colon == len(s) || s[colon] != ':' || colon == 0 {
		if bytes.IndexByte(s, ':') <= 0 {
			return 0, span{}, protocolError("header line without a name", s)
		}
		return 0, span{}, protocolError("invalid header name", s)
	}
	v, w := colon+1, len(s)
	for v < w && (s[v] == ' ' || s[v] == '\t') {
		v++
	}
	for v < w && (s[w-1] == ' ' || s[w-1] == '\t') {
		w--
	}
	if hasControl(s[v:w]) {
		return 0, span{}, protocolError("control character in a header", s)
	}
	return colon, span{int32(v), int32(w)}, nil
}

// note remembers the field just parsed as the first of the known name.
func (h *Head) note(which int, name []byte, lower string) {
	if h.known[which] == 0 && equalFold(name, lower) {
		h.known[which] = int32(len(h.fields))
	}
}

func (h *Head) parseConnection(value []byte) {
	for tok := range bytes.SplitSeq(value, []byte{','}) {
		switch tok = bytes.Trim(tok, " \t"); {
		case equalFold(tok, "close"):
			h.hint |= sawClose
		case equalFold(tok, "keep-alive"):
			h.hint |= sawKeepAlive
		}
	}
}

// parseLength takes a Content-Length. Several that are equal are one (RFC 9112
// section 6.3, rule 5); several that differ are an attack or a broken server.
func (h *Head) parseLength(value []byte) error {
	n, ok := parseDecimal(value)
	if !ok {
		return protocolError("invalid Content-Length", value)
	}
	if h.ContentLength >= 0 && h.ContentLength != n {
		return protocolError("Content-Length given twice, and they differ; the second is", value)
	}
	h.ContentLength = n
	return nil
}

// parseTransferEncoding takes chunked alone. No other transfer coding was asked for
// (there is no TE field in our requests), and a body handed over in one that we
// cannot decode would pass for the document.
func (h *Head) parseTransferEncoding(value []byte) error {
	if h.te || !equalFold(value, "chunked") {
		return protocolError("unsupported Transfer-Encoding", value)
	}
	h.te, h.Chunked = true, true
	return nil
}

// finish checks what only the whole head can tell.
func (h *Head) finish() error {
	if h.Chunked && h.ContentLength >= 0 {
		return &ProtocolError{What: "both Content-Length and Transfer-Encoding"}
	}
	if h.Chunked && h.Minor == 0 {
		return &ProtocolError{What: "Transfer-Encoding in an HTTP/1.0 response"}
	}
	h.KeepAlive = h.hint&sawClose == 0 && (h.Minor > 0 || h.hint&sawKeepAlive != 0)
	return nil
}

// Reason returns the reason phrase. Like everything that a Head returns, it is
// valid until h is reset.
func (h *Head) Reason() []byte { return h.bytes(h.reason) }

// Location returns the first Location field, nil if there is none.
func (h *Head) Location() []byte { return h.knownField(location) }

// RetryAfter returns the first Retry-After field, nil if there is none.
func (h *Head) RetryAfter() []byte { return h.knownField(retryAfter) }

// ContentEncoding returns the first Content-Encoding field, nil if there is none.
func (h *Head) ContentEncoding() []byte { return h.knownField(contentEncoding) }

// HasCookies reports whether there is a Set-Cookie field.
func (h *Head) HasCookies() bool { return h.known[setCookie] != 0 }

// Get returns the value of the first field of that name, whatever its case, and nil if there is none.
func (h *Head) Get(name string) []byte {
	for _, f := range h.fields {
		if int(f.name.to-f.name.from) == len(name) && bytes.EqualFold(h.bytes(f.name), []byte(name)) {
			return h.bytes(f.value)
		}
	}
	return nil
}

// Len returns the number of fields.
func (h *Head) Len() int { return len(h.fields) }

// Each ranges over the names and values of the fields in the order they came.
func (h *Head) Each() iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		for _, f := range h.fields {
			if !yield(h.bytes(f.name), h.bytes(f.value)) {
				return
			}
		}
	}
}

func (h *Head) knownField(which int) []byte {
	if i := h.known[which]; i > 0 {
		return h.bytes(h.fields[i-1].value)
	}
	return nil
}

func (h *Head) bytes(s span) []byte { return h.buf[s.from:s.to:s.to] }

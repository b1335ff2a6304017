package http1

import (
	"bytes"
	"errors"
	"iter"
)

// Errors of [RequestHead.Parse] beside [*ProtocolError] and [ErrHeaderTooLarge].
var (
	ErrTargetTooLong     = errors.New("request target too long")
	ErrVersion           = errors.New("unsupported HTTP version")
	ErrTransferEncoding  = errors.New("unsupported Transfer-Encoding")
	ErrUnmetExpectation  = errors.New("unsupported Expect")
	errSmuggle           = &ProtocolError{What: "both Content-Length and Transfer-Encoding"}
	errTwoHosts          = &ProtocolError{What: "more than one Host"}
	errNoHost            = &ProtocolError{What: "no Host"}
	errEncodingVersion10 = &ProtocolError{What: "Transfer-Encoding in an HTTP/1.0 request"}
)

// RequestLimits bound what the head of a request may cost. A zero field means its default.
type RequestLimits struct {
	TargetBytes int // default 8 KiB; less than 256 bytes is not enforced
	HeadBytes   int // all of a head, line ends included; default 64 KiB
	Fields      int // default 100
}

const (
	maxMethod            = 64
	shortLine            = 256 // no limit is as low
	defaultTargetBytes   = 8 << 10
	defaultRequestFields = 100
)

// A Form is that of a request's target, RFC 9112 section 3.2.
type Form uint8

// The forms of a request's target.
const (
	OriginForm    Form = iota // /path?query
	AbsoluteForm              // http://host/path, as proxies are asked
	AuthorityForm             // host:port, of CONNECT
	AsteriskForm              // *, of OPTIONS
)

// A RequestHead is the request line and the fields of a request. It is parsed in place: what
// it returns are parts of the slice that Parse was last given. The zero
// RequestHead is ready for use; after Reset it can be used again, and allocates nothing unless
// a head has more fields than any before it. It belongs to one goroutine.
//
// It refuses what two readers could understand in two ways (RFC 9112 sections 2.2, 5.1,
// 5.2, 6.1 to 6.3): a line that does not end in CRLF, a CR or another control character within a line, a
// folded field line, white space before a colon, a Content-Length that is not plain digits, two of them, one beside
// Transfer-Encoding, a last transfer coding other than chunked, no Host or two.
type RequestHead struct {
	Minor         int   // of the version, HTTP/1.Minor: 0 or 1 (a higher one counts as 1)
	ContentLength int64 // -1: the head has none
	Chunked       bool  // the body has the chunked transfer coding
	KeepAlive     bool  // the peer expects the connection to go on
	Upgrade       bool  // the peer asks for another protocol: Connection says so, too
	Expect        bool  // the peer waits for 100 (Continue) before it sends the body
	Form          Form

	buf    []byte
	pos    int // all before this has been parsed
	seen   int // of buf: no LF lies between pos and here
	method span
	target span
	host   span
	fields []field
	hint   connection
	line   bool // the request line came
	hosts  uint8
	te     bool // a Transfer-Encoding came
	blank  bool // an empty line before the request was skipped
	up     bool // an Upgrade field came
}

const sawUpgrade connection = 4

// Reset makes h ready for another head.
func (h *RequestHead) Reset() {
	*h = RequestHead{ContentLength: -1, fields: h.fields[:0]}
}

// Parse parses the head that b begins with. It returns the length of it, and whether it is
// complete. If it is not, the next call is to be given the same bytes and more
// behind them, in the same slice or in another; what was looked at is not looked at again.
// An empty line in front is passed over (RFC 9112 section 2.2).
//
// Errors:
//   - [ErrTargetTooLong], [ErrHeaderTooLarge] if the head outgrows lim.
//   - [ErrVersion] for a version of HTTP other than 1.
//   - [ErrTransferEncoding] for a transfer coding beside chunked.
//   - [ErrUnmetExpectation] for an Expect other than 100-continue.
//   - [*ProtocolError] if the bytes are not a request by RFC 9112.
//
// After an error the connection is of no more use.
func (h *RequestHead) Parse(b []byte, lim *RequestLimits) (n int, done bool, err error) {
	h.buf = b
	if h.pos == 0 {
		h.ContentLength = -1
	}
	maxBytes := defaultHeadBytes
	if lim.HeadBytes > 0 {
		maxBytes = lim.HeadBytes
	}
	for {
		i := bytes.IndexByte(b[h.seen:], '\n')
		end := h.seen + i + 1
		if i < 0 {
			end = len(b)
		}
		if !h.line && (i < 0 || end-h.pos > shortLine) {
			if err := h.earlyLine(b[h.pos:end], lim); err != nil {
				return 0, false, err
			}
		}
		if end > maxBytes {
			return 0, false, ErrHeaderTooLarge
		}
		if i < 0 {
			err := h.early(b[h.pos:end])
			h.seen = end
			return 0, false, err
		}
		from, to := h.pos, end-2
		h.pos, h.seen = end, end
		if to < from || b[to] != '\r' {
			return 0, false, protocolError("line without CRLF", b[from:end])
		}
		switch {
		case h.line && from == to:
			if err := h.finish(); err != nil {
				return 0, false, err
			}
			return end, true, nil
		case h.line:
			err = h.parseField(from, to, lim)
		case from == to && !h.blank:
			h.blank = true
		default:
			err = h.parseLine(from, to)
		}
		if err != nil {
			return 0, false, err
		}
	}
}

// Started reports whether any byte of the head has been seen.
func (h *RequestHead) Started() bool { return h.seen > 0 }

// earlyLine looks at what there is of the request line: what cannot become one is refused at once, not when the
// peer falls silent.
func (h *RequestHead) earlyLine(s []byte, lim *RequestLimits) error {
	i := 0
	for i < len(s) && isToken[s[i]] {
		i++
	}
	if i > maxMethod || i < len(s) && (i == 0 && s[0] != '\r' || i > 0 && s[i] != ' ') {
		return protocolError("malformed request line", s)
	}
	maxTarget := defaultTargetBytes
	if lim.TargetBytes > 0 {
		maxTarget = lim.TargetBytes
	}
	if i++; len(s)-i > maxTarget {
		j := bytes.IndexByte(s[i:], ' ')
		if j < 0 || j > maxTarget {
			return ErrTargetTooLong
		}
	}
	if i > len(s) {
		return nil
	}
	if j := bytes.IndexByte(s[i:], ' '); j >= 0 {
		v := s[i+j+1:]
		if n := min(len(v), 5); string(v[:n]) != "HTTP/"[:n] || len(v) > len("HTTP/1.1\r\n") {
			return protocolError("malformed request line", s)
		}
		if len(v) > 5 && v[5] != '1' && isDigit(v[5]) {
			return ErrVersion
		}
	}
	return nil
}

// early looks at a line that has not come to its end.
func (h *RequestHead) early(s []byte) error {
	if h.line && len(s) > 0 && !isToken[s[0]] && s[0] != '\r' {
		return protocolError("folded header line, or one without a name", s)
	}
	fresh := s[max(h.seen-h.pos-1, 0):]
	if i := bytes.IndexByte(fresh, '\r'); i >= 0 && i < len(fresh)-1 {
		return protocolError("CR without LF", s)
	}
	return nil
}

// parseLine parses the request line buf[from:to] by RFC 9112 section 3.
func (h *RequestHead) parseLine(from, to int) error {
	s := h.buf[from:to]
	m := 0
	for m < len(s) && isToken[s[m]] {
		m++
	}
	if m == 0 || m == len(s) || s[m] != ' ' {
		return protocolError("malformed request line", s)
	}
	t := m + 1
	for t < len(s) && s[t] > ' ' && s[t] < 0x7f {
		t++
	}
	if t == m+1 || t == len(s) || s[t] != ' ' {
		return protocolError("malformed request line", s)
	}
	v := s[t+1:]
	switch {
	case string(v) == "HTTP/1.1":
		h.Minor = 1
	case string(v) == "HTTP/1.0":
	case len(v) == 8 && string(v[:5]) == "HTTP/" && isDigit(v[5]) && v[6] == '.' && isDigit(v[7]):
		if v[5] != '1' {
			return ErrVersion
		}
		h.Minor = 1
	default:
		return protocolError("malformed request line", s)
	}
	off := int32(from)
	h.method = span{off, off + int32(m)}
	h.target = span{off + int32(m) + 1, off + int32(t)}
	h.line = true
	return h.classify(s[:m], s[m+1:t])
}

// classify finds the form of the target, and in the forms that have one the host.
func (h *RequestHead) classify(method, target []byte) error {
	switch {
	case string(method) == "CONNECT":
		h.Form, h.host = AuthorityForm, h.target
		if !validAuthority(target) || bytes.LastIndexByte(target, ':') <= bytes.LastIndexByte(target, ']') {
			return protocolError("invalid target of CONNECT", target)
		}
	case target[0] == '/':
	case string(target) == "*":
		if string(method) != "OPTIONS" {
			return protocolError("target * of another method than OPTIONS", method)
		}
		h.Form = AsteriskForm
	default:
		h.Form = AbsoluteForm
		i := bytes.Index(target, []byte("://"))
		if i <= 0 || !equalFold(target[:i], "http") && !equalFold(target[:i], "https") {
			return protocolError("invalid request target", target)
		}
		rest := target[i+3:]
		j := bytes.IndexAny(rest, "/?#")
		if j < 0 {
			j = len(rest)
		}
		if j == 0 || !validAuthority(rest[:j]) {
			return protocolError("invalid host in the request target", target)
		}
		h.host = span{h.target.from + int32(i+3), h.target.from + int32(i+3+j)}
	}
	if bytes.IndexByte(target, '#') >= 0 {
		return protocolError("fragment in the request target", target)
	}
	return nil
}

// parseField parses the field line buf[from:to] by RFC 9112 section 5.
func (h *RequestHead) parseField(from, to int, lim *RequestLimits) error {
	maxFields := defaultRequestFields
	if lim.Fields > 0 {
		maxFields = lim.Fields
	}
	if len(h.fields) >= maxFields {
		return ErrHeaderTooLarge
	}
	s := h.buf[from:to]
	colon, v, err := splitField(s)
	if err != nil {
		return err
	}
	off := int32(from)
	h.fields = append(h.fields, field{span{off, off + int32(colon)}, span{off + v.from, off + v.to}})
	name, value := s[:colon], s[v.from:v.to]
	switch len(name) {
	case len("host"):
		if equalFold(name, "host") {
			return h.parseHost(value, span{off + v.from, off + v.to})
		}
	case len("expect"):
		if equalFold(name, "expect") {
			if !equalFold(value, "100-continue") {
				return ErrUnmetExpectation
			}
			h.Expect = true
		}
	case len("upgrade"):
		if equalFold(name, "upgrade") {
			h.up = true
		}
	case len("connection"):
		if equalFold(name, "connection") {
			h.parseConnection(value)
		}
	case len("content-length"):
		if equalFold(name, "content-length") {
			return h.parseLength(value)
		}
	case len("transfer-encoding"):
		if equalFold(name, "transfer-encoding") {
			return h.parseTransferEncoding(value)
		}
	}
	return nil
}

func (h *RequestHead) parseHost(value []byte, at span) error {
	if h.hosts++; h.hosts > 1 {
		return errTwoHosts
	}
	// An empty Host belongs to targets without an authority.
	if len(value) > 0 && !validAuthority(value) {
		return protocolError("invalid Host", value)
	}
	if h.Form == OriginForm || h.Form == AsteriskForm {
		h.host = at
	}
	return nil
}

func (h *RequestHead) parseConnection(value []byte) {
	for len(value) > 0 {
		tok := value
		if i := bytes.IndexByte(value, ','); i >= 0 {
			tok, value = value[:i], value[i+1:]
		} else {
			value = nil
		}
		switch tok = bytes.Trim(tok, " \t"); {
		case equalFold(tok, "close"):
			h.hint |= sawClose
		case equalFold(tok, "keep-alive"):
			h.hint |= sawKeepAlive
		case equalFold(tok, "upgrade"):
			h.hint |= sawUpgrade
		}
	}
}

func (h *RequestHead) parseLength(value []byte) error {
	n, ok := parseDecimal(value)
	switch {
	case !ok:
		return protocolError("invalid Content-Length", value)
	case h.ContentLength >= 0:
		return protocolError("second Content-Length", value)
	}
	h.ContentLength = n
	return nil
}

// parseTransferEncoding takes chunked alone. Another coding in front of it is not supported, which is for the
// caller to say; a list that does not end in chunked has no length that both sides know.
func (h *RequestHead) parseTransferEncoding(value []byte) error {
	if h.te {
		return protocolError("second Transfer-Encoding", value)
	}
	h.te = true
	if equalFold(value, "chunked") {
		h.Chunked = true
		return nil
	}
	last := value
	if i := bytes.LastIndexByte(value, ','); i >= 0 {
		last = bytes.Trim(value[i+1:], " \t")
		for tok := range bytes.SplitSeq(value[:i], []byte{','}) {
			if equalFold(bytes.Trim(tok, " \t"), "chunked") {
				return protocolError("chunked is not the last Transfer-Encoding", value)
			}
		}
	}
	if !equalFold(last, "chunked") {
		return protocolError("Transfer-Encoding that does not end in chunked", value)
	}
	return ErrTransferEncoding
}

// finish checks what only the whole head can tell.
func (h *RequestHead) finish() error {
	switch {
	case h.te && h.ContentLength >= 0:
		return errSmuggle
	case h.te && h.Minor == 0:
		return errEncodingVersion10
	case h.hosts == 0 && h.Minor > 0:
		return errNoHost
	}
	h.KeepAlive = h.hint&sawClose == 0 && (h.Minor > 0 || h.hint&sawKeepAlive != 0)
	h.Upgrade = h.up && h.hint&sawUpgrade != 0 && h.Minor > 0
	h.Expect = h.Expect && h.Minor > 0 && (h.Chunked || h.ContentLength > 0)
	return nil
}

// validAuthority reports whether s is a host and perhaps a port: RFC 3986 section 3.2.2, without user information.
func validAuthority(s []byte) bool {
	i := 0
	if len(s) > 0 && s[0] == '[' {
		i = bytes.IndexByte(s, ']') + 1
		if i < 3 {
			return false
		}
		for _, c := range s[1 : i-1] {
			if !isToken[c] && c != ':' && c != '%' {
				return false
			}
		}
	} else {
		for i < len(s) && inRegName[s[i]] {
			i++
		}
		if i == 0 {
			return false
		}
	}
	if i == len(s) {
		return true
	}
	port := s[i+1:]
	if s[i] != ':' || len(port) > 5 {
		return false
	}
	for _, c := range port {
		if !isDigit(c) {
			return false
		}
	}
	return true
}

// inRegName holds the bytes of a registered name, RFC 3986 section 3.2.2.
var inRegName = charTable("-._~%!$&'()*+,;=")

// Method returns the method. Like everything that a RequestHead returns, it is
// valid as long as the slice that Parse was given holds.
func (h *RequestHead) Method() []byte { return h.bytes(h.method) }

// Target returns the request's target, as it came.
func (h *RequestHead) Target() []byte { return h.bytes(h.target) }

// Host returns the host asked for: that of the target, or else of the Host field.
func (h *RequestHead) Host() []byte { return h.bytes(h.host) }

// Size returns the length of the head, TargetSpan and HostSpan where in it Target and Host lie, for
// who has copied the head as a whole.
func (h *RequestHead) Size() int { return h.pos }

// TargetSpan is described at Size.
func (h *RequestHead) TargetSpan() (from, to int) { return int(h.target.from), int(h.target.to) }

// HostSpan is described at Size.
func (h *RequestHead) HostSpan() (from, to int) { return int(h.host.from), int(h.host.to) }

// Get returns the value of the first field of that name, whatever its case, and nil if there is none.
func (h *RequestHead) Get(name string) []byte {
	for i := range h.fields {
		f := &h.fields[i]
		if int(f.name.to-f.name.from) == len(name) && sameFold(h.buf[f.name.from:f.name.to], name) {
			return h.bytes(f.value)
		}
	}
	return nil
}

// sameFold is bytes.EqualFold for ASCII of the same length.
func sameFold(b []byte, s string) bool {
	for i, c := range b {
		d := s[i]
		if c != d && (c|0x20 != d|0x20 || c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return true
}

// Len returns the number of fields.
func (h *RequestHead) Len() int { return len(h.fields) }

// Field returns the name and the value of field i, in the order they came.
func (h *RequestHead) Field(i int) (name, value []byte) {
	return h.bytes(h.fields[i].name), h.bytes(h.fields[i].value)
}

// Each ranges over the names and values of the fields in the order they came.
func (h *RequestHead) Each() iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		for i := range h.fields {
			if !yield(h.Field(i)) {
				return
			}
		}
	}
}

// Spans returns where in the head name and value of field i lie; see Size.
func (h *RequestHead) Spans(i int) (nameFrom, nameTo, valueFrom, valueTo int) {
	f := &h.fields[i]
	return int(f.name.from), int(f.name.to), int(f.value.from), int(f.value.to)
}

func (h *RequestHead) bytes(s span) []byte { return h.buf[s.from:s.to:s.to] }

// Fields ranges over the names and values of field lines, each with its CRLF, that have been found well-formed.
func Fields(lines []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		for len(lines) > 0 {
			i := bytes.Index(lines, []byte("\r\n"))
			if i < 0 {
				return
			}
			if colon, v, err := splitField(lines[:i]); err == nil && !yield(lines[:colon], lines[v.from:v.to]) {
				return
			}
			lines = lines[i+2:]
		}
	}
}

// ValidValue reports whether s can stand as the value of a field.
func ValidValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

package http1

import "math"

// A Body takes the framing off a body: none, a length, chunks, or, of a response, the
// end of the connection (RFC 9112 section 6.3). It copies no data.
// [Body.Reset] and [Body.ResetRequest] make it ready; the zero Body is an empty one.
type Body struct {
	state   bodyState
	left    int64 // of the body (length) or of the chunk (chunked)
	got     int64 // decoded bytes handed out
	want    int64 // announced; -1 unknown
	excess  int   // framing bytes beyond what the data bytes justify
	trailer int   // bytes of trailers
	empty   bool  // the trailer line has no bytes yet
	digits  int   // of the chunk size so far
	strict  bool  // of a request: see ResetRequest
	ext     extState
	line    int // where the trailer line at hand starts in trailers

	keep     bool   // the trailers
	trailers []byte // the lines of them, if kept
}

type bodyState uint8

const (
	finished   bodyState = iota
	untilClose           // data up to the end of the connection
	length               // data, left to go
	chunkSize            // hexadecimal digits
	chunkPad             // white space after them, then ; or CR
	chunkExt             // an extension
	chunkLF              // the LF after size or extension
	chunkData            // data, left to go
	dataCR               // the CR after data
	dataLF               // the LF after it
	trailer              // a trailer line or the empty line
	trailerLF            // its LF
)

const (
	// maxExcess is how many framing bytes a chunked body may waste in a row, as in net/http:
	// a chunk earns 16 bytes and twice its size. It stops bodies that are all framing.
	maxExcess = 16 << 10
	// maxTrailer bounds the trailers, which nobody here reads.
	maxTrailer = 16 << 10
)

// Reset makes b the body that follows h, which answered a request of method HEAD or another one.
func (b *Body) Reset(h *Head, head bool) {
	*b = Body{want: -1}
	switch {
	case head || h.Status < 200 || h.Status == 204 || h.Status == 304:
		b.want = 0
	case h.Chunked:
		b.state = chunkSize
	case h.ContentLength >= 0:
		b.want, b.left = h.ContentLength, h.ContentLength
		if b.left > 0 {
			b.state = length
		}
	default:
		b.state = untilClose
	}
}

// ResetRequest makes b the body that follows the head of a request: chunked, or of that
// length, which may be zero. It is stricter than for a response, since whoever sends requests through
// an intermediary may want the two to see different ones: after a chunk's size comes
// its end or an extension of the grammar in RFC 9112 section 7.1.1, and a byte
// that cannot stand in a field's value is refused in extensions and trailers.
// The trailers are kept, for [Body.Trailers].
func (b *Body) ResetRequest(n int64, chunked bool) {
	*b = Body{want: -1, strict: true, keep: true, trailers: b.trailers[:0]}
	switch {
	case chunked:
		b.state = chunkSize
	case n > 0:
		b.state, b.want, b.left = length, n, n
	default:
		b.want = 0
	}
}

// KeepTrailers has the trailers of a response kept, for [Body.Trailers]: those that are well-formed.
func (b *Body) KeepTrailers() { b.keep = true }

// Trailers returns the field lines that followed the last chunk, each with its
// CRLF, if they are kept. They are valid until b is reset.
func (b *Body) Trailers() []byte { return b.trailers }

// Len returns the length of the body that the head announced, -1 if it did not.
func (b *Body) Len() int64 { return b.want }

// Got returns how many bytes of data have come out so far.
func (b *Body) Got() int64 { return b.got }

// Done reports whether the body has come to its end.
func (b *Body) Done() bool { return b.state == finished }

// UntilClose reports whether only the end of the connection ends the body.
func (b *Body) UntilClose() bool { return b.state == untilClose }

// Next takes bytes of the connection and returns the first stretch of data in them,
// a part of p; it consumed n bytes of p, which include framing, and what is left of p is
// for the next call. Once done, what is left of p is no part of the body. With no
// data, n is len(p) or done is true.
//
// Errors:
//   - [*ProtocolError] if a chunk is malformed.
//   - [ErrHeaderTooLarge] if trailers or chunk extensions are.
func (b *Body) Next(p []byte) (data []byte, n int, done bool, err error) {
	for n < len(p) || b.state == finished {
		switch b.state {
		case finished:
			return nil, n, true, nil
		case untilClose:
			b.got += int64(len(p))
			return p, len(p), false, nil
		case length, chunkData:
			data = p[n:]
			if int64(len(data)) > b.left {
				data = data[:b.left]
			}
			n += len(data)
			b.got += int64(len(data))
			if b.left -= int64(len(data)); b.left == 0 {
				if b.state == chunkData {
					b.state = dataCR
				} else {
					b.state = finished
				}
			}
			return data, n, b.state == finished, nil
		default:
			if err := b.frame(p[n]); err != nil {
				if err != ErrHeaderTooLarge {
					err = protocolError(err.Error(), p[n:])
				}
				return nil, n, false, err
			}
			n++
		}
	}
	return nil, n, false, nil
}

// A frameError says what is wrong with the byte of framing at hand.
type frameError string

func (e frameError) Error() string { return string(e) }

// frame takes one byte of chunked framing. Line ends are CRLF and nothing else
// here: whoever accepts a bare LF in a chunk extension sees other chunks than whoever does not.
func (b *Body) frame(c byte) error {
	switch b.state {
	case chunkSize, chunkPad, chunkExt, chunkLF:
		if b.excess++; b.excess > maxExcess {
			return ErrHeaderTooLarge
		}
	}
	switch b.state {
	case chunkSize:
		if d := unhex(c); d >= 0 {
			if b.digits++; b.digits > 16 || b.left > math.MaxInt64>>4 {
				return frameError("chunk size too large")
			}
			b.left = b.left<<4 | d
			return nil
		}
		if b.digits == 0 {
			return frameError("invalid chunk size")
		}
		b.state = chunkPad
		fallthrough
	case chunkPad:
		switch {
		case b.strict && (c == ' ' || c == '\t'):
			return frameError("white space after a chunk size")
		case c == ' ', c == '\t':
		case c == ';':
			b.state, b.ext = chunkExt, extBeforeName
		case c == '\r':
			b.state = chunkLF
		default:
			return frameError("invalid chunk size")
		}
	case chunkExt:
		switch {
		case c == '\n':
			return frameError("bare LF in a chunk extension")
		case b.strict && !b.ext.take(c):
			return frameError("invalid chunk extension")
		case c == '\r':
			b.state = chunkLF
		}
	case chunkLF:
		if c != '\n' {
			return frameError("chunk size without CRLF")
		}
		b.digits = 0
		b.excess = max(0, b.excess-16-int(min(2*uint64(b.left), maxExcess)))
		b.state = chunkData
		if b.left == 0 {
			b.state, b.empty = trailer, true
		}
	case dataCR:
		if c != '\r' {
			return frameError("chunk data longer than its size")
		}
		b.state = dataLF
	case dataLF:
		if c != '\n' {
			return frameError("chunk data without CRLF")
		}
		b.state = chunkSize
	case trailer, trailerLF:
		return b.frameTrailer(c)
	}
	return nil
}

// frameTrailer takes one byte after the last chunk.
func (b *Body) frameTrailer(c byte) error {
	if b.trailer++; b.trailer > maxTrailer {
		return ErrHeaderTooLarge
	}
	if b.keep {
		b.trailers = append(b.trailers, c)
	}
	switch {
	case b.state == trailerLF && c != '\n' || b.state == trailer && c == '\n':
		return frameError("trailer without CRLF")
	case b.state == trailerLF && b.empty:
		b.state = finished
		if b.keep {
			b.trailers = b.trailers[:b.line]
		}
	case b.state == trailerLF:
		b.state, b.empty = trailer, true
		if !b.keep {
			break
		}
		_, _, err := splitField(b.trailers[b.line : len(b.trailers)-2])
		switch {
		case err == nil:
			b.line = len(b.trailers)
		case b.strict:
			return frameError(err.Error())
		default:
			b.trailers = b.trailers[:b.line]
		}
	case c == '\r':
		b.state = trailerLF
	default:
		b.empty = false
	}
	return nil
}

// An extState is where in a chunk extension the bytes are: RFC 9112 section 7.1.1,
// without the white space that it allows in bad old messages.
type extState uint8

const (
	extBeforeName extState = iota
	extName
	extBeforeValue
	extValue
	extQuoted
	extEscaped
	extAfterQuoted
)

// take takes the next byte, the CR included. It returns false if that cannot stand there.
func (s *extState) take(c byte) bool {
	switch *s {
	case extBeforeName:
		*s = extName
		return isToken[c]
	case extName, extValue, extAfterQuoted:
		switch {
		case c == '\r':
			return true
		case c == ';':
			*s = extBeforeName
			return true
		case c == '=' && *s == extName:
			*s = extBeforeValue
			return true
		}
		return *s != extAfterQuoted && isToken[c]
	case extBeforeValue:
		if c == '"' {
			*s = extQuoted
			return true
		}
		*s = extValue
		return isToken[c]
	case extQuoted:
		switch c {
		case '"':
			*s = extAfterQuoted
		case '\\':
			*s = extEscaped
		}
	case extEscaped:
		*s = extQuoted
	}
	return c == '\t' || c >= ' ' && c != 0x7f
}

// Finish tells b that the connection has ended. It returns a [*TruncatedError] if
// that was too early.
func (b *Body) Finish() error {
	switch b.state {
	case finished:
	case untilClose:
		b.state = finished
	default:
		return &TruncatedError{Got: b.got, Want: b.want}
	}
	return nil
}

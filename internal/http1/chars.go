package http1

import (
	"encoding/binary"
	"math"
)

// isToken holds the characters of a token, RFC 9110 section 5.6.2.
var isToken = charTable("!#$%&'*+-.^_`|~")

// inHost and inPath hold the bytes that net/url hands through unchanged in a host
// name and in a path. Both leave out what needs a second look, such as brackets
// and percent signs.
var (
	inHost = charTable("-._")
	inPath = charTable("-._~!$&'()*+,;=:@/")
)

// charTable returns the set of letters, digits and what is in more.
func charTable(more string) (t [256]bool) {
	for c := range 26 {
		t['a'+c], t['A'+c] = true, true
	}
	for c := '0'; c <= '9'; c++ {
		t[c] = true
	}
	for _, c := range []byte(more) {
		t[c] = true
	}
	return t
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// hasControl reports whether b holds a control character other than a tab. RFC 9110
// section 5.5 bars them from values. Eight bytes are looked at together, since this sees every byte of a head.
func hasControl(b []byte) bool {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; i+8 <= len(b); i += 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		del := x ^ 0x7f*ones
		if ((x-' '*ones)&^x|(del-ones)&^del)&high != 0 {
			break // likely; a tab gets here, too
		}
	}
	for ; i < len(b); i++ {
		if c := b[i]; c < ' ' && c != '\t' || c == 0x7f {
			return true
		}
	}
	return false
}

// equalFold reports whether b is lower, which is in lower case, but for the case of ASCII letters.
func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// parseDecimal parses digits, and nothing but digits, into an int64.
func parseDecimal(b []byte) (n int64, ok bool) {
	for _, c := range b {
		d := int64(c - '0')
		if !isDigit(c) || n > (math.MaxInt64-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, len(b) > 0
}

// unhex returns the value of a hexadecimal digit, -1 for anything else.
func unhex(c byte) int64 {
	switch {
	case isDigit(c):
		return int64(c - '0')
	case 'a' <= c && c <= 'f':
		return int64(c - 'a' + 10)
	case 'A' <= c && c <= 'F':
		return int64(c - 'A' + 10)
	}
	return -1
}

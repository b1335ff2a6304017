package http1

import (
	"fmt"
	"strconv"
)

// AppendRequest appends the head of a request to dst: the request line, Host, the
// fields, which are whole lines with their CRLF, and the empty line. Neither it nor
// [AppendField]'s result is looked at again: host and target come from [SplitURL], which admits
// nothing that could end a line, and method from [ValidMethod].
func AppendRequest(dst []byte, method, target, host string, fields ...string) []byte {
	dst = append(dst, method...)
	dst = append(dst, ' ')
	dst = append(dst, target...)
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	dst = append(dst, host...)
	dst = append(dst, "\r\n"...)
	for _, f := range fields {
		dst = append(dst, f...)
	}
	return append(dst, "\r\n"...)
}

// AppendField appends one field line. It refuses a name that is no token, and a
// value with a control character in it, which could end the line and start another.
func AppendField(dst []byte, name, value string) ([]byte, error) {
	if !ValidMethod(name) {
		return dst, fmt.Errorf("invalid header name %q", name)
	}
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return dst, fmt.Errorf("invalid value of header %s: %q", name, value)
		}
	}
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	return append(dst, "\r\n"...), nil
}

// ValidMethod reports whether s is a token, as a method and the name of a field have to be.
func ValidMethod(s string) bool {
	for i := range len(s) {
		if !isToken[s[i]] {
			return false
		}
	}
	return s != ""
}

// AppendChunk appends data as one chunk of a chunked body; empty data ends the body.
func AppendChunk(dst, data []byte) []byte {
	dst = strconv.AppendUint(dst, uint64(len(data)), 16)
	dst = append(dst, "\r\n"...)
	dst = append(dst, data...)
	return append(dst, "\r\n"...)
}

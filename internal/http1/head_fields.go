package http1

import (
	"bytes"
	"strconv"
)

// Begin makes h, which is new or reset, a head that did not come as lines: [Head.Add] adds its fields. The
// connection is kept alive, and there is no reason phrase.
func (h *Head) Begin(status int) {
	h.buf = strconv.AppendInt(h.buf[:0], int64(status), 10)
	h.fields = h.fields[:0]
	h.Minor, h.Status, h.ContentLength, h.KeepAlive, h.status = 1, status, -1, true, true
}

// Add adds a field to a head begun with [Head.Begin]. Its name is in lower case.
//
// Errors: a [*ProtocolError] if it cannot stand in a head that frames its body by other means.
func (h *Head) Add(name, value string) error {
	from := len(h.buf)
	h.buf = append(h.buf, name...)
	h.buf = append(h.buf, value...)
	s, v := h.buf[from:from+len(name)], h.buf[from+len(name):]
	off := int32(from)
	mid := off + int32(len(name))
	h.fields = append(h.fields, field{span{off, mid}, span{mid, int32(len(h.buf))}})
	if hasControl(v) {
		return protocolError("control character in a header", v)
	}
	switch name {
	case "location":
		h.note(location, s, name)
	case "set-cookie":
		h.note(setCookie, s, name)
	case "retry-after":
		h.note(retryAfter, s, name)
	case "content-encoding":
		h.note(contentEncoding, s, name)
	case "content-length":
		return h.parseLength(bytes.TrimSpace(v))
	case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade":
		return protocolError("a field of HTTP/1.1's own", s)
	}
	return nil
}

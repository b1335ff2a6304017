package rondohttp

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/rondo-go/rondo/internal/http1"
)

// A Request is what [Session.Do] sends. It is not changed, and may be used again
// if its body can be.
type Request struct {
	Method string      // "" means GET
	URL    string      // absolute, http or https; a fragment is dropped, a user and password become Authorization
	Header http.Header // beside the session's, and instead of those of the same names; Host sets the host named to the server

	// Body is sent if it is not nil: with a Content-Length if the length is known
	// (ContentLength is positive, or Body is a *bytes.Reader, *bytes.Buffer or *strings.Reader),
	// and in chunks if it is not. Its Read runs on the loop and must not block the thread.
	Body          io.Reader
	ContentLength int64

	// GetBody returns the body once more, for a redirect that keeps the method and for a retry.
	// It may be nil; for a *bytes.Reader and a *strings.Reader it is not needed.
	GetBody func() (io.Reader, error)
}

// A field is one line of a header, rendered.
type field struct{ name, line string }

// A header holds the fields that a session adds to its requests.
type header struct {
	fields []field
	all    string // every line
	open   string // the lines that may go to another origin
	host   string // overrides Host; "" does not
	coding bool   // names its own Accept-Encoding
}

// credentials are the fields that a redirect to another origin drops, however they are spelled.
var credentials = []string{"Authorization", "Cookie", "Cookie2", "Proxy-Authorization", "Www-Authenticate"}

// framing fields are the client's own affair: they follow from the body.
var framing = []string{"Content-Length", "Transfer-Encoding", "Trailer"}

func oneOf(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
}

func (c *config) render() (*header, error) {
	h := new(header)
	for _, d := range []struct{ name, value string }{
		{"User-Agent", c.userAgent}, {"Accept", "*/*"}, {"Accept-Encoding", "gzip"},
	} {
		if d.value == "" || has(c.header, d.name) || d.name == "Accept-Encoding" && !c.decompress {
			continue
		}
		if err := h.add(d.name, d.value); err != nil {
			return nil, err
		}
	}
	h.coding = has(c.header, "Accept-Encoding")
	if err := h.addAll(c.header); err != nil {
		return nil, err
	}
	h.join()
	return h, nil
}

// add adds one field. The name is sent as it is spelled.
func (h *header) add(name, value string) error {
	line, err := http1.AppendField(nil, name, value)
	if err != nil {
		return &fault{KindBadRequest, err}
	}
	switch {
	case strings.EqualFold(name, "Host"):
		if strings.ContainsAny(value, " \t,/") {
			return faultf(KindBadRequest, "invalid Host %q", value)
		}
		h.host = value
	case !oneOf(framing, name):
		h.fields = append(h.fields, field{name, string(line)})
	}
	return nil
}

// addAll adds the fields of m in the order of their names, so that requests are the same each time.
func (h *header) addAll(m http.Header) error {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, v := range m[name] {
			if err := h.add(name, v); err != nil {
				return err
			}
		}
	}
	return nil
}

func (h *header) join() {
	var all, open strings.Builder
	for _, f := range h.fields {
		all.WriteString(f.line)
		if !oneOf(credentials, f.name) {
			open.WriteString(f.line)
		}
	}
	h.all, h.open = all.String(), open.String()
}

// with returns the fields of h and of m, whose names win.
func (h *header) with(m http.Header) (*header, error) {
	if len(m) == 0 {
		return h, nil
	}
	// A range of a compressed body is of no use to whoever asked for a range of the document.
	ranged := has(m, "Range")
	merged := &header{host: h.host, coding: h.coding || ranged || has(m, "Accept-Encoding")}
	for _, f := range h.fields {
		if !has(m, f.name) && !(ranged && f.name == "Accept-Encoding") {
			merged.fields = append(merged.fields, f)
		}
	}
	if err := merged.addAll(m); err != nil {
		return nil, err
	}
	merged.join()
	return merged, nil
}

// without returns h without the fields that describe a body, for a redirect that drops it.
func (h *header) without() *header {
	c := *h
	c.fields = slices.DeleteFunc(slices.Clone(h.fields), func(f field) bool {
		return len(f.name) >= 8 && strings.EqualFold(f.name[:8], "Content-")
	})
	c.join()
	return &c
}

func (h *header) has(name string) bool {
	return slices.ContainsFunc(h.fields, func(f field) bool { return strings.EqualFold(f.name, name) })
}

func has(m http.Header, name string) bool {
	for n := range m {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

// An upload is the body of a request on its way.
type upload struct {
	r      io.Reader
	length int64 // -1: in chunks
	again  func() (io.Reader, error)
	used   bool // some of r has been read
}

// newUpload looks at the body of r, nil if there is none.
func newUpload(r *Request) *upload {
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	u := &upload{r: r.Body, length: r.ContentLength, again: r.GetBody}
	switch b := r.Body.(type) {
	case *bytes.Buffer:
		u.length = int64(b.Len())
	case *bytes.Reader:
		u.length, u.again = int64(b.Len()), rewind(b, b.Size()-int64(b.Len()))
	case *strings.Reader:
		u.length, u.again = int64(b.Len()), rewind(b, b.Size()-int64(b.Len()))
	default:
		if u.length <= 0 {
			u.length = -1
		}
	}
	return u
}

func rewind(r io.ReadSeeker, start int64) func() (io.Reader, error) {
	return func() (io.Reader, error) {
		_, err := r.Seek(start, io.SeekStart)
		return r, err
	}
}

// restart makes u ready to be sent again; it reports whether it can be.
func (u *upload) restart() (bool, error) {
	if u == nil || !u.used {
		return true, nil
	}
	if u.again == nil {
		return false, nil
	}
	r, err := u.again()
	if err != nil {
		return false, &fault{KindBody, err}
	}
	u.r, u.used = r, false
	return true, nil
}

// read reads a piece of the body, of which left bytes are to come, -1 if nobody knows. It
// returns io.EOF with the last of them.
func (u *upload) read(p []byte, left int64) (n int, err error) {
	if left == 0 {
		return 0, io.EOF
	}
	if left > 0 && int64(len(p)) > left {
		p = p[:left]
	}
	n, err = u.r.Read(p)
	switch {
	case left < 0:
	case int64(n) == left && (err == nil || err == io.EOF):
		err = io.EOF
	case err == io.EOF:
		err = fmt.Errorf("it ended %d bytes short of its length: %w", left-int64(n), io.ErrUnexpectedEOF)
	}
	return n, err
}

// line returns the field that frames the body.
func (u *upload) line(method string) string {
	switch {
	case u == nil && (method == "POST" || method == "PUT" || method == "PATCH"):
		return "Content-Length: 0\r\n"
	case u == nil:
		return ""
	case u.length < 0:
		return "Transfer-Encoding: chunked\r\n"
	}
	return "Content-Length: " + strconv.FormatInt(u.length, 10) + "\r\n"
}

// idempotent reports whether a request may be sent twice without its owner being asked (RFC 9110 section 9.2.2).
func idempotent(method string) bool {
	switch method {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE":
		return true
	}
	return false
}

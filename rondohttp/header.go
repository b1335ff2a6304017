package rondohttp

import (
	"net/http"
	"slices"
	"strings"

	"github.com/rondo-go/rondo/internal/http1"
)

// A field is one line of a header, rendered.
type field struct{ name, line string }

// A header holds the fields that a session adds to its requests.
type header struct {
	fields []field
	all    string // every line
	open   string // the lines that may go to another origin
	host   string // overrides Host; "" does not
	cookie string // the value of Cookie
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
		{"User-Agent", c.userAgent}, {"Accept", "*/*"}, {"Accept-Encoding", acceptEncoding},
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
	case strings.EqualFold(name, "Cookie"): // one line, whoever adds to it (RFC 6265 section 5.4)
		if h.cookie != "" {
			h.cookie += "; "
		}
		h.cookie += value
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
	if h.cookie != "" {
		all.WriteString(cookieLine(h.cookie))
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
	if !has(m, "Cookie") {
		merged.cookie = h.cookie
	}
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

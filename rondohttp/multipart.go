package rondohttp

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net/textproto"
	"slices"
	"strings"
)

// A Multipart is a body of multipart/form-data (RFC 7578) that is put together as it is sent: of fields, files and
// readers. Where the length of each part is known, so is that of the whole, and it is sent with a
// Content-Length; where each can be read again, so can the whole. Make one with [NewMultipart], and
// use it for one request at a time.
type Multipart struct {
	boundary string
	parts    []part
	at       int       // part under way
	text     []byte    // a head or an end, as far as it has not been read
	content  io.Reader // of the part under way
	tail     bool      // the last boundary has been begun
}

type part struct {
	head string
	size int64 // -1: not known
	r    io.Reader
	back func() error // makes r readable once more; nil if nothing does
}

// NewMultipart returns an empty body with a random boundary.
func NewMultipart() *Multipart {
	var b [16]byte
	rand.Read(b[:])
	return &Multipart{boundary: "rondo-" + hex.EncodeToString(b[:])}
}

// ContentType returns the field that goes with m.
func (m *Multipart) ContentType() string { return "multipart/form-data; boundary=" + m.boundary }

var escapeName = strings.NewReplacer("\r", "%0D", "\n", "%0A", `"`, "%22")

// Field adds a field with a text.
func (m *Multipart) Field(name, value string) {
	h := textproto.MIMEHeader{}
	h.Set("Content-Disposition", fmt.Sprintf(`form-data; name="%s"`, escapeName.Replace(name)))
	m.Part(h, strings.NewReader(value), int64(len(value)))
}

// Reader adds a file with the content of r, of size bytes, or -1 if that is not known.
func (m *Multipart) Reader(name, filename string, r io.Reader, size int64) {
	h := textproto.MIMEHeader{}
	h.Set("Content-Disposition", fmt.Sprintf(`form-data; name="%s"; filename="%s"`, escapeName.Replace(name), escapeName.Replace(filename)))
	h.Set("Content-Type", "application/octet-stream")
	m.Part(h, r, size)
}

// File adds the file at path, which is opened when it is its turn, and read off the loop.
func (m *Multipart) File(name, path string) error {
	f, err := newFileBody(path)
	if err != nil {
		return err
	}
	m.Reader(name, path[strings.LastIndexAny(path, `/\`)+1:], f, f.size)
	return nil
}

var oneLine = strings.NewReplacer("\r", " ", "\n", " ")

// Part adds a part with a header of its own. size is the number of bytes to take of r, or -1 for all there are.
func (m *Multipart) Part(h textproto.MIMEHeader, r io.Reader, size int64) {
	var b strings.Builder
	if len(m.parts) > 0 {
		b.WriteString("\r\n")
	}
	b.WriteString("--" + m.boundary + "\r\n")
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, v := range h[name] {
			b.WriteString(oneLine.Replace(name) + ": " + oneLine.Replace(v) + "\r\n")
		}
	}
	b.WriteString("\r\n")
	p := part{head: b.String(), size: max(size, -1), r: r}
	switch r := r.(type) {
	case *fileBody:
		p.back = func() error { r.rewind(); return nil }
	case *bytes.Reader:
		p.back = seek(r, r.Size()-int64(r.Len()))
	case *strings.Reader:
		p.back = seek(r, r.Size()-int64(r.Len()))
	}
	m.parts = append(m.parts, p)
}

func seek(r io.Seeker, start int64) func() error {
	return func() error { _, err := r.Seek(start, io.SeekStart); return err }
}

func (m *Multipart) end() string {
	if len(m.parts) == 0 {
		return "--" + m.boundary + "--\r\n"
	}
	return "\r\n--" + m.boundary + "--\r\n"
}

// Len returns the length of the whole, -1 if it is not known.
func (m *Multipart) Len() int64 {
	n := int64(len(m.end()))
	for _, p := range m.parts {
		if p.size < 0 {
			return -1
		}
		n += int64(len(p.head)) + p.size
	}
	return n
}

// Read reads the next of the body; it parks where a file is read.
func (m *Multipart) Read(b []byte) (int, error) {
	for len(b) > 0 {
		if len(m.text) > 0 {
			n := copy(b, m.text)
			m.text = m.text[n:]
			return n, nil
		}
		switch {
		case m.content != nil:
			n, err := m.content.Read(b)
			if err == io.EOF {
				if p := m.parts[m.at]; p.size >= 0 && m.content.(*io.LimitedReader).N > 0 {
					return n, fmt.Errorf("part %d of the form is shorter than %d bytes: %w", m.at+1, p.size, io.ErrUnexpectedEOF)
				}
				m.content, err = nil, nil
				m.at++
			}
			if n > 0 || err != nil {
				return n, err
			}
		case m.at < len(m.parts):
			p := m.parts[m.at]
			m.text, m.content = []byte(p.head), p.r
			if p.size >= 0 {
				m.content = &io.LimitedReader{R: p.r, N: p.size}
			}
		case !m.tail:
			m.text, m.tail = []byte(m.end()), true
		default:
			return 0, io.EOF
		}
	}
	return 0, nil
}

// again returns what makes m readable once more, nil if one of its readers cannot be.
func (m *Multipart) again() func() (io.Reader, error) {
	for _, p := range m.parts {
		if p.back == nil {
			return nil
		}
	}
	return func() (io.Reader, error) {
		for _, p := range m.parts {
			if err := p.back(); err != nil {
				return nil, err
			}
		}
		m.at, m.text, m.content, m.tail = 0, nil, nil, false
		return m, nil
	}
}

// stop closes the files that are open.
func (m *Multipart) stop() {
	for _, p := range m.parts {
		if f, ok := p.r.(*fileBody); ok {
			f.stop()
		}
	}
}

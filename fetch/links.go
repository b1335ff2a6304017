package fetch

import (
	"bytes"
	"html"
	"net/url"
	"strconv"
	"strings"
)

// Links finds the links of a body: in HTML the href and src attributes, resolved against the document's URL or its
// <base>; in other text the absolute http and https URLs. It keeps http and https links only, without fragments, in
// order of appearance and as often as they appear; a reference to a place in the document itself is none. The zero
// value must be Reset first.
//
// The list is bounded: after 1,000 links or 64 KiB of them the others are counted only.
type Links struct {
	html  htmlSniffer
	scan  markup
	plain plainURLs
	base  *url.URL
	based bool // the document had its <base>
	count int
	kept  int
	list  []byte // JSON strings with commas between
}

const (
	maxLinks     = 1000
	maxLinkBytes = 64 << 10
)

// Reset implements [Stage].
func (l *Links) Reset(doc Document) {
	if l.scan.onAttr == nil {
		l.scan.onAttr = l.attr
		l.plain.found = l.add
	}
	l.html.reset(doc)
	l.scan.reset()
	l.plain.reset()
	l.base, _ = url.Parse(doc.URL)
	if l.base == nil {
		l.base = new(url.URL)
	}
	l.based, l.count, l.kept, l.list = false, 0, 0, l.list[:0]
}

// Write implements [Stage].
func (l *Links) Write(p []byte) {
	p, isHTML := l.html.write(p)
	if isHTML {
		l.scan.write(p)
	} else {
		l.plain.write(p)
	}
}

// AppendResult appends {"count":N,"links":[...]}, with "more":K if K links were counted but not listed.
func (l *Links) AppendResult(dst []byte) []byte {
	l.plain.flush()
	dst = append(dst, `{"count":`...)
	dst = strconv.AppendInt(dst, int64(l.count), 10)
	dst = append(dst, `,"links":[`...)
	dst = append(dst, l.list...)
	dst = append(dst, ']')
	if more := l.count - l.kept; more > 0 {
		dst = append(dst, `,"more":`...)
		dst = strconv.AppendInt(dst, int64(more), 10)
	}
	return append(dst, '}')
}

func (l *Links) attr(tag, name, value []byte) {
	if string(name) != "href" && string(name) != "src" {
		return
	}
	if l.scan.cutValue {
		return // longer than any URL that works; a data: URL as a rule
	}
	ref := strings.TrimSpace(unescapeAttr(string(value)))
	if string(tag) == "base" {
		if u, err := l.base.Parse(ref); err == nil && !l.based {
			l.base, l.based = u, true
		}
		return
	}
	if ref == "" || ref[0] == '#' {
		return
	}
	u, err := l.base.Parse(ref)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return
	}
	u.Fragment, u.RawFragment = "", ""
	l.keep(u.String())
}

// unescapeAttr decodes the entities that end in a semicolon. The others are left alone, as browsers do in an attribute:
// "?a=1&copy=2" has a parameter named copy, and no copyright sign.
func unescapeAttr(s string) string {
	var b strings.Builder
	for {
		i := strings.IndexByte(s, '&')
		if i < 0 {
			break
		}
		n := i + 1
		for n < len(s) && (s[n] == '#' && n == i+1 || isLetter(s[n]) || s[n] >= '0' && s[n] <= '9') {
			n++
		}
		b.WriteString(s[:i])
		if n < len(s) && s[n] == ';' {
			b.WriteString(html.UnescapeString(s[i : n+1]))
			n++
		} else {
			b.WriteString(s[i:n])
		}
		s = s[n:]
	}
	b.WriteString(s)
	return b.String()
}

// add takes an absolute URL from plain text.
func (l *Links) add(raw []byte) {
	s := string(raw)
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return
	}
	s, _, _ = strings.Cut(s, "#")
	l.keep(s)
}

func (l *Links) keep(s string) {
	l.count++
	if l.kept == maxLinks || len(l.list)+len(s) > maxLinkBytes {
		return
	}
	if l.kept > 0 {
		l.list = append(l.list, ',')
	}
	l.list = appendString(l.list, s)
	l.kept++
}

// plainURLs finds http and https URLs in text that is no HTML, in lower case as people write them.
type plainURLs struct {
	found func([]byte)
	buf   []byte // a prefix of http:// or https://, or a URL so far
	long  bool   // the URL outgrew maxValue and is left out
}

func (u *plainURLs) reset() { u.buf, u.long = u.buf[:0], false }

func (u *plainURLs) write(p []byte) {
	for len(p) > 0 {
		if len(u.buf) == 0 {
			i := bytes.IndexByte(p, 'h')
			if i < 0 {
				return
			}
			p = p[i:]
		}
		c := p[0]
		p = p[1:]
		if c <= ' ' || c == 0x7f || c == '<' || c == '>' || c == '"' || c == '`' || c == '\\' {
			u.flush()
			continue
		}
		if len(u.buf) >= maxValue {
			u.long = true
			continue
		}
		u.buf = append(u.buf, c)
		if len(u.buf) <= len("https://") && !schemePrefix(u.buf) {
			u.buf = u.buf[:0]
			if c == 'h' { // "hhttp://": this one may be it
				u.buf = append(u.buf, c)
			}
		}
	}
}

// schemePrefix reports whether b is the beginning of an http or https URL, or begins with one.
func schemePrefix(b []byte) bool {
	for _, s := range []string{"http://", "https://"} {
		n := min(len(s), len(b))
		if string(b[:n]) == s[:n] {
			return true
		}
	}
	return false
}

// flush ends a URL. Punctuation at its end belongs to the sentence, and so does a bracket that it does not open.
func (u *plainURLs) flush() {
	b, long := u.buf, u.long
	u.reset()
	if long {
		return
	}
	for len(b) > 0 {
		switch c := b[len(b)-1]; c {
		case '.', ',', ';', ':', '!', '?', '\'', '*', '|':
		case ')', ']', '}':
			open := map[byte]byte{')': '(', ']': '[', '}': '{'}[c]
			if bytes.IndexByte(b, open) >= 0 {
				u.found(b)
				return
			}
		default:
			if i := bytes.Index(b, []byte("://")); i >= 0 && len(b) > i+3 {
				u.found(b)
			}
			return
		}
		b = b[:len(b)-1]
	}
}

// htmlSniffer decides whether a body is HTML: by its media type, and without one by its first byte that is no space.
type htmlSniffer struct {
	decided, html bool
	bom           int // bytes of a byte order mark seen
}

func (h *htmlSniffer) reset(doc Document) {
	*h = htmlSniffer{decided: doc.ContentType != "", html: strings.Contains(doc.ContentType, "html")}
}

// write returns p without the white space before the decision, and what was decided.
func (h *htmlSniffer) write(p []byte) ([]byte, bool) {
	for !h.decided && len(p) > 0 {
		c := p[0]
		if h.bom < 3 && c == "\xef\xbb\xbf"[h.bom] {
			h.bom++
			p = p[1:]
			continue
		}
		if isSpace(c) {
			h.bom = 3
			p = p[1:]
			continue
		}
		h.decided, h.html = true, c == '<'
	}
	return p, h.html
}

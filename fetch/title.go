package fetch

import (
	"html"
	"strings"
)

// Title finds the title of a body: in HTML the text of the first <title>, with its entities decoded; in other text the
// Title: line of a header before the first empty line, as the PEPs have it. White space is collapsed. The zero value
// must be Reset first.
type Title struct {
	html htmlSniffer
	scan markup
	head headerTitle
	text []byte // raw, white space collapsed as it came
	in   bool   // inside the title
	done bool
}

// maxTitle bounds a title in bytes; what is longer is cut there.
const maxTitle = 1024

// Reset implements [Stage].
func (t *Title) Reset(doc Document) {
	if t.scan.onTag == nil {
		t.scan.onTag = t.tag
		t.scan.onText = t.add
	}
	t.html.reset(doc)
	t.scan.reset()
	t.head = headerTitle{}
	t.text, t.in, t.done = t.text[:0], false, false
}

// Write implements [Stage].
func (t *Title) Write(p []byte) {
	if t.done {
		return
	}
	p, isHTML := t.html.write(p)
	if isHTML {
		t.scan.write(p)
		return
	}
	for i := 0; i < len(p) && !t.done; i++ {
		c := p[i]
		if t.head.value(c) {
			t.in = true
			t.add(p[i : i+1])
		}
		t.done = t.head.done
	}
}

// AppendResult appends {"title":"..."}, or null for the title if there is none.
func (t *Title) AppendResult(dst []byte) []byte {
	text := strings.TrimSpace(string(t.text))
	if t.html.html {
		text = strings.Join(strings.Fields(html.UnescapeString(text)), " ")
	}
	if text == "" {
		return append(dst, `{"title":null}`...)
	}
	dst = append(dst, `{"title":`...)
	dst = appendString(dst, text)
	return append(dst, '}')
}

func (t *Title) tag(tag []byte, end bool) {
	if string(tag) == "title" {
		t.done = t.done || t.in && end
		t.in = !end && !t.done
	}
}

// add appends text of the title, each run of white space as one space.
func (t *Title) add(p []byte) {
	if !t.in || t.done {
		return
	}
	for _, c := range p {
		if len(t.text) >= maxTitle {
			return
		}
		if isSpace(c) {
			if len(t.text) == 0 || t.text[len(t.text)-1] == ' ' {
				continue
			}
			c = ' '
		}
		t.text = append(t.text, c)
	}
}

// headerTitle walks over a header as mail has it: lines of "Name: value", folded where the next line begins with
// white space, ended by an empty line.
type headerTitle struct {
	done  bool
	seen  bool // the Title: line has begun
	in    bool // inside its value
	other bool // this line is not it
	col   int
	size  int
}

const (
	titleHeader   = "title:"
	maxHeaderSize = 4096
)

// value takes the next byte and reports whether it belongs to the title.
func (h *headerTitle) value(c byte) bool {
	h.size++
	if h.size > maxHeaderSize {
		h.done = true
		return false
	}
	switch {
	case c == '\n':
		h.done = h.col == 0 && h.size > 1
		h.col, h.other = 0, false
		return false
	case c == '\r':
		return h.in && h.col > 0
	case h.col == 0 && h.seen && !isSpace(c):
		h.done = true // no fold: the value is complete
		return false
	}
	h.col++
	switch {
	case h.seen:
		return true
	case h.other:
		return false
	case h.col <= len(titleHeader) && lower(c) == titleHeader[h.col-1]:
		h.seen = h.col == len(titleHeader)
		h.in = h.seen
	default:
		h.other = true
	}
	return false
}

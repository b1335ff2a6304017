package fetch

import "bytes"

// markup is a scanner of HTML that is pushed its input. It finds tags, their attributes and text as the standard's
// tokenizer does (comments, quoted values, the raw text of scripts and styles), builds no tree and decodes no
// entities. x/net/html pulls from a reader, which would need a goroutine or a coroutine a body; this keeps its place
// in a state and at most maxName+maxValue bytes of what it is in the middle of, whatever the input.
type markup struct {
	onAttr func(tag, name, value []byte) // value is cut at maxValue, and cutValue then says so
	onTag  func(tag []byte, end bool)    // after a tag's attributes
	onText func(p []byte)                // a piece of text, inside raw text too

	state    markupState
	quote    byte
	end      bool // the tag is an end tag
	cutValue bool
	dashes   int // of the comment's end, seen so far
	tag      []byte
	name     []byte
	value    []byte
	raw      []byte // the element whose raw text this is, nil outside
}

type markupState uint8

const (
	inText markupState = iota
	afterLess
	inTagName
	beforeAttr
	inAttrName
	afterAttrName
	beforeValue
	inQuoted
	inUnquoted
	afterBang // "<!", deciding between a comment and a declaration
	inComment
	inBogus // a declaration or another construct that ends at the next '>'
)

const (
	maxName  = 32
	maxValue = 4096
)

// rawText lists the elements whose content is text up to their own end tag.
var rawText = map[string][]byte{
	"script": []byte("script"), "style": []byte("style"), "textarea": []byte("textarea"), "title": []byte("title"),
	"xmp": []byte("xmp"), "iframe": []byte("iframe"), "noembed": []byte("noembed"), "noframes": []byte("noframes"),
}

func (m *markup) reset() {
	m.state, m.end, m.cutValue, m.dashes, m.raw = inText, false, false, 0, nil
	m.tag, m.name, m.value = m.tag[:0], m.name[:0], m.value[:0]
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' && c != '\v' }

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		c |= 0x20
	}
	return c
}

// appendName appends c in lower case. A name that is too long keeps one byte more than maxName, and so equals no
// name that anybody looks for.
func appendName(dst []byte, c byte) []byte {
	if len(dst) > maxName {
		return dst
	}
	return append(dst, lower(c))
}

func (m *markup) write(p []byte) {
	for i := 0; i < len(p); i++ {
		c := p[i]
		switch m.state {
		case inText:
			n := bytes.IndexByte(p[i:], '<')
			if n < 0 {
				m.text(p[i:])
				return
			}
			m.text(p[i : i+n])
			i += n
			m.state, m.end, m.tag = afterLess, false, m.tag[:0]
		case afterLess:
			switch {
			case isLetter(c) && (m.raw == nil || m.end):
				m.tag = appendName(m.tag[:0], c)
				m.state = inTagName
			case c == '/' && !m.end:
				m.end = true
			case m.raw != nil || !m.end && c != '!' && c != '?':
				m.notATag()
				i-- // c may be another '<'
			case c == '!' && !m.end:
				m.state, m.dashes = afterBang, 0
			case c == '>': // "</>" is nothing
				m.state = inText
			default:
				m.state = inBogus
			}
		case inTagName:
			switch {
			case isSpace(c) || c == '/' || c == '>':
				if m.raw != nil && !bytes.Equal(m.tag, m.raw) {
					m.notATag()
					i--
					continue
				}
				if c == '>' {
					m.endTag()
				} else {
					m.state = beforeAttr
				}
			case m.raw != nil && !isLetter(c):
				m.notATag()
				i--
			default:
				m.tag = appendName(m.tag, c)
			}
		case beforeAttr:
			switch {
			case isSpace(c) || c == '/':
			case c == '>':
				m.endTag()
			default:
				m.name = appendName(m.name[:0], c)
				m.state = inAttrName
			}
		case inAttrName, afterAttrName:
			switch {
			case c == '=':
				m.state = beforeValue
				m.value, m.cutValue = m.value[:0], false
			case isSpace(c):
				m.state = afterAttrName
			case c == '/':
				m.state = beforeAttr
			case c == '>':
				m.endTag()
			case m.state == afterAttrName:
				m.name = appendName(m.name[:0], c)
				m.state = inAttrName
			default:
				m.name = appendName(m.name, c)
			}
		case beforeValue:
			switch {
			case isSpace(c):
			case c == '"' || c == '\'':
				m.state, m.quote = inQuoted, c
			case c == '>':
				m.endTag()
			default:
				m.appendValue(p[i : i+1])
				m.state = inUnquoted
			}
		case inQuoted:
			n := bytes.IndexByte(p[i:], m.quote)
			if n < 0 {
				m.appendValue(p[i:])
				return
			}
			m.appendValue(p[i : i+n])
			i += n
			m.endAttr()
			m.state = beforeAttr
		case inUnquoted:
			switch {
			case isSpace(c):
				m.endAttr()
				m.state = beforeAttr
			case c == '>':
				m.endAttr()
				m.endTag()
			default:
				m.appendValue(p[i : i+1])
			}
		case afterBang:
			switch {
			case c == '-' && m.dashes == 0:
				m.dashes = 1
			case c == '-':
				m.state, m.dashes = inComment, 2 // "<!-->" ends at once
			case c == '>':
				m.state = inText
			default:
				m.state = inBogus
			}
		case inComment:
			switch {
			case c == '-':
				m.dashes++
			case c == '>' && m.dashes >= 2:
				m.state = inText
			case c == '!' && m.dashes == 2:
				m.dashes = 2 // "--!>" ends a comment as well
			default:
				m.dashes = 0
			}
		case inBogus:
			n := bytes.IndexByte(p[i:], '>')
			if n < 0 {
				return
			}
			i += n
			m.state = inText
		}
	}
}

func (m *markup) text(p []byte) {
	if m.onText != nil && len(p) > 0 {
		m.onText(p)
	}
}

// notATag takes back what looked like the start of a tag: it was text.
func (m *markup) notATag() {
	m.state = inText
	m.text([]byte("<"))
	if m.end {
		m.text([]byte("/"))
	}
	m.text(m.tag)
}

func (m *markup) appendValue(p []byte) {
	if room := maxValue - len(m.value); len(p) > room {
		p, m.cutValue = p[:room], true
	}
	m.value = append(m.value, p...)
}

func (m *markup) endAttr() {
	if m.onAttr != nil && !m.end {
		m.onAttr(m.tag, m.name, m.value)
	}
}

func (m *markup) endTag() {
	m.state = inText
	if m.end {
		m.raw = nil
	} else {
		m.raw = rawText[string(m.tag)]
	}
	if m.onTag != nil {
		m.onTag(m.tag, m.end)
	}
}

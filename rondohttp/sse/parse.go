package sse

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"time"
)

// ErrTooLong is the error of an event that exceeds the limit.
var ErrTooLong = errors.New("sse: event is too long")

// A Parser takes a stream of events apart, in whatever pieces it comes (WHATWG HTML, sections 9.2.5 and 9.2.6). The zero Parser
// is at the beginning of a stream, and has no limit.
type Parser struct {
	Limit int // of the bytes of an event, and of a line; 0 is none

	line  []byte // that has begun
	begun bool   // a byte of the stream has been seen
	bom   int    // how many bytes of a byte order mark, at its beginning
	cr    bool   // the last line ended in CR: an LF belongs to it

	typ  string
	data []byte
	some bool   // there was a data field
	id   string // of the last event
	next string // of the one that has begun, and of those that have none
	size int
}

// LastID returns the ID of the last event.
func (p *Parser) LastID() string { return p.id }

const mark = "\xef\xbb\xbf"

// Feed takes the next piece of the stream, and calls event for each event that it completes. A Retry that is received comes as an event of its own, at once, with
// nothing else in it but the last ID. Feed stops at the first error, be it event's, or [ErrTooLong].
func (p *Parser) Feed(b []byte, event func(Event) error) error {
	if !p.begun {
		if b = p.skipMark(b); !p.begun {
			return nil
		}
	}
	for len(b) > 0 {
		if p.cr {
			p.cr = false
			if b[0] == '\n' {
				b = b[1:]
				continue
			}
		}
		end := bytes.IndexAny(b, "\r\n")
		if end < 0 {
			p.line = append(p.line, b...)
			return p.bound(len(p.line))
		}
		line := b[:end]
		if len(p.line) > 0 {
			p.line = append(p.line, line...)
			line = p.line
		}
		if err := p.bound(len(line)); err != nil {
			return err
		}
		p.cr = b[end] == '\r'
		b = b[end+1:]
		err := p.take(line, event)
		p.line = p.line[:0]
		if err != nil {
			return err
		}
	}
	return nil
}

// skipMark leaves out a byte order mark at the beginning of the stream.
func (p *Parser) skipMark(b []byte) []byte {
	for i, c := range b {
		if c != mark[p.bom] {
			p.line = append(p.line, mark[:p.bom]...)
			p.begun = true
			return b[i:]
		}
		if p.bom++; p.bom == len(mark) {
			p.begun = true
			return b[i+1:]
		}
	}
	return nil
}

func (p *Parser) bound(n int) error {
	if p.Limit > 0 && n+p.size > p.Limit {
		return ErrTooLong
	}
	return nil
}

// take deals with a line.
func (p *Parser) take(line []byte, event func(Event) error) error {
	if len(line) == 0 {
		return p.dispatch(event)
	}
	name, value, _ := bytes.Cut(line, []byte{':'})
	value = bytes.TrimPrefix(value, []byte{' '})
	switch string(name) {
	case "event":
		p.typ = string(value)
	case "data":
		p.data = append(append(p.data, value...), '\n')
		p.some = true
		p.size += len(value) + 1
	case "id":
		if bytes.IndexByte(value, 0) < 0 {
			p.next = strings.ToValidUTF8(string(value), "\ufffd")
		}
	case "retry":
		if ms, err := strconv.ParseUint(string(value), 10, 63); err == nil && digits(value) {
			d := time.Duration(min(ms, uint64(1<<63-1)/uint64(time.Millisecond))) * time.Millisecond
			return event(Event{Retry: d, ID: p.id})
		}
	}
	return nil
}

func digits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// dispatch ends an event.
func (p *Parser) dispatch(event func(Event) error) error {
	p.id = p.next
	e := Event{Type: p.typ, ID: p.id}
	data, some := p.data, p.some
	p.typ, p.data, p.some, p.size = "", p.data[:0], false, 0
	if !some {
		return nil
	}
	e.Data = strings.ToValidUTF8(string(data[:len(data)-1]), "\ufffd")
	e.Type = strings.ToValidUTF8(e.Type, "\ufffd")
	return event(e)
}

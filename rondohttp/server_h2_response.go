package rondohttp

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/rondo-go/rondo/internal/http1"
)

// commit sends the head of the answer of w, and the body so far: all of it, if whole.
func (s *serverStream) commit(w *ServerResponse, whole bool) error {
	if s.away() {
		return s.onLoop(func() error { return s.commit(w, whole) })
	}
	body := w.body
	w.body = w.body[:0]
	short := w.length >= 0 && int64(len(body)) < w.length && !w.bodiless && bodyAllowed(w.status)
	end := whole && len(w.trailers) == 0 && !short
	data := len(body) > 0 && !w.bodiless
	if err := s.head(w, len(body), whole, end && !data); err != nil {
		return err
	}
	w.wrote += int64(len(body))
	if !data {
		if !end {
			s.c.w.FlushSoon()
		}
		return nil
	}
	return s.write(body, end)
}

// head adds the HEADERS frame.
func (s *serverStream) head(w *ServerResponse, body int, whole, end bool) error {
	if w.status == http.StatusSwitchingProtocols {
		return fmt.Errorf("%w: %d", errBadStatus, w.status)
	}
	if err := s.failed(); err != nil {
		return err
	}
	cw, h := s.c.w, s.c.shard
	cw.BeginHeaders()
	cw.Field(":status", statusDigits(w.status), false)
	if !w.hasDate {
		cw.Field("date", h.dateText(), false)
	}
	s.addFields(w.fields)
	length := int64(-1)
	switch {
	case !bodyAllowed(w.status):
		if w.status == http.StatusNotModified {
			length = w.length
		}
	case w.length >= 0:
		length = w.length
	case whole && len(w.trailers) == 0 && (!w.bodiless || body > 0):
		length = int64(body)
	}
	if length >= 0 {
		cw.Field("content-length", strconv.FormatInt(length, 10), false)
	}
	cw.EndHeaders(s.id, end)
	if end {
		s.endLocal()
		cw.FlushSoon()
	}
	return nil
}

// statusDigits returns the digits of a status.
func statusDigits(status int) string {
	switch status {
	case http.StatusOK:
		return "200"
	case http.StatusNoContent:
		return "204"
	case http.StatusNotModified:
		return "304"
	case http.StatusNotFound:
		return "404"
	}
	return strconv.Itoa(status)
}

// A fieldText is a field as the encoder wants it.
type fieldText struct{ name, value string }

// addFields adds field lines in the form of HTTP/1.
func (s *serverStream) addFields(lines []byte) {
	h := s.c.shard
	for len(lines) > 0 {
		i := bytes.Index(lines, crlfBytes)
		line := lines[:i]
		lines = lines[i+2:]
		f, known := h.fieldTexts[string(line)]
		if !known {
			colon := bytes.IndexByte(line, ':')
			f = fieldText{strings.ToLower(string(line[:colon])), string(line[colon+2:])}
			h.keepField(line, f)
		}
		switch f.name {
		case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade":
			continue // RFC 9113 section 8.2.2
		}
		s.c.w.Field(f.name, f.value, f.name == "set-cookie")
	}
}

var crlfBytes = []byte("\r\n")

// keepField remembers the text of a line that may come again.
func (h *shard) keepField(line []byte, f fieldText) {
	const most, longest = 512, 128
	if len(line) > longest {
		return
	}
	if h.fieldTexts == nil || len(h.fieldTexts) >= most {
		h.fieldTexts = make(map[string]fieldText)
	}
	h.fieldTexts[string(line)] = f
}

// dateText returns the value of the Date field.
func (h *shard) dateText() string {
	if now := h.clock(); now >= h.dateTextUntil {
		t := time.Now()
		h.dateString = t.UTC().Format(http.TimeFormat)
		h.dateTextUntil = now.Add(time.Second - time.Duration(t.Nanosecond()))
	}
	return h.dateString
}

// failed returns what the stream has failed with.
func (s *serverStream) failed() error {
	err := s.send.Failed()
	if err != nil && s.v.outErr == nil {
		s.v.outErr = err
	}
	return err
}

// write sends a part of the body, the last if end.
func (s *serverStream) write(p []byte, end bool) error {
	if s.away() {
		return s.onLoop(func() error { return s.write(p, end) })
	}
	const piece = 64 << 10
	limit := s.v.shard.server.limits.Write
	for {
		now := p[:min(len(p), piece)]
		p = p[len(now):]
		last := end && len(p) == 0
		if limit > 0 && !s.v.ownWrite.Load() {
			s.writeBy = s.c.limit(limit)
		}
		_, err := s.send.Send(now, last)
		s.writeBy = 0
		if err != nil {
			s.v.outErr = err
			return err
		}
		if last {
			s.endLocal()
		}
		if len(p) == 0 {
			return nil
		}
	}
}

// end ends the answer of w, whose head has been sent.
func (s *serverStream) end(w *ServerResponse) error {
	if s.away() {
		return s.onLoop(func() error { return s.end(w) })
	}
	switch {
	case s.localClosed:
		return s.failed()
	case w.length >= 0 && w.wrote < w.length && !w.bodiless && bodyAllowed(w.status):
		return errShortBody
	case len(w.trailers) == 0:
		return s.write(nil, true)
	}
	if err := s.failed(); err != nil {
		return err
	}
	s.c.w.BeginHeaders()
	for name, value := range http1.Fields(w.trailers) {
		s.c.w.Field(strings.ToLower(string(name)), string(value), false)
	}
	s.c.w.EndHeaders(s.id, true)
	s.endLocal()
	s.c.w.FlushSoon()
	return nil
}

// interim sends an answer ahead of the real one.
func (s *serverStream) interim(status int, fields []byte) error {
	if s.away() {
		return s.onLoop(func() error { return s.interim(status, fields) })
	}
	if err := s.failed(); err != nil {
		return err
	}
	s.c.w.BeginHeaders()
	s.c.w.Field(":status", strconv.Itoa(status), false)
	s.addFields(fields)
	s.c.w.EndHeaders(s.id, false)
	s.c.w.FlushSoon()
	return nil
}

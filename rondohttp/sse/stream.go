package sse

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/rondohttp"
)

// A Stream is an answer of events, of one handler: it ends when that returns. It is used by one task
// or goroutine at a time, but for KeepAlive.
type Stream struct {
	write  func([]byte) error
	lastID string
	buf    []byte
	turn   rondo.Lock
	mu     sync.Mutex // in place of turn, off the loop
	onLoop bool
	wrote  time.Time
	err    error
}

// NewStream begins an answer of events: it sends the head. It works for any [http.Handler]; under a [rondohttp.Server] sending parks.
func NewStream(w http.ResponseWriter, r *http.Request) (*Stream, error) {
	c := http.NewResponseController(w)
	h := w.Header()
	for _, f := range fields {
		h.Set(f[0], f[1])
	}
	w.WriteHeader(http.StatusOK)
	s := &Stream{lastID: r.Header.Get("Last-Event-ID"), onLoop: rondo.CurrentTask() != nil, write: func(p []byte) error {
		if _, err := w.Write(p); err != nil {
			return err
		}
		return c.Flush()
	}}
	if err := c.Flush(); err != nil {
		return nil, fmt.Errorf("sse: %w", err)
	}
	return s, nil
}

// NewNativeStream is [NewStream] for a [rondohttp.HandlerFunc].
func NewNativeStream(w *rondohttp.ServerResponse, r *rondohttp.ServerRequest) (*Stream, error) {
	for _, f := range fields {
		w.Add(f[0], f[1])
	}
	s := &Stream{lastID: string(r.Get("Last-Event-ID")), onLoop: rondo.CurrentTask() != nil, write: func(p []byte) error {
		if _, err := w.Write(p); err != nil {
			return err
		}
		return w.Flush()
	}}
	if err := w.Flush(); err != nil {
		return nil, fmt.Errorf("sse: %w", err)
	}
	return s, nil
}

var fields = [][2]string{
	{"Content-Type", "text/event-stream"},
	{"Cache-Control", "no-cache"},
	{"X-Accel-Buffering", "no"}, // nginx would collect the events
}

// LastID returns the ID of the last event that the client has got, by an earlier connection; "" if it tells none.
func (s *Stream) LastID() string { return s.lastID }

var errField = errors.New("sse: field holds a line end or NUL")

// Send sends an event, and returns when it is with the system. It parks if the client does not keep up.
//
// Errors: those of writing the answer, such as that the client is gone. They come again.
func (s *Stream) Send(e Event) error {
	if strings.ContainsAny(e.ID, "\r\n\x00") || strings.ContainsAny(e.Type, "\r\n\x00") {
		return errField
	}
	return s.send(func(b []byte) []byte { return e.append(b) })
}

// Comment sends a line that clients skip: it keeps the connection alive.
func (s *Stream) Comment(text string) error {
	return s.send(func(b []byte) []byte { return append(appendLines(b, ":", text), '\n') })
}

// KeepAlive sends a comment whenever nothing has been sent for d, until the context ends, or sending fails: it is for a task of a group beside
// the one that sends.
func (s *Stream) KeepAlive(ctx context.Context, d time.Duration) error {
	for {
		if err := rondo.Sleep(ctx, d); err != nil {
			return err
		}
		if time.Since(s.wrote) >= d {
			if err := s.Comment(""); err != nil {
				return err
			}
		}
	}
}

func (s *Stream) send(render func([]byte) []byte) error {
	if s.onLoop {
		if err := s.turn.Acquire(context.Background()); err != nil {
			return err
		}
		defer s.turn.Release()
	} else {
		s.mu.Lock()
		defer s.mu.Unlock()
	}
	if s.err != nil {
		return s.err
	}
	s.buf = render(s.buf[:0])
	s.wrote = time.Now()
	s.err = s.write(s.buf)
	return s.err
}

// append renders e.
func (e *Event) append(b []byte) []byte {
	if e.Type != "" {
		b = append(append(append(b, "event: "...), e.Type...), '\n')
	}
	if e.ID != "" {
		b = append(append(append(b, "id: "...), e.ID...), '\n')
	}
	if e.Retry > 0 {
		b = append(strconv.AppendInt(append(b, "retry: "...), e.Retry.Milliseconds(), 10), '\n')
	}
	if e.Data != "" || e.Retry <= 0 {
		b = appendLines(b, "data: ", e.Data)
	}
	return append(b, '\n')
}

// appendLines renders each line of text behind name. Any of CR, LF and CRLF ends one.
func appendLines(b []byte, name, text string) []byte {
	for {
		end := strings.IndexAny(text, "\r\n")
		line := text
		if end >= 0 {
			line = text[:end]
		}
		b = append(append(append(b, name...), line...), '\n')
		if end < 0 {
			return b
		}
		if text[end] == '\r' && strings.HasPrefix(text[end+1:], "\n") {
			end++
		}
		text = text[end+1:]
	}
}

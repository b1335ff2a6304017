package sse

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"mime"
	"net/http"
	"time"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/rondohttp"
)

// A Client says how to receive events. The zero Client is ready for use.
type Client struct {
	Session *rondohttp.Session // nil: one of its own
	Header  http.Header        // added to each request
	LastID  string             // from where to go on, "" if from nowhere

	Limit int // of the bytes of an event; default 1 MiB, negative: none

	// Wait is how long to wait before connecting anew, until the server says otherwise (default 3 s). With each attempt in a row that fails
	// it doubles, up to MaxWait (default 1 minute), and a random part, at most half, is taken off.
	Wait, MaxWait time.Duration

	// Attempts is how many in a row may fail. 0 is no bound.
	Attempts int
}

// Events is [Client.Events] of a Client with session s, which may be nil.
func Events(ctx context.Context, s *rondohttp.Session, url string) iter.Seq2[Event, error] {
	return (&Client{Session: s}).Events(ctx, url)
}

// ErrNotEvents says that the answer is no stream of events.
var ErrNotEvents = errors.New("sse: not a stream of events")

// Events ranges over the events that the server at url sends, as an EventSource does: when the connection ends it waits, and connects anew, with
// the last event's ID in the field Last-Event-ID. It parks for the next one. It ends without an error when the
// server answers 204 (WHATWG HTML, section 9.2.3), and with one, which comes last:
//   - a [*rondohttp.StatusError] if it answers with a status that is not 200, for good: not one of 429, 500, 502, 503 or 504, after which
//     it tries again.
//   - one that wraps [ErrNotEvents] if it answers something else.
//   - [ErrTooLong].
//   - the last one if Attempts have failed.
//   - those of [rondo.Sleep] if the task is canceled.
//
// It is for tasks.
func (c *Client) Events(ctx context.Context, url string) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		if rondo.CurrentTask() == nil {
			yield(Event{}, rondo.ErrNotTask)
			return
		}
		f := &feed{Client: *c, url: url, yield: yield}
		f.parser.Limit = c.Limit
		if c.Limit == 0 {
			f.parser.Limit = 1 << 20
		}
		f.parser.id, f.parser.next = c.LastID, c.LastID
		if f.Session == nil {
			f.Session = rondohttp.NewSession()
			defer f.Session.Close()
		}
		if f.Wait <= 0 {
			f.Wait = 3 * time.Second
		}
		if f.MaxWait <= 0 {
			f.MaxWait = time.Minute
		}
		f.run(ctx)
	}
}

// A feed is a loop over events in progress.
type feed struct {
	Client
	url    string
	yield  func(Event, error) bool
	parser Parser
	failed int // attempts in a row
}

var (
	errLeft  = errors.New("sse: the loop was left")
	errFinal = errors.New("sse: the server has no more events")
)

// run connects until it is over.
func (f *feed) run(ctx context.Context) {
	for {
		again, err := f.connect(ctx)
		switch {
		case err == errLeft, err == errFinal:
			return
		case !again, f.Attempts > 0 && f.failed >= f.Attempts:
			f.yield(Event{}, err)
			return
		}
		if err := rondo.Sleep(ctx, f.pause()); err != nil {
			f.yield(Event{}, err)
			return
		}
		f.parser = Parser{Limit: f.parser.Limit, id: f.parser.id, next: f.parser.id}
	}
}

// pause returns how long to wait now.
func (f *feed) pause() time.Duration {
	d := f.Wait
	for range f.failed - 1 {
		if d = 2 * d; d >= f.MaxWait {
			break
		}
	}
	if d = min(d, max(f.MaxWait, f.Wait)); f.failed > 0 {
		d -= rand.N(d/2 + 1)
	}
	return d
}

// connect receives over one connection. It reports whether another is due.
func (f *feed) connect(ctx context.Context) (again bool, err error) {
	h := f.Header.Clone()
	if h == nil {
		h = make(http.Header)
	}
	h.Set("Accept", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	if f.parser.id != "" {
		h.Set("Last-Event-ID", f.parser.id)
	}
	f.failed++
	r, err := f.Session.Do(ctx, &rondohttp.Request{URL: f.url, Header: h})
	if err != nil {
		return retriable(ctx, err), err
	}
	defer r.Close()
	switch r.Status {
	case http.StatusOK:
	case http.StatusNoContent:
		return false, errFinal
	case http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true, r.RaiseForStatus(ctx)
	default:
		if err = r.RaiseForStatus(ctx); err == nil {
			err = fmt.Errorf("%w: status %d", ErrNotEvents, r.Status)
		}
		return false, err
	}
	if t, _, err := mime.ParseMediaType(r.Get("Content-Type")); err != nil || t != "text/event-stream" {
		return false, fmt.Errorf("%w: %q", ErrNotEvents, r.Get("Content-Type"))
	}
	f.failed = 0
	for p, err := range r.Chunks(ctx) {
		if err != nil {
			return retriable(ctx, err), err
		}
		// The piece is in a buffer of the loop's, and the body of the caller's loop may park.
		if err := f.parser.Feed(append([]byte(nil), p...), f.event); err != nil {
			return false, err
		}
	}
	return true, nil
}

// event deals with what the parser has found.
func (f *feed) event(e Event) error {
	if e.Retry > 0 {
		f.Wait = e.Retry
		return nil
	}
	if !f.yield(e, nil) {
		return errLeft
	}
	return nil
}

// retriable reports whether err may pass.
func retriable(ctx context.Context, err error) bool {
	var e *rondohttp.Error
	if !errors.As(err, &e) || ctx.Err() != nil {
		return false
	}
	switch e.Kind {
	case rondohttp.KindCanceled, rondohttp.KindBadURL, rondohttp.KindBadRequest:
		return false
	}
	return true
}

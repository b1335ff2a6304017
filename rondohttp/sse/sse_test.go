package sse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/rondohttp"
)

// run runs f as the main task of a loop, beside a server of h.
func run(t *testing.T, h http.Handler, f func(ctx context.Context, url string)) {
	t.Helper()
	err := rondo.Run(func(ctx context.Context) error {
		ln, err := rondo.Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		s := rondohttp.NewServer(h, rondohttp.WithServerLog(slog.New(slog.DiscardHandler)))
		served := rondo.Spawn(ctx, func(ctx context.Context) (error, error) { return s.Serve(ctx, ln), nil })
		f(ctx, "http://"+ln.Addr().String()+"/")
		s.Close()
		served.Await(ctx)
		return nil
	})
	if err != nil {
		t.Fatalf("run: %v", err)
	}
}

// count is a server of events numbered from the last that the client has got, two a connection, five in all.
func count(s *Stream) error {
	last, _ := strconv.Atoi(s.LastID())
	if err := s.Send(Event{Retry: time.Millisecond}); err != nil {
		return err
	}
	for i := last + 1; i <= min(last+2, 5); i++ {
		s.Comment("between\nlines")
		if err := s.Send(Event{Type: "count", Data: "number\n" + strconv.Itoa(i), ID: strconv.Itoa(i)}); err != nil {
			return err
		}
	}
	return nil
}

func countHandler(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Last-Event-ID") == "5" {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if s, err := NewStream(w, r); err == nil {
		count(s)
	}
}

func countNative(_ context.Context, w *rondohttp.ServerResponse, r *rondohttp.ServerRequest) error {
	if string(r.Get("Last-Event-ID")) == "5" {
		w.SetStatus(http.StatusNoContent)
		return nil
	}
	s, err := NewNativeStream(w, r)
	if err != nil {
		return err
	}
	return count(s)
}

func TestEventsConnectAnew(t *testing.T) {
	for name, h := range map[string]http.Handler{
		"http": http.HandlerFunc(countHandler), "native": rondohttp.HandlerFunc(countNative), "goroutine": rondohttp.OffLoop(http.HandlerFunc(countHandler)),
	} {
		t.Run(name, func(t *testing.T) {
			run(t, h, func(ctx context.Context, url string) {
				var got []Event
				for e, err := range Events(ctx, nil, url) {
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, e)
				}
				var want []Event
				for i := range 5 {
					want = append(want, Event{Type: "count", Data: fmt.Sprintf("number\n%d", i+1), ID: strconv.Itoa(i + 1)})
				}
				if !slices.Equal(got, want) {
					t.Errorf("got %+v", got)
				}
			})
		})
	}
}

func TestEventsErrors(t *testing.T) {
	asked := 0
	mux := http.NewServeMux()
	mux.HandleFunc("/gone", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusGone) })
	mux.HandleFunc("/html", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<html>") })
	mux.HandleFunc("/busy", func(w http.ResponseWriter, r *http.Request) { asked++; w.WriteHeader(http.StatusServiceUnavailable) })
	mux.HandleFunc("/long", func(w http.ResponseWriter, r *http.Request) {
		if s, err := NewStream(w, r); err == nil {
			s.Send(Event{Data: strings.Repeat("x", 2000)})
		}
	})
	run(t, mux, func(ctx context.Context, url string) {
		read := func(ctx context.Context, path string) (err error) {
			c := &Client{Limit: 1000, Wait: time.Millisecond, Attempts: 3}
			for _, err = range c.Events(ctx, url+path) {
			}
			return err
		}
		var status *rondohttp.StatusError
		if err := read(ctx, "gone"); !errors.As(err, &status) || status.Status != http.StatusGone {
			t.Errorf("gone: %v", err)
		}
		if err := read(ctx, "html"); !errors.Is(err, ErrNotEvents) {
			t.Errorf("html: %v", err)
		}
		if err := read(ctx, "busy"); !errors.As(err, &status) || asked != 3 {
			t.Errorf("busy: %v, asked %d times", err, asked)
		}
		if err := read(ctx, "long"); !errors.Is(err, ErrTooLong) {
			t.Errorf("long: %v", err)
		}
		var e *rondohttp.Error
		c := &Client{Wait: time.Millisecond, Attempts: 2}
		for _, err := range c.Events(ctx, "http://127.0.0.1:1/") {
			if !errors.As(err, &e) || e.Kind != rondohttp.KindConnect {
				t.Errorf("refused: %v", err)
			}
		}
		err := rondo.Timeout(ctx, 20*time.Millisecond, func(ctx context.Context) error { // real time: the server is asked meanwhile
			c := &Client{Wait: time.Hour}
			for _, err := range c.Events(ctx, url+"busy") {
				return err
			}
			return nil
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("canceled: %v", err)
		}
	})
}

func TestClientWaitsLonger(t *testing.T) {
	f := &feed{Client: Client{Wait: time.Second, MaxWait: 10 * time.Second}}
	for i, most := range []time.Duration{1, 1, 2, 4, 8, 10, 10} {
		f.failed = i
		least := most * time.Second / 2
		if i == 0 {
			least = time.Second
		}
		for range 100 {
			if d := f.pause(); d < least || d > most*time.Second {
				t.Fatalf("after %d failures: %v", i, d)
			}
		}
	}
}

func TestStreamKeepsAliveAndNoticesTheEnd(t *testing.T) {
	ended := rondo.NewFuture[error]()
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := NewStream(w, r)
		if err != nil {
			return
		}
		ended.Set(s.KeepAlive(r.Context(), 5*time.Millisecond)) // real time: the client has to leave
	})
	run(t, h, func(ctx context.Context, url string) {
		session := rondohttp.NewSession()
		defer session.Close()
		r, err := session.Get(ctx, url)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for p, err := range r.Chunks(ctx) {
			if err != nil {
				t.Fatal(err)
			}
			if got += string(p); len(got) >= 6 {
				break
			}
		}
		if !strings.HasPrefix(got, ":\n\n:\n\n") {
			t.Errorf("got %q", got)
		}
		if err, _ := ended.Await(ctx); err == nil {
			t.Error("KeepAlive has ended without an error")
		}
	})
}

func TestStreamUnderNetHTTP(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(countHandler))
	defer srv.Close()
	n := 0
	err := rondo.Run(func(ctx context.Context) error {
		for _, err := range Events(ctx, nil, srv.URL) {
			if err != nil {
				return err
			}
			n++
		}
		return nil
	})
	if err != nil || n != 5 {
		t.Errorf("%d events, %v", n, err)
	}
}

func TestStreamRefusesLineEnds(t *testing.T) {
	w := httptest.NewRecorder()
	s, err := NewStream(w, httptest.NewRequest("GET", "/", nil))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []Event{{ID: "a\nb"}, {Type: "a\rb"}, {ID: "\x00"}} {
		if s.Send(e) == nil {
			t.Errorf("sent %+v", e)
		}
	}
	if w.Body.Len() > 0 {
		t.Errorf("sent %q", w.Body)
	}
}

package rondotest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/rondohttp"
)

func hello(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "hello %s", r.URL.Path) }

func helloNative(ctx context.Context, w *rondohttp.ServerResponse, r *rondohttp.ServerRequest) error {
	if err := rondo.Sleep(ctx, time.Millisecond); err != nil && !errors.Is(err, rondo.ErrNotTask) {
		return err
	}
	w.Add("Greeting", "yes")
	fmt.Fprintf(w, "hello %s", r.Path())
	return nil
}

var faces = map[string]http.Handler{"http": http.HandlerFunc(hello), "native": rondohttp.HandlerFunc(helloNative)}

func TestServerForGoroutines(t *testing.T) {
	for name, h := range faces {
		for scheme, start := range map[string]func(testing.TB, http.Handler, ...rondohttp.ServerOption) *Server{"http": NewServer, "https": NewTLSServer} {
			t.Run(name+"/"+scheme, func(t *testing.T) {
				s := start(t, h)
				r, err := s.Client().Get(s.URL + "/there")
				if err != nil {
					t.Fatal(err)
				}
				defer r.Body.Close()
				if b, err := io.ReadAll(r.Body); string(b) != "hello /there" || err != nil || !strings.HasPrefix(s.URL, scheme+":") {
					t.Errorf("%s: got %q, %v", s.URL, b, err)
				}
			})
		}
	}
}

// ask returns the body that s gets.
func ask(t *testing.T, ctx context.Context, s *rondohttp.Session, url string) string {
	t.Helper()
	r, err := s.Get(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := r.Bytes(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestServerForTasks(t *testing.T) {
	for name, h := range faces {
		t.Run(name, func(t *testing.T) {
			Run(t, func(ctx context.Context) {
				for _, s := range []*Server{NewServer(t, h), NewTLSServer(t, h)} {
					if got := ask(t, ctx, s.Session(), "/there"); got != "hello /there" {
						t.Errorf("%s: got %q", s.URL, got)
					}
				}
			})
		})
	}
}

func TestServerOfAGoroutineForTasks(t *testing.T) {
	s := NewUnstartedServer(t, http.HandlerFunc(hello))
	s.Loops = 2
	s.StartTLS()
	Run(t, func(ctx context.Context) {
		if got := ask(t, ctx, s.Session(), "/there"); got != "hello /there" {
			t.Errorf("got %q", got)
		}
	}, RealTime())
}

func TestServerTimeoutsAreOnTheVirtualClock(t *testing.T) {
	Run(t, func(ctx context.Context) {
		s := NewServer(t, http.HandlerFunc(hello), rondohttp.WithServerLimits(rondohttp.ServerLimits{Header: time.Hour}))
		c, err := rondo.Dial(ctx, "tcp", s.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, "GET / HTT")
		if got, err := io.ReadAll(c); !strings.HasPrefix(string(got), "HTTP/1.1 408 ") || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

func TestServerCloseCancelsHandlers(t *testing.T) {
	ended := make(chan error, 1)
	began := make(chan struct{})
	s := NewServer(t, rondohttp.HandlerFunc(func(ctx context.Context, _ *rondohttp.ServerResponse, _ *rondohttp.ServerRequest) error {
		close(began)
		err := rondo.Sleep(ctx, time.Hour)
		ended <- err
		return err
	}))
	go func() {
		if r, err := s.Client().Get(s.URL); err == nil {
			r.Body.Close()
		}
	}()
	<-began
	s.Close()
	s.Close()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the handler got %v", err)
	}
}

func TestCallAnswersWithoutANetwork(t *testing.T) {
	for name, h := range faces {
		got := Call(h, httptest.NewRequest(http.MethodGet, "/there?x=1", nil))
		if got.Status != http.StatusOK || got.Body != "hello /there" || got.Aborted {
			t.Errorf("%s, off the loop: %+v", name, got)
		}
		Run(t, func(context.Context) {
			got := Call(h, httptest.NewRequest(http.MethodGet, "/there", nil))
			if got.Body != "hello /there" || name == "native" && got.Header.Get("Greeting") != "yes" {
				t.Errorf("%s, on the loop: %+v", name, got)
			}
		})
	}
}

func TestCallBodiesAndTrailers(t *testing.T) {
	h := rondohttp.HandlerFunc(func(_ context.Context, w *rondohttp.ServerResponse, r *rondohttp.ServerRequest) error {
		b, err := r.Bytes(100)
		if err != nil {
			return err
		}
		w.SetStatus(http.StatusAccepted)
		_, err = w.Write(b)
		return err
	})
	for _, body := range []io.Reader{strings.NewReader("posted"), io.MultiReader(strings.NewReader("posted"))} {
		got := Call(h, httptest.NewRequest(http.MethodPost, "/", body))
		if got.Status != http.StatusAccepted || got.Body != "posted" {
			t.Errorf("got %+v", got)
		}
	}
}

func TestCallSaysThatAnAnswerBrokeOff(t *testing.T) {
	got := Call(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "part")
		panic(http.ErrAbortHandler)
	}), httptest.NewRequest(http.MethodGet, "/", nil))
	if !got.Aborted || got.Body != "part" {
		t.Errorf("got %+v", got)
	}
	defer func() {
		if p := recover(); p != "oops" {
			t.Errorf("recovered %v", p)
		}
	}()
	Call(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("oops") }), httptest.NewRequest(http.MethodGet, "/", nil))
}

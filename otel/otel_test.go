package otel_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/otel"
	"github.com/rondo-go/rondo/rondohttp"
)

// record runs f with a session whose spans it returns.
func record(t *testing.T, more []rondohttp.Middleware, f func(ctx context.Context, s *rondohttp.Session)) []tracetest.SpanStub {
	t.Helper()
	exporter := tracetest.NewInMemoryExporter()
	provider := sdk.NewTracerProvider(sdk.WithSyncer(exporter))
	err := rondo.Run(func(ctx context.Context) error {
		s := rondohttp.NewSession(rondohttp.WithMiddleware(append([]rondohttp.Middleware{otel.Middleware(provider, nil)}, more...)...))
		defer s.Close()
		f(ctx, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return exporter.GetSpans()
}

func attributes(s tracetest.SpanStub) map[string]string {
	m := map[string]string{}
	for _, kv := range s.Attributes {
		m[string(kv.Key)] = kv.Value.String()
	}
	return m
}

func events(s tracetest.SpanStub) (names []string) {
	for _, e := range s.Events {
		names = append(names, e.Name)
	}
	return names
}

func TestMiddlewareMakesASpan(t *testing.T) {
	var parent atomic.Value
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		parent.Store(r.Header.Get("Traceparent"))
		if r.URL.Path == "/" {
			http.Redirect(w, r, "/missing", http.StatusFound)
			return
		}
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, "no")
	}))
	defer srv.Close()
	spans := record(t, nil, func(ctx context.Context, s *rondohttp.Session) {
		r, err := s.Get(ctx, srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		r.Bytes(ctx)
		r.Close()
	})
	if len(spans) != 1 {
		t.Fatalf("%d spans", len(spans))
	}
	s := spans[0]
	a := attributes(s)
	if s.Name != "GET" || s.SpanKind != trace.SpanKindClient || s.Status.Code != codes.Error || a["http.response.status_code"] != "404" || a["error.type"] != "404" ||
		a["url.full"] != srv.URL || a["server.address"] != "127.0.0.1" || a["network.protocol.version"] != "1.1" {
		t.Errorf("%s %v %v %v", s.Name, s.SpanKind, s.Status, a)
	}
	if want := fmt.Sprintf("00-%s-%s-01", s.SpanContext.TraceID(), s.SpanContext.SpanID()); parent.Load() != want {
		t.Errorf("the server was told %v, want %s", parent.Load(), want)
	}
	if got := fmt.Sprint(events(s)); got != "[queued connection redirect queued connection]" {
		t.Error(got)
	}
}

func TestMiddlewareReportsFailures(t *testing.T) {
	spans := record(t, nil, func(ctx context.Context, s *rondohttp.Session) {
		s.Get(ctx, "http://u:secret@127.0.0.1:1/")
	})
	if len(spans) != 1 || attributes(spans[0])["error.type"] != "connect" || attributes(spans[0])["url.full"] != "http://127.0.0.1:1/" {
		t.Errorf("%+v", spans)
	}
}

// Around a retry there is one span, which outlasts the tries that failed.
func TestMiddlewareAroundARetry(t *testing.T) {
	var n atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer srv.Close()
	retry := rondohttp.Retry(rondohttp.RetryPolicy{Backoff: time.Millisecond})
	spans := record(t, []rondohttp.Middleware{retry}, func(ctx context.Context, s *rondohttp.Session) {
		r, err := s.Get(ctx, srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
	})
	if len(spans) != 1 || attributes(spans[0])["http.request.resend_count"] != "2" || spans[0].Status.Code != codes.Unset {
		t.Fatalf("%+v", spans)
	}
}

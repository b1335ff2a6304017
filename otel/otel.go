// Package otel makes the requests of a rondohttp session spans of OpenTelemetry. It is a module of its own: programs
// that do without don't get its dependencies.
package otel

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/rondo-go/rondo/rondohttp"
)

// Middleware returns a middleware for [rondohttp.WithMiddleware] that makes of each request a client span, by
// OpenTelemetry's semantic conventions for HTTP. The span ends with the body of the answer, or when that is closed.
// Within a retry it makes one of each try, and around a retry one of all of them, with an event each.
//
// propagator writes the span's context into the request's header; nil is that of W3C Trace Context.
// The span is a child of that in the request's context. A trace of [rondohttp.WithTrace] is not asked for; one of
// the request itself is told as well.
func Middleware(provider trace.TracerProvider, propagator propagation.TextMapPropagator) rondohttp.Middleware {
	tracer := provider.Tracer("github.com/rondo-go/rondo/otel")
	if propagator == nil {
		propagator = propagation.TraceContext{}
	}
	return func(next rondohttp.Doer) rondohttp.Doer {
		return rondohttp.DoerFunc(func(ctx context.Context, req *rondohttp.Request) (*rondohttp.Response, error) {
			method := req.Method
			if method == "" {
				method = http.MethodGet
			}
			ctx, span := tracer.Start(ctx, method, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(describe(method, req.URL)...))
			req = req.Clone()
			if req.Header == nil {
				req.Header = http.Header{}
			}
			propagator.Inject(ctx, propagation.HeaderCarrier(req.Header))
			answered := false // until then what ends is one of several tries
			req.Trace = watch(span, req.Trace, func(err error) {
				if answered {
					end(span, err)
				}
			})
			r, err := next.Do(ctx, req)
			if err != nil {
				end(span, err)
				return nil, err
			}
			answered = true
			span.SetAttributes(attribute.Int("http.response.status_code", r.Status), attribute.String("network.protocol.version", r.Proto[len("HTTP/"):]))
			if r.Status >= 400 {
				span.SetAttributes(attribute.String("error.type", strconv.Itoa(r.Status)))
				span.SetStatus(codes.Error, "")
			}
			return r, nil
		})
	}
}

// describe returns the attributes of a request.
func describe(method, raw string) []attribute.KeyValue {
	all := []attribute.KeyValue{attribute.String("http.request.method", method)}
	u, err := url.Parse(raw)
	if err != nil {
		return all
	}
	u.User = nil
	all = append(all, attribute.String("url.full", u.String()))
	if u.Hostname() != "" {
		all = append(all, attribute.String("server.address", u.Hostname()))
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	if n, err := strconv.Atoi(port); err == nil {
		all = append(all, attribute.Int("server.port", n))
	}
	return all
}

// end ends span, with err if that is not nil.
func end(span trace.Span, err error) {
	defer span.End()
	if err == nil {
		return
	}
	kind := "_OTHER"
	var e *rondohttp.Error
	if errors.As(err, &e) {
		kind = string(e.Kind)
	}
	span.SetAttributes(attribute.String("error.type", kind))
	span.SetStatus(codes.Error, err.Error())
}

// watch returns given, or a new trace, that adds the events of a request to span and tells done when a try has ended.
func watch(span trace.Span, given *rondohttp.Trace, done func(error)) *rondohttp.Trace {
	var t rondohttp.Trace
	if given != nil {
		t = *given
	}
	inner := t
	t.Queued = func(wait time.Duration, err error) {
		if inner.Queued != nil {
			inner.Queued(wait, err)
		}
		span.AddEvent("queued", trace.WithAttributes(attribute.Float64("seconds", wait.Seconds())))
	}
	t.GotConn = func(c rondohttp.ConnInfo) {
		if inner.GotConn != nil {
			inner.GotConn(c)
		}
		span.AddEvent("connection", trace.WithAttributes(attribute.Bool("reused", c.Reused)))
		if c.Remote != nil {
			span.SetAttributes(attribute.String("network.peer.address", c.Remote.String()))
		}
	}
	t.Redirect = func(status int, to string) {
		if inner.Redirect != nil {
			inner.Redirect(status, to)
		}
		span.AddEvent("redirect", trace.WithAttributes(attribute.Int("status", status)))
	}
	t.Retry = func(attempt int, wait time.Duration, err error) {
		if inner.Retry != nil {
			inner.Retry(attempt, wait, err)
		}
		span.AddEvent("retry", trace.WithAttributes(attribute.Int("attempt", attempt)))
		span.SetAttributes(attribute.Int("http.request.resend_count", attempt))
	}
	t.Done = func(err error) {
		if inner.Done != nil {
			inner.Done(err)
		}
		done(err)
	}
	return &t
}

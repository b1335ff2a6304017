package rondohttp

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"time"

	"github.com/rondo-go/rondo"
)

// RoundTrip sends one request of net/http's, which makes a session the transport of
// an [http.Client]. It follows no redirects and keeps no cookies, as the Client does both; base, query
// and netrc of the session are not used either. Traces of package httptrace are told, on the loop.
//
// Called by a task of the session's loop, it parks the task, and so does reading the body.
// Called elsewhere, it blocks the goroutine: the exchange, and each Read of the body, then runs as a task
// on the session's loop, at about 15 us a hop. The body of a request is read on the loop
// in either case and must not block its thread.
func (s *Session) RoundTrip(req *http.Request) (*http.Response, error) {
	if rondo.RunningLoop() == s.loop {
		return s.roundTripHere(req.Context(), req)
	}
	var resp *http.Response
	err := s.elsewhere(req.Context(), func(ctx context.Context) (err error) {
		if resp, err = s.roundTripHere(ctx, req); err == nil {
			if b, ok := resp.Body.(*body); ok {
				b.save()
			}
		}
		return err
	})
	if err != nil {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, err
	}
	if b, ok := resp.Body.(*body); ok {
		resp.Body = &remoteBody{s: s, ctx: req.Context(), body: b}
	}
	return resp, nil
}

// elsewhere runs f as a task of the session's loop, and blocks the calling goroutine until it is done. When
// ctx is done the task is canceled, and waited for all the same: f may write into the caller's memory.
func (s *Session) elsewhere(ctx context.Context, f func(ctx context.Context) error) error {
	ran := false
	task, err := rondo.SpawnThreadsafe(ctx, s.loop, func(ctx context.Context) (struct{}, error) {
		ran = true
		return struct{}{}, f(ctx)
	})
	if err != nil {
		return err
	}
	_, err = task.Await(context.WithoutCancel(ctx))
	if err == nil && !ran {
		return rondo.ErrClosed // between the one call and the other
	}
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, context.Canceled) {
		return cause // that of the goroutine, not that of the task which served it
	}
	return err
}

func (s *Session) roundTripHere(ctx context.Context, req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		defer req.Body.Close()
	}
	plain := &Request{Method: req.Method, URL: req.URL.String(), Header: req.Header, ContentLength: req.ContentLength, once: true}
	if req.Body != nil {
		plain.Body = req.Body // not a nil of a type
	}
	if strings.EqualFold(req.Header.Get("Expect"), "100-continue") {
		plain.ExpectContinue = time.Second
	}
	if h := httptrace.ContextClientTrace(req.Context()); h != nil {
		plain.Trace = fromHTTPTrace(h, req.URL.Host)
	}
	if get := req.GetBody; get != nil {
		plain.GetBody = func() (io.Reader, error) { return get() }
	}
	if req.Host != "" && req.Host != req.URL.Host {
		plain.Header = req.Header.Clone()
		if plain.Header == nil {
			plain.Header = http.Header{}
		}
		plain.Header.Set("Host", req.Host)
	}
	r, err := s.Do(ctx, plain)
	if err != nil {
		return nil, err
	}
	return r.asHTTP(ctx, req), nil
}

// asHTTP returns r in net/http's form.
func (r *Response) asHTTP(ctx context.Context, req *http.Request) *http.Response {
	resp := &http.Response{
		Status:        strconv.Itoa(r.Status) + " " + r.Reason(),
		StatusCode:    r.Status,
		Proto:         r.Proto,
		ProtoMajor:    1,
		ProtoMinor:    r.head.Minor,
		Header:        r.Header(),
		ContentLength: r.ContentLength,
		Uncompressed:  r.Decoded,
		Close:         !r.head.KeepAlive,
		Request:       req,
	}
	resp.Body = &body{r: r, ctx: ctx, resp: resp}
	if r.Proto == "HTTP/2.0" {
		resp.ProtoMajor, resp.ProtoMinor = 2, 0
	}
	if r.Proto == "HTTP/2.0" || r.head.Chunked {
		for _, names := range resp.Header["Trailer"] {
			resp.Trailer = announced(resp.Trailer, names)
		}
		resp.Header.Del("Trailer")
	}
	if r.head.Chunked {
		resp.TransferEncoding = []string{"chunked"}
		resp.Header.Del("Transfer-Encoding")
	}
	if r.Decoded {
		resp.Header.Del("Content-Encoding")
		resp.Header.Del("Content-Length")
	}
	if r.c != nil && r.c.host.key.tls {
		state := r.c.tls.ConnectionState()
		resp.TLS = &state
	}
	if r.c == nil {
		r.Close()
		resp.Body = http.NoBody
	}
	return resp
}

// A body is the body of a response in net/http's form, for the loop's tasks.
type body struct {
	r    *Response
	ctx  context.Context
	resp *http.Response
}

func (b *body) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	data, err := b.r.next(b.ctx, p)
	if err == io.EOF {
		if t := b.r.Trailer(); t != nil {
			b.resp.Trailer = t
		}
	}
	return len(data), err
}

func (b *body) Close() error { return b.r.Close() }

// save makes what is left of the body's last read outlast the task.
func (b *body) save() {
	if c := b.r.c; c != nil {
		c.save()
	}
}

// A remoteBody is a body for a goroutine off the loop.
type remoteBody struct {
	s   *Session
	ctx context.Context
	*body
}

func (b *remoteBody) Read(p []byte) (n int, err error) {
	if rondo.RunningLoop() == b.s.loop {
		return b.body.Read(p)
	}
	failed := b.s.elsewhere(b.ctx, func(ctx context.Context) error {
		b.body.ctx = ctx
		n, err = b.body.Read(p)
		b.save()
		return nil
	})
	if failed != nil {
		return 0, failed
	}
	return n, err
}

func (b *remoteBody) Close() error {
	if rondo.RunningLoop() == b.s.loop {
		return b.body.Close()
	}
	// The loop may be closed by now, and its connections with it: then there is nothing left to close.
	err := b.s.elsewhere(context.Background(), func(context.Context) error { return b.body.Close() })
	if errors.Is(err, rondo.ErrClosed) {
		return nil
	}
	return err
}

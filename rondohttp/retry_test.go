package rondohttp

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rondo-go/rondo"
)

// scripted answers each request with the next of steps, an error or a status, and then with 200.
func scripted(t *testing.T, steps ...any) (Doer, *int) {
	n := new(int)
	return DoerFunc(func(ctx context.Context, req *Request) (*Response, error) {
		*n++
		if *n > len(steps) {
			return &Response{Status: 200, err: io.EOF}, nil
		}
		switch step := steps[*n-1].(type) {
		case Kind:
			return nil, &Error{Op: "get", URL: req.URL, Kind: step, Err: errors.New("scripted")}
		case http.Header:
			return &Response{Status: 503, header: step, err: io.EOF}, nil
		case int:
			return &Response{Status: step, err: io.EOF}, nil
		}
		t.Fatalf("step %v", steps[*n-1])
		return nil, nil
	}), n
}

// virtual runs f on a loop whose time jumps.
func virtual(t *testing.T, f func(ctx context.Context)) {
	t.Helper()
	if err := rondo.Run(func(ctx context.Context) error { f(ctx); return nil }, rondo.WithVirtualTime()); err != nil {
		t.Fatal(err)
	}
}

func TestRetryPolicy(t *testing.T) {
	once := struct{ io.Reader }{strings.NewReader("x")}
	for name, c := range map[string]struct {
		policy RetryPolicy
		req    Request
		steps  []any
		tries  int
		status int // 0: an error
	}{
		"good":                  {steps: []any{200}, tries: 1, status: 200},
		"statuses":              {steps: []any{503, 429}, tries: 3, status: 200},
		"errors":                {steps: []any{KindReset, KindConnect}, tries: 3, status: 200},
		"attempts end":          {steps: []any{503, 502, 504, 503}, tries: 3, status: 504},
		"attempts end, error":   {steps: []any{KindDNS, KindDNS, KindDNS}, tries: 3},
		"more of them":          {policy: RetryPolicy{Attempts: 5}, steps: []any{503, 503, 503, 503}, tries: 5, status: 200},
		"final status":          {steps: []any{404}, tries: 1, status: 404},
		"final error":           {steps: []any{KindTLS}, tries: 1},
		"total timeout":         {steps: []any{KindTimeoutTotal}, tries: 1},
		"canceled":              {steps: []any{KindCanceled}, tries: 1},
		"post":                  {req: Request{Method: "POST"}, steps: []any{503}, tries: 1, status: 503},
		"post, asked for":       {policy: RetryPolicy{Unsafe: true}, req: Request{Method: "POST"}, steps: []any{503}, tries: 2, status: 200},
		"body once":             {req: Request{Method: "PUT", Body: once}, steps: []any{503}, tries: 1, status: 503},
		"body":                  {req: Request{Method: "PUT", Body: strings.NewReader("x")}, steps: []any{503}, tries: 2, status: 200},
		"retry-after":           {steps: []any{http.Header{"Retry-After": {"7"}}}, tries: 2, status: 200},
		"retry-after, too long": {steps: []any{http.Header{"Retry-After": {"61"}}}, tries: 1, status: 503},
		"other kinds":           {policy: RetryPolicy{Kinds: []Kind{KindTLS}}, steps: []any{KindTLS, KindReset}, tries: 2},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(ctx context.Context) {
				next, n := scripted(t, c.steps...)
				c.req.URL = "http://example.org/"
				r, err := Retry(c.policy)(next).Do(ctx, &c.req)
				if *n != c.tries || (r == nil) != (c.status == 0) || (err == nil) != (c.status != 0) || r != nil && r.Status != c.status {
					t.Errorf("%d tries, want %d; %+v, %v", *n, c.tries, r, err)
				}
			})
		})
	}
}

func TestRetryBacksOff(t *testing.T) {
	virtual(t, func(ctx context.Context) {
		l := rondo.RunningLoop()
		next, _ := scripted(t, 503, 503, http.Header{"Retry-After": {"7"}}, 503)
		var waits []time.Duration
		req := &Request{URL: "http://example.org/", Trace: &Trace{Retry: func(n int, wait time.Duration, err error) { waits = append(waits, wait) }}}
		began := l.Time()
		if _, err := Retry(RetryPolicy{Attempts: 5, Backoff: time.Second, MaxBackoff: 2 * time.Second})(next).Do(ctx, req); err != nil {
			t.Fatal(err)
		}
		limits := []time.Duration{time.Second, 2 * time.Second, 7 * time.Second, 2 * time.Second}
		var sum time.Duration
		for i, w := range waits {
			if low := limits[i] / 2; w > limits[i] || w < low || i == 2 && w != limits[i] {
				t.Errorf("wait %d is %v, want up to %v", i+1, w, limits[i])
			}
			sum += w
		}
		if took := l.Time() - began; len(waits) != 4 || took != sum {
			t.Errorf("waits %v, in %v", waits, took)
		}
	})
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for s, want := range map[string]time.Duration{
		"120": 2 * time.Minute, "0": 0, "Tue, 24 Nov 2026 12:00:30 GMT": 30 * time.Second, "Tue, 24 Nov 2026 11:00:00 GMT": 0,
		"": -1, "-1": -1, "soon": -1, "1.5": -1, "99999999999999999999": -1,
	} {
		if got, ok := retryAfter(s, now); ok && got != want || ok != (want >= 0) {
			t.Errorf("%q: %v, %v", s, got, ok)
		}
	}
}

func TestRetryKeepsItsBudget(t *testing.T) {
	virtual(t, func(ctx context.Context) {
		n := 0
		down := DoerFunc(func(ctx context.Context, req *Request) (*Response, error) {
			n++
			return &Response{Status: 503, err: io.EOF}, nil
		})
		d := Retry(RetryPolicy{})(down)
		for range 1000 {
			d.Do(ctx, &Request{URL: "http://example.org/"})
		}
		if want := 1000 + 10 + 200; n > want || n < want-5 {
			t.Errorf("%d requests were sent for 1000, want about %d", n, want)
		}
	})
}

func TestRetrySleepEndsWithACancel(t *testing.T) {
	virtual(t, func(ctx context.Context) {
		next, n := scripted(t, 503)
		err := rondo.Timeout(ctx, time.Second, func(ctx context.Context) error {
			_, err := Retry(RetryPolicy{Backoff: time.Hour, MaxBackoff: time.Hour})(next).Do(ctx, &Request{URL: "http://example.org/"})
			return err
		})
		if !errors.Is(err, context.DeadlineExceeded) || *n != 1 {
			t.Errorf("%d tries, %v", *n, err)
		}
	})
}

// The whole of it, over connections: the body is sent anew each time.
func TestRetryOverConnections(t *testing.T) {
	var n atomic.Int64
	url, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if n.Add(1) < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		w.Write(b)
	})
	run(t, func(ctx context.Context, s *Session) {
		got, err := fetch(ctx, s, &Request{Method: "PUT", URL: url, Body: strings.NewReader("body")})
		if got != "body" || err != nil || n.Load() != 3 {
			t.Errorf("%q after %d tries, %v", got, n.Load(), err)
		}
	}, WithMiddleware(Retry(RetryPolicy{Backoff: time.Millisecond})))
}

func TestMiddlewareOrder(t *testing.T) {
	url, _ := serve(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Header.Get("Trail")) })
	mark := func(s string) Middleware {
		return func(next Doer) Doer {
			return DoerFunc(func(ctx context.Context, req *Request) (*Response, error) {
				req = req.Clone()
				req.setHeader("Trail", req.Header.Get("Trail")+s)
				return next.Do(ctx, req)
			})
		}
	}
	run(t, func(ctx context.Context, s *Session) {
		if _, got := get(t, ctx, s, url); got != "ab" {
			t.Errorf("Get: %q", got)
		}
		resp, err := (&http.Client{Transport: s}).Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if b, _ := io.ReadAll(resp.Body); string(b) != "ab" {
			t.Errorf("RoundTrip: %q", b)
		}
	}, WithMiddleware(mark("a"), mark("b")))
}

// A server that closes idle connections when it likes never makes an idempotent request fail; the trace tells of
// those that were sent again.
func TestSessionSurvivesAServerThatClosesIdleConnections(t *testing.T) {
	requests := 0
	url := serveRaw(t, func(c *net.TCPConn, n int) {
		br := bufio.NewReader(c)
		for range n%3 + 1 { // and then it is closed, without a word
			if readRequest(br) == nil {
				return
			}
			io.WriteString(c, ok("x"))
		}
		if n%2 == 0 { // after the next request has come, to make sure that it is lost
			readRequest(br)
		}
	})
	run(t, func(ctx context.Context, s *Session) {
		again := 0
		trace := &Trace{Retry: func(n int, wait time.Duration, err error) {
			again++
			if n != 1 || wait != 0 || err == nil {
				t.Errorf("retry %d after %v for %v", n, wait, err)
			}
		}}
		for range 300 {
			if got, err := fetch(ctx, s, &Request{URL: url, Trace: trace}); got != "x" || err != nil {
				t.Fatalf("request %d: %q, %v", requests, got, err)
			}
			requests++
		}
		if again < 30 {
			t.Errorf("only %d requests met a connection that was closed", again)
		}
		_, err := fetch(ctx, s, &Request{Method: "POST", URL: url, Body: strings.NewReader("x"), Trace: trace})
		for err == nil {
			_, err = fetch(ctx, s, &Request{Method: "POST", URL: url, Body: strings.NewReader("x"), Trace: &Trace{Retry: func(int, time.Duration, error) { t.Error("a POST was sent twice") }}})
		}
		if k := kindOf(err); k != KindClosed && k != KindReset {
			t.Errorf("POST: %v", err)
		}
	})
}

package rondohttp

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/rondo-go/rondo"
)

// A RetryPolicy says when [Retry] sends a request again. A zero field means its default.
type RetryPolicy struct {
	Attempts   int           // how many there are in all; default 3
	Backoff    time.Duration // before the second, about: a random half of it is taken off; it doubles each time; default 200 ms
	MaxBackoff time.Duration // at most, before any; default 10 s

	// MaxRetryAfter is the longest wait that a server's Retry-After is obeyed for. An answer that asks
	// for more is returned. Default 1 minute.
	MaxRetryAfter time.Duration

	Statuses []int  // of answers that are not final; default 429, 502, 503, 504
	Kinds    []Kind // of errors that may pass; default: no connection, one that broke off, and the timeouts of these

	// Unsafe retries methods that are not idempotent as well, POST and PATCH: only for servers that
	// recognize a request which they have seen.
	Unsafe bool

	// Budget is the share of the requests that may be retries, beside the first ten: so a server
	// that is down is not asked three times as often as one that is up. Default 0.2; negative: no bound.
	Budget float64
}

var (
	retryStatuses = []int{http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout}
	retryKinds    = []Kind{KindDNS, KindConnect, KindProxy, KindReset, KindClosed, KindTimeoutConnect, KindTimeoutTLS, KindTimeoutFirstByte}
)

// The budget of retries begins with its reserve, and never holds more.
const retryReserve = 10

// Retry returns a middleware that sends idempotent requests again as p says. A request
// whose body cannot be had again, see [Request.GetBody], is sent once. Each wait parks; a cancel ends it. The
// trace of the request is told of each retry.
//
// An error after the head of an answer, while the body is read, is its reader's own.
func Retry(p RetryPolicy) Middleware {
	p.fill()
	b := &retryBudget{share: p.Budget, left: retryReserve}
	return func(next Doer) Doer {
		return DoerFunc(func(ctx context.Context, req *Request) (*Response, error) {
			return p.do(ctx, next, req, b)
		})
	}
}

func (p *RetryPolicy) fill() {
	if p.Attempts == 0 {
		p.Attempts = 3
	}
	if p.Backoff == 0 {
		p.Backoff = 200 * time.Millisecond
	}
	if p.MaxBackoff == 0 {
		p.MaxBackoff = 10 * time.Second
	}
	if p.MaxRetryAfter == 0 {
		p.MaxRetryAfter = time.Minute
	}
	if p.Statuses == nil {
		p.Statuses = retryStatuses
	}
	if p.Kinds == nil {
		p.Kinds = retryKinds
	}
	if p.Budget == 0 {
		p.Budget = 0.2
	}
}

// A retryBudget is for the tasks of one loop.
type retryBudget struct{ share, left float64 }

func (b *retryBudget) earn() { b.left = min(b.left+b.share, retryReserve) }

func (b *retryBudget) spend() bool {
	if b.share < 0 {
		return true
	}
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}

func (p *RetryPolicy) do(ctx context.Context, next Doer, req *Request, b *retryBudget) (*Response, error) {
	b.earn()
	u := newUpload(req)
	method := req.Method
	if method == "" {
		method = http.MethodGet
	}
	may := (p.Unsafe || idempotent(method)) && (u == nil || u.again != nil)
	for attempt := 1; ; attempt++ {
		r, err := next.Do(ctx, req)
		if !may || attempt >= p.Attempts {
			return r, err
		}
		wait, again := p.wants(r, err, attempt)
		if !again || !b.spend() {
			return r, err
		}
		if u != nil {
			body, failed := u.again()
			if failed != nil {
				return r, err
			}
			copied := *req
			copied.Body = body
			req = &copied
		}
		if r != nil {
			r.Close()
		}
		if t := req.Trace; t != nil && t.Retry != nil {
			t.Retry(attempt, wait, err)
		}
		if stopped := rondo.Sleep(ctx, wait); stopped != nil {
			return nil, newError(op(method), req.URL, stopped)
		}
	}
}

// wants reports whether an outcome is one that may pass, and how long to wait.
func (p *RetryPolicy) wants(r *Response, err error, attempt int) (wait time.Duration, again bool) {
	wait = p.MaxBackoff
	if shift := attempt - 1; shift < 30 {
		wait = min(p.Backoff<<shift, wait)
	}
	wait -= time.Duration(rand.Float64() * float64(wait) / 2)
	if err != nil {
		var e *Error
		return wait, errors.As(err, &e) && slices.Contains(p.Kinds, e.Kind)
	}
	if !slices.Contains(p.Statuses, r.Status) {
		return 0, false
	}
	if after, ok := retryAfter(r.Get("Retry-After"), time.Now()); ok {
		if after > p.MaxRetryAfter {
			return 0, false
		}
		wait = max(wait, after)
	}
	return wait, true
}

// retryAfter reads a Retry-After, seconds or a date (RFC 9110 section 10.2.3).
func retryAfter(s string, now time.Time) (time.Duration, bool) {
	if n, err := strconv.ParseUint(s, 10, 31); err == nil {
		return time.Duration(n) * time.Second, true
	}
	if t, err := http.ParseTime(s); err == nil {
		return max(t.Sub(now), 0), true
	}
	return 0, false
}

package fetch

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Retry says whether and when a request is tried again. Its methods are pure; randomness and time come from the
// caller.
type Retry struct {
	Max   int           // tries after the first
	Base  time.Duration // pause before the first retry is at most this, and twice as long each time; 0 means 200 ms
	Limit time.Duration // no pause is longer, Retry-After included; 0 means 30 s
}

// Outcome is how a try went, as far as it matters for another one.
type Outcome struct {
	Method     string // "" means GET
	Status     int    // 0 if there was no answer
	RetryAfter string // the header's value
	Kind       Kind   // of the failure, "" or KindStatus if there was an answer
}

// Retryable reports whether o may go better another time: a request that may be repeated (RFC 9110, 9.2.2), which met
// an overloaded or passing server (429, 502, 503, 504) or a connection that failed or took too long. A truncated or
// reset body counts as such; a refused certificate, a name that does not exist, a redirect loop or a body that is too
// large would be the same again.
func (o Outcome) Retryable() bool {
	switch o.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
	default:
		return false
	}
	switch o.Kind {
	case "", KindStatus:
		switch o.Status {
		case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return true
		}
		return false
	case kindConnect, kindReset, kindClosed, kindTruncated:
		return true
	}
	return strings.HasPrefix(string(o.Kind), string(kindTimeout))
}

// Next returns the pause before retry number n (counted from 1) after o, and false if there shall be none.
//
// The pause is drawn between nothing and a bound that doubles each time ("full jitter"), since clients that failed
// together would otherwise come back together. A Retry-After asks for at least so much; one beyond the limit is
// answered by the limit. random returns a number in [0, 1).
func (r Retry) Next(n int, o Outcome, now time.Time, random func() float64) (time.Duration, bool) {
	if n > r.Max || !o.Retryable() {
		return 0, false
	}
	base, limit := r.Base, r.Limit
	if base <= 0 {
		base = 200 * time.Millisecond
	}
	if limit <= 0 {
		limit = 30 * time.Second
	}
	bound := limit
	if shift := n - 1; shift < 32 && base < limit>>shift {
		bound = base << shift
	}
	pause := time.Duration(random() * float64(bound))
	if asked, ok := retryAfter(o.RetryAfter, now); ok {
		// Asked for none at all, it may be at once: the server knows best.
		if asked == 0 {
			return 0, true
		}
		pause = max(pause, asked)
	}
	return min(pause, limit), true
}

// retryAfter reads a Retry-After value: seconds or a date (RFC 9110, 10.2.3).
func retryAfter(value string, now time.Time) (time.Duration, bool) {
	value = strings.TrimSpace(value)
	if value == "" {
		return 0, false
	}
	if strings.Trim(value, "0123456789") == "" {
		s, err := strconv.ParseInt(value, 10, 32)
		if err != nil { // more than fits
			s = 1<<31 - 1
		}
		return time.Duration(s) * time.Second, true
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	return max(at.Sub(now), 0), true
}

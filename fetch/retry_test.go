package fetch

import (
	"net/http"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func always(f float64) func() float64 { return func() float64 { return f } }

func TestRetryableOutcomes(t *testing.T) {
	for _, c := range []struct {
		o    Outcome
		want bool
	}{
		{Outcome{Status: 503, Kind: KindStatus}, true},
		{Outcome{Status: 429}, true},
		{Outcome{Status: 502}, true},
		{Outcome{Status: 504}, true},
		{Outcome{Status: 500}, false},
		{Outcome{Status: 404, Kind: KindStatus}, false},
		{Outcome{Status: 200}, false},
		{Outcome{Kind: kindReset}, true},
		{Outcome{Kind: kindConnect}, true},
		{Outcome{Kind: "timeout-connect"}, true},
		{Outcome{Status: 200, Kind: kindTruncated}, true},
		{Outcome{Kind: kindClosed}, true},
		{Outcome{Kind: "timeout-total"}, true},
		{Outcome{Kind: "tls"}, false},
		{Outcome{Kind: "dns"}, false},
		{Outcome{Kind: "too-large", Status: 503}, false},
		{Outcome{Method: "POST", Status: 503}, false},
		{Outcome{Method: "PATCH", Kind: kindReset}, false},
		{Outcome{Method: "PUT", Kind: kindReset}, true},
	} {
		if got := c.o.Retryable(); got != c.want {
			t.Errorf("%+v: %v", c.o, got)
		}
		if _, got := (Retry{Max: 1}).Next(1, c.o, time.Time{}, always(0)); got != c.want {
			t.Errorf("Next of %+v: %v", c.o, got)
		}
	}
}

func TestRetryPauses(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	r := Retry{Max: 40, Base: 100 * time.Millisecond, Limit: 10 * time.Second}
	for _, c := range []struct {
		n     int
		after string
		rnd   float64
		want  time.Duration
	}{
		{1, "", 0.5, 50 * time.Millisecond},
		{3, "", 0.5, 200 * time.Millisecond},
		{8, "", 0.5, 5 * time.Second},
		{40, "", 0.5, 5 * time.Second},
		{1, "", 0, 0},
		{1, "2", 0.5, 2 * time.Second},
		{1, " 0 ", 0.5, 0},
		{1, "3600", 0.5, 10 * time.Second},
		{1, "99999999999999999999", 0, 10 * time.Second},
		{1, now.Add(3 * time.Second).Format(http.TimeFormat), 0, 3 * time.Second},
		{1, now.Add(-time.Hour).Format(http.TimeFormat), 0.5, 0},
		{1, "soon", 0.5, 50 * time.Millisecond},
		{1, "-1", 0.5, 50 * time.Millisecond},
	} {
		got, ok := r.Next(c.n, Outcome{Status: 503, RetryAfter: c.after}, now, always(c.rnd))
		if !ok || got != c.want {
			t.Errorf("retry %d after %q: got %v, %v; want %v", c.n, c.after, got, ok, c.want)
		}
	}
	if _, ok := r.Next(41, Outcome{Status: 503}, now, always(0)); ok {
		t.Error("more retries than allowed")
	}
}

func TestRetryPauseStaysWithinItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Retry{Max: 1 << 20, Base: time.Duration(rapid.Int64().Draw(t, "base")), Limit: time.Duration(rapid.Int64().Draw(t, "limit"))}
		limit := r.Limit
		if limit <= 0 {
			limit = 30 * time.Second
		}
		o := Outcome{Status: 503, RetryAfter: rapid.StringMatching(`[0-9]{0,25}`).Draw(t, "after")}
		n := rapid.IntRange(1, 1<<20).Draw(t, "n")
		got, ok := r.Next(n, o, time.Time{}, always(rapid.Float64Range(0, 0.999).Draw(t, "random")))
		if !ok || got < 0 || got > limit {
			t.Fatalf("pause %v, limit %v", got, limit)
		}
	})
}

package rondohttp

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/internal/http1"
)

// began returns when each of n requests to urls in turn got its permits, since the first.
func began(t *testing.T, ctx context.Context, p *pool, n int, urls ...string) (at []time.Duration) {
	t.Helper()
	l := rondo.RunningLoop()
	start := l.Time()
	err := rondo.WithGroup(ctx, func(g *rondo.Group) error {
		for i := range n {
			g.Go(func(ctx context.Context) error {
				u, err := http1.SplitURL(urls[i%len(urls)])
				if err != nil {
					return err
				}
				w, err := p.acquire(ctx, &u, nil, false, 0)
				if err != nil {
					return err
				}
				at = append(at, l.Time()-start)
				p.release(w.host)
				return nil
			})
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return at
}

func TestRateIsATokenBucket(t *testing.T) {
	virtual(t, func(ctx context.Context) {
		p := newPool(&config{limit: 100, rate: Rate{PerSecond: 10, Burst: 3}})
		for i, at := range began(t, ctx, &p, 10, "http://a.example/", "http://b.example/") {
			if want := time.Duration(max(i-2, 0)) * 100 * time.Millisecond; at != want {
				t.Errorf("request %d began at %v, want %v", i, at, want)
			}
		}
		rondo.Sleep(ctx, time.Second) // the bucket fills, and no more than that
		for i, at := range began(t, ctx, &p, 5, "http://a.example/") {
			if want := time.Duration(max(i-2, 0)) * 100 * time.Millisecond; at != want {
				t.Errorf("after a rest, request %d began at %v, want %v", i, at, want)
			}
		}
	})
}

func TestRatePerHost(t *testing.T) {
	virtual(t, func(ctx context.Context) {
		p := newPool(&config{limit: 100, hostRate: Rate{PerSecond: 2}})
		for i, at := range began(t, ctx, &p, 8, "http://a.example/", "http://b.example/") {
			if want := time.Duration(i/2) * 500 * time.Millisecond; at != want {
				t.Errorf("request %d began at %v, want %v", i, at, want)
			}
		}
		if len(p.hosts) != 0 {
			t.Errorf("%d hosts are kept", len(p.hosts))
		}
	})
}

func TestRateWaiterThatIsCanceledTakesNoToken(t *testing.T) {
	virtual(t, func(ctx context.Context) {
		l := rondo.RunningLoop()
		p := newPool(&config{limit: 100, rate: Rate{PerSecond: 1}})
		u, _ := http1.SplitURL("http://a.example/")
		began(t, ctx, &p, 1, "http://a.example/")
		start := l.Time()
		for range 5 {
			if _, err := p.acquire(ctx, &u, nil, false, 100*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v", err)
			}
		}
		if len(p.hosts) != 0 {
			t.Error("the host is kept")
		}
		w, err := p.acquire(ctx, &u, nil, false, 0)
		if err != nil || !w.waited || l.Time()-start != time.Second {
			t.Errorf("after %v, waited %v: %v", l.Time()-start, w.waited, err)
		}
		p.release(w.host)
	})
}

func TestRateForgetsHostsThatRest(t *testing.T) {
	virtual(t, func(ctx context.Context) {
		p := newPool(&config{limit: 100, hostRate: Rate{PerSecond: 1}})
		for i := range 10 * sweepHosts {
			began(t, ctx, &p, 1, "http://"+string(rune('a'+i%26))+time.Duration(i).String()+".example/")
			rondo.Sleep(ctx, 100*time.Millisecond)
		}
		if n := len(p.rates.hosts); n > sweepHosts {
			t.Errorf("%d buckets are kept", n)
		}
	})
}

// The queue's timeout covers the wait for the rate and that for the permits together.
func TestRateCountsAsQueue(t *testing.T) {
	url, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {})
	run(t, func(ctx context.Context, s *Session) {
		get(t, ctx, s, url)
		if _, err := s.Get(ctx, url); kindOf(err) != KindTimeoutQueue {
			t.Errorf("%v", err)
		}
	}, WithRate(Rate{PerSecond: 0.01}), WithTimeouts(Timeouts{Queue: short, Total: long}))
}

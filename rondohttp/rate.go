package rondohttp

import (
	"context"
	"time"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/loop"
)

// A Rate bounds how many requests begin in a second: a token bucket. The zero Rate is no bound.
type Rate struct {
	PerSecond float64
	Burst     int // how many may begin at once after a rest; 0 is 1
}

// A bucket gives tokens at a rate, first come, first served. Whoever is canceled while waiting takes none.
//
// Its state is one point in time: when it will have been emptied of all it has given. That is the generic cell rate
// algorithm (ITU-T I.371), which needs no timer to fill it.
type bucket struct {
	turn     *rondo.Semaphore
	interval time.Duration
	burst    time.Duration // what may be given in advance
	empty    loop.Time
}

func newBucket(r Rate) *bucket {
	interval := time.Duration(float64(time.Second) / r.PerSecond)
	return &bucket{turn: rondo.NewSemaphore(1), interval: interval, burst: time.Duration(max(r.Burst, 1)-1) * interval}
}

// take takes a token, parking until there is one.
func (b *bucket) take(ctx context.Context, k *loop.Loop) (waited bool, err error) {
	if !b.turn.TryAcquire() {
		waited = true
		if err := b.turn.Acquire(ctx); err != nil {
			return waited, err
		}
	}
	defer b.turn.Release()
	now := k.Now()
	if at := b.empty.Add(-b.burst); at > now {
		waited = true
		if err := rondo.Sleep(ctx, at.Sub(now)); err != nil {
			return waited, err
		}
		now = k.Now()
	}
	b.empty = max(b.empty, now).Add(b.interval)
	return waited, nil
}

// rates are the buckets of a session.
type rates struct {
	total   *bucket
	perHost Rate
	hosts   map[hostKey]*bucket
	sweepAt int // how many hosts make those that are full again be dropped
}

const sweepHosts = 256

func newRates(total, perHost Rate) rates {
	r := rates{perHost: perHost, sweepAt: sweepHosts}
	if total.PerSecond > 0 {
		r.total = newBucket(total)
	}
	if perHost.PerSecond > 0 {
		r.hosts = map[hostKey]*bucket{}
	}
	return r
}

// of returns the bucket of a host, nil if there is none. A bucket outlives its host, which the pool
// drops when it holds no connection; it is dropped when it is full, and so equal to a new one.
func (r *rates) of(key hostKey, now loop.Time) *bucket {
	if r.hosts == nil {
		return nil
	}
	key.config = nil
	b := r.hosts[key]
	if b == nil {
		if len(r.hosts) >= r.sweepAt {
			for k, b := range r.hosts {
				if b.empty <= now && !b.turn.Locked() {
					delete(r.hosts, k)
				}
			}
			r.sweepAt = max(2*len(r.hosts), sweepHosts)
		}
		b = newBucket(r.perHost)
		r.hosts[key] = b
	}
	return b
}

func (p *pool) paced() bool { return p.rates.total != nil || p.rates.hosts != nil }

// pace waits for the tokens of sessions with a rate. They come before the permits, so that a request which waits
// for them holds none. Of the two the host's comes first, for the same reason. It returns what is left of
// limit.
func (p *pool) pace(ctx context.Context, h *host, limit time.Duration) (waited bool, left time.Duration, err error) {
	k, _ := loop.Current()
	tokens := func(ctx context.Context) error {
		for _, b := range [...]*bucket{p.rates.of(h.key, k.Now()), p.rates.total} {
			if b == nil {
				continue
			}
			slept, err := b.take(ctx, k)
			waited = waited || slept
			if err != nil {
				return err
			}
		}
		return nil
	}
	began := k.Now()
	if limit > 0 {
		err = rondo.Timeout(ctx, limit, tokens)
	} else {
		err = tokens(ctx)
	}
	if err == nil && limit > 0 {
		if limit -= k.Now().Sub(began); limit <= 0 {
			err = context.DeadlineExceeded
		}
	}
	return waited, limit, err
}

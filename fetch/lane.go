package fetch

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/rondohttp"
)

// lane is one loop's share of a run. Everything but the counters at the end belongs to that loop.
//
// Its main task starts a task for a URL while there are URLs and fewer tasks than the limit. A task that has done its
// URL goes on with the next, so in the steady state no task begins or ends; when there is none it ends.
type lane struct {
	f        *Fetcher
	lines    *Lines
	limit    int
	session  *rondohttp.Session
	free     []*errand // with their memory, for the next tasks
	active   int
	slot     *rondo.Future[struct{}] // main waits for a task to end
	counters Counters

	// For State.
	done, failed, bytes, flying atomic.Int64
}

// run is the loop's main task.
func (l *lane) run(ctx context.Context) error {
	cfg := &l.f.cfg
	opts := []rondohttp.Option{
		rondohttp.WithLimit(l.limit), rondohttp.WithPerHost(cfg.PerHost), rondohttp.WithPerHostStreams(cfg.PerHost),
		rondohttp.WithMaxBody(cfg.MaxBody),
		rondohttp.WithTimeouts(rondohttp.Timeouts{Total: cfg.Timeout}), rondohttp.WithHeader(cfg.Header),
	}
	if cfg.UserAgent != "" {
		opts = append(opts, rondohttp.WithUserAgent(cfg.UserAgent))
	}
	if cfg.Protocols != (http.Protocols{}) {
		opts = append(opts, rondohttp.WithProtocols(cfg.Protocols))
	}
	if cfg.TLS != nil {
		opts = append(opts, rondohttp.WithTLS(cfg.TLS))
	}
	l.session = rondohttp.NewSession(opts...)
	defer l.session.Close()
	return rondo.WithGroup(ctx, func(g *rondo.Group) error {
		for {
			if l.active == l.limit {
				l.slot = rondo.NewFuture[struct{}]()
				if _, err := l.slot.Await(ctx); err != nil {
					return err
				}
				continue
			}
			line, ok, end, err := l.next()
			switch {
			case ok:
				if err := l.start(g, line); err != nil {
					return err
				}
			case end:
				if err != nil {
					l.f.fail(err) // returned here it would cancel what is in hand
				}
				return nil
			default:
				if err := await(ctx, l.lines.OnReady); err != nil {
					return err
				}
			}
		}
	})
}

// next is TryNext, until the run is stopped.
func (l *lane) next() (line Line, ok, end bool, err error) {
	if l.f.stopped.Load() {
		return Line{}, false, true, nil
	}
	return l.lines.TryNext()
}

// start starts a task with a URL.
func (l *lane) start(g *rondo.Group, line Line) error {
	var e *errand
	if n := len(l.free); n > 0 {
		e, l.free = l.free[n-1], l.free[:n-1]
	} else {
		var err error
		if e, err = newErrand(l); err != nil {
			return err
		}
	}
	l.active++
	l.flying.Store(int64(l.active))
	g.Go(func(ctx context.Context) error {
		e.serve(ctx, line)
		l.active--
		l.flying.Store(int64(l.active))
		if !e.lost {
			l.free = append(l.free, e)
		}
		if l.slot != nil {
			_ = l.slot.Set(struct{}{}) // it may be done already
			l.slot = nil
		}
		return nil
	})
	return nil
}

// await parks the task until on has called what it is given.
func await(ctx context.Context, on func(func())) error {
	var ready rondo.Future[struct{}]
	on(func() { _ = ready.Set(struct{}{}) }) // it is done already if the task was canceled
	_, err := ready.Await(ctx)
	return err
}

// finish counts a record and writes it, and parks while the output is full.
func (l *lane) finish(ctx context.Context, r *Record, words uint64) {
	l.counters.Add(r)
	l.done.Add(1)
	if r.Kind == "" {
		l.counters.Words += words
		l.bytes.Add(r.Bytes)
	} else {
		l.failed.Add(1)
	}
	out := l.f.cfg.Output
	if out == nil {
		return
	}
	if err := out.Add(r); err != nil {
		l.f.fail(err)
		return
	}
	if out.Full() {
		_ = await(ctx, out.OnRoom) // canceled, the task ends at its next URL
	}
}

// pause parks between two tries, for less if the run is stopped meanwhile.
func (l *lane) pause(ctx context.Context, d time.Duration) {
	if d <= 0 || l.f.stopped.Load() {
		return
	}
	var over rondo.Future[struct{}]
	unwatch := context.AfterFunc(l.f.stop, func() { _ = over.Set(struct{}{}) })
	defer unwatch()
	_ = rondo.Timeout(ctx, d, func(ctx context.Context) error {
		_, err := over.Await(ctx)
		return err
	})
}

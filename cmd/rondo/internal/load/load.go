// Package load sends requests at a rate, and measures how long their answers take.
//
// In the open mode, each request has a time at which it is intended to be sent, whatever became of those
// before it, and its latency counts from there. A generator that waits for an answer before it sends the next request
// takes part in the server's stalls: for a second without answers it notes one slow request, where users would have
// met as many as come in a second. (Gil Tene calls it coordinated omission.) In the closed mode, which is for
// throughput, each connection sends its next request when it has its answer.
package load

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/rondohttp"
)

// A Config says what is sent.
type Config struct {
	Method      string
	URL         string
	Header      http.Header
	Body        []byte
	Rate        float64 // requests a second; 0 is the closed mode
	Duration    time.Duration
	Warmup      time.Duration // before it, and not measured
	Connections int           // in all
	Loops       int
	Timeout     time.Duration // of a request
	TLS         *tls.Config   // nil: the usual
	Sessions    []rondohttp.Option

	// Progress, if not nil, is called about once a second, from a goroutine, with how far it has come.
	Progress func(done time.Duration, answers, errors int64)
}

// A generator is what one loop does.
type generator struct {
	*Config
	index   int
	base    time.Time // when the warm-up began
	end     time.Duration
	slots   int64 // how many requests there are to be, in the open mode
	next    int64 // slot of this loop
	session *rondohttp.Session

	latency *hdrhistogram.Histogram // from the intended start
	service *hdrhistogram.Histogram // from the actual one
	lag     *hdrhistogram.Histogram // by how much a connection that was free sent too late
	status  map[int]int64
	errors  map[string]int64
	sample  map[string]string // an error of each kind
	bytes   int64
	answers int64
	failed  int64
	unsent  int64
	last    time.Duration // when the last answer came
	perSec  []int64
}

// Bounds of what is measured, in nanoseconds, with three digits.
const (
	shortest = 1000
	longest  = int64(time.Hour)
	digits   = 3
)

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(shortest, longest, digits) }

func record(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(max(int64(d), shortest), longest)) // within the bounds it cannot fail
}

// Run sends requests as c says, on loops of its own, and returns what came of it. It blocks the goroutine.
// If ctx ends it stops, and returns what it has.
//
// Errors: that of the first request, which is sent to try whether there is a server at all.
func Run(ctx context.Context, c Config) (*Result, error) {
	c.Loops = min(max(c.Loops, 1), c.Connections)
	all := make([]*generator, c.Loops)
	cpu := cpuTime()
	var proto string
	var began time.Time
	err := rondo.Run(func(loopCtx context.Context) error {
		loopCtx, cancel := context.WithCancel(loopCtx)
		defer cancel()
		defer context.AfterFunc(ctx, cancel)()
		first, err := probe(loopCtx, &c)
		if err != nil {
			return err
		}
		proto = first
		cpu, began = cpuTime(), time.Now()
		for i := range all {
			all[i] = newGenerator(&c, i, began)
		}
		stop := progress(&c, all, began)
		defer stop()
		tasks := make([]*rondo.Task[struct{}], len(all))
		for i, l := range rondo.RunningLoop().Loops() {
			tasks[i], err = rondo.SpawnThreadsafe(loopCtx, l, all[i].run)
			if err != nil {
				return err
			}
		}
		for _, t := range tasks {
			if _, err := t.Await(context.Background()); err != nil && ctx.Err() == nil {
				return err
			}
		}
		return nil
	}, rondo.WithLoops(c.Loops), rondo.WithoutSignals())
	if err != nil && (ctx.Err() == nil || all[0] == nil) {
		return nil, err
	}
	return gather(&c, all, proto, began, cpuTime()-cpu), nil
}

// probe sends one request, and returns the protocol.
func probe(ctx context.Context, c *Config) (proto string, err error) {
	s := rondohttp.NewSession(c.options()...)
	defer s.Close()
	r, err := s.Do(ctx, c.request())
	if err != nil {
		return "", err
	}
	defer r.Close()
	if _, err := drain(ctx, r); err != nil {
		return "", err
	}
	return r.Proto, nil
}

func (c *Config) options() []rondohttp.Option {
	n := (c.Connections + c.Loops - 1) / c.Loops
	return append([]rondohttp.Option{
		rondohttp.WithLimit(n), rondohttp.WithPerHost(n), rondohttp.WithMaxRedirects(0), rondohttp.WithDecompress(false), rondohttp.WithTLS(c.TLS),
		rondohttp.WithMaxBody(0), rondohttp.WithTimeouts(rondohttp.Timeouts{Total: c.Timeout, Connect: c.Timeout}),
	}, c.Sessions...)
}

func (c *Config) request() *rondohttp.Request {
	req := &rondohttp.Request{Method: c.Method, URL: c.URL, Header: c.Header}
	if c.Body != nil {
		req.Body = bytes.NewReader(c.Body)
	}
	return req
}

// drain reads the body to its end.
func drain(ctx context.Context, r *rondohttp.Response) (n int64, err error) {
	for {
		p, err := r.Next(ctx)
		n += int64(len(p))
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

func newGenerator(c *Config, index int, base time.Time) *generator {
	g := &generator{
		Config: c, index: index, base: base, end: c.Warmup + c.Duration, latency: newHistogram(), service: newHistogram(), lag: newHistogram(),
		status: map[int]int64{}, errors: map[string]int64{}, sample: map[string]string{},
	}
	g.perSec = make([]int64, (c.Duration+time.Second-1)/time.Second)
	if c.Rate > 0 {
		g.slots = int64(c.Rate * g.end.Seconds())
	}
	return g
}

// run is the work of one loop: a task for each connection.
func (g *generator) run(ctx context.Context) (struct{}, error) {
	g.session = rondohttp.NewSession(g.options()...)
	defer g.session.Close()
	n := g.Connections / g.Loops
	if g.index < g.Connections%g.Loops {
		n++
	}
	err := rondo.WithGroup(ctx, func(group *rondo.Group) error {
		for range n {
			group.Go(g.connection)
		}
		return nil
	})
	g.countUnsent()
	return struct{}{}, err
}

func (g *generator) now() time.Duration { return time.Since(g.base) }

// connection sends one request after another.
func (g *generator) connection(ctx context.Context) error {
	req := g.request()
	for {
		at := g.now()
		sent := at
		if g.Rate > 0 {
			free, ok := at, false
			if free < g.end {
				at, ok = g.slot()
			}
			if !ok {
				return nil
			}
			if wait := at - free; wait > 0 {
				if err := rondo.Sleep(ctx, wait); err != nil {
					g.next-- // not sent after all; nobody else goes on either
					return err
				}
			}
			sent = g.now()
			if at >= g.Warmup {
				record(g.lag, sent-max(at, free))
			}
		} else if at >= g.end {
			return nil
		}
		if g.Body != nil {
			req = g.request()
		}
		if err := g.exchange(ctx, req, at, sent); err != nil {
			return err
		}
	}
}

// slot returns the intended start of this loop's next request.
func (g *generator) slot() (at time.Duration, ok bool) {
	n := g.next*int64(g.Loops) + int64(g.index)
	if n >= g.slots {
		return 0, false
	}
	g.next++
	return time.Duration(float64(n) / g.Rate * 1e9), true
}

// countUnsent counts the requests for which there was no connection before the end. How long they would have taken
// nobody knows: at least until the end.
func (g *generator) countUnsent() {
	if g.Rate <= 0 {
		return
	}
	end := min(g.end, g.now())
	for {
		at, ok := g.slot()
		if !ok || at >= end {
			return
		}
		if at >= g.Warmup {
			g.unsent++
			record(g.latency, end-at)
		}
	}
}

// exchange sends req. It returns an error only if there is to be no more.
func (g *generator) exchange(ctx context.Context, req *rondohttp.Request, at, sent time.Duration) error {
	status, n := 0, int64(0)
	r, err := g.session.Do(ctx, req)
	if err == nil {
		status = r.Status
		n, err = drain(ctx, r)
		r.Close()
	}
	done := g.now()
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if at >= g.Warmup {
			g.fail(err)
		}
		if g.Rate > 0 {
			return nil
		}
		const pause = 10 * time.Millisecond // a server that refuses is not to be asked as fast as can be
		return rondo.Sleep(ctx, pause)
	}
	if at < g.Warmup {
		return nil
	}
	g.answers++
	g.bytes += n
	g.status[status]++
	g.last = max(g.last, done)
	record(g.latency, done-at)
	record(g.service, done-sent)
	if i := int((done - g.Warmup) / time.Second); i < len(g.perSec) {
		g.perSec[i]++
	}
	return nil
}

func (g *generator) fail(err error) {
	kind := "other"
	var e *rondohttp.Error
	if errors.As(err, &e) {
		kind = string(e.Kind)
	}
	g.failed++
	g.errors[kind]++
	if g.sample[kind] == "" {
		g.sample[kind] = err.Error()
	}
}

// progress calls c.Progress until stop is called.
func progress(c *Config, all []*generator, began time.Time) (stop func()) {
	if c.Progress == nil {
		return func() {}
	}
	loops := rondo.RunningLoop().Loops()
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
			}
			var answers, failed int64
			for i, l := range loops {
				// A generator is its loop's: its counts are asked for there.
				counts := make(chan [2]int64, 1)
				l.CallSoonThreadsafe(func() { counts <- [2]int64{all[i].answers, all[i].failed} })
				select {
				case n := <-counts:
					answers, failed = answers+n[0], failed+n[1]
				case <-quit:
					return
				}
			}
			c.Progress(time.Since(began), answers, failed)
		}
	}()
	return func() { close(quit); <-done }
}

// String tells what c sends.
func (c *Config) String() string {
	mode := "as fast as answers come"
	if c.Rate > 0 {
		mode = strconv.FormatFloat(c.Rate, 'f', -1, 64) + " requests a second"
	}
	return fmt.Sprintf("%s %s: %s, %d connections, for %v", c.Method, c.URL, mode, c.Connections, c.Duration)
}

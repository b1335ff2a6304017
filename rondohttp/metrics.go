package rondohttp

import (
	"cmp"
	"context"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Metrics counts exchanges, and tells Prometheus, in its text format (version 0.0.4): requests by method and status, their
// durations, bytes sent, requests under way, and the gauges that were added. It is a handler of both faces. Its
// methods may be called from any goroutine.
type Metrics struct {
	requests [len(methods) + 1][500]atomic.Uint64 // by method, the last being others, and status from 100 on
	bytes    atomic.Int64
	running  atomic.Int64
	buckets  [len(latencyBuckets) + 1]atomic.Uint64
	nanos    atomic.Int64

	mu     sync.Mutex // guards what follows
	gauges []metricsGauge
}

type metricsGauge struct {
	name, help string
	value      func() float64
}

// latencyBuckets are upper bounds, in seconds.
var latencyBuckets = [...]float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// NewMetrics returns metrics that count nothing yet.
func NewMetrics() *Metrics {
	m := new(Metrics)
	start := float64(time.Now().UnixMilli()) / 1000
	m.Gauge("process_start_time_seconds", "Start of this process, Unix time.", func() float64 { return start })
	m.Gauge("go_goroutines", "Goroutines that exist.", func() float64 { return float64(runtime.NumGoroutine()) })
	return m
}

// Gauge adds a value that is asked for when somebody looks. Value must not block, and may be called from any loop.
func (m *Metrics) Gauge(name, help string, value func() float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gauges = append(m.gauges, metricsGauge{name, help, value})
	slices.SortStableFunc(m.gauges, func(a, b metricsGauge) int { return cmp.Compare(a.name, b.name) })
}

// Watch adds the number of connections of s.
func (m *Metrics) Watch(s *Server) {
	m.Gauge("rondo_http_connections", "Connections that are open.", func() float64 { return float64(s.Connections()) })
}

// Wrap returns h with its exchanges counted. It has the face that h has.
func (m *Metrics) Wrap(h http.Handler) http.Handler { return observe(h, m) }

func (m *Metrics) started() { m.running.Add(1) }

func (m *Metrics) headers() bool { return false }

func (m *Metrics) observed(o *observation) {
	m.running.Add(-1)
	method := slices.Index(methods[:], o.method)
	if method < 0 {
		method = len(methods)
	}
	m.requests[method][min(max(o.status, 100), 599)-100].Add(1)
	m.bytes.Add(o.bytes)
	s := o.took.Seconds()
	i := 0
	for i < len(latencyBuckets) && s > latencyBuckets[i] {
		i++
	}
	m.buckets[i].Add(1)
	m.nanos.Add(int64(o.took))
}

// Serve is the handler in the server's own face, a [HandlerFunc].
func (m *Metrics) Serve(_ context.Context, w *ServerResponse, _ *ServerRequest) error {
	w.SetContentType("text/plain; version=0.0.4; charset=utf-8")
	_, err := w.Write(m.append(nil))
	return err
}

// ServeHTTP implements [http.Handler].
func (m *Metrics) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	HandlerFunc(m.Serve).ServeHTTP(w, r)
}

func (m *Metrics) append(b []byte) []byte {
	about := func(name, help, typ string) {
		b = append(append(append(append(b, "# HELP "...), name...), ' '), help...)
		b = append(append(append(append(b, "\n# TYPE "...), name...), ' '), typ...)
		b = append(b, '\n')
	}
	about("rondo_http_requests_total", "Requests that were answered.", "counter")
	for i := range m.requests {
		method := "other"
		if i < len(methods) {
			method = methods[i]
		}
		for j := range m.requests[i] {
			if n := m.requests[i][j].Load(); n > 0 {
				b = append(append(append(b, `rondo_http_requests_total{method="`...), method...), `",code="`...)
				b = strconv.AppendInt(b, int64(j+100), 10)
				b = strconv.AppendUint(append(b, `"} `...), n, 10)
				b = append(b, '\n')
			}
		}
	}
	about("rondo_http_request_duration_seconds", "From the head of a request to the end of its handler.", "histogram")
	sum := uint64(0)
	for i := range m.buckets {
		sum += m.buckets[i].Load()
		b = append(b, `rondo_http_request_duration_seconds_bucket{le="`...)
		if i < len(latencyBuckets) {
			b = strconv.AppendFloat(b, latencyBuckets[i], 'g', -1, 64)
		} else {
			b = append(b, "+Inf"...)
		}
		b = append(strconv.AppendUint(append(b, `"} `...), sum, 10), '\n')
	}
	b = append(b, "rondo_http_request_duration_seconds_sum "...)
	b = append(strconv.AppendFloat(b, time.Duration(m.nanos.Load()).Seconds(), 'g', -1, 64), '\n')
	b = append(strconv.AppendUint(append(b, "rondo_http_request_duration_seconds_count "...), sum, 10), '\n')
	about("rondo_http_response_bytes_total", "Bytes of bodies that were sent.", "counter")
	b = append(strconv.AppendInt(append(b, "rondo_http_response_bytes_total "...), m.bytes.Load(), 10), '\n')
	about("rondo_http_requests_in_flight", "Requests that are being answered.", "gauge")
	b = append(strconv.AppendInt(append(b, "rondo_http_requests_in_flight "...), m.running.Load(), 10), '\n')
	m.mu.Lock()
	gauges := slices.Clone(m.gauges)
	m.mu.Unlock()
	for _, g := range gauges {
		about(g.name, g.help, "gauge")
		b = append(append(b, g.name...), ' ')
		b = append(strconv.AppendFloat(b, g.value(), 'g', -1, 64), '\n')
	}
	return b
}

// Health answers those who ask whether requests may be sent here: 200 and "ready", or after Drain 503 and "draining". It is
// a handler of both faces. The zero value is ready.
type Health struct{ draining atomic.Bool }

// Drain makes it answer that no requests are wanted any more. A load balancer needs some time to notice: the server goes
// on meanwhile.
func (h *Health) Drain() { h.draining.Store(true) }

// Serve is the handler in the server's own face, a [HandlerFunc].
func (h *Health) Serve(_ context.Context, w *ServerResponse, _ *ServerRequest) error {
	w.SetContentType("text/plain; charset=utf-8")
	w.Add("Cache-Control", "no-store")
	text := "ready\n"
	if h.draining.Load() {
		w.SetStatus(http.StatusServiceUnavailable)
		text = "draining\n"
	}
	_, err := w.WriteString(text)
	return err
}

// ServeHTTP implements [http.Handler].
func (h *Health) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	HandlerFunc(h.Serve).ServeHTTP(w, r)
}

package load

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A Result is what a run measured. Its JSON is what --json writes, and --compare reads; durations are in nanoseconds.
type Result struct {
	Version     int     `json:"version"` // of this format: 1
	Method      string  `json:"method"`
	URL         string  `json:"url"`
	Proto       string  `json:"proto"`
	Mode        string  `json:"mode"` // open or closed
	Rate        float64 `json:"rate,omitempty"`
	Connections int     `json:"connections"`
	Loops       int     `json:"loops"`
	Began       string  `json:"began"`
	Warmup      int64   `json:"warmup_ns"`
	Elapsed     int64   `json:"elapsed_ns"` // without the warm-up

	Answers    int64             `json:"answers"`
	Throughput float64           `json:"answers_per_second"`
	Bytes      int64             `json:"body_bytes"`
	Status     map[int]int64     `json:"status"`
	Errors     map[string]int64  `json:"errors"`
	Samples    map[string]string `json:"error_samples,omitempty"`
	Unsent     int64             `json:"unsent"` // for which no connection was free before the end
	PerSecond  []int64           `json:"answers_each_second"`

	Latency Summary `json:"latency"` // from the intended start; with those of the unsent, as far as it got
	Service Summary `json:"service"` // from the actual start
	Lag     Summary `json:"lag"`     // by how much free connections sent too late: the generator's own fault

	CPU     float64  `json:"generator_cores"` // that this process kept busy
	Doubts  []string `json:"doubts,omitempty"`
	latency *hdrhistogram.Histogram
}

// A Summary describes a distribution, in nanoseconds.
type Summary struct {
	Count     int64      `json:"count"`
	Min       int64      `json:"min"`
	Mean      float64    `json:"mean"`
	StdDev    float64    `json:"stddev"`
	P50       int64      `json:"p50"`
	P75       int64      `json:"p75"`
	P90       int64      `json:"p90"`
	P95       int64      `json:"p95"`
	P99       int64      `json:"p99"`
	P999      int64      `json:"p99.9"`
	P9999     int64      `json:"p99.99"`
	Max       int64      `json:"max"`
	Histogram [][2]int64 `json:"histogram,omitempty"` // upper bound and count of each bucket that holds any
}

func summarize(h *hdrhistogram.Histogram, whole bool) Summary {
	s := Summary{Count: h.TotalCount()}
	if s.Count == 0 {
		return s
	}
	at := h.ValueAtPercentile
	s.Min, s.Mean, s.StdDev, s.Max = h.Min(), h.Mean(), h.StdDev(), h.Max()
	s.P50, s.P75, s.P90, s.P95, s.P99, s.P999, s.P9999 = at(50), at(75), at(90), at(95), at(99), at(99.9), at(99.99)
	if whole {
		for _, b := range h.Distribution() {
			if b.Count > 0 {
				s.Histogram = append(s.Histogram, [2]int64{b.To, b.Count})
			}
		}
	}
	return s
}

// gather makes the result of what all loops did.
func gather(c *Config, all []*generator, proto string, began time.Time, cpu time.Duration) *Result {
	r := &Result{
		Version: 1, Method: c.Method, URL: c.URL, Proto: proto, Mode: "closed", Rate: c.Rate, Connections: c.Connections, Loops: c.Loops,
		Began: began.UTC().Format(time.RFC3339), Warmup: int64(c.Warmup), Status: map[int]int64{}, Errors: map[string]int64{}, Samples: map[string]string{},
	}
	if c.Rate > 0 {
		r.Mode = "open"
	}
	latency, service, lag := newHistogram(), newHistogram(), newHistogram()
	last := time.Duration(0)
	r.PerSecond = make([]int64, len(all[0].perSec))
	for _, g := range all {
		latency.Merge(g.latency)
		service.Merge(g.service)
		lag.Merge(g.lag)
		for k, n := range g.status {
			r.Status[k] += n
		}
		for k, n := range g.errors {
			r.Errors[k] += n
			r.Samples[k] = g.sample[k]
		}
		for i, n := range g.perSec {
			r.PerSecond[i] += n
		}
		r.Answers += g.answers
		r.Bytes += g.bytes
		r.Unsent += g.unsent
		last = max(last, g.last)
	}
	wall := time.Since(began)
	elapsed := min(wall, max(last, c.Warmup+c.Duration)) - c.Warmup
	r.Elapsed = int64(max(elapsed, 0))
	if elapsed > 0 {
		r.Throughput = float64(r.Answers) / elapsed.Seconds()
	}
	r.CPU = cpu.Seconds() / wall.Seconds()
	r.latency = latency
	r.Latency, r.Service, r.Lag = summarize(latency, true), summarize(service, false), summarize(lag, false)
	r.doubt()
	return r
}

// doubt says why the figures may be of the generator more than of the server.
func (r *Result) doubt() {
	const much = int64(time.Millisecond)
	if r.Lag.P99 > much && r.Lag.P99*5 > r.Latency.P99 {
		r.Doubts = append(r.Doubts, fmt.Sprintf("The generator itself was late: 1 in 100 requests was sent %v or more after its time while a connection was free. "+
			"The latencies include that. Use a lower --rate, more --loops, or a machine with nothing else to do.", round(r.Lag.P99)))
	}
	if r.CPU > 0.9*float64(r.Loops) {
		r.Doubts = append(r.Doubts, fmt.Sprintf("The generator kept %.1f cores busy with %d loops: it may have been the slower side. Use more --loops, if there are cores for them.", r.CPU, r.Loops))
	}
	if r.Unsent > 0 {
		r.Doubts = append(r.Doubts, fmt.Sprintf("%d requests were never sent, since all connections waited for answers until the end: the server does not sustain this rate over %d connections. "+
			"They count with the time that they had waited.", r.Unsent, r.Connections))
	}
}

// Failed returns how many requests got no answer.
func (r *Result) Failed() (n int64) {
	for _, k := range r.Errors {
		n += k
	}
	return n
}

// AppendJSON appends r as JSON.
func (r *Result) AppendJSON(b []byte) ([]byte, error) {
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return b, err
	}
	return append(append(b, text...), '\n'), nil
}

// Load reads what AppendJSON wrote.
func Load(name string) (*Result, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	r := new(Result)
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("%s: not a result of rondo bench: %w", name, err)
	}
	if r.Version != 1 || r.Latency.Count == 0 {
		return nil, fmt.Errorf("%s: not a result of rondo bench, or an empty one", name)
	}
	return r, nil
}

package fetch

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Counters adds up what a loop has done. Each loop has its own; Merge joins them at the end. The zero value is empty.
type Counters struct {
	URLs    uint64 // done, well or badly
	OK      uint64
	Bytes   uint64 // of bodies of URLs that are OK
	Words   uint64
	Check   Check
	Retries uint64
	Failed  []KindCount // in order of appearance
	Latency Latency     // of the URLs that are OK
}

// KindCount says how many URLs failed in one way.
type KindCount struct {
	Kind Kind
	N    uint64
}

// Add counts a finished record. Words are added by whoever ran the stage.
func (c *Counters) Add(r *Record) {
	c.URLs++
	if r.Attempts > 1 {
		c.Retries += uint64(r.Attempts - 1)
	}
	if r.Kind != "" {
		c.fail(r.Kind, 1)
		return
	}
	c.OK++
	c.Bytes += uint64(r.Bytes)
	if r.HasSum {
		c.Check.Add(&r.Sum)
	}
	c.Latency.Add(r.Elapsed)
}

func (c *Counters) fail(k Kind, n uint64) {
	for i := range c.Failed {
		if c.Failed[i].Kind == k {
			c.Failed[i].N += n
			return
		}
	}
	c.Failed = append(c.Failed, KindCount{k, n})
}

// Failures returns how many URLs failed.
func (c *Counters) Failures() uint64 { return c.URLs - c.OK }

// Merge adds the counts of o.
func (c *Counters) Merge(o *Counters) {
	c.URLs += o.URLs
	c.OK += o.OK
	c.Bytes += o.Bytes
	c.Words += o.Words
	c.Check += o.Check
	c.Retries += o.Retries
	for _, f := range o.Failed {
		c.fail(f.Kind, f.N)
	}
	c.Latency.Merge(&o.Latency)
}

// Summary is what a run says at its end.
type Summary struct {
	Counters
	Wall      time.Duration
	HasWords  bool // the words stage ran
	HasDigest bool
}

func (s *Summary) rate() float64 {
	if s.Wall <= 0 {
		return 0
	}
	return float64(s.URLs) / s.Wall.Seconds()
}

func (s *Summary) kinds() []KindCount {
	return slices.SortedFunc(slices.Values(s.Failed), func(a, b KindCount) int { return strings.Compare(string(a.Kind), string(b.Kind)) })
}

// AppendJSON appends the summary as one JSON object and a newline.
func (s *Summary) AppendJSON(dst []byte) []byte {
	number := func(name string, n uint64) {
		dst = append(dst, name...)
		dst = strconv.AppendUint(dst, n, 10)
	}
	number(`{"urls":`, s.URLs)
	number(`,"ok":`, s.OK)
	dst = append(dst, `,"failed":{`...)
	for i, f := range s.kinds() {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, string(f.Kind))
		number(":", f.N)
	}
	number(`},"bytes":`, s.Bytes)
	if s.HasWords {
		number(`,"words":`, s.Words)
	}
	if s.HasDigest {
		dst = append(dst, `,"check":"`...)
		dst, _ = s.Check.AppendText(dst)
		dst = append(dst, '"')
	}
	dst = append(dst, `,"wall_s":`...)
	dst = strconv.AppendFloat(dst, s.Wall.Seconds(), 'f', 3, 64)
	for i, q := range quantiles {
		dst = append(dst, []string{`,"latency_ms":{"p50":`, `,"p90":`, `,"p99":`}[i]...)
		dst = appendMillis(dst, s.Latency.Quantile(q))
	}
	dst = append(dst, `},"requests_per_s":`...)
	dst = strconv.AppendFloat(dst, s.rate(), 'f', 1, 64)
	return append(dst, "}\n"...)
}

var quantiles = [...]float64{0.5, 0.9, 0.99}

// AppendText appends the summary as a small table for people.
func (s *Summary) AppendText(dst []byte) ([]byte, error) {
	row := func(name, format string, args ...any) {
		dst = fmt.Appendf(dst, "  %-10s "+format+"\n", append([]any{name}, args...)...)
	}
	row("urls", "%s", Group(s.URLs))
	row("ok", "%s", Group(s.OK))
	if n := s.Failures(); n > 0 {
		var parts []string
		for _, f := range s.kinds() {
			parts = append(parts, fmt.Sprintf("%s %s", f.Kind, Group(f.N)))
		}
		row("failed", "%s (%s)", Group(n), strings.Join(parts, ", "))
	}
	if s.Retries > 0 {
		row("retries", "%s", Group(s.Retries))
	}
	row("bytes", "%s", Group(s.Bytes))
	if s.HasWords {
		row("words", "%s", Group(s.Words))
	}
	if s.HasDigest {
		row("check", "%s", s.Check)
	}
	row("time", "%.2f s, %s requests/s, %s/s", s.Wall.Seconds(), Group(uint64(s.rate())), Size(int64(float64(s.Bytes)/max(s.Wall.Seconds(), 1e-9))))
	row("latency", "p50 %s, p90 %s, p99 %s", shortMillis(s.Latency.Quantile(0.5)), shortMillis(s.Latency.Quantile(0.9)), shortMillis(s.Latency.Quantile(0.99)))
	return dst, nil
}

func shortMillis(d time.Duration) string {
	ms := float64(d.Microseconds()) / 1000
	if ms < 10 {
		return fmt.Sprintf("%.2f ms", ms)
	}
	return fmt.Sprintf("%.0f ms", ms)
}

// Group writes n with a comma between thousands.
func Group(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Size writes a count of bytes with a unit, in steps of 1000.
func Size(n int64) string {
	f := float64(n)
	for _, unit := range []string{"B", "kB", "MB", "GB", "TB"} {
		if f < 999.5 || unit == "TB" {
			if unit == "B" || f >= 99.5 {
				return fmt.Sprintf("%.0f %s", f, unit)
			}
			return fmt.Sprintf("%.1f %s", f, unit)
		}
		f /= 1000
	}
	return ""
}

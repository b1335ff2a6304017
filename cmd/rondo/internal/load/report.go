package load

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// AppendText appends a report for people. Before, if not nil, is a result to compare with.
func (r *Result) AppendText(b []byte, before *Result) []byte {
	b = fmt.Appendf(b, "%d answers in %v, %.1f a second, %s of bodies, %s\n", r.Answers, round(r.Elapsed), r.Throughput, size(r.Bytes), r.Proto)
	b = append(b, "status"...)
	for _, k := range slices.Sorted(maps.Keys(r.Status)) {
		b = fmt.Appendf(b, "  %d: %d", k, r.Status[k])
	}
	if len(r.Status) == 0 {
		b = append(b, "  none"...)
	}
	b = append(b, '\n')
	for _, k := range slices.Sorted(maps.Keys(r.Errors)) {
		b = fmt.Appendf(b, "error   %s: %d, such as %s\n", k, r.Errors[k], r.Samples[k])
	}
	if before != nil {
		b = r.appendComparison(b, before)
	} else {
		b = r.appendTable(b)
	}
	b = append(b, '\n')
	b = appendPlot(b, r.Latency.Histogram)
	for _, d := range r.Doubts {
		b = append(b, '\n')
		b = appendWrapped(b, "! "+d)
	}
	return b
}

// rows are the lines of a table.
func (s *Summary) rows() []struct {
	name  string
	value int64
} {
	type row = struct {
		name  string
		value int64
	}
	return []row{
		{"min", s.Min}, {"mean", int64(s.Mean)}, {"50%", s.P50}, {"75%", s.P75}, {"90%", s.P90}, {"95%", s.P95}, {"99%", s.P99},
		{"99.9%", s.P999}, {"99.99%", s.P9999}, {"max", s.Max},
	}
}

func (r *Result) appendTable(b []byte) []byte {
	service, late := r.Service.rows(), r.Lag.rows()
	if r.Mode == "open" {
		b = fmt.Appendf(b, "\n%8s %12s %12s %12s\n", "", "latency", "service", "late")
	} else {
		b = fmt.Appendf(b, "\n%8s %12s\n", "", "latency")
	}
	for i, row := range r.Latency.rows() {
		b = fmt.Appendf(b, "%8s %12v", row.name, round(row.value))
		if r.Mode == "open" {
			b = fmt.Appendf(b, " %12v %12v", round(service[i].value), round(late[i].value))
		}
		b = append(b, '\n')
	}
	if r.Mode == "open" {
		b = append(b, "latency counts from when a request was to be sent, service from when it was; late is what rondo bench itself added\n"...)
	}
	return b
}

func (r *Result) appendComparison(b []byte, old *Result) []byte {
	if r.Mode != old.Mode || r.Rate != old.Rate || r.Connections != old.Connections || r.Method != old.Method {
		b = append(b, "\n! The earlier run was another one: "...)
		b = fmt.Appendf(b, "%s, %s mode, rate %g, %d connections.\n", old.Method, old.Mode, old.Rate, old.Connections)
	}
	b = fmt.Appendf(b, "\n%8s %12s %12s %9s\n", "", "before", "now", "change")
	was := old.Latency.rows()
	for i, row := range r.Latency.rows() {
		b = fmt.Appendf(b, "%8s %12v %12v %9s\n", row.name, round(was[i].value), round(row.value), change(float64(was[i].value), float64(row.value)))
	}
	b = fmt.Appendf(b, "%8s %12.1f %12.1f %9s\n", "answers/s", old.Throughput, r.Throughput, change(old.Throughput, r.Throughput))
	b = fmt.Appendf(b, "%8s %12d %12d\n", "errors", old.Failed(), r.Failed())
	return b
}

func change(before, now float64) string {
	if before == 0 {
		return "-"
	}
	return fmt.Sprintf("%+.1f%%", (now/before-1)*100)
}

// appendPlot draws how many requests took how long: a bar for each step of a scale that
// grows by the same factor, on which a bar of half the width is half as many.
func appendPlot(b []byte, histogram [][2]int64) []byte {
	if len(histogram) == 0 {
		return b
	}
	const most, perDecade, width = 24, 10, 50
	low, high := histogram[0][0], histogram[len(histogram)-1][0]
	step := func(v int64, per float64) int { return int(math.Floor(math.Log10(float64(v)) * per)) }
	per := float64(perDecade)
	for step(high, per)-step(low, per) >= most && per > 1 {
		per--
	}
	first := step(low, per)
	counts := make([]int64, step(high, per)-first+1)
	total, top := int64(0), int64(0)
	for _, bar := range histogram {
		i := step(bar[0], per) - first
		counts[i] += bar[1]
		total += bar[1]
		top = max(top, counts[i])
	}
	done := int64(0)
	for i, n := range counts {
		done += n
		upper := int64(math.Pow(10, float64(first+i+1)/per))
		b = fmt.Appendf(b, "%10s %6.2f%% %s\n", "< "+round(upper).String(), float64(done)*100/float64(total), bar(n, top, width))
	}
	return b
}

// bar draws n of top, in eighths of a column.
func bar(n, top int64, width int) string {
	eighths := int(math.Ceil(float64(n) * float64(width*8) / float64(top)))
	s := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		s += string([]rune("▏▎▍▌▋▊▉")[rest-1])
	}
	return s
}

// round leaves three digits.
func round(ns int64) time.Duration {
	d := time.Duration(ns)
	unit := time.Duration(1)
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit)
}

func size(n int64) string {
	v, units := float64(n), []string{"B", "kB", "MB", "GB", "TB", "PB"}
	for v >= 999.5 && len(units) > 1 {
		v /= 1000
		units = units[1:]
	}
	return fmt.Sprintf("%.3g %s", v, units[0])
}

// appendWrapped breaks a text into lines.
func appendWrapped(b []byte, text string) []byte {
	const columns = 100
	used := 0
	for i, w := range strings.Fields(text) {
		if used+len(w) >= columns {
			b = append(b, "\n  "...)
			used = 2
		} else if i > 0 {
			b = append(b, ' ')
			used++
		}
		b = append(b, w...)
		used += len(w)
	}
	return append(b, '\n')
}

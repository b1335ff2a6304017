package fetch

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestLatencyQuantileIsWithinOnePercent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		us := rapid.SliceOfN(rapid.OneOf(rapid.Int64Range(0, 300), rapid.Int64Range(0, 1<<36-1)), 1, 200).Draw(t, "us")
		var parts [2]Latency
		for i, n := range us {
			parts[i%2].Add(time.Duration(n) * time.Microsecond)
		}
		l := parts[0]
		l.Merge(&parts[1])
		slices.Sort(us)
		for _, q := range []float64{0.5, 0.9, 0.99, 1} {
			rank := max(int(q*float64(len(us))+0.5), 1)
			want := float64(us[rank-1])
			got := float64(l.Quantile(q).Microseconds())
			if math.Abs(got-want) > want*0.01 {
				t.Fatalf("p%v: got %v us, want %v", q*100, got, want)
			}
		}
	})
}

func TestLatencyTakesAnyDuration(t *testing.T) {
	var l Latency
	if l.Quantile(0.5) != 0 {
		t.Fatal("an empty histogram has a quantile")
	}
	l.Add(-time.Second)
	if l.Quantile(1) != 0 {
		t.Fatal(l.Quantile(1))
	}
	l.Add(math.MaxInt64)
	if l.Quantile(1) < 18*time.Hour {
		t.Fatal(l.Quantile(1))
	}
}

func sampleSummary() *Summary {
	var a, b Counters
	for i := range 1500 {
		c := &a
		if i%3 == 0 {
			c = &b
		}
		r := Record{Bytes: 1000, HasSum: true, Attempts: 1, Elapsed: time.Duration(i) * time.Microsecond * 10}
		r.Sum[7] = 1
		switch {
		case i%500 == 1:
			r.Kind = "timeout-read"
		case i == 7:
			r.Kind = KindStatus
		case i == 8:
			r.Attempts = 3
		}
		c.Add(&r)
	}
	a.Words, b.Words = 10, 5
	a.Merge(&b)
	return &Summary{Counters: a, Wall: 1500 * time.Millisecond, HasWords: true, HasDigest: true}
}

func TestSummaryJSONIsOneObjectOnOneLine(t *testing.T) {
	got := sampleSummary().AppendJSON(nil)
	if got[0] != '{' || bytes.Count(got, newline) != 1 || got[len(got)-1] != '\n' {
		t.Fatalf("%q", got)
	}
	var fields map[string]any
	if err := json.Unmarshal(got, &fields); err != nil {
		t.Fatal(err)
	}
	latency := fields["latency_ms"].(map[string]any)
	for q, want := range map[string]float64{"p50": 7.5, "p90": 13.5, "p99": 14.85} {
		if got := latency[q].(float64); math.Abs(got-want) > want*0.02 {
			t.Errorf("%s: got %v, want about %v", q, got, want)
		}
	}
	delete(fields, "latency_ms")
	want := map[string]any{"urls": 1500.0, "ok": 1496.0, "failed": map[string]any{"timeout-read": 3.0, "status": 1.0},
		"bytes": 1496000.0, "words": 15.0, "check": "00000000000005d8", "wall_s": 1.5, "requests_per_s": 1000.0}
	if !reflect.DeepEqual(fields, want) {
		t.Fatalf("got  %v\nwant %v", fields, want)
	}
}

func TestSummaryLeavesOutWhatDidNotRun(t *testing.T) {
	s := new(Summary)
	if got := string(s.AppendJSON(nil)); strings.Contains(got, "words") || strings.Contains(got, "check") || !strings.Contains(got, `"requests_per_s":0.0`) {
		t.Fatal(got)
	}
}

func TestSummaryText(t *testing.T) {
	b, _ := sampleSummary().AppendText(nil)
	for _, want := range []string{"urls       1,500\n", "failed     4 (status 1, timeout-read 3)\n", "retries    2\n", "bytes      1,496,000\n",
		"time       1.50 s, 1,000 requests/s, 997 kB/s\n"} {
		if !strings.Contains(string(b), want) {
			t.Errorf("%q is not in\n%s", want, b)
		}
	}
}

func TestGroupAndSize(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := Group(n); got != want {
			t.Errorf("Group(%d) = %s", n, got)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 99960: "100 kB", 13845041: "13.8 MB"} {
		if got := Size(n); got != want {
			t.Errorf("Size(%d) = %s, want %s", n, got, want)
		}
	}
}

func TestCountersDoNotAllocate(t *testing.T) {
	var c Counters
	ok, bad := sampleRecord(), &Record{Kind: kindReset}
	c.Add(bad)
	if n := testing.AllocsPerRun(100, func() { c.Add(ok); c.Add(bad) }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

package fetch

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestProgressLineFitsItsWidth(t *testing.T) {
	s := ProgressState{Done: 12345, Failed: 67, Bytes: 89e6, InFlight: 100, Total: 20000}
	for width, want := range map[int]string{
		200: "[==============          ] 12,345 of 20,000, 67 failed, 850/s, 9s left, 89.0 MB, 100 in flight",
		80:  "[======    ] 12,345 of 20,000, 67 failed, 850/s, 9s left, 89.0 MB, 100 in flight",
		40:  "12,345 of 20,000, 67 failed, 850/s",
		16:  "12,345 of 20,000",
		5:   "",
	} {
		if got := progressLine(s, 850, 14*time.Second, width); got != want {
			t.Errorf("width %d:\n got %q\nwant %q", width, got, want)
		}
	}
	for width := range 200 {
		if got := progressLine(s, 850, time.Second, width); len(got) > width {
			t.Errorf("width %d: %d columns", width, len(got))
		}
	}
	s.Total, s.Failed = 0, 0
	if got := progressLine(s, 850, 3725*time.Second, 80); got != "12,345 done, 850/s, 1h02m, 89.0 MB, 100 in flight" {
		t.Error(got)
	}
}

func TestProgressDrawsOnATerminalAndKeepsLinesApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		var done int64
		p := newProgress(&out, func() int { return 80 }, func() ProgressState {
			done += 10
			return ProgressState{Done: done}
		})
		time.Sleep(progressEvery*2 + progressEvery/2)
		p.Write([]byte("a line\n"))
		time.Sleep(progressEvery)
		p.Close()
		p.Write([]byte("the end\n"))
		const tail = ", 100/s, 0s, 0 B, 0 in flight\x1b[K"
		want := "\r10 done" + tail + "\r20 done" + tail + "\r\x1b[Ka line\n" + "\r30 done" + tail + "\r\x1b[Kthe end\n"
		if out.String() != want {
			t.Fatalf("\n got %q\nwant %q", out.String(), want)
		}
	})
}

func TestProgressIsQuietOnAFile(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := NewProgress(f, func() ProgressState {
		t.Error("asked for its state")
		return ProgressState{}
	})
	p.Write([]byte("a line\n"))
	p.Close()
	if got, _ := os.ReadFile(f.Name()); string(got) != "a line\n" {
		t.Fatalf("%q", got)
	}
}

func TestProgressRateFollowsTheLastSeconds(t *testing.T) {
	var r rate
	var got float64
	for i := range int64(200) {
		done := i
		if i > 100 {
			done = 100 + (i-100)*10
		}
		got = r.add(time.Duration(i)*time.Second, done)
		if i == 50 && got != 1 {
			t.Errorf("rate %v at first", got)
		}
	}
	if got != 10 {
		t.Errorf("rate %v at last", got)
	}
}

func TestClock(t *testing.T) {
	var got []string
	for _, d := range []time.Duration{7 * time.Second, 185 * time.Second, 7380 * time.Second} {
		got = append(got, clock(d))
	}
	if s := strings.Join(got, " "); s != "7s 3m05s 2h03m" {
		t.Error(s)
	}
}

package load

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func config(url string) Config {
	return Config{Method: "GET", URL: url, Rate: 1000, Duration: 500 * time.Millisecond, Connections: 4, Loops: 1, Timeout: 5 * time.Second}
}

func run(t *testing.T, c Config) *Result {
	t.Helper()
	r, err := Run(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRunOpenSendsWhatItShould(t *testing.T) {
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		k := n.Add(1)
		if r.Method != "POST" || r.Header.Get("A") != "b" || string(b) != "body" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if k%10 == 0 {
			w.WriteHeader(http.StatusNotFound)
		}
		io.WriteString(w, "text")
	}))
	defer s.Close()
	for _, loops := range []int{1, 3} {
		n.Store(0)
		c := config(s.URL)
		c.Method, c.Body, c.Header, c.Loops, c.Warmup = "POST", []byte("body"), http.Header{"A": {"b"}}, loops, 100*time.Millisecond
		r := run(t, c)
		// Those of the warm-up are sent, and not counted. A slow machine leaves some unsent.
		if got := r.Answers + r.Unsent; got != 500 || n.Load() <= r.Answers || n.Load()+r.Unsent > 601 {
			t.Errorf("%d loops: %d answers, %d unsent, %d requests", loops, r.Answers, r.Unsent, n.Load())
		}
		if r.Status[200]+r.Status[404] != r.Answers || r.Status[404] < r.Answers/10-5 || r.Bytes != 4*r.Answers || len(r.Errors) > 0 {
			t.Errorf("%d loops: %v, %d bytes, %v", loops, r.Status, r.Bytes, r.Errors)
		}
		if r.Latency.Count != r.Answers+r.Unsent || r.Service.Count != r.Answers || r.Latency.P50 > r.Latency.Max || r.Latency.Min < r.Service.Min {
			t.Errorf("%d loops: %+v", loops, r.Latency)
		}
	}
}

// TestRunOpenCountsFromTheIntendedStart is what the open mode is for. The server stalls for 300 ms of real time.
func TestRunOpenCountsFromTheIntendedStart(t *testing.T) {
	const stall = 300 * time.Millisecond
	var began atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		began.CompareAndSwap(0, time.Now().UnixNano())
		at := time.Duration(time.Now().UnixNano() - began.Load())
		if from := 100 * time.Millisecond; at > from && at < from+stall {
			time.Sleep(from + stall - at)
		}
	}))
	defer s.Close()
	r := run(t, config(s.URL))
	// Of 500 requests 300 fall into the stall, one a millisecond: half of them waited for at least half of it.
	if r.Latency.P75 < int64(stall)/4 {
		t.Errorf("three in four within %v, though for %v there was no answer", time.Duration(r.Latency.P75), stall)
	}
	// A generator that waits for its answers sees four slow requests.
	if r.Service.P75 > int64(stall)/2 {
		t.Errorf("service %v: the stall met more than the connections there are", time.Duration(r.Service.P75))
	}
}

func TestRunCountsWhatWasNeverSent(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(20 * time.Millisecond) }))
	defer s.Close()
	c := config(s.URL) // 4 connections serve 200 a second
	r := run(t, c)
	if r.Unsent < 200 || len(r.Doubts) == 0 || r.Latency.Max < int64(300*time.Millisecond) {
		t.Errorf("%d unsent, doubts %q, max %v", r.Unsent, r.Doubts, time.Duration(r.Latency.Max))
	}
}

func TestRunClosed(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(10 * time.Millisecond) }))
	defer s.Close()
	c := config(s.URL)
	c.Rate = 0
	r := run(t, c)
	if r.Mode != "closed" || r.Answers < 20 || r.Answers > 210 || r.Latency.Min < int64(10*time.Millisecond) || r.Unsent != 0 {
		t.Errorf("%+v", r)
	}
}

func TestRunCountsErrorsByKind(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for n := 0; ; n++ {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				c.Read(make([]byte, 4096))
				switch n % 3 {
				case 0:
					io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
				case 1:
					io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok")
				case 2:
					io.WriteString(c, "SSH-2.0\r\n\r\n")
				}
			}()
		}
	}()
	c := config("http://" + ln.Addr().String())
	c.Rate = 200
	r := run(t, c)
	if r.Errors["truncated"] < 10 || r.Errors["protocol"] < 10 || r.Answers < 10 || r.Answers+r.Failed()+r.Unsent != 100 || r.Samples["truncated"] == "" {
		t.Errorf("%d answers, %v, %v", r.Answers, r.Errors, r.Samples)
	}
}

func TestRunEndsEarly(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer s.Close()
	ctx, cancel := context.WithCancel(context.Background())
	c := config(s.URL)
	c.Duration = time.Hour
	c.Progress = func(time.Duration, int64, int64) { cancel() }
	r, err := Run(ctx, c)
	if err != nil || r.Answers == 0 || r.Elapsed > int64(time.Minute) || r.Unsent > r.Answers {
		t.Errorf("%v: %+v", err, r)
	}
}

func TestRunNeedsAServer(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	if r, err := Run(context.Background(), config("http://"+ln.Addr().String())); err == nil {
		t.Errorf("%+v", r)
	}
}

func TestResultSurvivesJSON(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer s.Close()
	r := run(t, config(s.URL))
	b, err := r.AppendJSON(nil)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "r.json")
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
	old, err := Load(name)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(old.Latency) != fmt.Sprint(r.Latency) || old.Answers != r.Answers {
		t.Errorf("%+v\n%+v", old, r)
	}
	text := string(r.AppendText(nil, old))
	if !strings.Contains(text, "+0.0%") || strings.Contains(text, "another one") {
		t.Errorf("%s", text)
	}
	os.WriteFile(name, []byte("{}"), 0o644)
	if _, err := Load(name); err == nil {
		t.Error("an empty result")
	}
}

func TestPlot(t *testing.T) {
	got := string(appendPlot(nil, [][2]int64{{1_000_000, 50}, {1_900_000, 100}, {9_000_000, 1}}))
	want := "" +
		"  < 1.26ms  33.11% █████████████████████████\n" +
		"  < 1.58ms  33.11% \n" +
		"     < 2ms  99.34% ██████████████████████████████████████████████████\n" +
		"  < 2.51ms  99.34% \n" +
		"  < 3.16ms  99.34% \n" +
		"  < 3.98ms  99.34% \n" +
		"  < 5.01ms  99.34% \n" +
		"  < 6.31ms  99.34% \n" +
		"  < 7.94ms  99.34% \n" +
		"    < 10ms 100.00% ▌\n"
	if got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	for _, h := range [][][2]int64{nil, {{1000, 1}}, {{1000, 1}, {3_600_000_000_000, 1}}} {
		if n := strings.Count(string(appendPlot(nil, h)), "\n"); n > 25 {
			t.Errorf("%d lines", n)
		}
	}
}

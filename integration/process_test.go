//go:build linux

package integration

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// children returns the processes that parent has started.
func children(t *testing.T, parent int) (pids []int) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range stats {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		// proc_pid_stat(5): pid, command in parentheses, state, ppid.
		_, rest, _ := strings.Cut(string(text), ") ")
		if f := strings.Fields(rest); len(f) > 1 && f[1] == strconv.Itoa(parent) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			pids = append(pids, pid)
		}
	}
	return pids
}

func TestFetchSurvivesAKilledWorker(t *testing.T) {
	s := startSite(t)
	j := newJob(600, s.http, s.docs)
	r := begin(t, "-i", "-", "--map", "words", "--isolate", "--workers", "2", "-c", "20")
	r.give(j.urls[:200]...)
	r.take(100) // both workers have been at work, and one has more to do
	workers := children(t, r.cmd.Process.Pid)
	if len(workers) != 2 {
		t.Fatalf("workers: %v", workers)
	}
	if err := syscall.Kill(workers[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.give(j.urls[200:400]...)
	r.take(300)
	for _, pid := range children(t, r.cmd.Process.Pid) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
			t.Fatal(err)
		}
	}
	r.give(j.urls[400:]...)
	r.stdin.Close()
	j.check(t, r.end())
}

// A worker that dies of one body dies again, and only that body is lost.
func TestFetchReportsTheBodyThatKillsWorkers(t *testing.T) {
	needs(t, "python3")
	h := startHostile(t)
	script := filepath.Join(t.TempDir(), "worker.py")
	if err := os.WriteFile(script, []byte(`import json, os, sys
while header := sys.stdin.buffer.readline():
    body = sys.stdin.buffer.read(json.loads(header)["bytes"])
    if len(body) == 13:
        os.kill(os.getpid(), 9)
    print(json.dumps({"words": len(body.split())}), flush=True)
`), 0o644); err != nil {
		t.Fatal(err)
	}
	r := begin(t, "-i", "-", "--map", "cmd:exec python3 "+script, "--workers", "2")
	for n := range 30 {
		r.give(fmt.Sprintf("http://%s/ok?n=%d", h.a, n))
	}
	r.stdin.Close()
	out := r.end()
	for _, rec := range out.records {
		if rec.Bytes == 13 && (rec.kind() != "worker" || !strings.Contains(rec.Error.Message, "killed")) || rec.Bytes != 13 && rec.kind() != "ok" {
			t.Errorf("%+v %+v", rec, rec.Error)
		}
	}
	if s := out.summary(t); out.status != 1 || len(out.records) != 30 || s.OK != 29 || s.Failed["worker"] != 1 {
		t.Errorf("status %d, %d records, %+v", out.status, len(out.records), s)
	}
}

// held is an origin that answers nothing until its gate is open.
func held(t *testing.T) (url string, arrived chan struct{}, open func(), served *atomic.Int64) {
	gate, arrived, served := make(chan struct{}), make(chan struct{}, 1000), new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		select {
		case <-gate:
			served.Add(1)
			fmt.Fprint(w, "at last")
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(s.Close)
	return s.URL, arrived, func() { close(gate) }, served
}

func TestFetchInterruptedFinishesWhatIsInHand(t *testing.T) {
	url, arrived, open, served := held(t)
	r := begin(t, "-i", "-", "-c", "4", "--map", "words")
	for i := range 200 {
		r.give(fmt.Sprintf("%s/%d", url, i))
	}
	for range 4 {
		<-arrived
	}
	if err := r.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	open()
	out := r.end() // with its input open: nothing but the signal ends it
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("ended after %v", took)
	}
	// The signal may come to effect after a few more.
	if n := int(served.Load()); len(out.records) != n || n < 4 {
		t.Errorf("%d records, %d served", len(out.records), n)
	}
	for _, rec := range out.records {
		if rec.kind() != "ok" || rec.Result.Words != 2 {
			t.Errorf("%+v %+v", rec, rec.Error)
		}
	}
	if out.status != 1 || !strings.Contains(out.stderr, "interrupted") || out.summary(t).OK != len(out.records) {
		t.Errorf("status %d\n%s", out.status, out.stderr)
	}
}

func TestFetchInterruptedTwiceCancelsWhatIsInHand(t *testing.T) {
	url, arrived, _, _ := held(t)
	r := begin(t, "-i", "-", "-c", "4", "--timeout", "0")
	for i := range 200 {
		r.give(fmt.Sprintf("%s/%d", url, i))
	}
	for range 4 {
		<-arrived
	}
	// Two signals sent at once are delivered as one, and that the first has come to effect shows nowhere outside: so
	// it is sent again and again, in real time.
	done := make(chan struct{})
	go func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			_ = r.cmd.Process.Signal(os.Interrupt) // it may have ended
			select {
			case <-tick.C:
			case <-done:
				return
			}
		}
	}()
	out := r.end()
	close(done)
	for _, rec := range out.records {
		if rec.kind() != "canceled" {
			t.Errorf("%+v %+v", rec, rec.Error)
		}
	}
	if out.status != 1 || len(out.records) > 4 {
		t.Errorf("status %d, %d records\n%s", out.status, len(out.records), out.stderr)
	}
}

func TestFetchMemoryIsBounded(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector's own memory hides the command's")
	}
	h := startHostile(t)
	r := begin(t, "-i", "-", "--max-body", "0", "--map", "words", "--digest", "none", "-c", "20")
	const bomb = 100 << 20
	for i := range 3 {
		r.give(fmt.Sprintf("http://%s/gzipbomb?mb=100&i=%d", h.a, i))
	}
	for i := range 2000 {
		r.give(fmt.Sprintf("http://%s/ok?n=10000&i=%d", h.a, i))
	}
	r.take(2003)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(status), "VmHWM:")
	peak, err := strconv.Atoi(strings.Fields(text)[0])
	if err != nil || peak > 30<<10 { // kB
		t.Errorf("peak %d kB, %v", peak, err)
	}
	r.stdin.Close()
	if s := r.end().summary(t); s.OK != 2003 || s.Bytes != 3*bomb+2000*10000 {
		t.Errorf("%+v", s)
	}
}

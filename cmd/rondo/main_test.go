package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain lets the test binary be the worker process that --isolate starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "worker" {
		main()
	}
	// Under the race detector a program sleeps a second in its exit, unless it is told not to.
	os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	os.Exit(m.Run())
}

// command runs rondo with args and returns what it wrote and its exit status.
func command(t *testing.T, in io.Reader, interrupt chan os.Signal, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	errs, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer errs.Close()
	var out bytes.Buffer
	status = run(args, streams{in, &out, errs, interrupt})
	text, err := os.ReadFile(errs.Name())
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), string(text), status
}

func pages(t *testing.T) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/missing" {
			http.NotFound(w, r)
			return
		}
		io.WriteString(w, r.UserAgent()+" says "+r.Header.Get("X-Say"))
	}))
	t.Cleanup(s.Close)
	return s
}

func TestDemoFindsWhatItsOriginServes(t *testing.T) {
	out, errs, status := command(t, nil, nil, "demo")
	if status != exitOK || errs != "" || !strings.Contains(out, "urls       2,000\n") || !strings.Contains(out, "equal the server's own") {
		t.Fatalf("status %d\n%s%s", status, out, errs)
	}
}

func TestFetchWritesRecordsAndOneLineOfSummary(t *testing.T) {
	s := pages(t)
	for _, mode := range [][]string{nil, {"--isolate", "--workers", "2"}} {
		args := append([]string{"fetch", "-i", "-", "--map", "words", "--summary", "json", "--user-agent", "me", "--header", "X-Say: a b"}, mode...)
		out, errs, status := command(t, strings.NewReader(s.URL+"/1\n"+s.URL+"/2\n"), nil, args...)
		if status != exitOK || strings.Count(out, "\n") != 2 || strings.Count(errs, "\n") != 1 {
			t.Fatalf("%v: status %d\n%s%s", mode, status, out, errs)
		}
		for line := range strings.Lines(out) {
			var r struct {
				Bytes  int
				Result struct{ Words int }
			}
			if err := json.Unmarshal([]byte(line), &r); err != nil || r.Bytes != len("me says a b") || r.Result.Words != 4 {
				t.Errorf("%v: %s %v", mode, line, err)
			}
		}
		var sum struct{ URLs, OK, Words, Bytes int }
		if err := json.Unmarshal([]byte(errs), &sum); err != nil || sum.URLs != 2 || sum.OK != 2 || sum.Words != 8 || sum.Bytes != 22 {
			t.Errorf("%v: %s %v", mode, errs, err)
		}
	}
}

func TestFetchExitStatus(t *testing.T) {
	s := pages(t)
	dir := t.TempDir()
	for name, c := range map[string]struct {
		args   []string
		status int
		says   string
	}{
		"all fetched":      {[]string{"fetch", s.URL + "/a"}, exitOK, "ok         1"},
		"some failed":      {[]string{"fetch", s.URL + "/a", s.URL + "/missing"}, exitFailed, "failed     1 (status 1)"},
		"usage":            {[]string{"fetch", "--map", "x", s.URL}, exitUsage, "rondo fetch: --map: unknown value"},
		"no input":         {[]string{"fetch", "-i", dir + "/none"}, exitUsage, "rondo fetch: -i: open " + dir},
		"no output":        {[]string{"fetch", "-o", dir + "/none/out", s.URL}, exitUsage, "rondo fetch: -o: write records: open " + dir},
		"no root":          {[]string{"fetch", "--cacert", dir + "/none", s.URL}, exitUsage, "rondo fetch: --cacert: open " + dir},
		"no command":       {[]string{"frobnicate"}, exitUsage, `rondo: "frobnicate" is no command`},
		"nothing":          {nil, exitUsage, "usage: rondo COMMAND"},
		"insecure":         {[]string{"fetch", "--insecure", s.URL}, exitOK, "no certificate is verified"},
		"worker that dies": {[]string{"fetch", "--map", "cmd:echo broken model >&2; exit 3", s.URL}, exitFailed, "failed     1 (worker 1)"},
		"demo with a URL":  {[]string{"demo", s.URL}, exitUsage, "use rondo fetch"},
		"unknown stage":    {[]string{"worker", "x"}, exitFailed, "rondo worker: stage"},
	} {
		out, errs, status := command(t, nil, nil, c.args...)
		if status != c.status || !strings.Contains(errs, c.says) {
			t.Errorf("%s: status %d, want %d\n%s%s", name, status, c.status, out, errs)
		}
	}
	if out, _, status := command(t, nil, nil, "help", "fetch"); status != exitOK || !strings.Contains(out, "--max-body") {
		t.Error(status, out)
	}
	if out, _, status := command(t, nil, nil, "--help"); status != exitOK || !strings.Contains(out, "demo") {
		t.Error(status, out)
	}
}

func TestFetchInterruptedWritesWhatIsDone(t *testing.T) {
	s := pages(t)
	in, w := io.Pipe()
	interrupt := make(chan os.Signal, 1)
	go func() {
		io.WriteString(w, s.URL+"/1\n")
		io.WriteString(w, "# the line before has been read\n")
		interrupt <- os.Interrupt
	}()
	_, errs, status := command(t, in, interrupt, "fetch", "-i", "-")
	if status != exitFailed || !strings.Contains(errs, "rondo fetch: interrupted") {
		t.Fatalf("status %d\n%s", status, errs)
	}
}

func TestFetchReportsAFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full")
	}
	s := pages(t)
	_, errs, status := command(t, nil, nil, "fetch", "-o", "/dev/full", s.URL)
	if status != exitFailed || !strings.Contains(errs, "write records to /dev/full: ") || strings.Count(errs, "write records") != 1 {
		t.Fatalf("status %d\n%s", status, errs)
	}
}

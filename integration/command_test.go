//go:build linux

package integration

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// record is a line of the output.
type record struct {
	URL       string              `json:"url"`
	FinalURL  string              `json:"final_url"`
	Status    int                 `json:"status"`
	Bytes     int                 `json:"bytes"`
	SHA256    string              `json:"sha256"`
	Attempts  int                 `json:"attempts"`
	ElapsedMS float64             `json:"elapsed_ms"`
	Saved     string              `json:"saved"`
	Result    struct{ Words int } `json:"result"`
	Error     *failure            `json:"error"`
}

type failure struct {
	Kind    string `json:"kind"`
	Message string `json:"message"`
	Line    int    `json:"line"`
}

func (r record) kind() string {
	if r.Error == nil {
		return "ok"
	}
	return r.Error.Kind
}

// summary is what --summary json says, the times left out.
type summary struct {
	URLs   int            `json:"urls"`
	OK     int            `json:"ok"`
	Failed map[string]int `json:"failed"`
	Bytes  int            `json:"bytes"`
	Words  *int           `json:"words"`
	Check  string         `json:"check"`
}

// outcome is a run of the command that has ended.
type outcome struct {
	status  int
	records []record
	stdout  []byte
	stderr  string
}

// summary reads the last line of stderr that is an object.
func (r *outcome) summary(t *testing.T) (s summary) {
	t.Helper()
	i := strings.LastIndex("\n"+r.stderr, "\n{")
	if i < 0 {
		t.Fatalf("no summary:\n%s", r.stderr)
	}
	line, _, _ := strings.Cut(r.stderr[i:], "\n")
	if err := json.Unmarshal([]byte(line), &s); err != nil {
		t.Fatalf("summary: %v\n%s", err, r.stderr)
	}
	return s
}

// byURL returns the records by what was asked.
func (r *outcome) byURL(t *testing.T) map[string]record {
	t.Helper()
	m := map[string]record{}
	for _, rec := range r.records {
		if _, twice := m[rec.URL]; twice {
			t.Errorf("%s: two records", rec.URL)
		}
		m[rec.URL] = rec
	}
	return m
}

// deadline is when a run counts as hung.
const deadline = time.Minute

// running is a run of rondo fetch whose input is held open.
type running struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	out    outcome
	stderr bytes.Buffer
	cancel context.CancelFunc
}

// begin starts rondo fetch with args and --summary json.
func begin(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	path := program(t, "rondo", "..", "./cmd/rondo", raceFlags...)
	r := &running{t: t, cmd: exec.CommandContext(ctx, path, append([]string{"fetch", "--summary", "json"}, args...)...), cancel: cancel}
	r.cmd.Dir = ".." // where examples/ is
	r.cmd.Stderr = &r.stderr
	var err error
	if r.stdin, err = r.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	r.stdout = bufio.NewReader(stdout)
	if err := start(r.cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = r.cmd.Wait() // has been waited for, unless the test failed
	})
	return r
}

// give writes URLs to the input, one a line.
func (r *running) give(urls ...string) {
	r.t.Helper()
	if _, err := io.WriteString(r.stdin, strings.Join(urls, "\n")+"\n"); err != nil {
		r.t.Fatalf("%v\n%s", err, r.stderr.String())
	}
}

// take reads records until there are n of them.
func (r *running) take(n int) {
	r.t.Helper()
	for len(r.out.records) < n {
		line, err := r.stdout.ReadBytes('\n')
		if err != nil {
			r.t.Fatalf("record %d: %v %q\n%s", len(r.out.records), err, line, r.stderr.String())
		}
		r.out.add(r.t, line)
	}
}

func (r *outcome) add(t *testing.T, line []byte) {
	t.Helper()
	var rec record
	if err := json.Unmarshal(line, &rec); err != nil || line[len(line)-1] != '\n' {
		t.Fatalf("record %q: %v", line, err)
	}
	r.records = append(r.records, rec)
	r.stdout = append(r.stdout, line...)
}

// end reads what is left and waits for the command. The input stays open unless the test has closed it.
func (r *running) end() *outcome {
	r.t.Helper()
	for {
		line, err := r.stdout.ReadBytes('\n')
		if len(line) > 0 {
			r.out.add(r.t, line)
		}
		if err != nil {
			break
		}
	}
	var exit *exec.ExitError
	if err := r.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		r.t.Fatal(err)
	}
	r.out.status, r.out.stderr = r.cmd.ProcessState.ExitCode(), r.stderr.String()
	if r.out.status < 0 {
		r.t.Fatalf("%v\n%s", r.cmd.ProcessState, r.out.stderr)
	}
	return &r.out
}

// run runs rondo fetch with args and --summary json to its end. Records may be on stdout.
func run(t *testing.T, args ...string) *outcome {
	t.Helper()
	r := begin(t, args...)
	r.stdin.Close()
	return r.end()
}

// runToFile is run with the records in a file.
func runToFile(t *testing.T, args ...string) *outcome {
	t.Helper()
	name := t.TempDir() + "/records.jsonl"
	out := run(t, append(args, "-o", name)...)
	if len(out.stdout) > 0 {
		t.Fatalf("on standard output: %q", out.stdout)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatalf("%v\n%s", err, out.stderr)
	}
	for line := range bytes.Lines(text) {
		out.add(t, line)
	}
	return out
}

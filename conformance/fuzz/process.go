package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
)

// pythonVersion is the CPython that the kit pins down.
const pythonVersion = "3.13.0"

// An oracle runs scenarios on CPython.
type oracle struct{ python, script string }

// findOracle looks for the interpreter.
//
// Errors: there is none, or only one of some other version.
func findOracle(script string) (*oracle, error) {
	if _, err := os.Stat(script); err != nil {
		return nil, fmt.Errorf("%w (run it from the root of the module)", err)
	}
	cmd := exec.Command("python3.13", "-c", "import sys; print(sys.executable, sys.version.split()[0])")
	cmd.Env = append(os.Environ(), "PYENV_VERSION="+pythonVersion)
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("python3.13: %w (CPython %s is needed)", err, pythonVersion)
	}
	python, version, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	if version != pythonVersion {
		return nil, fmt.Errorf("python3.13 is %s: CPython %s is needed, others differ in places", version, pythonVersion)
	}
	return &oracle{python, script}, nil
}

// corpus writes the scenarios of n seeds to path, with their traces. As many
// interpreters work on it as there are threads for Go code.
func (o *oracle) corpus(path, family string, seed, n int) error {
	parts := min(runtime.GOMAXPROCS(0), n)
	bound := func(i int) string { return strconv.Itoa(seed + n*i/parts) }
	outs, errs := make([][]byte, parts), make([]error, parts)
	var wg sync.WaitGroup
	for i := range parts {
		wg.Go(func() {
			// What it says on standard error is which seeds it left out, as a rule.
			cmd := exec.Command(o.python, o.script, "corpus", family, bound(i), bound(i+1))
			outs[i], errs[i] = cmd.Output()
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return fmt.Errorf("%s: %w\n%s", o.script, err, exit.Stderr)
		}
		return fmt.Errorf("%s: %w", o.script, err)
	}
	return os.WriteFile(path, bytes.Join(outs, nil), 0o600)
}

// patience is how long one scenario may take, start of the process included.
const patience = 20 * time.Second

// faults are what a trace shows if the scenario is not sound: a name that is not
// defined, or a value that cannot be sent. Shrinking makes such ones.
var faults = regexp.MustCompile(`KeyError($|[^:])|AttributeError|NameError`)

// run returns the trace of a scenario.
//
// Errors: the scenario is not sound, or shows what the kit leaves out.
func (o *oracle) run(s scenario) ([]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, o.python, o.script, "run", "-")
	cmd.Stdin = bytes.NewReader(s.encode())
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("oracle: %w", err)
	}
	if f := faults.Find(out); f != nil {
		return nil, fmt.Errorf("oracle: not a sound scenario: %s", f)
	}
	return splitLines(out), nil
}

// A replay is the runner of the kit, built.
type replay struct{ path string }

// buildReplay builds the runner in dir.
func buildReplay(dir string) (*replay, error) {
	path := filepath.Join(dir, "replay.exe") // a name that every system runs
	if out, err := exec.Command("go", "build", "-o", path, "./conformance/replay").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build ./conformance/replay: %w\n%s", err, out)
	}
	return &replay{path}, nil
}

// compare runs a corpus. It returns whether all of it passed, the ids of what
// failed, and the counts. What was skipped did not pass, and did not fail.
func (r *replay) compare(path string) (passed bool, ids []string, summary string, err error) {
	cmd := exec.Command(r.path, path)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); err != nil && !(errors.As(err, &exit) && exit.ExitCode() == 1) {
		return false, nil, "", fmt.Errorf("replay %s: %w", path, err)
	}
	for _, line := range splitLines(out) {
		what, rest, _ := strings.Cut(line, " ")
		if what == "differs" || what == "failed" {
			id, _, _ := strings.Cut(rest, ":")
			ids = append(ids, id)
		}
		summary = line
	}
	return cmd.ProcessState.Success(), ids, summary, nil
}

// run returns the trace of a scenario. One that fails ends with a line that
// says why.
func (r *replay) run(s scenario) []string {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, r.path, "-run", "-")
	cmd.Stdin = bytes.NewReader(s.encode())
	cmd.Stderr = &said
	out, err := cmd.Output()
	trace := splitLines(out)
	if err != nil {
		why, _, _ := strings.Cut(said.String(), "\n")
		trace = append(trace, fmt.Sprintf("(%v: %s)", err, why))
	}
	return trace
}

func splitLines(out []byte) []string {
	text := strings.TrimSuffix(string(out), "\n")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// find returns the scenario with that id.
func find(path, id string) (scenario, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	d := json.NewDecoder(bufio.NewReader(file))
	for {
		var s struct {
			ID       string
			Scenario scenario
		}
		if err := d.Decode(&s); err != nil {
			return nil, fmt.Errorf("find %s: %w", id, err)
		}
		if s.ID == id {
			return s.Scenario, nil
		}
	}
}

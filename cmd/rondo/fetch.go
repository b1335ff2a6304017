package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"

	"golang.org/x/term"

	"github.com/rondo-go/rondo/fetch"
)

func runFetch(args []string, s streams) int {
	collectOften()
	f, err := parseFetch(args)
	var help *errHelp
	if errors.As(err, &help) {
		fmt.Fprint(s.out, help.text)
		return exitOK
	}
	if err == nil {
		var sum *fetch.Summary
		if sum, err = f.run(s); err == nil {
			if sum.Failures() > 0 {
				return exitFailed
			}
			return exitOK
		}
	}
	return report(s.err, "fetch", err)
}

// collectOften lets less garbage gather than Go's own setting, at which the heap of a fetch would be 4 MB, of which one
// lives. It costs some hundredths of the time. GOGC in the environment has the last word.
func collectOften() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(60)
	}
}

// run fetches and prints the summary. The error is of the run as a whole; failures of URLs are in the summary.
func (f *fetchFlags) run(s streams) (*fetch.Summary, error) {
	cfg, err := f.config()
	if err != nil {
		return nil, err
	}
	lines, closeInput, err := f.lines(s)
	if err != nil {
		return nil, err
	}
	defer closeInput()
	cfg.Lines = lines

	if f.save != "" {
		if cfg.Saver, err = fetch.NewSaver(f.save); err != nil {
			return nil, badUsage("--save: %v", err)
		}
	}
	var fetcher *fetch.Fetcher
	// What cannot be written need not be fetched.
	stopped := func(error) { fetcher.Stop() }
	if cfg.Output, err = f.openOutput(s, stopped); err != nil {
		return nil, badUsage("-o: %v", err)
	}

	// The progress line and records on the same terminal would be drawn over each other.
	ownScreen := f.output != "-" || !isTerminal(s.out)
	var show *fetch.Progress
	state := func() fetch.ProgressState { return fetcher.State() }
	if ownScreen {
		show = fetch.NewProgress(s.err, state)
	} else {
		show = fetch.NewQuietProgress(s.err)
	}
	if f.insecure {
		fmt.Fprintln(show, "rondo fetch: --insecure: no certificate is verified; whoever is between can read and change everything")
	}
	cfg.Warn = warner(show)

	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	if wc := f.workerPool(show); wc != nil {
		cfg.Workers = fetch.NewWorkers(ctx, *wc)
	}
	fetcher = fetch.New(cfg)
	sum, err := interruptible(ctx, cancel, fetcher, s.interrupt)
	if cfg.Workers != nil {
		cfg.Workers.Close()
	}
	if cerr := cfg.Output.Close(); !errors.Is(err, cerr) { // the fetcher may have met it already
		err = errors.Join(err, cerr)
	}
	show.Close()
	if sum != nil {
		f.printSummary(s.err, sum)
	}
	return sum, err
}

// config is the part of the configuration that the flags say directly.
func (f *fetchFlags) config() (fetch.Config, error) {
	cfg := fetch.Config{
		Concurrency: f.concurrency, PerHost: f.perHost, Timeout: f.timeout, Retry: fetch.Retry{Max: f.retries},
		Header: f.header, UserAgent: f.userAgent, MaxBody: f.maxBody, Digest: f.digest == "sha256",
	}
	if f.stage != "" && !strings.HasPrefix(f.stage, "cmd:") && !f.isolate {
		cfg.Stage = f.stage
	}
	if f.isolate {
		cfg.Isolated = f.stage
	}
	cfg.Protocols.SetHTTP1(f.http1)
	cfg.Protocols.SetHTTP2(f.http2)
	cfg.Protocols.SetUnencryptedHTTP2(f.http2)
	if f.insecure {
		cfg.TLS = &tls.Config{InsecureSkipVerify: true}
	}
	if f.cacert != "" {
		pem, err := os.ReadFile(f.cacert)
		if err != nil {
			return cfg, badUsage("--cacert: %v", err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return cfg, badUsage("--cacert: %s: no certificate in PEM format in it", f.cacert)
		}
		cfg.TLS = &tls.Config{RootCAs: roots}
	}
	return cfg, nil
}

func (f *fetchFlags) lines(s streams) (lines *fetch.Lines, closeInput func(), err error) {
	switch f.input {
	case "":
		return fetch.NewLines(f.urls, nil, 0), func() {}, nil
	case "-":
		return fetch.NewLines(f.urls, s.in, 0), func() {}, nil
	}
	file, err := os.Open(f.input)
	if err != nil {
		return nil, nil, badUsage("-i: %v", err)
	}
	var size int64
	if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
		size = info.Size()
	}
	return fetch.NewLines(f.urls, file, size), func() { file.Close() }, nil
}

func (f *fetchFlags) openOutput(s streams, failed func(error)) (*fetch.Output, error) {
	if f.output != "-" {
		return fetch.CreateOutput(f.output, failed)
	}
	return fetch.NewOutput("standard output", keepOpen{s.out}, failed), nil
}

// keepOpen is a file that isn't ours to close.
type keepOpen struct{ io.Writer }

func (keepOpen) Close() error { return nil }

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// workerPool says what worker processes the run needs, nil if none.
func (f *fetchFlags) workerPool(stderr io.Writer) *fetch.WorkersConfig {
	command, isCommand := strings.CutPrefix(f.stage, "cmd:")
	if !isCommand && !f.isolate {
		return nil
	}
	wc := &fetch.WorkersConfig{N: f.workers, Queue: f.concurrency, Timeout: f.workerTime}
	if wc.N == 0 {
		wc.N = runtime.GOMAXPROCS(0)
	}
	if isCommand {
		wc.Name, wc.Argv = command, fetch.ShellCommand(command)
	} else {
		self, err := os.Executable()
		if err != nil {
			self = os.Args[0]
		}
		wc.Name, wc.Argv = "rondo worker "+f.stage, []string{self, "worker", f.stage}
	}
	wc.Stderr = func(line []byte) {
		// One write a line, or the lines of two workers would mix.
		_, _ = stderr.Write(append(append([]byte("worker: "), bytes.TrimRight(line, "\n")...), '\n'))
	}
	return wc
}

// warner prints the first bad lines of the input.
func warner(w io.Writer) func(error) {
	const most = 10
	var n atomic.Int64
	return func(err error) {
		switch k := n.Add(1); {
		case k <= most:
			fmt.Fprintf(w, "rondo fetch: %v\n", err)
		case k == most+1:
			fmt.Fprintf(w, "rondo fetch: more bad lines; all are among the records\n")
		}
	}
}

func (f *fetchFlags) printSummary(w io.Writer, sum *fetch.Summary) {
	var text []byte
	if f.summary == "json" {
		text = sum.AppendJSON(nil)
	} else {
		text, _ = sum.AppendText(nil)
	}
	_, _ = w.Write(text)
}

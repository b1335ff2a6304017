package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/rondo-go/rondo/cmd/rondo/internal/load"
	"github.com/rondo-go/rondo/fetch"
)

// benchFlags is the command line of rondo bench.
type benchFlags struct {
	load.Config
	closed   bool
	data     string
	insecure bool
	cacert   string
	json     string
	compare  string
	quiet    bool

	before *load.Result
}

const benchUsage = `usage: rondo bench [flags] URL

Sends requests to URL at a constant rate, and tells how long the answers take: from when a request was to be sent, so
that those that had to wait for a slow server count in full (docs/bench.md).

  rondo bench --rate 5000 http://127.0.0.1:8080/
  rondo bench --closed -c 64 http://127.0.0.1:8080/      # as fast as answers come: for throughput
  rondo bench --json before.json URL; rondo bench --compare before.json URL

%s
Exit status: 0 measured, 1 it could not be, or no request was answered, 2 the command line is wrong.
^C ends it early, with what there is.
`

// benchExample shows how a flag is used, where its value was wrong.
var benchExample = map[string]string{
	"rate": "--rate 1000", "duration": "--duration 10s", "connections": "-c 50", "warmup": "--warmup 1s", "loops": "--loops 2", "timeout": "--timeout 10s",
	"method": "--method POST", "header": "-H 'Accept: text/html'", "data": "-d 'text', or -d @FILE", "json": "--json FILE, or --json - for standard output",
	"compare": "--compare FILE, which --json has written", "cacert": "--cacert root.pem",
}

func parseBench(args []string) (*benchFlags, error) {
	f := &benchFlags{Config: load.Config{Header: http.Header{}}}
	fs := pflag.NewFlagSet("bench", pflag.ContinueOnError)
	fs.SortFlags = false
	fs.Usage = func() {}
	fs.Float64VarP(&f.Rate, "rate", "r", 1000, "requests a second, `N` in all")
	fs.BoolVar(&f.closed, "closed", false, "no rate: each connection sends its next request when it has its answer")
	fs.DurationVar(&f.Duration, "duration", 10*time.Second, "for this `TIME`")
	fs.DurationVar(&f.Warmup, "warmup", time.Second, "the same for this `TIME` before, without measuring")
	fs.IntVarP(&f.Connections, "connections", "c", 50, "over `N` connections")
	fs.IntVar(&f.Loops, "loops", 1, "from `N` event loops, each with a thread")
	fs.DurationVar(&f.Timeout, "timeout", 10*time.Second, "`TIME` after which a request has failed; 0 for none")
	fs.StringVarP(&f.Method, "method", "X", "", "the `METHOD` (default GET, or POST with -d)")
	fs.VarP((*headerValue)(&f.Header), "header", "H", "send this header `'K: V'`; may be repeated")
	fs.StringVarP(&f.data, "data", "d", "", "send `TEXT` as the body, or the contents of a file: @FILE")
	fs.StringVar(&f.cacert, "cacert", "", "trust the certificates in `FILE` (PEM) alone")
	fs.BoolVar(&f.insecure, "insecure", false, "verify no certificate")
	fs.StringVar(&f.json, "json", "", "write the result to `FILE`, - for standard output and nothing else there")
	fs.StringVar(&f.compare, "compare", "", "compare with the result in `FILE`, of --json")
	fs.BoolVarP(&f.quiet, "quiet", "q", false, "no progress on standard error")

	err := fs.Parse(args)
	if errors.Is(err, pflag.ErrHelp) {
		return nil, &errHelp{fmt.Sprintf(benchUsage, fs.FlagUsagesWrapped(119))}
	}
	if err != nil {
		return nil, explain(fs, err)
	}
	return f, f.check(fs)
}

// check says what is wrong with values that parse, and fills in what follows from them.
func (f *benchFlags) check(fs *pflag.FlagSet) error {
	wrong := func(name string) error {
		return badUsage("%s: %s makes no sense; use %s", spelled(fs.Lookup(name)), fs.Lookup(name).Value, benchExample[name])
	}
	switch {
	case fs.NArg() == 0:
		return badUsage("no URL; name the one to send requests to")
	case fs.NArg() > 1:
		return badUsage("one URL at a time; there are %d", fs.NArg())
	case f.closed && fs.Changed("rate"):
		return badUsage("--closed has no rate: leave --rate out, or --closed")
	case !(f.Rate > 0 && f.Rate <= 1e7):
		return wrong("rate")
	case f.Duration <= 0:
		return wrong("duration")
	case f.Warmup < 0:
		return wrong("warmup")
	case f.Connections < 1 || f.Connections > 1e6:
		return wrong("connections")
	case f.Loops < 1:
		return wrong("loops")
	case f.Timeout < 0:
		return wrong("timeout")
	case f.cacert != "" && f.insecure:
		return badUsage("--insecure: verifies nothing, so --cacert would be of no use; leave one out")
	}
	if f.closed {
		f.Rate = 0
	}
	f.URL = fs.Arg(0)
	if !strings.Contains(f.URL, "://") {
		f.URL = "http://" + f.URL
	}
	if err := fetch.CheckURL(f.URL); err != nil {
		return badUsage("%q: %v", fs.Arg(0), err)
	}
	if fs.Changed("data") {
		f.Body = []byte(f.data)
		if name, ok := strings.CutPrefix(f.data, "@"); ok {
			var err error
			if f.Body, err = os.ReadFile(name); err != nil {
				return badUsage("-d: %v", err)
			}
		}
	}
	if f.Method == "" {
		f.Method = http.MethodGet
		if f.Body != nil {
			f.Method = http.MethodPost
		}
	}
	if f.compare != "" {
		var err error
		if f.before, err = load.Load(f.compare); err != nil {
			return badUsage("--compare: %v", err)
		}
	}
	return f.checkTLS()
}

func (f *benchFlags) checkTLS() error {
	if f.insecure {
		f.TLS = &tls.Config{InsecureSkipVerify: true}
	}
	if f.cacert == "" {
		return nil
	}
	pem, err := os.ReadFile(f.cacert)
	if err != nil {
		return badUsage("--cacert: %v", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return badUsage("--cacert: %s: no certificate in PEM format in it", f.cacert)
	}
	f.TLS = &tls.Config{RootCAs: roots}
	return nil
}

func runBench(args []string, s streams) int {
	f, err := parseBench(args)
	var help *errHelp
	if errors.As(err, &help) {
		fmt.Fprint(s.out, help.text)
		return exitOK
	}
	if err != nil {
		return report(s.err, "bench", err)
	}
	result, err := f.run(s)
	if err != nil {
		return report(s.err, "bench", err)
	}
	if result.Answers == 0 {
		return exitFailed
	}
	return exitOK
}

func (f *benchFlags) run(s streams) (*load.Result, error) {
	text := s.out
	if f.json == "-" {
		text = io.Discard
	}
	fmt.Fprintln(text, f.Config.String())
	if !f.quiet && isTerminal(s.err) {
		f.Progress = func(done time.Duration, answers, failed int64) {
			fmt.Fprintf(s.err, "\r\x1b[K%v of %v: %d answers, %d errors", done.Round(time.Second), f.Warmup+f.Duration, answers, failed)
		}
		defer fmt.Fprint(s.err, "\r\x1b[K")
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-s.interrupt:
			cancel()
		case <-ctx.Done():
		}
	}()
	result, err := load.Run(ctx, f.Config)
	if err != nil {
		return nil, err
	}
	if _, err := text.Write(result.AppendText(nil, f.before)); err != nil {
		return nil, err
	}
	return result, f.write(s, result)
}

// write writes the result as --json says.
func (f *benchFlags) write(s streams, r *load.Result) error {
	if f.json == "" {
		return nil
	}
	b, err := r.AppendJSON(nil)
	if err != nil {
		return err
	}
	if f.json == "-" {
		_, err = s.out.Write(b)
		return err
	}
	return os.WriteFile(f.json, b, 0o644)
}

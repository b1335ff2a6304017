package main

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/rondo-go/rondo/fetch"
	"github.com/rondo-go/rondo/internal/http1"
)

// fetchFlags is the command line of rondo fetch.
type fetchFlags struct {
	input       string
	concurrency int
	perHost     int
	timeout     time.Duration
	retries     int
	header      http.Header
	userAgent   string
	cacert      string
	insecure    bool
	http1       bool
	http2       bool
	maxBody     int64
	output      string
	save        string
	digest      string
	stage       string
	isolate     bool
	workers     int
	workerTime  time.Duration
	summary     string
	urls        []string
}

const fetchUsage = `usage: rondo fetch [flags] [URL...]

Fetches URLs, named as arguments or read with -i, one a line (empty lines and # comments are skipped), and writes one
JSON object a line as each finishes.

  rondo fetch https://example.com/
  rondo fetch -i urls.txt -o records.jsonl --save pages
  generate-urls | rondo fetch -i - -c 200 --map words -o records.jsonl

%s
Exit status: 0 all fetched, 1 some failed, 2 the command line is wrong.
^C stops fetching, finishes what is in hand and writes what is done; a second one cancels what is in hand.
`

// example shows how a flag is used, where its value was wrong.
var example = map[string]string{
	"concurrency": "-c 100", "per-host": "--per-host 4", "timeout": "--timeout 30s", "retries": "--retries 2",
	"header": "--header 'Accept: text/html'", "max-body": "--max-body 10MB, 0 for no limit", "digest": "--digest sha256 or none",
	"map": "--map words, links, title or 'cmd:COMMAND'", "workers": "--workers 2", "worker-timeout": "--worker-timeout 1m",
	"summary": "--summary json or text", "input": "-i FILE, or -i - for standard input", "output": "-o FILE, or -o - for standard output",
	"cacert": "--cacert root.pem", "save": "--save DIR", "user-agent": "--user-agent NAME",
}

// examples are those of each command.
var examples = map[string]map[string]string{"fetch": example, "demo": example, "serve": serveExample, "bench": benchExample}

// errHelp is returned where the command line asks for help, which its text is.
type errHelp struct{ text string }

func (e *errHelp) Error() string { return e.text }

func parseFetch(args []string) (*fetchFlags, error) {
	f := &fetchFlags{maxBody: 64_000_000, header: http.Header{}}
	fs := pflag.NewFlagSet("fetch", pflag.ContinueOnError)
	fs.SortFlags = false
	fs.Usage = func() {}
	fs.StringVarP(&f.input, "input", "i", "", "read URLs from `FILE`, - for standard input")
	fs.StringVarP(&f.output, "output", "o", "-", "write records to `FILE`, - for standard output")
	fs.StringVar(&f.save, "save", "", "keep bodies in `DIR`")
	fs.IntVarP(&f.concurrency, "concurrency", "c", 100, "URLs in hand at a time")
	fs.IntVar(&f.perHost, "per-host", 0, "and to one host (default: no limit of its own)")
	fs.DurationVar(&f.timeout, "timeout", 30*time.Second, "time for one try, redirects and body included; 0 for none")
	fs.IntVar(&f.retries, "retries", 2, "tries after the first, where a failure may pass")
	fs.Var((*headerValue)(&f.header), "header", "send this header `'K: V'`; may be repeated")
	fs.StringVar(&f.userAgent, "user-agent", "", "the User-Agent to send (default rondo's own)")
	fs.StringVar(&f.cacert, "cacert", "", "trust the certificates in `FILE` (PEM) alone")
	fs.BoolVar(&f.insecure, "insecure", false, "verify no certificate")
	fs.Var((*sizeValue)(&f.maxBody), "max-body", "longest body, as in 10MB; 0 for no limit")
	fs.BoolVar(&f.http1, "http1.1", false, "speak HTTP/1.1 only")
	fs.BoolVar(&f.http2, "http2", false, "speak HTTP/2 only, to http URLs too")
	fs.StringVar(&f.digest, "digest", "sha256", "of bodies: sha256 or none")
	fs.StringVar(&f.stage, "map", "", "process every body by `STAGE`: words, links, title or cmd:COMMAND")
	fs.BoolVar(&f.isolate, "isolate", false, "run a built-in stage in worker processes")
	fs.IntVar(&f.workers, "workers", 0, "worker processes (default one a core)")
	fs.DurationVar(&f.workerTime, "worker-timeout", 5*time.Minute, "time for one body in a worker; 0 for none")
	fs.StringVar(&f.summary, "summary", "text", "on standard error: text, or json for programs")

	err := fs.Parse(args)
	if errors.Is(err, pflag.ErrHelp) {
		return nil, &errHelp{fmt.Sprintf(fetchUsage, fs.FlagUsages())}
	}
	if err != nil {
		return nil, explain(fs, err)
	}
	f.urls = fs.Args()
	return f, f.check(fs)
}

// check says what is wrong with values that parse.
func (f *fetchFlags) check(fs *pflag.FlagSet) error {
	least := func(name string, n, least int) error {
		if n < least {
			return badUsage("%s: %d is less than %d; use %s", spelled(fs.Lookup(name)), n, least, example[name])
		}
		return nil
	}
	oneOf := func(name, value string, values ...string) error {
		for _, v := range values {
			if value == v {
				return nil
			}
		}
		return badUsage("--%s: unknown value %q; use %s", name, value, example[name])
	}
	workers := fs.Changed("workers")
	err := errors.Join(
		least("concurrency", f.concurrency, 1),
		least("retries", f.retries, 0),
		oneOf("digest", f.digest, "sha256", "none"),
		oneOf("summary", f.summary, "text", "json"),
	)
	if fs.Changed("per-host") {
		err = errors.Join(err, least("per-host", f.perHost, 1))
	}
	if workers {
		err = errors.Join(err, least("workers", f.workers, 1))
	}
	command, isCommand := strings.CutPrefix(f.stage, "cmd:")
	if !isCommand && f.stage != "" {
		if _, serr := fetch.NewStage(f.stage); serr != nil {
			err = errors.Join(err, oneOf("map", f.stage))
		}
	}
	switch {
	case err != nil:
		// Joined errors have a line each; the first is enough.
		return badUsage("%s", strings.SplitN(err.Error(), "\n", 2)[0])
	case f.timeout < 0 || f.workerTime < 0:
		return badUsage("--timeout, --worker-timeout: less than nothing; use %s", example["timeout"])
	case isCommand && strings.TrimSpace(command) == "":
		return badUsage("--map: no command after cmd:; use %s", example["map"])
	case f.isolate && f.stage == "":
		return badUsage("--isolate: there is no stage to isolate; add --map words, links or title")
	case f.isolate && isCommand:
		return badUsage("--isolate: cmd: runs in worker processes anyway; leave --isolate out")
	case workers && !f.isolate && !isCommand:
		return badUsage("--workers: no worker processes in this run; add --isolate, or --map cmd:COMMAND")
	case f.http1 && f.http2:
		return badUsage("--http1.1: --http2 forbids it; leave one out, or both to let servers choose")
	case f.cacert != "" && f.insecure:
		return badUsage("--insecure: verifies nothing, so --cacert would be of no use; leave one out")
	case len(f.urls) == 0 && f.input == "":
		return badUsage("no URLs; name some, or read them with -i FILE, or -i - from standard input")
	}
	for _, u := range f.urls {
		if err := fetch.CheckURL(u); err != nil {
			return badUsage("%q: %v", u, err)
		}
	}
	return nil
}

// spelled is a flag as people type it.
func spelled(f *pflag.Flag) string {
	if f.Shorthand != "" {
		return "-" + f.Shorthand
	}
	return "--" + f.Name
}

// explain turns pflag's errors into ones that name the flag and the remedy.
func explain(fs *pflag.FlagSet, err error) error {
	var value *pflag.InvalidValueError
	var missing *pflag.ValueRequiredError
	var unknown *pflag.NotExistError
	switch {
	case errors.As(err, &value):
		f := value.GetFlag()
		why := ""
		if f.Value.Type() == "size" || f.Value.Type() == "header" {
			why = ": " + value.Unwrap().Error()
		}
		return badUsage("%s: invalid value %q%s; use %s", spelled(f), value.GetValue(), why, examples[fs.Name()][f.Name])
	case errors.As(err, &missing):
		return badUsage("%s: needs a value; use %s", spelled(missing.GetFlag()), examples[fs.Name()][missing.GetFlag().Name])
	case errors.As(err, &unknown):
		name := unknown.GetSpecifiedName()
		if near := nearest(fs, name); near != "" {
			return badUsage("--%s: unknown flag; did you mean --%s? see rondo help %s", name, near, fs.Name())
		}
		dashes := "--"
		if len(name) == 1 {
			dashes = "-"
		}
		return badUsage("%s%s: unknown flag; rondo help %s lists them", dashes, name, fs.Name())
	}
	return badUsage("%v; rondo help %s lists the flags", err, fs.Name())
}

// nearest finds the flag that name may be a slip for.
func nearest(fs *pflag.FlagSet, name string) (found string) {
	best := len(name)/3 + 1
	fs.VisitAll(func(f *pflag.Flag) {
		if d := distance(name, f.Name); d < best {
			best, found = d, f.Name
		}
	})
	return found
}

// distance counts the letters to insert, remove or replace (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			next := corner
			if a[i] != b[j] {
				next = 1 + min(corner, row[j], row[j+1])
			}
			corner, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}

// sizeValue is a count of bytes, with a unit if there is one.
type sizeValue int64

func (v *sizeValue) String() string {
	if *v == 0 {
		return "0"
	}
	return strings.ReplaceAll(fetch.Size(int64(*v)), " ", "")
}
func (*sizeValue) Type() string { return "size" }

func (v *sizeValue) Set(s string) error {
	digits := strings.TrimRight(s, "bBkKmMgGiI")
	scale := map[string]float64{
		"": 1, "b": 1, "k": 1e3, "kb": 1e3, "m": 1e6, "mb": 1e6, "g": 1e9, "gb": 1e9,
		"ki": 1 << 10, "kib": 1 << 10, "mi": 1 << 20, "mib": 1 << 20, "gi": 1 << 30, "gib": 1 << 30,
	}[strings.ToLower(s[len(digits):])]
	n, err := strconv.ParseFloat(digits, 64)
	if scale == 0 || err != nil || !(n >= 0 && n*scale < 1<<62) {
		return errors.New("not a size")
	}
	*v = sizeValue(n * scale)
	return nil
}

// headerValue collects header fields.
type headerValue http.Header

func (*headerValue) String() string { return "" }
func (*headerValue) Type() string   { return "header" }

func (v *headerValue) Set(s string) error {
	name, value, ok := strings.Cut(s, ":")
	name, value = strings.TrimSpace(name), strings.TrimSpace(value)
	if !ok {
		return errors.New("no colon")
	}
	if _, err := http1.AppendField(nil, name, value); err != nil {
		return err
	}
	http.Header(*v).Add(name, value)
	return nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/pflag"

	"github.com/rondo-go/rondo/fetch"
)

const demoDocuments = 2000

const demoUsage = `usage: rondo demo [flags]

Starts a web server on the loopback interface with %s documents, some of them slow, moved, missing or there only at the
second try, fetches all of them, counts their words, and compares what it finds with what the server knows.

%s`

const demoNext = `
To try next (go install ./cmd/rondo puts rondo on the PATH):
  rondo fetch https://go.dev/ https://www.python.org/ --map title
  rondo fetch -i urls.txt -o records.jsonl --map words    # one JSON object a line
  rondo fetch -i urls.txt --save pages --map 'cmd:python3 examples/words_worker.py'
  rondo help fetch
`

func runDemo(args []string, s streams) int {
	fs := pflag.NewFlagSet("demo", pflag.ContinueOnError)
	fs.Usage = func() {}
	concurrency := fs.IntP("concurrency", "c", 100, "URLs in hand at a time")
	err := fs.Parse(args)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		fmt.Fprintf(s.out, demoUsage, fetch.Group(demoDocuments), fs.FlagUsages())
		return exitOK
	case err != nil:
		return report(s.err, "demo", explain(fs, err))
	case *concurrency < 1:
		return report(s.err, "demo", badUsage("-c: %d is less than 1; use %s", *concurrency, example["concurrency"]))
	case fs.NArg() > 0:
		return report(s.err, "demo", badUsage("%q: takes no arguments; to fetch a URL use rondo fetch %s", fs.Arg(0), fs.Arg(0)))
	}
	if err := demo(*concurrency, s); err != nil {
		return report(s.err, "demo", err)
	}
	return exitOK
}

func demo(concurrency int, s streams) error {
	o, err := startOrigin(demoDocuments)
	if err != nil {
		return err
	}
	defer o.close()
	e := &o.expect
	fmt.Fprintf(s.out, "%s serves %s documents: %d are slow, %d have moved, %d are missing, %d fail once.\n"+
		"Fetching them, %d at a time, with SHA-256 and a count of words:\n\n",
		o.url, fetch.Group(demoDocuments), e.slow, e.redirected, e.missing, e.flaky, concurrency)

	fetcher := fetch.New(fetch.Config{
		Lines: fetch.NewLines(o.urls(demoDocuments), nil, 0), Concurrency: concurrency,
		Retry: fetch.Retry{Max: 2}, Digest: true, Stage: "words",
	})
	show := fetch.NewProgress(s.err, fetcher.State)
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	sum, err := interruptible(ctx, cancel, fetcher, s.interrupt)
	show.Close()
	if err != nil {
		return err
	}
	table, _ := sum.AppendText(nil)
	_, _ = s.out.Write(table)
	if err := e.compare(sum); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "\nBytes, words and the digest of all bodies equal the server's own; the %d missing documents are reported as such.\n", e.missing)
	_, err = io.WriteString(s.out, demoNext)
	return err
}

// compare says where a summary differs from what was to be found.
func (e *expectation) compare(sum *fetch.Summary) error {
	var missing uint64
	for _, f := range sum.Failed {
		if f.Kind == fetch.KindStatus {
			missing = f.N
		}
	}
	for _, c := range []struct {
		what      string
		got, want uint64
	}{
		{"documents", sum.URLs, uint64(e.ok + e.missing)},
		{"missing documents", missing, uint64(e.missing)},
		{"fetched documents", sum.OK, uint64(e.ok)},
		{"bytes", sum.Bytes, e.bytes},
		{"words", sum.Words, e.words},
		{"digest of all bodies", uint64(sum.Check), e.check},
	} {
		if c.got != c.want {
			return fmt.Errorf("%s: got %d, the server knows of %d", c.what, c.got, c.want)
		}
	}
	return nil
}

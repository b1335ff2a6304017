// Replay runs scenarios of the conformance kit on Rondo, and compares what they
// print with CPython's traces.
//
//	replay [-v] [-id ID] FILE...    run what the files hold
//	replay -run FILE                print the trace of one scenario; "-" is standard input
//
// A file is a corpus (.jsonl, .jsonl.gz) or an example (.json, with a .trace
// beside it). For each scenario that differs it prints the id and the first line
// that does, and at the end how many passed. It exits with 1 unless all of them
// did: a scenario with an op that is not supported is skipped, not passed.
//
// It is an interpreter over the public API of Rondo, and knows no scenario by
// name. What scenarios and traces are is told in ../oracle/README.md.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"
)

// runners are the interpreters of the families. A runner returns the trace, or
// an [errSkip]; any other error is why the scenario failed.
var runners map[string]func(*scenario) ([]string, error)

func init() { // what they call reads the table
	runners = map[string]func(*scenario) ([]string, error){
		"asyncio":   runAsyncio,
		"generator": runGenerator,
		"pipeline":  runPipeline,
	}
}

// hang is how long a scenario may take. Most are done within a millisecond.
const hang = 10 * time.Second

func main() {
	os.Exit(command(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// command runs the program, and returns its exit status.
func command(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("replay", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: replay [-v] [-id ID] FILE...\n       replay -run FILE|-")
		flags.PrintDefaults()
	}
	one := flags.String("run", "", "print the trace of the scenario in this `file`")
	only := flags.String("id", "", "run the scenario with this `id` alone")
	verbose := flags.Bool("v", false, "tell of each scenario, and print traces that differ whole")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if *one != "" && flags.NArg() == 0 {
		return printTrace(*one, stdin, stdout, stderr)
	}
	if *one != "" || flags.NArg() == 0 {
		flags.Usage()
		return 2
	}
	p := player{only: *only, limit: hang, report: report{out: stdout, verbose: *verbose}}
	if err := p.play(flags.Args()); err != nil {
		fmt.Fprintln(stderr, "replay:", err)
		return 2
	}
	p.report.close()
	if p.report.failed+p.report.skipped > 0 {
		return 1
	}
	return 0
}

// printTrace runs one scenario, and prints what it prints.
func printTrace(path string, stdin io.Reader, stdout, stderr io.Writer) int {
	var data []byte
	var err error
	if path == "-" {
		data, err = io.ReadAll(stdin)
	} else {
		data, err = os.ReadFile(path)
	}
	if err != nil {
		fmt.Fprintln(stderr, "replay:", err)
		return 2
	}
	trace, err := execute(data, hang)
	for _, line := range trace {
		fmt.Fprintln(stdout, line)
	}
	if op, ok := errors.AsType[*errSkip](err); ok {
		fmt.Fprintln(stderr, "replay: skipped:", op)
		return 1
	}
	if err != nil {
		fmt.Fprintln(stderr, "replay:", err)
		return 1
	}
	return 0
}

// Rondo fetches many URLs at once and processes their bodies, and serves folders.
//
//	rondo demo                                  # the job with nothing to set up
//	rondo fetch -i urls.txt -o records.jsonl
//	rondo serve --live-reload site
//	rondo help fetch
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"

	"github.com/rondo-go/rondo/fetch"
)

// The exit statuses.
const (
	exitOK     = 0
	exitFailed = 1 // some URL was not fetched, or the run could not go on
	exitUsage  = 2
)

const usage = `usage: rondo COMMAND [flags]

  bench   send requests at a rate, and tell how long the answers take
  demo    fetch and process 2,000 documents from an origin of its own: nothing to set up
  fetch   fetch URLs and process their bodies
  serve   serve the files of a folder, or pass requests on to another server
  help    help on a command

rondo help fetch lists the flags of fetch, and so on.
`

// commands are those that are for people.
var commands = []string{"bench", "demo", "fetch", "serve"}

// streams are the standard files of a run, and the signals that interrupt it.
type streams struct {
	in        io.Reader
	out       io.Writer
	err       *os.File
	interrupt <-chan os.Signal
}

func main() {
	interrupt := make(chan os.Signal, 2)
	signal.Notify(interrupt, os.Interrupt)
	// Caught, the signal does nothing and the write that met a closed pipe fails with EPIPE, which is reported.
	ignoreBrokenPipes()
	os.Exit(run(os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr, interrupt}))
}

func run(args []string, s streams) int {
	command := ""
	if len(args) > 0 {
		command, args = args[0], args[1:]
	}
	switch command {
	case "fetch":
		return runFetch(args, s)
	case "demo":
		return runDemo(args, s)
	case "bench":
		return runBench(args, s)
	case "serve":
		return runServe(args, s)
	case "worker": // what --isolate starts; not for people
		return runWorker(args, s)
	case "help", "-h", "--help":
		if len(args) > 0 && slices.Contains(commands, args[0]) {
			return run([]string{args[0], "--help"}, s)
		}
		fmt.Fprint(s.out, usage)
		return exitOK
	case "":
		fmt.Fprint(s.err, usage)
		return exitUsage
	}
	fmt.Fprintf(s.err, "rondo: %q is no command; there are %s, see rondo help\n", command, strings.Join(commands, ", "))
	return exitUsage
}

// runWorker serves a built-in stage as a worker process.
func runWorker(args []string, s streams) int {
	// ^C at a terminal is for the process that feeds this one, which then closes the pipe.
	signal.Ignore(os.Interrupt)
	stage, err := fetch.NewStage(strings.Join(args, " "))
	if err == nil {
		err = fetch.ServeWorker(s.in, s.out, stage)
	}
	if err != nil {
		fmt.Fprintln(s.err, "rondo worker:", err)
		return exitFailed
	}
	return exitOK
}

// usageError is what is wrong with the command line; its text says how to put it right.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func badUsage(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// report prints why a command failed and returns its exit status.
func report(w io.Writer, command string, err error) int {
	var bad *usageError
	if errors.As(err, &bad) {
		fmt.Fprintf(w, "rondo %s: %v\n", command, err)
		return exitUsage
	}
	fmt.Fprintf(w, "rondo %s: %v\n", command, err)
	return exitFailed
}

// Command grepall pipes every file below a folder through a program, eight at a time, and prints what comes out, with
// the file's name, in the order of the names. The program is grep, or any other that reads its standard input.
// Usage: grepall FOLDER PATTERN, or grepall FOLDER PROGRAM ARGUMENT...
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/file"
	"github.com/rondo-go/rondo/pipeline"
)

// through pipes one file through a program.
func through(ctx context.Context, path string, program []string) (string, error) {
	text, err := file.ReadFile(ctx, path)
	if err != nil {
		return "", err
	}
	out, _, err := rondo.Command(ctx, program[0], program[1:]...).Communicate(ctx, text)
	if failed := new(exec.ExitError); errors.As(err, &failed) && failed.ExitCode() == 1 {
		err = nil // as grep says that there is nothing
	}
	var b bytes.Buffer
	for line := range bytes.Lines(out) {
		fmt.Fprintf(&b, "%s:%s", path, line)
	}
	return b.String(), err
}

// all pipes what is below the folder.
func all(ctx context.Context, w io.Writer, folder string, program ...string) error {
	found := func(yield func(string, error) bool) {
		for e, err := range file.Walk(ctx, folder) {
			if (err != nil || e.Type().IsRegular()) && !yield(e.Path, err) {
				return
			}
		}
	}
	outputs := pipeline.Map(pipeline.FromSeq2(found), func(ctx context.Context, p rondo.Pair[string, error]) (string, error) {
		if p.Second != nil {
			return "", p.Second
		}
		return through(ctx, p.First, program)
	}, pipeline.InFlight(8))
	return pipeline.ForEach(ctx, outputs, func(_ context.Context, s string) error {
		_, err := io.WriteString(w, s)
		return err
	})
}

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: grepall FOLDER PATTERN | grepall FOLDER PROGRAM ARGUMENT...")
		os.Exit(2)
	}
	program := os.Args[2:]
	if len(program) == 1 {
		program = []string{"grep", "-n", "-e", program[0]}
	}
	err := rondo.Run(func(ctx context.Context) error { return all(ctx, os.Stdout, os.Args[1], program...) })
	if err != nil {
		log.Fatal(err)
	}
}

// Command tailgrep follows a log file and prints the lines that are added with a pattern in them, as the last program
// of David Beazley's course on coroutines does: tail -> broadcast -> grep -> printer, with one grep a pattern.
// Usage: tailgrep FILE PATTERN...
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"time"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/pipeline"
)

// follow prints to w what is added to the file at path, until it is canceled.
func follow(ctx context.Context, w io.Writer, path string, patterns ...string) error {
	branches := make([]pipeline.Branch, len(patterns))
	for i, p := range patterns {
		branches[i].Name = p
	}
	var found []pipeline.Stream[string]
	for i, lines := range pipeline.Broadcast(pipeline.Tail(path, 100*time.Millisecond), branches...) {
		grep := pipeline.Filter(lines, func(line string) bool { return strings.Contains(line, patterns[i]) })
		found = append(found, pipeline.Apply(grep, func(line string) string { return patterns[i] + ": " + line }))
	}
	return pipeline.ToWriter(ctx, pipeline.Merge(found...), w)
}

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: tailgrep FILE PATTERN...")
		os.Exit(2)
	}
	err := rondo.Run(func(ctx context.Context) error {
		return follow(ctx, os.Stdout, os.Args[1], os.Args[2:]...)
	})
	if err != nil {
		log.Fatal(err)
	}
}

// Command wordcount reads text files and says how many lines and words they have, and which words are the most
// frequent. It is a tree: the files are read off the loop, eight at a time, and their lines go down two branches.
// Usage: wordcount FILE...
package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/pipeline"
)

func readLines(_ context.Context, path string) ([]string, error) {
	text, err := os.ReadFile(path)
	return slices.Collect(strings.Lines(string(text))), err
}

func splitWords(_ context.Context, line string) ([]string, error) {
	return strings.Fields(strings.ToLower(line)), nil
}

// count writes what it finds in the files to w.
func count(ctx context.Context, w io.Writer, paths []string) error {
	all := pipeline.FlatMap(pipeline.FromSlice(paths), readLines, pipeline.InFlight(8), pipeline.OnThread())
	bs := pipeline.Broadcast(all, pipeline.Branch{Name: "lines"}, pipeline.Branch{Name: "words"})
	lines, words := 0, 0
	seen := make(map[string]int)
	err := pipeline.Run(ctx,
		pipeline.Fold(bs[0], &lines, func(n int, _ string) int { return n + 1 }),
		pipeline.Each(pipeline.FlatMap(bs[1], splitWords), func(_ context.Context, word string) error {
			words++
			seen[word]++
			return nil
		}))
	fmt.Fprintln(w, lines, "lines,", words, "words")
	most := slices.SortedFunc(maps.Keys(seen), func(a, b string) int { return cmp.Or(seen[b]-seen[a], cmp.Compare(a, b)) })
	for _, word := range most[:min(3, len(most))] {
		fmt.Fprintln(w, seen[word], word)
	}
	return err
}

func main() {
	if err := rondo.Run(func(ctx context.Context) error { return count(ctx, os.Stdout, os.Args[1:]) }); err != nil {
		log.Fatal(err)
	}
}

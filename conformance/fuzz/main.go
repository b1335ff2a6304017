// Fuzz makes fresh scenarios of the conformance kit, and compares what Rondo
// prints for them with what CPython 3.13.0 prints. What differs it shrinks to a
// small scenario that differs still, and prints that with both traces.
//
//	fuzz [-n N] [-seed S] [-family F]
//
// It runs N seeds of each family from S on; a seed's scenario is always the same.
// It exits with 1 unless all of them passed. It is run from the root of the module, and
// needs the very CPython that the kit is of, as python3.13.
package main

import (
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

var families = []string{"asyncio", "generator", "pipeline"}

func main() {
	n := flag.Int("n", 500, "`seeds` of each family")
	seed := flag.Int("seed", 0, "the first `seed` (0: any that is not in the public corpus)")
	only := flag.String("family", "", "asyncio, generator or pipeline (all of them)")
	shrinks := flag.Int("shrink", 3, "how many scenarios of a family to shrink")
	flag.Parse()
	if flag.NArg() > 0 || *only != "" && !slices.Contains(families, *only) {
		flag.Usage()
		os.Exit(2)
	}
	if *seed == 0 {
		*seed = 1_000_000 + rand.IntN(1_000_000_000)
	}
	names := families
	if *only != "" {
		names = []string{*only}
	}
	failed, err := fuzz(os.Stdout, names, *seed, *n, *shrinks)
	if err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(2)
	}
	if failed {
		os.Exit(1)
	}
}

// fuzz runs n seeds of each family, and tells of those that differ.
func fuzz(out io.Writer, names []string, seed, n, shrinks int) (failed bool, err error) {
	dir, err := os.MkdirTemp("", "conformance-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	python, err := findOracle(filepath.Join("conformance", "oracle", "oracle.py"))
	if err != nil {
		return false, err
	}
	rondo, err := buildReplay(dir)
	if err != nil {
		return false, err
	}
	for _, family := range names {
		fmt.Fprintf(out, "%s: %d seeds from %d on\n", family, n, seed)
		path := filepath.Join(dir, family+".jsonl")
		if err := python.corpus(path, family, seed, n); err != nil {
			return failed, err
		}
		passed, ids, summary, err := rondo.compare(path)
		if err != nil {
			return failed, err
		}
		fmt.Fprintf(out, "%s: %s\n", family, summary)
		failed = failed || !passed
		for i, id := range ids {
			if i == shrinks {
				fmt.Fprintf(out, "... and %d more:", len(ids)-i)
				for _, id := range ids[i:] {
					fmt.Fprintf(out, " %s", id)
				}
				fmt.Fprintln(out)
				break
			}
			s, err := find(path, id)
			if err != nil {
				return failed, err
			}
			explain(out, id, s, python, rondo)
		}
	}
	return failed, nil
}

// explain prints a small scenario that differs as s does.
func explain(out io.Writer, id string, s scenario, python *oracle, rondo *replay) {
	differs := func(s scenario) bool {
		want, err := python.run(s)
		return err == nil && !slices.Equal(want, rondo.run(s))
	}
	if !differs(s) {
		fmt.Fprintf(out, "%s differed once, and does not when it is run again\n", id)
		return
	}
	s = shrink(s, differs)
	want, _ := python.run(s) // ran before, when it differed
	got := rondo.run(s)
	fmt.Fprintf(out, "\n%s, shrunk:\n%s\n", id, s.format())
	print := func(title string, lines []string) {
		fmt.Fprintf(out, "%s:\n", title)
		for _, line := range lines {
			fmt.Fprintf(out, "    %s\n", line)
		}
	}
	print("want", want)
	print("got", got)
	fmt.Fprintln(out)
}

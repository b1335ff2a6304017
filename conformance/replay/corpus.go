package main

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// A stored is a scenario with the trace that CPython printed of it.
type stored struct {
	ID       string
	Scenario json.RawMessage
	Trace    []string
}

// readStored calls each with the scenarios of a file, in order. By its name the
// file is a corpus (.jsonl, .jsonl.gz), or an example (.json) with a .trace
// beside it.
func readStored(path string, each func(stored)) error {
	if base, ok := strings.CutSuffix(path, ".json"); ok {
		return readExample(path, base+".trace", each)
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	var lines io.Reader = bufio.NewReader(file)
	switch {
	case strings.HasSuffix(path, ".jsonl.gz"):
		if lines, err = gzip.NewReader(lines); err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
	case !strings.HasSuffix(path, ".jsonl"):
		return fmt.Errorf("read %s: is neither a .jsonl, a .jsonl.gz nor a .json", path)
	}
	d := json.NewDecoder(lines)
	for {
		var s stored
		if err := d.Decode(&s); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		each(s)
	}
}

func readExample(path, tracePath string, each func(stored)) error {
	scenario, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	trace, err := os.ReadFile(tracePath)
	if err != nil {
		return err
	}
	text := strings.TrimSuffix(string(trace), "\n")
	each(stored{strings.TrimSuffix(filepath.Base(path), ".json"), scenario, strings.Split(text, "\n")})
	return nil
}

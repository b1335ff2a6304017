package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rondo-go/rondo"
)

func TestCount(t *testing.T) {
	dir := t.TempDir()
	var paths []string
	for name, text := range map[string]string{"a": "Simple is better\nthan complex\n", "b": "complex is better than complicated", "c": ""} {
		paths = append(paths, filepath.Join(dir, name))
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out strings.Builder
	err := rondo.Run(func(ctx context.Context) error { return count(ctx, &out, paths) })
	if want := "3 lines, 10 words\n2 better\n2 complex\n2 is\n"; err != nil || out.String() != want {
		t.Errorf("got %q, %v, want %q", out.String(), err, want)
	}
	err = rondo.Run(func(ctx context.Context) error { return count(ctx, &out, []string{filepath.Join(dir, "none")}) })
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rondo-go/rondo"
)

func TestAllFindsTheLinesInOrder(t *testing.T) {
	if _, err := exec.LookPath("grep"); err != nil {
		t.Skip("there is no grep here")
	}
	dir := t.TempDir()
	var want strings.Builder
	for i := range 40 {
		path := filepath.Join(dir, fmt.Sprintf("d%d", i/10), fmt.Sprintf("f%d", i%10))
		text := "nothing\n"
		if i%3 == 0 {
			text += fmt.Sprintf("a loop, number %d\n", i)
			fmt.Fprintf(&want, "%s:2:a loop, number %d\n", path, i)
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out strings.Builder
	err := rondo.Run(func(ctx context.Context) error { return all(ctx, &out, dir, "grep", "-n", "-e", "loop") })
	if out.String() != want.String() || err != nil {
		t.Errorf("got\n%swant\n%serror %v", out.String(), want.String(), err)
	}
	err = rondo.Run(func(ctx context.Context) error { return all(ctx, &out, filepath.Join(dir, "none"), "grep", "x") })
	if err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("no folder: %v", err)
	}
}

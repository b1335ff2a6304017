package rondo_test

import (
	"os"
	"strings"
	"testing"
)

// The README's program is the one that is built and vetted.
func TestReadmeProgramIsExample(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile("examples/hello/main.go")
	if err != nil {
		t.Fatal(err)
	}
	_, program, ok := strings.Cut(string(example), "package main\n")
	if !ok {
		t.Fatal("examples/hello/main.go: no package clause")
	}
	if !strings.Contains(string(readme), "```go\npackage main\n"+program+"```\n") {
		t.Error("README.md: its program differs from examples/hello/main.go")
	}
}

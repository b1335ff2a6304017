package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rondo-go/rondo"
)

func TestFollowFindsWhatIsAdded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte("python was here before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	err := rondo.Run(func(ctx context.Context) error {
		x := rondo.Spawn(ctx, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, follow(ctx, &out, path, "python", "swig")
		})
		if err := rondo.Sleep(ctx, time.Second); err != nil {
			return err
		}
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		if _, err := f.WriteString("python 3\nperl\nswig for python\n"); err != nil {
			return err
		}
		if err := rondo.Sleep(ctx, time.Second); err != nil {
			return err
		}
		x.Cancel("")
		x.Await(ctx)
		return nil
	}, rondo.WithVirtualTime())
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSpace(out.String()), "\n")
	slices.Sort(got)
	if want := []string{"python: python 3", "python: swig for python", "swig: swig for python"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

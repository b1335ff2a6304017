package file_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"path/filepath"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/file"
)

func ExampleLines() {
	err := rondo.Run(func(ctx context.Context) error {
		return file.TempDir(ctx, "example-*", func(ctx context.Context, dir string) error {
			name := filepath.Join(dir, "poem")
			if err := file.WriteFileAtomic(ctx, name, []byte("simple\nis better\n"), 0o600); err != nil {
				return err
			}
			for line, err := range file.Lines(ctx, name) {
				if err != nil {
					return err
				}
				fmt.Println(line)
			}
			return nil
		})
	})
	fmt.Println(err)
	// Output:
	// simple
	// is better
	// <nil>
}

func ExampleFile() {
	_ = rondo.Run(func(ctx context.Context) error {
		return file.Temp(ctx, "example-*", func(_ context.Context, f *file.File) error {
			w := bufio.NewWriter(f)
			for i := range 1000 {
				fmt.Fprintln(w, i)
			}
			if err := w.Flush(); err != nil {
				return err
			}
			tail := make([]byte, 8)
			if _, err := f.Seek(-8, io.SeekEnd); err != nil {
				return err
			}
			n, err := f.Read(tail)
			fmt.Printf("%q\n", tail[:n])
			return err
		})
	})
	// Output: "998\n999\n"
}

func ExampleWalk() {
	_ = rondo.Run(func(ctx context.Context) error {
		for e, err := range file.Walk(ctx, ".") {
			switch {
			case err != nil:
				return err
			case e.Name() == "testdata":
				e.SkipDir()
			case e.Path == "walk.go":
				fmt.Println(e.Path, e.IsDir())
			}
		}
		return nil
	})
	// Output: walk.go false
}

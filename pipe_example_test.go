package rondo_test

import (
	"context"
	"fmt"
	"io"

	"github.com/rondo-go/rondo"
)

// A task writes to a pipe, another reads from it.
func ExamplePipe() {
	rondo.Run(func(ctx context.Context) error {
		r, w, err := rondo.Pipe()
		if err != nil {
			return err
		}
		defer r.Close()
		rondo.Spawn(ctx, func(context.Context) (int, error) {
			defer w.Close()
			return io.WriteString(w, "through the pipe")
		})
		got, err := io.ReadAll(r)
		fmt.Printf("%s\n", got)
		return err
	})
	// Output: through the pipe
}

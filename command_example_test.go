package rondo_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/rondo-go/rondo"
)

func ExampleCommand() {
	err := rondo.Run(func(ctx context.Context) error {
		out, _, err := rondo.Command(ctx, "sort", "-r").Communicate(ctx, []byte("one\ntwo\nthree\n"))
		fmt.Println(strings.Fields(string(out)))
		return err
	})
	fmt.Println(err)
	// Output:
	// [two three one]
	// <nil>
}

func ExampleProcess_StdoutPipe() {
	_ = rondo.Run(func(ctx context.Context) error {
		p := rondo.Shell(ctx, "echo ready; cat")
		defer p.Close() // ends it, if it has not ended
		out, err := p.StdoutPipe()
		if err != nil {
			return err
		}
		if err := p.Start(); err != nil {
			return err
		}
		var line string
		if _, err := fmt.Fscanln(out, &line); err != nil {
			return err
		}
		fmt.Println(line)
		_, err = p.Wait(ctx)
		return err
	})
	// Output: ready
}

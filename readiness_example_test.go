//go:build unix

package rondo_test

import (
	"context"
	"fmt"
	"os"

	"github.com/rondo-go/rondo"
)

func ExampleWaitReadable() {
	in, out, err := os.Pipe()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer in.Close()
	defer out.Close()
	err = rondo.Run(func(ctx context.Context) error {
		fd, err := rondo.DescriptorOf(in)
		if err != nil {
			return err
		}
		rondo.RunningLoop().CallSoon(func() { out.Write([]byte("ready")) })
		if err := rondo.WaitReadable(ctx, fd); err != nil {
			return err
		}
		p := make([]byte, 10)
		n, err := in.Read(p) // does not block
		fmt.Printf("%s\n", p[:n])
		return err
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output: ready
}

package rondo_test

import (
	"context"
	"fmt"
	"time"

	"github.com/rondo-go/rondo"
)

// A body that parks between what it yields, in the task that ranges over it.
func ExampleGenerate() {
	rondo.Run(func(ctx context.Context) error {
		g := rondo.Generate(func(ctx context.Context, yield func(int) (any, error)) error {
			for n := 3; n > 0; n-- {
				if _, err := yield(n); err != nil {
					return err
				}
				if err := rondo.Sleep(ctx, time.Second); err != nil {
					return err
				}
			}
			return nil
		})
		for n, err := range g.All(ctx) {
			if err != nil {
				return err
			}
			fmt.Println(n)
		}
		fmt.Println("lift-off after", rondo.RunningLoop().Time())
		return nil
	}, rondo.WithVirtualTime())
	// Output:
	// 3
	// 2
	// 1
	// lift-off after 3s
}

package coro_test

import (
	"fmt"

	"github.com/rondo-go/rondo/coro"
)

// The averager: what is sent to it goes into the mean that it yields back. Close
// ends it, and brings home how many there were.
func Example() {
	avg := coro.New(func(y coro.Yield[float64, float64]) (int, error) {
		sum, n, mean := 0.0, 0, 0.0
		for {
			x, err := y(mean)
			if err != nil {
				return n, nil
			}
			sum, n = sum+x, n+1
			mean = sum / float64(n)
		}
	})
	avg.Next() // run to the first Yield, which can then be sent something
	for _, x := range []float64{10, 30, 5} {
		mean, _, _ := avg.Send(x)
		fmt.Println(mean)
	}
	n, err := avg.Close()
	fmt.Println(n, err)
	// Output:
	// 10
	// 20
	// 15
	// 3 <nil>
}

// A tree is walked by delegation: what the innermost generator yields comes out
// of the outermost.
func ExampleYieldFrom() {
	type tree struct {
		left  *tree
		value string
		right *tree
	}
	var walk func(t *tree) *coro.Generator[string, struct{}, int]
	walk = func(t *tree) *coro.Generator[string, struct{}, int] {
		return coro.New(func(y coro.Yield[string, struct{}]) (int, error) {
			if t == nil {
				return 0, nil
			}
			left, err := coro.YieldFrom(y, walk(t.left))
			if err != nil {
				return 0, err
			}
			if _, err := y(t.value); err != nil {
				return 0, err
			}
			right, err := coro.YieldFrom(y, walk(t.right))
			return left + 1 + right, err
		})
	}
	g := walk(&tree{&tree{nil, "a", nil}, "b", &tree{nil, "c", nil}})
	for v := range g.Seq() {
		fmt.Println(v)
	}
	size, _ := g.Result()
	fmt.Println(size)
	// Output:
	// a
	// b
	// c
	// 3
}

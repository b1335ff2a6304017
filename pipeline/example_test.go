package pipeline_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/pipeline"
)

func ExampleReduce() {
	rondo.Run(func(ctx context.Context) error {
		lines := pipeline.Lines(strings.NewReader("one\nthree\nfour"))
		sizes := pipeline.Map(lines, func(_ context.Context, s string) (int, error) { return len(s), nil }, pipeline.InFlight(64))
		total, err := pipeline.Reduce(ctx, sizes, 0, func(a, n int) int { return a + n })
		fmt.Println(total, err)
		return err
	})
	// Output: 12 <nil>
}

func ExampleRun() {
	rondo.Run(func(ctx context.Context) error {
		words := pipeline.FromSlice([]string{"to", "be", "or", "not", "to", "be"})
		branches := pipeline.Broadcast(words, pipeline.Branch{Name: "all"}, pipeline.Branch{Name: "distinct"})
		var all, distinct int
		count := func(n int, _ string) int { return n + 1 }
		p := pipeline.New(
			pipeline.Fold(branches[0], &all, count),
			pipeline.Fold(pipeline.Unique(branches[1]), &distinct, count),
		)
		err := p.Run(ctx)
		fmt.Println(all, distinct)
		fmt.Print(p.Describe())
		return err
	})
	// Output:
	// 6 4
	// 0 slice -> 1
	// 1 broadcast -> 2, 4
	// 2 branch all -> 3
	// 3 reduce
	// 4 branch distinct -> 5
	// 5 unique -> 6
	// 6 reduce
}

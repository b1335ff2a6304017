package main

import (
	"context"
	"slices"

	"github.com/rondo-go/rondo/bench/tasks/watch"
	"github.com/rondo-go/rondo/pipeline"
)

// counted are n numbers.
func counted(n int) pipeline.Stream[int] {
	return pipeline.FromSeq(func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	})
}

func add(a, v int) int { return a + v }

// five is a pipeline of five stages. With a size, a queue of that lies between any
// two, so that each stage is a task of its own; without, package pipeline puts
// them all into one.
func five(size int) task {
	return func(ctx context.Context, n int, w *watch.Watch) error {
		w.Start()
		s := counted(n)
		for range 3 {
			if size > 0 {
				s = pipeline.Buffer(s, size)
			}
			s = pipeline.Apply(s, func(v int) int { return v + 1 })
		}
		if size > 0 {
			s = pipeline.Buffer(s, size)
		}
		total, err := pipeline.Reduce(ctx, s, 0, add)
		w.Stop()
		if err == nil && total != n*(n-1)/2+3*n {
			err = errSum
		}
		return err
	}
}

func broadcast(ctx context.Context, n int, w *watch.Watch) error {
	w.Start()
	var sinks []pipeline.Sink
	for _, s := range pipeline.Broadcast(counted(n), slices.Repeat([]pipeline.Branch{{Lag: 128}}, 8)...) {
		sinks = append(sinks, pipeline.Discard(s))
	}
	err := pipeline.Run(ctx, sinks...)
	w.Stop()
	return err
}

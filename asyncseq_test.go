package rondo

import (
	"context"
	"fmt"
	"io"
	"iter"
	"slices"
	"testing"
	"time"
)

func TestAsyncComprehensions(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		var log []string
		even := func(v int) (bool, error) { return v%2 == 0, nil }
		slow := func(v int) (string, error) { return fmt.Sprint("n", v), Sleep(ctx, time.Second) }
		got, err := Collect(Map(Filter(ticks(5, &log).All(ctx), even), slow))
		if fmt.Sprint(got, err, now()) != "[n0 n2 n4] <nil> 7s" {
			t.Errorf("map and filter: %v, %v after %v", got, err, now())
		}
		g := ticks(5, &log)
		pairs, err := Collect(Enumerate(Take(g.All(ctx), 2)))
		if fmt.Sprint(pairs, err) != "[{0 0} {1 1}] <nil>" {
			t.Errorf("enumerate and take: %v, %v", pairs, err)
		}
		if v, _, _ := g.Next(ctx); v != 2 {
			t.Errorf("take asked for more than it gave: next is %d", v)
		}
		if none, err := Collect(Take(g.All(ctx), 0)); len(none) > 0 || err != nil {
			t.Errorf("got %v, %v", none, err)
		}
		for _, n := range []int{2, 3, 4} {
			zipped, err := Collect(Zip(ticks(3, &log).All(ctx), Map(ticks(n, &log).All(ctx), slow)))
			want := []Pair[int, string]{{0, "n0"}, {1, "n1"}, {2, "n2"}}[:min(n, 3)]
			if !slices.Equal(zipped, want) || err != nil {
				t.Errorf("zip with %d: %v, %v", n, zipped, err)
			}
		}
		return g.Aclose(ctx)
	})
}

func TestAsyncComprehensionsPassAnErrorOnOnce(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		bad := func(yield func(int, error) bool) {
			_ = yield(1, nil) && yield(0, io.EOF) && yield(2, nil)
		}
		yes := func(int) (bool, error) { return true, nil }
		same := func(v int) (int, error) { return v, nil }
		for name, seq := range map[string]iter.Seq2[int, error]{
			"map": Map(bad, same), "filter": Filter(bad, yes), "take": Take(bad, 9),
			"zip":       Map(Zip(bad, bad), func(p Pair[int, int]) (int, error) { return p.First, nil }),
			"of map":    Map(Take(bad, 1), func(int) (int, error) { return 0, io.EOF }),
			"of filter": Filter(Take(bad, 1), func(int) (bool, error) { return false, io.EOF }),
		} {
			errs := 0
			for v, err := range seq {
				if err != nil && (err != io.EOF || v != 0) || errs > 0 {
					t.Errorf("%s: got %v, %v", name, v, err)
				}
				if err != nil {
					errs++
				}
			}
			if errs != 1 {
				t.Errorf("%s: %d errors", name, errs)
			}
		}
		return nil
	})
}

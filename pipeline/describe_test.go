package pipeline_test

import (
	"context"
	"testing"
	"time"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/pipeline"
)

func TestPipelineDescribe(t *testing.T) {
	bs := pipeline.Broadcast(ints(3).Named(`n"s`), pipeline.Branch{Name: "a"}, pipeline.Branch{Name: "b"})
	p := pipeline.New(pipeline.Discard(bs[0]), pipeline.Discard(pipeline.Filter(bs[1], func(int) bool { return true })).Named("rest"))
	g := p.Describe()
	text := "0 seq n\"s -> 1\n1 broadcast -> 2, 4\n2 branch a -> 3\n3 discard\n4 branch b -> 5\n5 filter -> 6\n6 discard rest\n"
	if got := g.String(); got != text {
		t.Errorf("text:\n%s\nwant:\n%s", got, text)
	}
	mermaid := `flowchart LR
    s0["seq n#quot;s"]
    s1["broadcast"]
    s2["branch a"]
    s3["discard"]
    s4["branch b"]
    s5["filter"]
    s6["discard rest"]
    s0 --> s1
    s1 --> s2
    s2 --> s3
    s1 --> s4
    s4 --> s5
    s5 --> s6
`
	if got := g.Mermaid(); got != mermaid {
		t.Errorf("Mermaid:\n%s\nwant:\n%s", got, mermaid)
	}
	dot := `digraph pipeline {
    rankdir=LR;
    s0 [label="seq n\"s"];
    s1 [label="broadcast"];
    s2 [label="branch a"];
    s3 [label="discard"];
    s4 [label="branch b"];
    s5 [label="filter"];
    s6 [label="discard rest"];
    s0 -> s1;
    s1 -> s2;
    s2 -> s3;
    s1 -> s4;
    s4 -> s5;
    s5 -> s6;
}
`
	if got := g.DOT(); got != dot {
		t.Errorf("DOT:\n%s\nwant:\n%s", got, dot)
	}
}

func TestPipelineStatsWhileItRuns(t *testing.T) {
	virtual(t, func(ctx context.Context) {
		slow := func(ctx context.Context, v int) (int, error) { return v, rondo.Sleep(ctx, 100*time.Millisecond) }
		m := pipeline.Map(pipeline.Buffer(ints(40), 5), slow, pipeline.InFlight(4)).Named("slow")
		p := pipeline.New(pipeline.Discard(m))
		x := rondo.Spawn(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, p.Run(ctx) })
		if err := rondo.Sleep(ctx, 250*time.Millisecond); err != nil {
			t.Error(err)
		}
		st := p.Stats()
		if b := st[1]; b.Waiting != 5 || b.Blocked != 1 || b.Out != 13 {
			t.Errorf("buffer: %+v", b)
		}
		if s := st[2]; s.Stage != "map slow" || s.InFlight != 4 || s.Out != 8 || s.In != 12 || s.Blocked != 1 {
			t.Errorf("map: %+v", s)
		}
		if _, err := x.Await(ctx); err != nil {
			t.Error(err)
		}
		st = p.Stats()
		if s := st[2]; s.InFlight != 0 || s.Out != 40 || s.Blocked != 0 || s.P50 < 80*time.Millisecond || s.P50 > 100*time.Millisecond || s.P99 != s.P50 {
			t.Errorf("map at the end: %+v", s)
		}
		if st[3].In != 40 {
			t.Errorf("sink: %+v", st[3])
		}
	})
}

package coro

import (
	"errors"
	"io"
	"slices"
	"testing"
)

// delegate is a generator that only delegates, depth levels deep, to inner.
func delegate[Y, S, R any](inner *Generator[Y, S, R], depth int) *Generator[Y, S, R] {
	for range depth {
		from := inner
		inner = New(func(y Yield[Y, S]) (R, error) { return YieldFrom(y, from) })
	}
	return inner
}

func TestYieldFromReachesTheInnermost(t *testing.T) {
	g := delegate(New(func(y Yield[string, string]) (string, error) {
		s, err := y("ready")
		for err == nil && s != "stop" {
			s, err = y("got " + s)
		}
		return "last " + s, err
	}), 5)
	want(t, "next", next(g), "yield ready")
	want(t, "send", send(g, "a"), "yield got a")
	want(t, "send", send(g, "stop"), "return last stop")

	var met error
	g = delegate(New(func(y Yield[string, string]) (string, error) {
		_, met = y("ready")
		return "", io.ErrClosedPipe
	}), 5)
	g.Next()
	want(t, "throw", throw(g, io.EOF), "raise "+io.ErrClosedPipe.Error())
	wantErr(t, "innermost", met, io.EOF)
}

func TestYieldFromCloseGoesDownFirst(t *testing.T) {
	cause := errors.New("inner cleanup failed")
	for _, c := range []struct {
		name  string
		inner func(Yield[int, none]) (int, error)
		want  error // at the from
	}{
		{"let out", func(y Yield[int, none]) (int, error) { _, err := y(1); return 0, err }, ErrExit},
		{"answer is lost", func(y Yield[int, none]) (int, error) { y(1); return 5, nil }, ErrExit},
		{"error", func(y Yield[int, none]) (int, error) { y(1); return 0, cause }, cause},
		{"ignored", func(y Yield[int, none]) (int, error) { y(1); y(2); return 0, nil }, ErrIgnoredExit},
	} {
		inner := New(c.inner)
		var at error
		outer := New(func(y Yield[int, none]) (int, error) {
			r, err := YieldFrom(y, inner)
			if r != 0 {
				t.Errorf("%s: got %d", c.name, r)
			}
			at = err
			return 9, nil
		})
		outer.Next()
		want(t, c.name, shut(outer), "closed 9")
		wantErr(t, c.name, at, c.want)
		inner.Close()
	}
}

func TestYieldFromGoesOnWhereInnerStands(t *testing.T) {
	inner := counter(3)
	inner.Next()
	g := delegate(inner, 1)
	want(t, "next", next(g), "yield 2")
	want(t, "next", next(g), "yield 3")
	want(t, "next", next(g), "return 3")
	want(t, "from an ended one", next(delegate(inner, 1)), "return 0")
}

func TestYieldFromSeqIsNotTold(t *testing.T) {
	left := false
	seq := func(yield func(int) bool) {
		for i := 0; yield(i); i++ {
		}
		left = true
	}
	g := New(func(y Yield[int, string]) (int, error) { return 0, YieldFromSeq(y, seq) })
	want(t, "next", next(g), "yield 0")
	want(t, "send", send(g, "ignored"), "yield 1")
	want(t, "throw", throw(g, io.EOF), "raise EOF")
	if !left {
		t.Error("the sequence was not told to end")
	}
}

func TestGeneratorConvertsFromAndToSequences(t *testing.T) {
	if got := slices.Collect(FromSeq(slices.Values([]int{1, 2, 3})).Seq()); !slices.Equal(got, []int{1, 2, 3}) {
		t.Errorf("got %v", got)
	}
	g := FromSeq2(func(yield func(int, error) bool) {
		_ = yield(1, nil) && yield(2, nil) && yield(0, io.EOF) && yield(3, nil)
	})
	var got []int
	var last error
	for v, err := range g.Seq2() {
		got, last = append(got, v), err
	}
	if !slices.Equal(got, []int{1, 2, 0}) || last != io.EOF {
		t.Errorf("got %v, %v", got, last)
	}
	defer func() {
		if recover() != io.EOF {
			t.Error("Seq did not panic with the error")
		}
	}()
	for range FromSeq2(func(yield func(int, error) bool) { yield(0, io.EOF) }).Seq() {
	}
}

func TestGeneratorGoesOnAfterALeftLoop(t *testing.T) {
	g := counter(4)
	for v := range g.Seq() {
		if v == 2 {
			break
		}
	}
	want(t, "next", next(g), "yield 3")
	want(t, "close", shut(g), "closed none")
}

package main

import (
	"errors"
	"fmt"
	"testing"

	"github.com/rondo-go/rondo/coro"
)

func TestShow(t *testing.T) {
	for _, c := range []struct {
		v    any
		want string
	}{
		{nil, "none"}, {true, "true"}, {false, "false"}, {3.0, "3"}, {0.5, "0.5"}, {100000.0, "100000"},
		{1e6, "1e+06"}, {2.0 / 3, "0.666667"}, {-2.0, "-2"}, {7, "7"}, {"a b", "a b"},
		{[]any{}, "[]"}, {[]any{1.0, nil, []any{"x", true}}, "[1,none,[x,true]]"},
		{[]any{makeRaised("V", 2.5)}, "[ValueError:2.5]"},
	} {
		if got := show(c.v); got != c.want {
			t.Errorf("show(%#v) = %q, want %q", c.v, got, c.want)
		}
	}
}

func TestExcName(t *testing.T) {
	for _, c := range []struct {
		err         error
		want, class string
	}{
		{makeRaised("V", 1.0), "ValueError:1", "ValueError"},
		{makeRaised("K", 0.5), "KeyError:0.5", "KeyError"},
		{fmt.Errorf("around: %w", makeRaised("K", 2.0)), "KeyError:2", "KeyError"},
		{coro.ErrExit, "GeneratorExit", "GeneratorExit"},
		{coro.ErrNotStarted, "TypeError", "TypeError"},
		{coro.ErrIgnoredExit, "RuntimeError", "RuntimeError"},
		{errors.New("unheard of"), "unheard of", "unheard of"},
	} {
		if got := excName(c.err); got != c.want {
			t.Errorf("excName(%v) = %q, want %q", c.err, got, c.want)
		}
		if got := className(c.err); got != c.class {
			t.Errorf("className(%v) = %q, want %q", c.err, got, c.class)
		}
	}
}

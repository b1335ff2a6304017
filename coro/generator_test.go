package coro

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
)

type none = struct{}

// counter yields 1 to n, whatever it is sent, and returns n.
func counter(n int) *Generator[int, string, int] {
	return New(func(y Yield[int, string]) (int, error) {
		for i := range n {
			if _, err := y(i + 1); err != nil {
				return 0, err
			}
		}
		return n, nil
	})
}

// step renders the answer of Next, Send or Throw as the conformance kit does.
func step[Y, S, R any](g *Generator[Y, S, R], was State, v Y, ok bool, err error) string {
	switch r, returned := g.Result(); {
	case err != nil:
		return fmt.Sprint("raise ", err)
	case ok:
		return fmt.Sprint("yield ", v)
	case returned && was != Closed:
		return fmt.Sprint("return ", r)
	}
	return "return none"
}

func next[Y, S, R any](g *Generator[Y, S, R]) string {
	was := g.State()
	v, ok, err := g.Next()
	return step(g, was, v, ok, err)
}

func send[Y, S, R any](g *Generator[Y, S, R], s S) string {
	was := g.State()
	v, ok, err := g.Send(s)
	return step(g, was, v, ok, err)
}

func throw[Y, S, R any](g *Generator[Y, S, R], e error) string {
	was := g.State()
	v, ok, err := g.Throw(e)
	return step(g, was, v, ok, err)
}

func shut[Y, S, R any](g *Generator[Y, S, R]) string {
	was := g.State()
	r, err := g.Close()
	if err != nil {
		return fmt.Sprint("raise ", err)
	}
	if _, ok := g.Result(); !ok || was == Closed {
		return "closed none"
	}
	return fmt.Sprint("closed ", r)
}

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

func TestGeneratorYieldsAndReturns(t *testing.T) {
	g := counter(2)
	for _, w := range []string{"yield 1", "yield 2", "return 2", "return none", "return none"} {
		want(t, "next", next(g), w)
	}
	if r, ok := g.Result(); r != 2 || !ok {
		t.Errorf("the result is %v, %v", r, ok)
	}
	want(t, "throw after the end", throw(g, io.EOF), "raise EOF")
	want(t, "close after the end", shut(g), "closed none")
}

func TestGeneratorState(t *testing.T) {
	var g *Generator[State, none, none]
	g = New(func(y Yield[State, none]) (r none, err error) {
		_, err = y(g.State())
		return r, err
	})
	if s := g.State(); s != Created {
		t.Errorf("made: %v", s)
	}
	if s, _, _ := g.Next(); s != Running {
		t.Errorf("in the body: %v", s)
	}
	if s := g.State(); s != Suspended {
		t.Errorf("after a yield: %v", s)
	}
	g.Next()
	if s := g.State(); s != Closed {
		t.Errorf("ended: %v", s)
	}
	want(t, "String", fmt.Sprint(Created, Suspended, Running, Closed, State(9)), "created suspended running closed State(9)")
}

func TestGeneratorRefusesAValueBeforeItStarts(t *testing.T) {
	g := counter(1)
	_, ok, err := g.Send("early")
	wantErr(t, "send", err, ErrNotStarted)
	if ok || g.State() != Created {
		t.Errorf("ok %v, state %v", ok, g.State())
	}
	want(t, "next", next(g), "yield 1")
	want(t, "send", send(g, "x"), "return 1")
}

func TestGeneratorErrorComesOnce(t *testing.T) {
	g := New(func(y Yield[int, none]) (int, error) { y(1); return 7, io.ErrUnexpectedEOF })
	g.Next()
	_, ok, err := g.Next()
	if ok || err != io.ErrUnexpectedEOF {
		t.Errorf("got %v, %v", ok, err)
	}
	if _, ok := g.Result(); ok {
		t.Error("a generator that failed has a result")
	}
	want(t, "next", next(g), "return none")
}

func TestGeneratorThrowBeforeTheStartEndsIt(t *testing.T) {
	ran := false
	g := New(func(Yield[int, none]) (r none, err error) { ran = true; return })
	want(t, "throw", throw(g, io.EOF), "raise EOF")
	want(t, "next", next(g), "return none")
	g = New(func(Yield[int, none]) (r none, err error) { ran = true; return })
	want(t, "close", shut(g), "closed none")
	want(t, "next", next(g), "return none")
	if ran {
		t.Error("the body ran")
	}
}

func TestGeneratorThrowCanBeHandled(t *testing.T) {
	g := New(func(y Yield[string, string]) (r none, err error) {
		s, err := y("first")
		s, err = y(fmt.Sprint("caught ", err, " with ", s, "."))
		_, err = y(fmt.Sprint("then ", err, " with ", s, "."))
		return r, err
	})
	want(t, "next", next(g), "yield first")
	want(t, "throw", throw(g, io.EOF), "yield caught EOF with .")
	want(t, "send", send(g, "x"), "yield then <nil> with x.")
	want(t, "next", next(g), "return {}")
}

func TestGeneratorThrowOfNothingPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	counter(1).Throw(nil)
}

func TestGeneratorCloseErrors(t *testing.T) {
	cause := errors.New("cleanup failed")
	for _, c := range []struct {
		name   string
		answer func(y Yield[int, none], err error) (int, error)
		want   string
	}{
		{"let out", func(_ Yield[int, none], err error) (int, error) { return 0, err }, "closed none"},
		{"wrapped", func(_ Yield[int, none], err error) (int, error) { return 0, fmt.Errorf("body: %w", err) }, "closed none"},
		{"value", func(Yield[int, none], error) (int, error) { return 4, nil }, "closed 4"},
		{"error", func(Yield[int, none], error) (int, error) { return 4, cause }, "raise cleanup failed"},
		{"joined", func(_ Yield[int, none], err error) (int, error) { return 4, errors.Join(err, cause) },
			"raise coro: generator exit\ncleanup failed"},
	} {
		g := New(func(y Yield[int, none]) (int, error) {
			_, err := y(1)
			return c.answer(y, err)
		})
		g.Next()
		want(t, c.name, shut(g), c.want)
		if g.State() != Closed {
			t.Errorf("%s: state %v", c.name, g.State())
		}
	}
}

func TestGeneratorThatYieldsWhileClosedGoesOn(t *testing.T) {
	g := New(func(y Yield[int, none]) (int, error) {
		_, err := y(1)
		y(2)
		return 0, err
	})
	g.Next()
	_, err := g.Close()
	wantErr(t, "close", err, ErrIgnoredExit)
	if g.State() != Suspended {
		t.Errorf("state %v", g.State())
	}
	_, _, err = g.Next()
	wantErr(t, "next", err, ErrExit)
}

func TestGeneratorReentryIsAnError(t *testing.T) {
	var g *Generator[int, int, int]
	g = New(func(y Yield[int, int]) (int, error) {
		for _, call := range []func() error{
			func() error { _, _, err := g.Next(); return err },
			func() error { _, _, err := g.Send(9); return err },
			func() error { _, _, err := g.Throw(io.EOF); return err },
			func() error { _, err := g.Close(); return err },
			func() error { _, err := YieldFrom(y, g); return err },
		} {
			wantErr(t, "re-entry", call(), ErrRunning)
		}
		s, err := y(1)
		if s != 5 || err != nil {
			t.Errorf("got %v, %v", s, err)
		}
		return 2, nil
	})
	want(t, "next", next(g), "yield 1")
	want(t, "send", send(g, 5), "return 2")
}

func TestGeneratorYieldOutsideIsAnError(t *testing.T) {
	var leaked Yield[int, none]
	g := New(func(y Yield[int, none]) (r none, err error) {
		leaked = y
		_, err = y(1)
		return r, err
	})
	g.Next()
	_, err := leaked(2)
	wantErr(t, "suspended", err, ErrNotRunning)
	g.Close()
	_, err = leaked(2)
	wantErr(t, "ended", err, ErrNotRunning)
}

func explode(y Yield[int, none]) {
	y(1)
	panic(io.ErrNoProgress)
}

func TestGeneratorPanicSurfacesWithTheBodysStack(t *testing.T) {
	inner := New(func(y Yield[int, none]) (r none, err error) { explode(y); return })
	outer := New(func(y Yield[int, none]) (none, error) { return YieldFrom(y, inner) })
	want(t, "next", next(outer), "yield 1")
	func() {
		defer func() {
			pe, ok := recover().(*PanicError)
			if !ok || pe.Value != io.ErrNoProgress || !errors.Is(pe, io.ErrNoProgress) ||
				!strings.Contains(pe.Error(), "coro.explode") {
				t.Errorf("got %v", pe)
			}
		}()
		outer.Next()
	}()
	want(t, "inner", next(inner), "return none")
	want(t, "outer", next(outer), "return none")
}

func TestGeneratorGoexitEndsTheCallerToo(t *testing.T) {
	g := New(func(y Yield[int, none]) (r none, err error) {
		y(1)
		runtime.Goexit()
		return
	})
	done := make(chan bool)
	go func() {
		passed := false
		defer func() { done <- passed }()
		g.Next()
		g.Next()
		passed = true
	}()
	if <-done {
		t.Error("the caller went on")
	}
	want(t, "next", next(g), "return none")
}

// The examples of the conformance kit, by hand.

func TestGeneratorConformsAverager(t *testing.T) {
	var log []string
	g := New(func(y Yield[any, any]) (none any, err error) {
		var sum, n float64
		var mean any
		for range 9 {
			got, err := y(mean)
			if err != nil {
				return nil, err
			}
			log = append(log, fmt.Sprint("got ", got))
			sum, n = sum+got.(float64), n+1
			mean = sum / n
		}
		return nil, nil
	})
	want(t, "send", send(g, 5.0), "raise "+ErrNotStarted.Error())
	want(t, "next", next(g), "yield <nil>")
	want(t, "send", send(g, 10.0), "yield 10")
	want(t, "send", send(g, 20.0), "yield 15")
	want(t, "send", send(g, 0.0), "yield 10")
	want(t, "close", shut(g), "closed none")
	want(t, "next", next(g), "return none")
	want(t, "log", strings.Join(log, ", "), "got 10, got 20, got 0")
}

func TestGeneratorConformsClose(t *testing.T) {
	var log []string
	mark := func(s string) { log = append(log, s) }
	a := New(func(y Yield[int, any]) (r int, err error) {
		defer mark("outer")
		inner := New(func(y Yield[int, any]) (int, error) {
			defer mark("inner")
			_, err := y(1)
			return 0, err
		})
		if _, err := YieldFrom(y, inner); err == ErrExit {
			mark("caught")
			return 4, nil
		}
		return 0, nil
	})
	want(t, "next", next(a), "yield 1")
	want(t, "close", shut(a), "closed 4")
	want(t, "log", strings.Join(log, " "), "inner caught outer")
	want(t, "next", next(a), "return none")
	want(t, "close", shut(a), "closed none")

	b := New(func(y Yield[int, any]) (r int, err error) {
		_, err = y(1)
		if _, second := y(2); second != nil {
			err = second
		}
		return 0, err
	})
	want(t, "next", next(b), "yield 1")
	want(t, "close", shut(b), "raise "+ErrIgnoredExit.Error())
	shut(b)
}

func TestGeneratorConformsYieldFrom(t *testing.T) {
	value := errors.New("ValueError")
	var log []string
	g1 := func() *Generator[int, any, int] {
		return New(func(y Yield[int, any]) (int, error) {
			sum := 0
			get := func(v int) error {
				got, err := y(v)
				if n, ok := got.(int); ok && err == nil {
					sum += n
				}
				return err
			}
			if err := get(1); err != nil {
				return 0, err
			}
			if err := get(2); err == value {
				log = append(log, "caught")
				err = get(3)
				if err != nil {
					return 0, err
				}
			} else if err != nil {
				return 0, err
			}
			return sum, nil
		})
	}
	a := New(func(y Yield[int, any]) (int, error) {
		r, err := YieldFrom(y, g1())
		if err != nil {
			return 0, err
		}
		if _, err := y(r); err != nil {
			return 0, err
		}
		if err := YieldFromSeq(y, func(yield func(int) bool) { _ = yield(8) && yield(9) }); err != nil {
			return 0, err
		}
		return 1, nil
	})
	want(t, "next", next(a), "yield 1")
	want(t, "send", send(a, any(40)), "yield 2")
	want(t, "throw", throw(a, value), "yield 3")
	want(t, "send", send(a, any(2)), "yield 42")
	var rest []int
	for v := range a.Seq() {
		rest = append(rest, v)
	}
	want(t, "iter", fmt.Sprint(rest, log), "[8 9] [caught]")
	b := g1()
	want(t, "throw", throw(b, io.EOF), "raise EOF")
	want(t, "next", next(b), "return none")
}

package rondo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rondo-go/rondo/coro"
)

// ticks yields 0 to n-1, a second apart, and notes its end in log.
func ticks(n int, log *[]string) *AsyncGenerator[int] {
	return Generate(func(ctx context.Context, yield func(int) (any, error)) (err error) {
		defer func() { *log = append(*log, fmt.Sprint("end ", err)) }()
		for i := range n {
			if i > 0 {
				if err := Sleep(ctx, time.Second); err != nil {
					return err
				}
			}
			if _, err := yield(i); err != nil {
				return err
			}
		}
		return nil
	})
}

func TestAsyncGeneratorParksItsTask(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		var log []string
		var got []int
		other := 0
		spawn(ctx, func(ctx context.Context) error {
			for {
				if err := Sleep(ctx, time.Second/2); err != nil {
					return err
				}
				other++
			}
		})
		for v, err := range ticks(3, &log).All(ctx) {
			if err != nil {
				return err
			}
			got = append(got, v)
		}
		if !slices.Equal(got, []int{0, 1, 2}) || now() != 2*time.Second || other < 3 || len(log) != 1 {
			t.Errorf("got %v after %v, the other ran %d times, %v", got, now(), other, log)
		}
		return nil
	})
}

// TestAsyncGeneratorConforms is the example of the conformance kit: a
// cancellation of the task that drives a generator arises in the body.
func TestAsyncGeneratorConforms(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		var log []string
		note := func(format string, args ...any) {
			log = append(log, fmt.Sprintf("%v ", now().Seconds())+fmt.Sprintf(format, args...))
		}
		g := Generate(func(ctx context.Context, yield func(int) (any, error)) error {
			defer note("cleanup")
			for range 3 {
				got, err := yield(0)
				if err != nil {
					return err
				}
				note("got %v", got)
				err = Sleep(ctx, time.Second)
				note("slept %v", err)
				if err != nil {
					return err
				}
			}
			return nil
		})
		x := spawn(ctx, func(ctx context.Context) error {
			for v, err := range g.All(ctx) {
				if err != nil {
					return err
				}
				note("for %v", v)
				if err := Sleep(ctx, time.Second); err != nil {
					return err
				}
			}
			return nil
		})
		Sleep(ctx, 3500*time.Millisecond)
		x.Cancel("")
		_, err := x.Await(ctx)
		wantErr(t, "the driver", err, context.Canceled)
		want := "0 for 0|1 got <nil>|2 slept <nil>|2 for 0|3 got <nil>|3.5 slept rondo: task canceled|3.5 cleanup"
		if got := strings.Join(log, "|"); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if g.State() != coro.Closed {
			t.Errorf("state %v", g.State())
		}
		return nil
	})
}

func TestAsyncGeneratorSendThrowAclose(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		cleaned := time.Duration(0)
		made := func() *AsyncGenerator[string] {
			return Generate(func(ctx context.Context, yield func(string) (any, error)) error {
				said := "ready"
				for {
					got, err := yield(said)
					if err == io.EOF {
						said = "caught"
						continue
					}
					if err != nil {
						Sleep(ctx, time.Second)
						cleaned = now()
						return err
					}
					said = fmt.Sprint("got ", got)
				}
			})
		}
		is := func(what string) func(string, bool, error) {
			return func(v string, ok bool, err error) {
				t.Helper()
				if v != what || !ok || err != nil {
					t.Errorf("got %q, %v, %v, want %q", v, ok, err, what)
				}
			}
		}
		g := made()
		_, _, err := g.Send(ctx, "early")
		wantErr(t, "send", err, coro.ErrNotStarted)
		is("ready")(g.Send(ctx, nil))
		is("got 5")(g.Send(ctx, 5))
		is("got <nil>")(g.Next(ctx))
		is("caught")(g.Throw(ctx, io.EOF))
		if err := g.Aclose(ctx); err != nil || cleaned != time.Second {
			t.Errorf("closed with %v at %v", err, cleaned)
		}
		if _, ok, err := g.Next(ctx); ok || err != nil {
			t.Errorf("next after the end: %v, %v", ok, err)
		}
		if _, ok, err := g.Send(ctx, 1); ok || err != nil {
			t.Errorf("send after the end: %v, %v", ok, err)
		}
		if err := g.Aclose(ctx); err != nil {
			t.Errorf("close after the end: %v", err)
		}
		g = made()
		if err := g.Aclose(ctx); err != nil || g.State() != coro.Closed {
			t.Errorf("close before the start: %v, %v", err, g.State())
		}
		g = made()
		_, _, err = g.Throw(ctx, io.EOF)
		wantErr(t, "throw before the start", err, io.EOF)
		if _, ok, err := g.Next(ctx); ok || err != nil {
			t.Errorf("next after that: %v, %v", ok, err)
		}
		return nil
	})
}

func TestAsyncGeneratorMustNotYieldWhileClosed(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		g := Generate(func(ctx context.Context, yield func(int) (any, error)) error {
			_, err := yield(1)
			yield(2)
			return err
		})
		g.Next(ctx)
		wantErr(t, "close", g.Aclose(ctx), coro.ErrIgnoredExit)
		wantErr(t, "close again", g.Aclose(ctx), ErrIgnoredClose)
		_, _, err := g.Throw(ctx, io.EOF)
		wantErr(t, "throw", err, ErrIgnoredClose)
		_, _, err = g.Next(ctx)
		wantErr(t, "then", err, coro.ErrExit)
		return g.Aclose(ctx)
	})
}

func TestAsyncGeneratorThatNeverEndsDoesNotHoldTheLoop(t *testing.T) {
	var got []error
	err := Run(func(ctx context.Context) error {
		g := Generate(func(ctx context.Context, yield func(int) (any, error)) error {
			for {
				yield(1)
			}
		})
		g.Next(ctx)
		return nil
	}, WithVirtualTime(), WithoutSignals(), WithExceptionHandler(func(r Report) { got = append(got, r.Err) }))
	if err != nil || len(got) != 1 || got[0] != coro.ErrIgnoredExit {
		t.Errorf("got %v, reported %v", err, got)
	}
	if threadLocked() {
		t.Error("the thread is held after the end")
	}
}

func TestAsyncGeneratorGoesOnAfterALeftLoop(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		var log []string
		g := ticks(4, &log)
		for v := range g.All(ctx) {
			if v == 1 {
				break
			}
		}
		if len(log) != 0 || g.State() != coro.Suspended {
			t.Errorf("after the loop: %v, %v", log, g.State())
		}
		if v, ok, err := g.Next(ctx); v != 2 || !ok || err != nil {
			t.Errorf("got %v, %v, %v", v, ok, err)
		}
		return g.Aclose(ctx)
	})
}

func TestAsyncGeneratorIsForOneTaskAtATime(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		var log []string
		g := ticks(3, &log)
		g.Next(ctx)
		x := spawn(ctx, func(ctx context.Context) error { _, _, err := g.Next(ctx); return err })
		Sleep(ctx, 0)
		_, _, err := g.Next(ctx)
		wantErr(t, "next", err, coro.ErrRunning)
		wantErr(t, "close", g.Aclose(ctx), coro.ErrRunning)
		if _, err := x.Await(ctx); err != nil {
			t.Errorf("the first task: %v", err)
		}
		// Another task may go on with it.
		if v, ok, err := g.Next(ctx); v != 2 || !ok || err != nil {
			t.Errorf("got %v, %v, %v", v, ok, err)
		}
		return nil
	})
}

func TestAsyncGeneratorReentryIsAnError(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		var g *AsyncGenerator[int]
		g = Generate(func(ctx context.Context, yield func(int) (any, error)) error {
			_, _, err := g.Next(ctx)
			return err
		})
		_, _, err := g.Next(ctx)
		wantErr(t, "next", err, coro.ErrRunning)

		g = GenerateSeq(func(ctx context.Context) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) { yield(1, nil) }
		})
		for range g.All(ctx) {
			_, _, err := g.Next(ctx)
			wantErr(t, "next in the loop", err, coro.ErrRunning)
		}
		return nil
	})
}

func TestAsyncGeneratorIsForTasksOfOneLoop(t *testing.T) {
	var log []string
	g := ticks(3, &log)
	_, _, err := g.Next(context.Background())
	wantErr(t, "off the loop", err, ErrNotTask)
	virtually(t, func(ctx context.Context) error {
		_, _, err := g.Next(ctx)
		return err
	})
	virtually(t, func(ctx context.Context) error {
		_, _, err := g.Next(ctx)
		wantErr(t, "on another loop", err, ErrOtherLoop)
		for _, err := range g.All(ctx) {
			wantErr(t, "ranged over", err, ErrOtherLoop)
		}
		return nil
	})
}

// The body's context is that of whoever resumes it: its end ends the body's
// parks, and the end of an earlier one does not.
func TestAsyncGeneratorContextFollowsTheResumer(t *testing.T) {
	type key struct{}
	virtually(t, func(ctx context.Context) error {
		g := Generate(func(ctx context.Context, yield func(any) (any, error)) error {
			for {
				err := Sleep(ctx, time.Second)
				said := ctx.Value(key{})
				if err != nil {
					said = err
				}
				if _, err := yield(said); err != nil {
					return err
				}
			}
		})
		first := spawn(context.WithValue(ctx, key{}, "first"), func(ctx context.Context) error {
			v, _, err := g.Next(ctx)
			if v != "first" {
				t.Errorf("got %v", v)
			}
			return err
		})
		if _, err := first.Await(ctx); err != nil { // and so its context is done
			return err
		}
		if v, _, _ := g.Next(context.WithValue(ctx, key{}, "second")); v != "second" {
			t.Errorf("got %v", v)
		}
		short, stop := context.WithCancelCause(ctx)
		stop(io.ErrNoProgress)
		if v, _, _ := g.Next(short); v != io.ErrNoProgress {
			t.Errorf("under a context that is done: %v", v)
		}
		err := Timeout(ctx, time.Second/2, func(ctx context.Context) error {
			v, _, _ := g.Next(ctx)
			err, _ := v.(error)
			return err
		})
		wantErr(t, "in a timeout", err, context.DeadlineExceeded)
		if v, _, _ := g.Next(ctx); v != nil {
			t.Errorf("after the timeout: %v", v)
		}
		return g.Aclose(ctx)
	})
}

func TestAsyncGeneratorLeftOpenIsClosedWithItsLoop(t *testing.T) {
	var log []string
	left := func(name string) *AsyncGenerator[int] {
		return Generate(func(ctx context.Context, yield func(int) (any, error)) error {
			_, err := yield(1)
			log = append(log, fmt.Sprint(name, " ", err == coro.ErrExit))
			err = Sleep(ctx, time.Second)
			log = append(log, fmt.Sprint(name, " slept ", err, " ", now()))
			return err
		})
	}
	virtually(t, func(ctx context.Context) error {
		a, b, c := left("a"), left("b"), left("c")
		a.Next(ctx)
		b.Next(ctx)
		c.Next(ctx)
		return b.Aclose(ctx)
	})
	want := "b true|b slept <nil> 1s|a true|c true|a slept <nil> 2s|c slept <nil> 2s"
	if got := strings.Join(log, "|"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestAsyncGeneratorErrorOfTheLastCloseIsReported(t *testing.T) {
	var got []Report
	err := Run(func(ctx context.Context) error {
		g := Generate(func(ctx context.Context, yield func(int) (any, error)) error {
			yield(1)
			return io.ErrUnexpectedEOF
		})
		g.Next(ctx)
		return nil
	}, WithVirtualTime(), WithoutSignals(), WithExceptionHandler(func(r Report) { got = append(got, r) }))
	if err != nil || len(got) != 1 || got[0].Err != io.ErrUnexpectedEOF {
		t.Errorf("got %v, %v", err, got)
	}
}

func TestAsyncGeneratorStaysOnItsThreadBetweenRuns(t *testing.T) {
	r, err := NewRunner(WithVirtualTime(), WithoutSignals())
	if err != nil {
		t.Fatal(err)
	}
	var log []string
	g := ticks(3, &log)
	for want := range 3 {
		err := r.Run(func(ctx context.Context) error {
			if v, ok, err := g.Next(ctx); v != want || !ok || err != nil {
				t.Errorf("got %v, %v, %v", v, ok, err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if !threadLocked() {
			t.Error("the thread is not held while a generator is open")
		}
	}
	if err := r.Close(); err != nil || len(log) != 1 {
		t.Errorf("closed with %v, %v", err, log)
	}
	if threadLocked() {
		t.Error("the thread is held after the end")
	}
}

// threadLocked says whether the calling goroutine is locked to its thread.
func threadLocked() bool {
	buf := make([]byte, 100)
	heading, _, _ := strings.Cut(string(buf[:runtime.Stack(buf, false)]), "\n")
	return strings.Contains(heading, "locked to thread")
}

//go:noinline
func dropAsync(ctx context.Context, body func(ctx context.Context, yield func(int) (any, error)) error) {
	Generate(body).Next(ctx)
}

func TestAsyncGeneratorDroppedIsClosedByATask(t *testing.T) {
	// On the real clock: the collector works in real time.
	err := Run(func(ctx context.Context) error {
		closed := NewFuture[error]()
		dropAsync(ctx, func(ctx context.Context, yield func(int) (any, error)) error {
			_, err := yield(1)
			if e := Sleep(ctx, time.Microsecond); e != nil {
				t.Errorf("parking while closed: %v", e)
			}
			closed.Set(err)
			return err
		})
		for range 1000 {
			runtime.GC()
			if closed.Done() {
				err, _ := closed.Await(ctx)
				wantErr(t, "in the body", err, coro.ErrExit)
				return nil
			}
			Sleep(ctx, time.Millisecond)
		}
		return errors.New("not within 1000 collections")
	}, WithoutSignals())
	if err != nil {
		t.Error(err)
	}
}

func TestGeneratorDroppedInATaskIsClosedOnTheLoop(t *testing.T) {
	// On the real clock: the collector works in real time.
	err := Run(func(ctx context.Context) error {
		var here *Loop
		func() {
			g := coro.New(func(y coro.Yield[int, int]) (int, error) {
				_, err := y(1)
				here = RunningLoop()
				return 0, err
			})
			g.Next()
		}()
		for range 1000 {
			runtime.GC()
			if here != nil {
				if here != RunningLoop() {
					t.Error("closed elsewhere")
				}
				return nil
			}
			Sleep(ctx, time.Millisecond)
		}
		return errors.New("not within 1000 collections")
	}, WithoutSignals())
	if err != nil {
		t.Error(err)
	}
}

func TestAsyncGeneratorPanicSurfacesWithTheBodysStack(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		x := spawn(ctx, func(ctx context.Context) error {
			g := Generate(func(ctx context.Context, yield func(int) (any, error)) error {
				Sleep(ctx, time.Second)
				panic("ouch")
			})
			_, _, err := g.Next(ctx)
			return err
		})
		_, err := x.Await(ctx)
		var pe *PanicError
		var inner *coro.PanicError
		if !errors.As(err, &pe) || !errors.As(err, &inner) || inner.Value != "ouch" || !strings.Contains(err.Error(), "asyncgen_test.go") {
			t.Errorf("got %v", err)
		}
		return nil
	})
}

func TestAsyncGeneratorOfASequence(t *testing.T) {
	ended := 0
	up := func(n int, last error) *AsyncGenerator[int] {
		return GenerateSeq(func(ctx context.Context) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				defer func() { ended++ }()
				for i := range n {
					if err := Sleep(ctx, time.Second); err != nil {
						yield(0, err)
						return
					}
					if !yield(i, nil) {
						return
					}
				}
				if last != nil {
					yield(0, last)
				}
			}
		})
	}
	virtually(t, func(ctx context.Context) error {
		got, err := Collect(up(3, io.EOF).All(ctx))
		if !slices.Equal(got, []int{0, 1, 2}) || err != io.EOF {
			t.Errorf("got %v, %v", got, err)
		}
		g := up(3, nil)
		for range g.All(ctx) {
			break
		}
		if g.State() != coro.Closed || ended != 2 {
			t.Errorf("a left loop: %v, %d ended", g.State(), ended)
		}
		// By hand, and then by the loop.
		g = up(3, nil)
		if v, ok, err := g.Next(ctx); v != 0 || !ok || err != nil {
			t.Errorf("got %v, %v, %v", v, ok, err)
		}
		if got, err := Collect(g.All(ctx)); !slices.Equal(got, []int{1, 2}) || err != nil {
			t.Errorf("got %v, %v", got, err)
		}
		g = up(3, nil)
		g.Next(ctx)
		_, _, err = g.Throw(ctx, io.ErrClosedPipe)
		wantErr(t, "throw", err, io.ErrClosedPipe)
		if ended != 4 {
			t.Errorf("%d ended", ended)
		}
		return nil
	})
}

package rondotest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rondo-go/rondo"
)

// A fakeT notes what a Run says of a test that is to fail. Its Fatal does as testing's does.
type fakeT struct {
	testing.TB
	mu   sync.Mutex
	said []string
	logs []string
}

func (t *fakeT) Helper() {}

func (t *fakeT) Error(args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.said = append(t.said, fmt.Sprint(args...))
}

func (t *fakeT) Errorf(format string, args ...any) { t.Error(fmt.Sprintf(format, args...)) }

func (t *fakeT) Log(args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.logs = append(t.logs, fmt.Sprint(args...))
}

func (t *fakeT) Failed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.said) > 0
}

// faults runs body, and returns what it is blamed for.
func faults(t *testing.T, body func(ctx context.Context), opts ...Option) (said, logs []string) {
	t.Helper()
	f := &fakeT{TB: t}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		Run(f, body, opts...)
	}()
	<-ended
	return f.said, f.logs
}

func TestRunBlamesWhatIsLeft(t *testing.T) {
	oops := errors.New("oops")
	forever := func(ctx context.Context) (int, error) { return 0, rondo.Sleep(ctx, rondo.Forever) }
	for _, c := range []struct {
		name string
		body func(ctx context.Context)
		want string // "" for nothing
	}{
		{"nothing", func(context.Context) {}, ""},
		{"a task", func(ctx context.Context) { rondo.Spawn(ctx, forever, rondo.WithName("stray")) }, "task stray"},
		{"where a task waits", func(ctx context.Context) { rondo.Spawn(ctx, forever); rondo.Sleep(ctx, 1) }, "it waits in rondo.Sleep, called at"},
		{"a task that is canceled", func(ctx context.Context) { rondo.Spawn(ctx, forever).Cancel("") }, ""},
		{"an error", func(ctx context.Context) {
			rondo.Spawn(ctx, func(context.Context) (int, error) { return 0, oops })
		}, "never retrieved"},
		{"an error that was seen", func(ctx context.Context) {
			rondo.Spawn(ctx, func(context.Context) (int, error) { return 0, oops }).Await(ctx)
		}, ""},
		{"a future's error", func(context.Context) { rondo.NewFuture[int]().Fail(oops) }, "never retrieved"},
		{"a listener", func(ctx context.Context) { rondo.Listen(ctx, "tcp", "127.0.0.1:0") }, "never closed"},
		{"a connection", func(ctx context.Context) { rondo.Dial(ctx, "tcp", Listen(t).Addr().String()) }, "never closed"},
		{"what helpers made", func(context.Context) { Listen(t); Pipe(t) }, ""},
		{"a panic", func(context.Context) { panic("oops") }, "panic: oops"},
		{"a panic of a callback", func(ctx context.Context) {
			rondo.RunningLoop().CallSoon(func() { panic("oops") })
			rondo.Sleep(ctx, 1)
		}, "a callback panicked"},
	} {
		t.Run(c.name, func(t *testing.T) {
			said, _ := faults(t, c.body)
			switch {
			case c.want == "" && len(said) > 0:
				t.Errorf("blamed for %q", said)
			case c.want != "" && (len(said) != 1 || !strings.Contains(said[0], c.want)):
				t.Errorf("blamed for %q, want one with %q", said, c.want)
			}
		})
	}
}

func TestRunBlamesCallsOffTheThread(t *testing.T) {
	said, _ := faults(t, func(ctx context.Context) {
		l := rondo.RunningLoop()
		called := make(chan struct{})
		go func() {
			l.CallSoon(func() {})
			close(called)
		}()
		<-called // the thread stands still meanwhile, for what is wrong is a race, too
	})
	if len(said) != 1 || !strings.Contains(said[0], "off the loop's thread") {
		t.Errorf("said %q", said)
	}
}

func TestRunIsOnTheVirtualClock(t *testing.T) {
	from := time.Now()
	Run(t, func(ctx context.Context) { rondo.Sleep(ctx, 1000*time.Hour) })
	if d := time.Since(from); d > time.Minute {
		t.Errorf("took %v", d)
	}
	Run(t, func(ctx context.Context) {
		from := time.Now()
		if rondo.Sleep(ctx, time.Millisecond); time.Since(from) < time.Millisecond { // real time, as asked for
			t.Error("the clock is not real")
		}
	}, RealTime())
}

func TestRunFatalEndsTheTest(t *testing.T) {
	after, cleaned := false, false
	fine := t.Run("skips", func(t *testing.T) {
		Run(t, func(ctx context.Context) {
			defer func() { cleaned = rondo.Sleep(ctx, time.Hour) == nil }()
			Pipe(t)
			t.Skip("as Fatal does")
		})
		after = true
	})
	if !fine || after || !cleaned {
		t.Errorf("fine %v, went on %v, defers parked %v", fine, after, cleaned)
	}
}

func TestRunFatalInATaskIsSaidOnce(t *testing.T) {
	said, _ := faults(t, func(ctx context.Context) {
		f := running().t.(*fakeT)
		rondo.Spawn(ctx, func(context.Context) (int, error) {
			f.Error("the reason")
			runtime.Goexit()
			return 0, nil
		})
		rondo.Sleep(ctx, 1)
	})
	if len(said) != 1 || said[0] != "the reason" {
		t.Errorf("said %q", said)
	}
}

func TestRunDeadlineNamesWhatWaits(t *testing.T) {
	said, _ := faults(t, func(ctx context.Context) {
		(&rondo.Event{}).Wait(ctx)
	}, Deadline(10*time.Millisecond)) // real time is what it bounds
	if len(said) != 2 || !strings.Contains(said[0], "longer than 10ms") || !strings.Contains(said[1], "(*Event).Wait") {
		t.Errorf("said %q", said)
	}
}

func TestRunAllowsWhatItIsTold(t *testing.T) {
	said, logs := faults(t, func(ctx context.Context) {
		rondo.Listen(ctx, "tcp", "127.0.0.1:0")
	}, Allow(rondo.ReportUnclosed))
	if len(said) > 0 || len(logs) != 1 || !strings.Contains(logs[0], "never closed") {
		t.Errorf("said %q, logged %q", said, logs)
	}
}

func TestRunLooksAtEveryLoop(t *testing.T) {
	said, _ := faults(t, func(ctx context.Context) {
		other := rondo.RunningLoop().Loops()[1]
		rondo.SpawnThreadsafe(ctx, other, func(ctx context.Context) (int, error) {
			return 0, rondo.Sleep(ctx, time.Hour)
		}, rondo.WithName("stray"))
	}, RealTime(), LoopOptions(rondo.WithLoops(2)))
	if len(said) != 1 || !strings.Contains(said[0], "task stray") {
		t.Errorf("said %q", said)
	}
}

func TestPipeIsConnected(t *testing.T) {
	Run(t, func(ctx context.Context) {
		a, b := Pipe(t)
		io.WriteString(a, "hello")
		a.CloseWrite()
		if got, err := io.ReadAll(b); string(got) != "hello" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

//go:build unix

package rondo

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"testing"
	"time"
)

// raise sends the process a signal.
func raise(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(os.Getpid(), sig); err != nil {
		t.Fatal(err)
	}
}

// The tests below wait for the system to deliver signals: on the real clock, as
// long as that takes.

func TestSignalsAreASequence(t *testing.T) {
	err := Run(func(ctx context.Context) error {
		var got []os.Signal
		RunningLoop().CallSoon(func() { raise(t, syscall.SIGUSR1) })
		for sig := range Signals(ctx, syscall.SIGUSR1, syscall.SIGUSR2) {
			if got = append(got, sig); len(got) == 4 {
				break
			}
			if len(got) == 1 { // while the body runs
				raise(t, syscall.SIGUSR2)
				Sleep(ctx, time.Millisecond)
				raise(t, syscall.SIGUSR1)
				Sleep(ctx, time.Millisecond)
			}
			if len(got) == 3 {
				raise(t, syscall.SIGUSR2)
			}
		}
		want := []os.Signal{syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGUSR1, syscall.SIGUSR2}
		slices.SortFunc(got[1:3], func(a, b os.Signal) int { return int(b.(syscall.Signal)) - int(a.(syscall.Signal)) })
		if !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		return nil
	}, WithoutSignals())
	if err != nil {
		t.Fatal(err)
	}
}

func TestSignalsEndWithTheContext(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		wait := func(ctx context.Context) error {
			for sig := range Signals(ctx, syscall.SIGUSR1) {
				t.Errorf("got %v", sig)
			}
			return ctx.Err()
		}
		var in error
		x := spawn(ctx, func(ctx context.Context) error {
			in = wait(ctx)
			return Sleep(ctx, 0)
		})
		Sleep(ctx, time.Second)
		x.Cancel("enough")
		_, err := x.Await(ctx)
		wantErr(t, "its context", in, context.Canceled)
		var ce *CanceledError
		if !errors.As(err, &ce) || ce.Message != "enough" || !x.Canceled() {
			t.Errorf("the park after it: %v", err)
		}
		err = Timeout(ctx, time.Second, wait)
		wantErr(t, "in a Timeout", err, context.DeadlineExceeded)
		derived, cancel := context.WithTimeout(ctx, time.Millisecond)
		defer cancel()
		wantErr(t, "under a context", wait(derived), context.DeadlineExceeded)
		return Sleep(ctx, 0)
	})
}

func TestSignalsOffTheLoop(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	keep := make(chan os.Signal, 1) // the sequence may not have begun
	signal.Notify(keep, syscall.SIGUSR1)
	defer signal.Stop(keep)
	done := make(chan os.Signal)
	go func() {
		for sig := range Signals(ctx, syscall.SIGUSR1) {
			done <- sig
			cancel()
		}
		close(done)
	}()
	for got := os.Signal(nil); got == nil; {
		raise(t, syscall.SIGUSR1)
		select {
		case got = <-done:
		case <-time.After(time.Millisecond):
		}
	}
	for range done {
	}
}

func TestLoopSignalHandlerIsACallback(t *testing.T) {
	err := Run(func(ctx context.Context) error {
		l := RunningLoop()
		came := NewEvent()
		if err := l.AddSignalHandler(syscall.SIGUSR1, func() { t.Error("it was replaced") }); err != nil {
			return err
		}
		err := l.AddSignalHandler(syscall.SIGUSR1, func() {
			if RunningLoop() != l || CurrentTask() != nil {
				t.Error("the handler runs elsewhere")
			}
			came.Set()
		})
		if err != nil {
			return err
		}
		for range 2 {
			raise(t, syscall.SIGUSR1)
			if err := came.Wait(ctx); err != nil {
				return err
			}
			came.Clear()
		}
		if !l.RemoveSignalHandler(syscall.SIGUSR1) || l.RemoveSignalHandler(syscall.SIGUSR1) {
			t.Error("RemoveSignalHandler does not say whether there was one")
		}
		for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGSTOP} {
			wantErr(t, "AddSignalHandler", l.AddSignalHandler(sig, func() {}), syscall.EINVAL)
		}
		return l.AddSignalHandler(syscall.SIGUSR2, func() {}) // goes with the loop
	}, WithoutSignals())
	if err != nil {
		t.Fatal(err)
	}
}

func TestLoopSignalHandlerTakesInterruptsFromRun(t *testing.T) {
	err := Run(func(ctx context.Context) error {
		l, came := RunningLoop(), NewEvent()
		if err := l.AddSignalHandler(os.Interrupt, came.Set); err != nil {
			return err
		}
		raise(t, syscall.SIGINT)
		if err := came.Wait(ctx); err != nil {
			return err
		}
		seq := 0
		l.CallSoon(func() { raise(t, syscall.SIGINT) })
		for range Signals(ctx, os.Interrupt) {
			seq++
			break
		}
		if seq != 1 {
			t.Error("no signal in the sequence")
		}
		return Sleep(ctx, 5*time.Millisecond) // Run's own goroutine gets it too, at its time
	})
	if err != nil {
		t.Errorf("Run was interrupted: %v", err)
	}
	err = Run(func(ctx context.Context) error {
		l := RunningLoop()
		l.AddSignalHandler(os.Interrupt, func() { t.Error("it was removed") })
		l.RemoveSignalHandler(os.Interrupt)
		raise(t, syscall.SIGINT)
		return Sleep(ctx, 20*time.Second) // it is cut short
	})
	wantErr(t, "Run after the handler was removed", err, ErrInterrupted)
}

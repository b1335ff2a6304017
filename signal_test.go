//go:build unix

package rondo

import (
	"context"
	"errors"
	"os"
	"syscall"
	"testing"
	"time"
)

func TestRunFirstInterruptCancelsMain(t *testing.T) {
	var in error
	err := Run(func(ctx context.Context) error {
		if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
			return err
		}
		in = Sleep(ctx, 20*time.Second) // the signal takes its way through the system
		return in
	})
	wantErr(t, "main", in, context.Canceled)
	if !errors.Is(err, ErrInterrupted) || !errors.Is(err, context.Canceled) {
		t.Errorf("Run returned %v", err)
	}
}

func TestRunWithoutSignalsLeavesThemAlone(t *testing.T) {
	err := Run(func(ctx context.Context) error { return Sleep(ctx, time.Millisecond) }, WithoutSignals())
	if err != nil {
		t.Error(err)
	}
}

//go:build unix

package file_test

import (
	"syscall"
	"testing"
)

const noSpace = syscall.ENOSPC

func mkfifo(t *testing.T, name string) {
	t.Helper()
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
}

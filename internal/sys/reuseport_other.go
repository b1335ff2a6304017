//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package sys

import (
	"errors"
	"fmt"
)

// SetReusePort lets several sockets listen at one address (SO_REUSEPORT). It
// fails with [errors.ErrUnsupported] where there is no such option.
func SetReusePort(uintptr) error {
	return fmt.Errorf("setsockopt SO_REUSEPORT: %w", errors.ErrUnsupported)
}

// Relisten gives a listening socket another backlog. Not every system takes it.
func Relisten(uintptr, int) error {
	return fmt.Errorf("listen again: %w", errors.ErrUnsupported)
}

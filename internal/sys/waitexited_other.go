//go:build !linux

package sys

import "errors"

// WaitExited is for Linux.
func WaitExited(int) error { return errors.ErrUnsupported }

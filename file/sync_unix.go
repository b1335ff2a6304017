//go:build unix

package file

import (
	"errors"
	"syscall"
)

// cannotSyncDir says whether the file system cannot sync folders, as fsync(2)
// tells it.
func cannotSyncDir(err error) bool {
	return errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP)
}

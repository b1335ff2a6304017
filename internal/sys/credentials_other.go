//go:build dragonfly || freebsd || netbsd || openbsd

package sys

import "errors"

// PeerCredentials is not implemented here.
func PeerCredentials(int) (pid, uid, gid int, err error) { return 0, 0, 0, errors.ErrUnsupported }

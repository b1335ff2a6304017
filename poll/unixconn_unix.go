//go:build unix && !aix && !solaris && !illumos

package poll

import (
	"errors"
	"net"
	"os"

	"github.com/rondo-go/rondo/internal/sys"
)

// SendFiles is [UnixEndpoint.SendFiles] on a connection of package net: it blocks.
func SendFiles(c *net.UnixConn, p []byte, files []*os.File) (n int, err error) {
	rc, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	cerr := rc.Write(func(fd uintptr) bool {
		n, err = sys.SendFiles(int(fd), p, files)
		return !sys.WouldBlock(err)
	})
	if cerr != nil {
		return 0, cerr
	}
	return n, err
}

// ReceiveFiles is [UnixEndpoint.ReceiveFiles] on a connection of package net.
func ReceiveFiles(c *net.UnixConn, p []byte, max int) (n int, files []*os.File, err error) {
	rc, err := c.SyscallConn()
	if err != nil {
		return 0, nil, err
	}
	cerr := rc.Read(func(fd uintptr) bool {
		n, files, err = sys.ReceiveFiles(int(fd), p, max)
		return !sys.WouldBlock(err)
	})
	if cerr != nil {
		return 0, nil, cerr
	}
	if errors.Is(err, sys.ErrTooManyFiles) {
		err = ErrFilesTruncated
	}
	return n, files, err
}

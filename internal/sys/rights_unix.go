//go:build unix && !aix && !solaris && !illumos

package sys

import (
	"errors"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// ErrTooManyFiles: more descriptors came than there was room for. They are closed.
var ErrTooManyFiles = errors.New("more files were passed than asked for")

// SendFiles sends p with open files on a Unix socket, which must not block.
func SendFiles(fd int, p []byte, files []*os.File) (n int, err error) {
	fds := make([]int, len(files))
	return n, withDescriptors(files, fds, func() error {
		for {
			n, err = unix.SendmsgN(fd, p, unix.UnixRights(fds...), nil, sendFlags)
			if err != unix.EINTR {
				return os.NewSyscallError("sendmsg", err)
			}
		}
	})
}

// withDescriptors calls f while the files are kept from being closed.
func withDescriptors(files []*os.File, fds []int, f func() error) error {
	if len(files) == 0 {
		return f()
	}
	rc, err := files[0].SyscallConn()
	if err != nil {
		return err
	}
	cerr := rc.Control(func(fd uintptr) {
		fds[0] = int(fd)
		err = withDescriptors(files[1:], fds[1:], f)
	})
	if cerr != nil {
		return cerr
	}
	return err
}

// ReceiveFiles receives on a Unix stream socket, which must not block, bytes and the
// files that came with them, at most max.
//
// Errors: io.EOF at the end; [ErrTooManyFiles], with which n holds nevertheless.
func ReceiveFiles(fd int, p []byte, max int) (n int, files []*os.File, err error) {
	oob := make([]byte, unix.CmsgSpace(4*max))
	var oobn, flags int
	for {
		n, oobn, flags, _, err = unix.Recvmsg(fd, p, oob, receiveFlags)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		return 0, nil, os.NewSyscallError("recvmsg", err)
	}
	fds := Rights(oob[:oobn])
	if flags&unix.MSG_CTRUNC != 0 || len(fds) > max {
		for _, fd := range fds {
			unix.Close(fd)
		}
		return n, nil, ErrTooManyFiles
	}
	for _, fd := range fds {
		closeOnExec(fd)
		files = append(files, os.NewFile(uintptr(fd), "passed"))
	}
	if n == 0 && len(p) > 0 {
		err = io.EOF
	}
	return n, files, err
}

// Rights are the descriptors in a control message. What else there is is skipped; of
// a message that is cut, what came is returned.
func Rights(oob []byte) (fds []int) {
	for len(oob) >= unix.CmsgLen(0) {
		h, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			break
		}
		if h.Level == unix.SOL_SOCKET && h.Type == unix.SCM_RIGHTS {
			m := unix.SocketControlMessage{Header: h, Data: data}
			if more, err := unix.ParseUnixRights(&m); err == nil {
				fds = append(fds, more...)
			}
		}
		oob = rest
	}
	return fds
}

// WouldBlock says whether err is EAGAIN.
func WouldBlock(err error) bool { return errors.Is(err, syscall.EAGAIN) }

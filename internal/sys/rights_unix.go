//go:build unix && !aix && !solaris && !illumos

package sys

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// ErrTooManyFiles says that more descriptors came than there was room for. They are closed.
var ErrTooManyFiles = errors.New("more files were passed than asked for")

// SendFiles sends p with open files on a Unix socket, without blocking. To is "" for
// the connected peer.
func SendFiles(fd int, p []byte, files []*os.File, to string) (n int, err error) {
	fds := make([]int, len(files))
	var sa unix.Sockaddr
	if to != "" {
		sa = &unix.SockaddrUnix{Name: to}
	}
	err = withDescriptors(files, fds, func() (err error) {
		for {
			n, err = unix.SendmsgN(fd, p, unix.UnixRights(fds...), sa, sendFlags)
			if err != unix.EINTR {
				return os.NewSyscallError("sendmsg", err)
			}
		}
	})
	return n, err
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

// A Passed is what [ReceiveFiles] got.
type Passed struct {
	N         int
	Files     []*os.File
	From      string // the sender's path, of a datagram
	Truncated bool   // a datagram was longer than its buffer
}

// ReceiveFiles receives on a Unix socket, without blocking, bytes and the files that
// came with them, at most max. On [ErrTooManyFiles] the rest holds nevertheless. At
// the end of a stream nothing comes.
func ReceiveFiles(fd int, p []byte, max int) (got Passed, err error) {
	oob := make([]byte, unix.CmsgSpace(4*max))
	var oobn, flags int
	var from unix.Sockaddr
	for {
		got.N, oobn, flags, from, err = unix.Recvmsg(fd, p, oob, receiveFlags)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		return Passed{}, os.NewSyscallError("recvmsg", err)
	}
	if sa, ok := from.(*unix.SockaddrUnix); ok {
		got.From = sa.Name
	}
	got.Truncated = flags&unix.MSG_TRUNC != 0
	fds := Rights(oob[:oobn])
	if flags&unix.MSG_CTRUNC != 0 || len(fds) > max {
		for _, fd := range fds {
			unix.Close(fd)
		}
		return got, ErrTooManyFiles
	}
	for _, fd := range fds {
		closeOnExec(fd)
		got.Files = append(got.Files, os.NewFile(uintptr(fd), "passed"))
	}
	return got, nil
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
			// Whole numbers only, on which ParseUnixRights relies.
			m := unix.SocketControlMessage{Header: h, Data: data[:len(data)&^3]}
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

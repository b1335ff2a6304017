package epoll

import (
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/rondo-go/rondo/internal/sys"
	"github.com/rondo-go/rondo/poll"
)

// Writev implements [poll.Endpoint], with one system call for up to
// [sys.MaxVector] buffers.
func (e *endpoint) Writev(op *poll.Op, bufs [][]byte) (n int, err error, ok bool) {
	if e.fd < 0 {
		return 0, net.ErrClosed, true
	}
	v := &e.p.vector
	size := v.Fill(bufs)
	if size == 0 {
		return 0, nil, true
	}
	defer v.Clear()
	if e.bits&writable != 0 {
		var errno syscall.Errno
		if e.file {
			n, errno = sys.WriteVector(int(e.fd), v)
		} else {
			n, errno = sys.SendVector(int(e.fd), v)
		}
		switch {
		case errno == 0:
			if n < size && !e.file {
				e.bits &^= writable
			}
			e.settle(&e.writing)
			return n, nil, true
		case errno != syscall.EAGAIN:
			e.settle(&e.writing)
			return 0, os.NewSyscallError(e.call("sendmsg", "writev"), errno), true
		}
		e.bits &^= writable
	}
	e.wait(&e.writing, op)
	return 0, nil, false
}

// SendFile implements [poll.Endpoint]. A short count proves nothing: the file may have
// ended, or been cut meanwhile.
func (e *endpoint) SendFile(op *poll.Op, file syscall.RawConn, offset int64, n int) (sent int, err error, ok bool) {
	if e.fd < 0 {
		return 0, net.ErrClosed, true
	}
	if n <= 0 {
		return 0, nil, true
	}
	if e.bits&writable != 0 {
		var errno syscall.Errno
		err := file.Control(func(fd uintptr) {
			sent, errno = sys.SendFile(int(e.fd), int(fd), offset, n)
			if sent == n {
				sys.ReadAhead(int(fd), offset+int64(n), n)
			}
		})
		if err != nil {
			e.settle(&e.writing)
			return 0, err, true
		}
		switch errno {
		case 0:
			e.settle(&e.writing)
			if sent == 0 {
				return 0, io.EOF, true
			}
			return sent, nil, true
		case syscall.EAGAIN:
			e.bits &^= writable
		case syscall.EINVAL, syscall.ENOSYS, syscall.EOPNOTSUPP, syscall.EOVERFLOW:
			e.settle(&e.writing)
			return 0, fmt.Errorf("sendfile: %w: %w", poll.ErrUnsupported, errno), true
		default:
			e.settle(&e.writing)
			return 0, os.NewSyscallError("sendfile", errno), true
		}
	}
	e.wait(&e.writing, op)
	return 0, nil, false
}

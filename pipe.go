package rondo

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/rondo-go/rondo/internal/sys"
)

// OpenPipe takes over a file that is a stream, as [Adopt] takes over a connection: an
// end of a pipe, a FIFO, a terminal, a device that can be waited for, or a stream
// socket that was inherited. It belongs to the running loop from then on, and f must
// not be used any more; standard input, output and error stay open as files, though.
// It does not park. If it fails, f is untouched.
//
// The file is set to non-blocking mode, which all descriptors of the same open file
// share, also those of other processes: see fcntl(2), F_SETFL.
//
// A write to a pipe whose reader is gone fails with syscall.EPIPE and nothing else
// happens, also on standard output. [Conn.CloseRead] and [Conn.CloseWrite] close an
// end of a pipe; a terminal has no such halves, and they fail.
//
// Errors: [ErrNotTask] off every loop; errors.ErrUnsupported for a regular file and
// whatever else is always ready. Such files are read and written off the loop
// (package file).
func OpenPipe(f *os.File) (*Conn, error) {
	l := RunningLoop()
	if l == nil {
		return nil, ErrNotTask
	}
	e, err := l.k.Poller().Open(f)
	if err != nil {
		return nil, err
	}
	return newConn(l, e), nil
}

// Pipe makes a pipe of the system: what is written to w is read from r. It does not
// park.
//
// Errors: [ErrNotTask] off every loop; the system's, if it is out of descriptors.
func Pipe() (r, w *Conn, err error) {
	if RunningLoop() == nil {
		return nil, nil, ErrNotTask
	}
	rf, wf, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	return openBoth(rf, wf)
}

// openBoth opens two files, or closes both.
func openBoth(af, bf *os.File) (a, b *Conn, err error) {
	if a, err = OpenPipe(af); err != nil {
		af.Close()
		bf.Close()
		return nil, nil, err
	}
	if b, err = OpenPipe(bf); err != nil {
		a.Close()
		bf.Close()
		return nil, nil, err
	}
	return a, b, nil
}

// SocketPair makes two connections that are connected to each other: socketpair(2),
// or a connection over the loopback interface where there is no such call. It does
// not park.
//
// Errors: [ErrNotTask] off every loop; the system's, if it is out of descriptors.
func SocketPair() (a, b *Conn, err error) {
	if RunningLoop() == nil {
		return nil, nil, ErrNotTask
	}
	af, bf, err := sys.SocketPair()
	if err == nil {
		return openBoth(af, bf)
	}
	if !errors.Is(err, errors.ErrUnsupported) {
		return nil, nil, err
	}
	x, y, err := loopbackPair()
	if err != nil {
		return nil, nil, fmt.Errorf("socket pair: %w", err)
	}
	if a, err = Adopt(x); err != nil {
		x.Close()
		y.Close()
		return nil, nil, err
	}
	if b, err = Adopt(y); err != nil {
		a.Close()
		y.Close()
		return nil, nil, err
	}
	return a, b, nil
}

// loopbackPair connects two sockets by TCP. Another process may connect to the
// listener, and is hung up on.
func loopbackPair() (a, b net.Conn, err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer ln.Close()
	a, err = net.Dial("tcp", ln.Addr().String())
	if err != nil {
		return nil, nil, err
	}
	for {
		b, err = ln.Accept()
		if err != nil {
			a.Close()
			return nil, nil, err
		}
		if b.RemoteAddr().String() == a.LocalAddr().String() {
			return a, b, nil
		}
		b.Close()
	}
}

package poll

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// A FileAddr is the address of an endpoint that [Poller.Open] made: the file's name.
type FileAddr string

// Network is "file".
func (a FileAddr) Network() string { return "file" }

func (a FileAddr) String() string { return string(a) }

// CheckStream says why f cannot be an endpoint: a regular file, a directory or a
// disk is always ready, whether or not its next read waits for the disk, so there is
// nothing to wait for. The error wraps [ErrUnsupported].
func CheckStream(f *os.File) error {
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	const disk = fs.ModeDevice | fs.ModeCharDevice
	if m := fi.Mode(); m.IsRegular() || m.IsDir() || m&disk == fs.ModeDevice {
		return NotPollable(f)
	}
	return nil
}

// NotPollable is the error for a file that no poller can wait for.
func NotPollable(f *os.File) error {
	return fmt.Errorf("open %s: it is always ready, so there is nothing to wait for (package file reads and writes such files off the loop): %w",
		f.Name(), ErrUnsupported)
}

// A FileConn is a [net.Conn] over a file that is a stream: a pipe, a FIFO, a
// terminal. All methods may be called at the same time.
type FileConn struct {
	f        *os.File
	mode     int // O_RDONLY, O_WRONLY or O_RDWR
	halfway  atomic.Bool
	finished atomic.Bool
}

// NewFileConn makes a FileConn that owns f, which is open for what mode says
// (os.O_RDONLY, os.O_WRONLY or os.O_RDWR).
func NewFileConn(f *os.File, mode int) *FileConn { return &FileConn{f: f, mode: mode} }

// Read implements [net.Conn].
func (c *FileConn) Read(p []byte) (int, error) {
	n, err := c.f.Read(p)
	if err != nil && err != io.EOF && c.half(os.O_RDONLY) {
		err = io.EOF
	}
	return n, c.wrap("read", err)
}

// Write implements [net.Conn].
func (c *FileConn) Write(p []byte) (int, error) {
	n, err := c.f.Write(p)
	if err != nil && c.half(os.O_WRONLY) {
		err = os.NewSyscallError("write", syscall.EPIPE)
	}
	return n, c.wrap("write", err)
}

// half says whether the file's only side, for mode, was shut down.
func (c *FileConn) half(mode int) bool {
	return c.mode == mode && c.halfway.Load() && !c.finished.Load()
}

// CloseRead shuts the reading side down: of the reading end of a pipe it is the close
// of the descriptor, and for a file that is not open for reading there is nothing to
// do. A file that is open for both has no sides, and CloseRead fails with
// [ErrUnsupported]. So has CloseWrite for writing.
func (c *FileConn) CloseRead() error { return c.closeSide(os.O_RDONLY) }

// CloseWrite is described at CloseRead.
func (c *FileConn) CloseWrite() error { return c.closeSide(os.O_WRONLY) }

// Sides says why there are no sides to shut down, if so.
func (c *FileConn) Sides() error {
	if c.mode == os.O_RDWR {
		return NoSides(c.f.Name())
	}
	return nil
}

func (c *FileConn) closeSide(mode int) error {
	if err := c.Sides(); err != nil {
		return c.wrap("close", err)
	}
	switch {
	case c.finished.Load():
		return c.wrap("close", net.ErrClosed)
	case c.mode != mode || c.halfway.Swap(true):
		return nil
	}
	return c.wrap("close", c.f.Close())
}

// NoSides is the error of CloseRead and CloseWrite for what can only be closed as a
// whole. It wraps [ErrUnsupported].
func NoSides(name string) error {
	return fmt.Errorf("%s cannot be closed in halves: %w", name, ErrUnsupported)
}

// Close implements [net.Conn].
func (c *FileConn) Close() error {
	if c.finished.Swap(true) {
		return c.wrap("close", net.ErrClosed)
	}
	if c.halfway.Load() {
		return nil
	}
	return c.wrap("close", c.f.Close())
}

// LocalAddr implements [net.Conn]. It is a [FileAddr].
func (c *FileConn) LocalAddr() net.Addr { return FileAddr(c.f.Name()) }

// RemoteAddr implements [net.Conn]. It is that of LocalAddr.
func (c *FileConn) RemoteAddr() net.Addr { return c.LocalAddr() }

// SetDeadline implements [net.Conn].
func (c *FileConn) SetDeadline(t time.Time) error { return c.wrap("set", c.f.SetDeadline(t)) }

// SetReadDeadline implements [net.Conn].
func (c *FileConn) SetReadDeadline(t time.Time) error { return c.wrap("set", c.f.SetReadDeadline(t)) }

// SetWriteDeadline implements [net.Conn].
func (c *FileConn) SetWriteDeadline(t time.Time) error { return c.wrap("set", c.f.SetWriteDeadline(t)) }

// SyscallConn implements [syscall.Conn].
func (c *FileConn) SyscallConn() (syscall.RawConn, error) { return c.f.SyscallConn() }

func (c *FileConn) wrap(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	if errors.Is(err, os.ErrClosed) {
		err = net.ErrClosed
	} else if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err
	}
	a := c.LocalAddr()
	return &net.OpError{Op: op, Net: a.Network(), Source: a, Addr: a, Err: err}
}

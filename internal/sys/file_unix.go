//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package sys

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// SetNonblock sets the open file of fd to non-blocking mode.
func SetNonblock(fd int) error {
	return os.NewSyscallError("fcntl", unix.SetNonblock(fd, true))
}

// AccessMode says what fd is open for: os.O_RDONLY, os.O_WRONLY or os.O_RDWR.
func AccessMode(fd int) (int, error) {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		return 0, os.NewSyscallError("fcntl", err)
	}
	return flags & unix.O_ACCMODE, nil
}

// SocketType says what kind of socket fd is. It fails if it is none.
func SocketType(fd int) (int, error) {
	n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	return n, os.NewSyscallError("getsockopt", err)
}

// IsSocket says whether fd is a socket, and IsStream whether it is a stream socket.
func IsSocket(fd int) bool {
	_, err := SocketType(fd)
	return err == nil
}

// IsStream: see [IsSocket].
func IsStream(fd int) bool {
	n, err := SocketType(fd)
	return err == nil && n == unix.SOCK_STREAM
}

// A TakenFile is a file with a descriptor of its own.
type TakenFile struct {
	*os.File
	Mode     int  // what it is open for, as [AccessMode] says
	Socket   bool // it is a socket,
	Stream   bool // and a stream
	Pollable bool // Go's runtime poller serves it
	Original bool // it is the file that was given
	Standard bool // the file that was given is standard input, output or error
}

// TakeFile duplicates the descriptor of f, in non-blocking mode, for a file of its
// own.
func TakeFile(f *os.File) (*TakenFile, error) {
	rc, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	t := new(TakenFile)
	var inner error
	err = rc.Control(func(orig uintptr) { inner = t.take(int(orig), f.Name()) })
	if err == nil {
		err = inner
	}
	if err != nil {
		return nil, err
	}
	t.Pollable = t.File.SetDeadline(time.Time{}) == nil
	return t, nil
}

func (t *TakenFile) take(orig int, name string) (err error) {
	t.Standard = orig <= 2
	t.Socket, t.Stream = IsSocket(orig), IsStream(orig)
	if t.Mode, err = AccessMode(orig); err != nil {
		return err
	}
	fd, err := unix.FcntlInt(uintptr(orig), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	if err := SetNonblock(fd); err != nil {
		unix.Close(fd)
		return err
	}
	t.File = os.NewFile(uintptr(fd), name)
	return nil
}

// SocketPair makes two stream sockets that are connected to each other.
func SocketPair() (a, b *os.File, err error) {
	syscall.ForkLock.RLock() // no child is started before the flags are set
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fds[0])
		unix.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	return os.NewFile(uintptr(fds[0]), "socket"), os.NewFile(uintptr(fds[1]), "socket"), nil
}

//go:build unix && !aix && !solaris && !illumos

package poll

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"

	"github.com/rondo-go/rondo/internal/sys"
)

// SendFiles is [UnixEndpoint.SendFiles] on a connection of package net: it blocks.
func SendFiles(c *net.UnixConn, p []byte, files []*os.File) (n int, err error) {
	rc, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	cerr := rc.Write(func(fd uintptr) bool {
		n, err = sys.SendFiles(int(fd), p, files, "")
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
		n, files, err = TakeFiles(int(fd), p, max)
		return !sys.WouldBlock(err)
	})
	if cerr != nil {
		return 0, nil, cerr
	}
	return n, files, err
}

// TakeFiles is the system call of ReceiveFiles, for a stream. It does not block.
func TakeFiles(fd int, p []byte, max int) (n int, files []*os.File, err error) {
	got, err := sys.ReceiveFiles(fd, p, max)
	switch {
	case errors.Is(err, sys.ErrTooManyFiles):
		err = ErrFilesTruncated
	case err == nil && got.N == 0:
		err = io.EOF
	}
	return got.N, got.Files, err
}

// SendFiles is [UnixPacketEndpoint.SendFiles] on a socket of package net.
func (c NetPacket) SendFiles(m *Message, files []*os.File) error {
	err := CheckReceiver(m, c.Remote != nil)
	if err != nil {
		return err
	}
	rc, err := c.unix()
	if err != nil {
		return err
	}
	cerr := rc.Write(func(fd uintptr) bool {
		_, err = sys.SendFiles(int(fd), m.Buffer, files, m.Path)
		return !sys.WouldBlock(err)
	})
	if cerr != nil {
		return cerr
	}
	return err
}

// ReceiveFiles is [UnixPacketEndpoint.ReceiveFiles] on a socket of package net.
func (c NetPacket) ReceiveFiles(m *Message, max int) (files []*os.File, err error) {
	rc, err := c.unix()
	if err != nil {
		return nil, err
	}
	cerr := rc.Read(func(fd uintptr) bool {
		files, err = m.TakeFiles(int(fd), max)
		return !sys.WouldBlock(err)
	})
	if cerr != nil {
		return nil, cerr
	}
	return files, err
}

func (c NetPacket) unix() (syscall.RawConn, error) {
	u, ok := c.PacketConn.(*net.UnixConn)
	if !ok {
		return nil, ErrUnsupported
	}
	return u.SyscallConn()
}

// TakeFiles is the system call of ReceiveFiles, for a datagram. It does not block.
func (m *Message) TakeFiles(fd int, max int) ([]*os.File, error) {
	got, err := sys.ReceiveFiles(fd, m.Buffer, max)
	m.N, m.Truncated, m.Addr, m.Path = got.N, got.Truncated, netip.AddrPort{}, got.From
	if errors.Is(err, sys.ErrTooManyFiles) {
		err = ErrFilesTruncated
	}
	return got.Files, err
}

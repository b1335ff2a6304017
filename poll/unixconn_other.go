//go:build !unix || aix || solaris || illumos

package poll

import (
	"net"
	"os"
)

// SendFiles is not possible here.
func SendFiles(*net.UnixConn, []byte, []*os.File) (int, error) { return 0, ErrUnsupported }

// ReceiveFiles is not possible here.
func ReceiveFiles(*net.UnixConn, []byte, int) (int, []*os.File, error) {
	return 0, nil, ErrUnsupported
}

// SendFiles is not possible here.
func (NetPacket) SendFiles(*Message, []*os.File) error { return ErrUnsupported }

// ReceiveFiles is not possible here.
func (NetPacket) ReceiveFiles(*Message, int) ([]*os.File, error) { return nil, ErrUnsupported }

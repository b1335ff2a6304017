//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package sys

import (
	"errors"
	"fmt"
	"os"
)

// A TakenFile is a file that was taken over.
type TakenFile struct {
	*os.File
	Mode     int  // what it is open for: os.O_RDWR, since a handle cannot be asked
	Socket   bool // it is a socket,
	Stream   bool // and a stream
	Pollable bool // Go's runtime poller serves it
	Original bool // it is the file that was given
	Standard bool // the file that was given is standard input, output or error
}

// TakeFile takes f itself.
func TakeFile(f *os.File) (*TakenFile, error) {
	return &TakenFile{File: f, Mode: os.O_RDWR, Pollable: true, Original: true}, nil
}

// SocketPair makes two stream sockets that are connected to each other. It fails with
// [errors.ErrUnsupported] where there is no such call.
func SocketPair() (a, b *os.File, err error) {
	return nil, nil, fmt.Errorf("socketpair: %w", errors.ErrUnsupported)
}

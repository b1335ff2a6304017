package poll

import (
	"errors"
	"os"
)

// MaxFiles is how many descriptors one message can carry (SCM_MAX_FD, unix(7)).
const MaxFiles = 253

// ErrFilesTruncated says that more descriptors came than were asked for. They are closed.
var ErrFilesTruncated = errors.New("more files were passed than asked for")

// Credentials are a process and its user and group.
type Credentials struct{ PID, UID, GID int }

// A UnixEndpoint is an [Endpoint] that can be one of a Unix socket: of others, these
// methods fail with [ErrUnsupported].
type UnixEndpoint interface {
	// SendFiles is Write with files, which go with the first byte: if it is done
	// and err is nil, they have been sent, though n may be less than len(p). P
	// must not be empty. The files stay open.
	SendFiles(op *Op, p []byte, files []*os.File) (n int, err error, ok bool)

	// ReceiveFiles is Read that also takes the files which came with the bytes,
	// at most max of them. If more came all are closed and the error is
	// [ErrFilesTruncated]; the bytes hold nevertheless. Files that came with
	// bytes which were taken by a plain Read are closed, also if that was canceled
	// on the portable backend.
	ReceiveFiles(op *Op, p []byte, max int) (n int, files []*os.File, err error, ok bool)

	// PeerCredentials are those of the process that connected or listened, as it
	// was then.
	PeerCredentials() (Credentials, error)
}

// A UnixConn is what [Endpoint.Detach] returns for a Unix socket, if it is not a
// [net.UnixConn].
type UnixConn interface {
	SendFiles(p []byte, files []*os.File) (n int, err error)
	ReceiveFiles(p []byte, max int) (n int, files []*os.File, err error)
}

// A UnixPacketEndpoint is a [PacketEndpoint] that can be a unixgram socket; see
// [UnixEndpoint].
type UnixPacketEndpoint interface {
	// SendFiles sends one message with files. The files stay open.
	SendFiles(op *Op, m *Message, files []*os.File) (err error, ok bool)

	// ReceiveFiles receives one message and at most max files. [ErrFilesTruncated]
	// is as with [UnixEndpoint]; the message holds nevertheless.
	ReceiveFiles(op *Op, m *Message, max int) (files []*os.File, err error, ok bool)
}

// A UnixPacketConn is what [PacketEndpoint.Detach] returns, if it can pass files.
type UnixPacketConn interface {
	SendFiles(m *Message, files []*os.File) error
	ReceiveFiles(m *Message, max int) ([]*os.File, error)
}

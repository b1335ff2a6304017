// Package poll is the seam between the loop and the operating system: a
// [Poller] is asked for operations (connect, accept, read, write) on endpoints,
// and answers each at once or completes it later.
//
// # The seam is the operation, not readiness
//
// A caller starts an operation by calling a method with an [Op]. Either it is
// done at once (ok is true, and the other results hold), or it is in flight:
// nothing was consumed, and the poller tells the Op's [Owner] when it can be
// collected, which is done by *calling the same method with the same Op again*.
// That call may find the operation still in flight (a spurious completion), so
// callers loop:
//
//	for {
//		n, err, ok := e.Read(op, p)
//		if ok {
//			return n, err
//		}
//		park() // until op.Owner.Ready(op) has been called
//	}
//
// This one shape serves every kind of backend. epoll tries the system call,
// waits for an edge on EAGAIN, and tries again when collected, so that a task
// which is canceled between the edge and its turn has consumed no byte. A
// completion backend (io_uring) submits on the first call, and hands over the
// finished result on the second. The portable backend lets a goroutine of its
// own do the call. A simulated network delivers from memory.
//
// # Threads
//
// Everything here belongs to the loop's thread, except [Poller.Wake] and
// [Endpoint.Detach]'s result, which any goroutine may use. An endpoint has at
// most one reading Op (Read, Borrow, Readable, Accept) and one writing Op (Connect, Write)
// in flight at a time; queueing is the layer above's affair.
package poll

import (
	"errors"
	"net"
	"os"
	"syscall"
	"time"
)

// An Owner is told that an operation can be collected. Ready is called on the
// loop's thread, from within [Poller.Wait], once for each time that the
// operation was left in flight. It must not call back into the poller.
type Owner interface{ Ready(op *Op) }

// An Op is one operation slot: it is reused for one operation after another.
// The zero Op with its Owner set is ready for use.
type Op struct {
	Owner Owner

	// Pending is true while the operation is in flight. It is kept by the
	// poller: set when a method answers !ok, cleared just before Owner.Ready
	// is called and by Cancel.
	Pending bool

	// State is for the poller's own use.
	State any
}

// ErrUnsupported is returned for what a backend cannot do (an unknown network,
// a descriptor that it cannot watch). It wraps [errors.ErrUnsupported].
var ErrUnsupported = errors.ErrUnsupported

// A Poller is one backend instance, owned by one loop.
type Poller interface {
	// Name says which backend this is: "epoll", "portable".
	Name() string

	// Wait reports operations that can be collected, through Owner.Ready. It
	// blocks at most d when nothing can be collected: 0 polls without
	// blocking, a negative d waits for ever. It returns early after Wake.
	// It returns how many operations it reported. An error means that the
	// poller is broken.
	Wait(d time.Duration) (n int, err error)

	// Wake makes the present Wait, or else the next, return early. It may be
	// called from any goroutine, also after Close, when it does nothing.
	Wake()

	// Connect makes an endpoint and begins to connect it; network is tcp,
	// tcp4, tcp6 or unix. The connection is collected with Endpoint.Connected,
	// also when this call could finish at once.
	Connect(network string, remote net.Addr, o ConnectOptions) (Endpoint, error)

	// Listen makes a listening endpoint, with SO_REUSEADDR (tcp). Address is
	// host:port with a literal IP or no host, or a path.
	Listen(network, address string, o ListenOptions) (Listener, error)

	// Adopt takes over an open connection: the descriptor is duplicated and c
	// closed, or c itself is kept. On an error c is untouched.
	Adopt(c net.Conn) (Endpoint, error)

	// Open takes over a file that is a stream and no socket of package net's: a
	// pipe, a FIFO, a terminal or another device that can be waited for, or an
	// inherited stream socket. The descriptor is duplicated and f closed, or f
	// itself is kept; standard input, output and error stay open beside the
	// duplicate, whose number would else go to the next file that is opened. On an
	// error f is untouched.
	//
	// The file is set to non-blocking mode, which is a property of the open file
	// that all its descriptors share, also those of other processes (fcntl(2),
	// F_SETFL): a shell's other children, reading the same terminal, may find
	// EAGAIN.
	//
	// A write to a pipe that nobody reads any more fails with EPIPE. Go ignores
	// the SIGPIPE that comes with it, unless the program has asked for it.
	//
	// Errors: [ErrUnsupported] for what is always ready, such as a regular file.
	Open(f *os.File) (Endpoint, error)

	// Receive takes in an endpoint that another poller of the same kind has
	// released. On an error h is untouched, and still to be closed.
	Receive(h Handover) (Endpoint, error)

	PacketPoller
	WatchPoller

	// Close releases the poller. Endpoints must have been closed before.
	Close() error
}

// A Handover is an endpoint between two pollers: [Endpoint.Release] has taken it out
// of one, [Poller.Receive] takes it in at another, on any thread. It belongs to one
// goroutine at a time, as the endpoint does to its loop.
type Handover interface {
	// Close closes the connection instead: nobody is to receive it.
	Close() error
}

// An Endpoint is a connected (or connecting) stream socket, or another stream.
type Endpoint interface {
	// Connected collects the connection that Poller.Connect began. The error
	// is that of the system (ECONNREFUSED and so on), unwrapped.
	Connected(op *Op) (err error, ok bool)

	// Read reads at most len(p) bytes, at least one. At the end it returns
	// io.EOF. A Read with len(p) == 0 is done at once with 0 and nil.
	Read(op *Op, p []byte) (n int, err error, ok bool)

	// Borrow is Read into a buffer of the poller's own, which holds until the
	// next Borrow or Wait of this poller.
	Borrow(op *Op) (p []byte, err error, ok bool)

	// Readable is done when a Read would be: when there are bytes, the end or an
	// error. It takes nothing. It is how a connection rests that holds no
	// buffer.
	Readable(op *Op) (ok bool)

	// Write writes some of p, at least one byte (so it is done at once with
	// n < len(p) when the socket took a part). A Write with len(p) == 0 is
	// done at once.
	Write(op *Op, p []byte) (n int, err error, ok bool)

	// Writev is Write of several buffers, in order: it writes some of them, at
	// least one byte.
	Writev(op *Op, bufs [][]byte) (n int, err error, ok bool)

	// SendFile writes some of a file's bytes, at least one and at most n, from
	// offset on, without a way through the program's memory (sendfile(2)). At the
	// file's end it returns io.EOF. What has to come from the disk first holds the
	// thread meanwhile: callers keep n small, and so let the system read ahead.
	// It fails with [ErrUnsupported], having sent nothing, if this backend or the
	// file cannot: write what is read from it instead.
	SendFile(op *Op, file syscall.RawConn, offset int64, n int) (sent int, err error, ok bool)

	// RawRead calls fn with the descriptor until it returns true, and is in flight
	// until there may be something to read whenever it returns false. RawWrite is
	// the same for writing. A backend that has no readiness fails with
	// [ErrUnsupported].
	RawRead(op *Op, fn func(fd uintptr) bool) (err error, ok bool)
	RawWrite(op *Op, fn func(fd uintptr) bool) (err error, ok bool)

	// Control calls fn with the descriptor, which is valid only meanwhile. Unlike
	// other methods it and those of Options may be called from any goroutine, as
	// long as the endpoint is open.
	Control(fn func(fd uintptr)) error

	// Options are the socket's settings.
	Options() Options

	// Cancel withdraws op: its owner is not told of it any more. Nothing is
	// lost: bytes that a backend had read already are kept for the next Read.
	// It does nothing if op is not in flight.
	Cancel(op *Op)

	// CloseRead and CloseWrite shut one side down. Of a pipe the only side is the
	// descriptor, which is closed; what is open for both but no socket has no
	// sides, and they fail with [ErrUnsupported].
	CloseRead() error
	CloseWrite() error

	// Detach returns a connection of its own to the same socket, served by
	// Go's runtime poller and usable from any goroutine without the loop. The
	// endpoint goes on; the socket is closed when both are.
	Detach() (net.Conn, error)

	// Release takes the endpoint out of its poller without closing the connection,
	// for another poller to receive. Operations in flight are withdrawn without a
	// word to their owners, and lose nothing; the endpoint is closed. One that is
	// still connecting cannot be released. On an error the endpoint is untouched.
	Release() (Handover, error)

	LocalAddr() net.Addr
	RemoteAddr() net.Addr

	// Close takes the endpoint out of the poller, then closes it. Operations
	// in flight are withdrawn without a word to their owners.
	Close() error
}

// A Listener is a listening socket.
type Listener interface {
	// Accept takes one connection off the backlog. A connection that was reset
	// meanwhile is passed over; EMFILE and its like are returned.
	Accept(op *Op) (Endpoint, error, bool)
	Cancel(op *Op)
	// Detach is Endpoint.Detach for a listener.
	Detach() (net.Listener, error)
	Addr() net.Addr
	Close() error
}

// Options are settings of a socket, as methods of [net.TCPConn], which describes them.
// What a kind of endpoint does not have fails with [ErrUnsupported].
type Options interface {
	SetKeepAliveConfig(net.KeepAliveConfig) error
	SetNoDelay(bool) error
	SetLinger(sec int) error
	SetReadBuffer(bytes int) error
	SetWriteBuffer(bytes int) error
}

package portable

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/rondo-go/rondo/poll"
)

// How a stream goes through goroutines and stays exact
//
// A read that has been started cannot be recalled, nor can one say how far a
// write has got. So neither belongs to the operation that started it. They
// belong to the socket, between which and its users stand two buffers:
//
//   - Reading: if nothing is buffered, a goroutine reads once into the socket's
//     buffer. Whoever reads next takes from there. A read that was canceled
//     has thus lost nothing.
//   - Writing: a write is taken into the socket's buffer and done, and a goroutine
//     sends it. While that lasts the next write is in flight, and nothing of it
//     has been taken. A write that was canceled has thus sent nothing, and
//     the caller's bytes are never touched later. As with the system's own
//     send buffer, an error comes to light at the next write, and Close must
//     not lose what was taken: it lets the goroutine finish first.
//
// The rejected way of writing, keeping the operation in flight until the goroutine
// has sent a copy, leaves a canceled write half sent and its caller unaware of it.
//
// A detached connection is another user of the same two buffers, off the loop's
// thread; it does not touch the net.Conn beneath, so the bytes stay in order.

const (
	readSize  = 32 << 10 // the most that one read takes
	writeSize = 64 << 10 // the most that one write takes

	// How long a closed socket may go on sending what was written to it, to a peer
	// that does not read.
	linger = 5 * time.Second

	// How long the end of what is read waits for the write under way, which fails at
	// once if it is a reset and not the end.
	verdict = 5 * time.Millisecond
)

// A socket is a connection, shared by an endpoint and what was detached from it. It
// is closed when all of them are.
type socket struct {
	conn net.Conn

	mu      sync.Mutex
	p       *Poller       // the endpoint's; nil between two pollers
	r, w    *slot         // the endpoint's, named to the poller as completed
	changed chan struct{} // closed at the next change, for users off the loop; nil if nobody waits
	refs    int           // open users

	in      []byte // read, not taken yet: a part of buf
	buf     []byte
	readErr error // what comes after in
	reading bool  // a goroutine reads into buf

	out       []byte
	writeErr  error // of an earlier write
	unsent    int   // how many bytes of out writeErr kept back
	writing   bool  // a goroutine sends out
	shut      bool  // the writing side is shut down, or will be behind out
	lingering bool  // the poller waits for the goroutine
	hard      bool  // closing drops what is unsent: SO_LINGER with 0
}

func newSocket(p *Poller, conn net.Conn, r, w *slot) *socket {
	return &socket{p: p, conn: conn, r: r, w: w, refs: 1}
}

// change tells the users off the loop to look again. Called with mu held.
func (s *socket) change() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// next is closed at the next change. Called with mu held.
func (s *socket) next() <-chan struct{} {
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return s.changed
}

// read takes what has been read, or starts to read. Called with mu held.
func (s *socket) read(p []byte) (n int, err error, ok bool) {
	if !s.readable() {
		return 0, nil, false
	}
	if len(s.in) == 0 {
		return 0, s.readErr, true
	}
	n = copy(p, s.in)
	s.in = s.in[n:]
	return n, nil, true
}

// readable says whether there is something to take, or else starts to read.
// Called with mu held.
func (s *socket) readable() bool {
	if len(s.in) > 0 || s.readErr != nil {
		return true
	}
	if !s.reading {
		s.reading = true
		if s.buf == nil {
			s.buf = make([]byte, readSize)
		}
		go s.fill()
	}
	return false
}

// fill is the goroutine of a read.
func (s *socket) fill() {
	n, err := s.conn.Read(s.buf)
	s.mu.Lock()
	if err == io.EOF {
		err = s.trueEnd()
	}
	s.reading = false
	s.in = s.buf[:n]
	if err != nil {
		s.readErr = cause(err)
	}
	s.change()
	s.tell(s.r)
}

// trueEnd tells a reset from the end. The system tells of a reset once: if that is to
// the goroutine of a write, which counts as done already, the read finds nothing but
// the end, and nobody might ever learn that there was more. Called with mu held.
func (s *socket) trueEnd() error {
	if s.writing {
		changed := s.next()
		s.mu.Unlock()
		select {
		case <-changed:
		case <-time.After(verdict):
		}
		s.mu.Lock()
	}
	if errors.Is(s.writeErr, syscall.ECONNRESET) {
		return os.NewSyscallError("read", syscall.ECONNRESET)
	}
	return io.EOF
}

// write takes some of p and starts to send it, unless the last write is not out
// yet. Called with mu held.
func (s *socket) write(p []byte) (n int, err error, ok bool) {
	if err, ok := s.blocked(); err != nil || !ok {
		return 0, err, ok
	}
	s.out = append(s.out[:0], p[:min(len(p), writeSize)]...)
	s.writing = true
	go s.flush()
	return len(s.out), nil, true
}

// writev is write of several buffers.
func (s *socket) writev(bufs [][]byte) (n int, err error, ok bool) {
	if err, ok := s.blocked(); err != nil || !ok {
		return 0, err, ok
	}
	s.out = s.out[:0]
	for _, b := range bufs {
		s.out = append(s.out, b[:min(len(b), writeSize-len(s.out))]...)
	}
	s.writing = true
	go s.flush()
	return len(s.out), nil, true
}

// blocked says why a write cannot begin: an error, or !ok while another is under way.
func (s *socket) blocked() (err error, ok bool) {
	switch {
	case s.writeErr != nil:
		return s.writeErr, true
	case s.shut:
		return os.NewSyscallError("write", syscall.EPIPE), true
	}
	return nil, !s.writing
}

// flush is the goroutine of a write.
func (s *socket) flush() {
	n, err := s.conn.Write(s.out)
	s.mu.Lock()
	s.writing = false
	if err != nil {
		s.writeErr = cause(err)
		s.unsent = len(s.out) - n
	}
	if s.shut {
		s.shutdown()
	}
	if s.refs == 0 {
		s.conn.Close()
	}
	if s.lingering {
		s.p.lingering.Done()
	}
	s.change()
	s.tell(s.w)
}

// tell unlocks the socket, and names one of its slots to its poller.
func (s *socket) tell(side *slot) {
	p := s.p
	s.mu.Unlock()
	if p != nil {
		p.complete(side)
	}
}

// closeRead and closeWrite shut one side down.
func (s *socket) closeRead() error {
	if c, ok := s.conn.(interface{ CloseRead() error }); ok {
		return cause(c.CloseRead())
	}
	return fmt.Errorf("close read side of %T: %w", s.conn, poll.ErrUnsupported)
}

func (s *socket) closeWrite() error {
	if _, ok := s.conn.(interface{ CloseWrite() error }); !ok {
		return fmt.Errorf("close write side of %T: %w", s.conn, poll.ErrUnsupported)
	}
	if f, ok := s.conn.(*poll.FileConn); ok {
		if err := f.Sides(); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shut = true
	if s.writing {
		return nil // behind what was written
	}
	return s.shutdown()
}

func (s *socket) shutdown() error {
	return cause(s.conn.(interface{ CloseWrite() error }).CloseWrite())
}

// release is one user's close. WaitFor says that the poller is not to close before
// all is sent.
func (s *socket) release(waitFor bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refs--
	s.change()
	if s.refs > 0 {
		return nil
	}
	if s.writing && !s.hard {
		if waitFor && s.p != nil {
			s.lingering = true
			s.p.lingering.Add(1)
		}
		s.conn.SetReadDeadline(time.Unix(1, 0)) // ends a goroutine that reads
		s.conn.SetWriteDeadline(time.Now().Add(linger))
		return nil
	}
	return cause(s.conn.Close())
}

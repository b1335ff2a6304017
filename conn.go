package rondo

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rondo-go/rondo/loop"
	"github.com/rondo-go/rondo/poll"
)

// A Conn is a net.Conn on the loop: called by a task of its loop it parks the
// task, called by a goroutine off the loop it blocks that goroutine. So
// libraries that take a net.Conn run on it unmodified, in both worlds. All
// methods may be called at the same time.
//
// A read or write that parks ends early if its task is canceled, with the
// [CanceledError] wrapped in a *net.OpError; a canceled Read has consumed
// nothing.
//
// # Off the loop
//
// A goroutine must not need the loop, whose thread may be waiting for that very
// goroutine. So at the first use off the loop the descriptor is duplicated, and
// handed to Go's own poller, which serves that side from then on.
//
// # At rest
//
// A connection that waits for its peer without a task (see [Conn.Rest]) holds
// what this struct holds and no more: it has no sides then.
type Conn struct {
	member
	loop   *Loop
	e      poll.Endpoint
	sides  *sides // nil while it rests; see side
	rest   rest
	closed atomic.Bool // Close was called

	mu   sync.Mutex // guards what follows, and the endpoint's descriptor and addresses off the loop
	gone bool       // the endpoint is closed
	off  *offSide   // what only some need, or nil
}

// The sides of a Conn.
type sides struct{ rd, wr side }

// An offSide is what a Conn has for those who set deadlines or use it off the
// loop.
type offSide struct {
	conn     net.Conn
	err      error
	rdl, wdl time.Time // as set
}

func newConn(l *Loop, e poll.Endpoint) *Conn {
	c := &Conn{loop: l, e: e}
	l.enlist(c)
	return c
}

// reading and writing return the sides. They are for the loop's thread.
func (c *Conn) reading() *side {
	if c.sides == nil {
		c.takeSides()
	}
	return &c.sides.rd
}

func (c *Conn) writing() *side {
	if c.sides == nil {
		c.takeSides()
	}
	return &c.sides.wr
}

func (c *Conn) takeSides() {
	l := c.loop
	if n := len(l.sides); n > 0 {
		c.sides, l.sides = l.sides[n-1], l.sides[:n-1]
	} else {
		c.sides = new(sides)
	}
	c.sides.rd.init(l.k, c.e)
	c.sides.wr.init(l.k, c.e)
}

// dropSides gives the sides back, if nothing is left in them.
func (c *Conn) dropSides() {
	s := c.sides
	if s == nil || c.off != nil || !s.rd.blank() || !s.wr.blank() {
		return
	}
	c.sides = nil
	*s = sides{}
	if len(c.loop.sides) < 64 {
		c.loop.sides = append(c.loop.sides, s)
	}
}

// place says where the caller is: a task of c's loop, or else a goroutine that
// is served by the detached connection.
func (c *Conn) place() (*loop.Task, net.Conn, error) {
	here, t := loop.Current()
	switch {
	case here == nil:
		off, err := c.detached()
		return nil, off, err
	case here != c.loop.k:
		return nil, nil, ErrOtherLoop
	case t == nil:
		return nil, nil, ErrNotTask
	case c.closed.Load():
		return nil, nil, net.ErrClosed
	}
	return t, nil, nil
}

// detached returns the connection that serves goroutines off the loop.
func (c *Conn) detached() (net.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed.Load() {
		return nil, net.ErrClosed
	}
	x := c.detach()
	return x.conn, x.err
}

// extra returns c.off, under c.mu.
func (c *Conn) extra() *offSide {
	if c.off == nil {
		c.off = new(offSide)
	}
	return c.off
}

// detach makes the connection for off the loop, under c.mu, while the endpoint is
// open.
func (c *Conn) detach() *offSide {
	x := c.extra()
	if x.conn == nil && x.err == nil {
		x.conn, x.err = c.e.Detach()
		if x.err == nil {
			x.conn.SetReadDeadline(x.rdl)
			x.conn.SetWriteDeadline(x.wdl)
		}
	}
	return x
}

func (c *Conn) opError(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	var oe *net.OpError
	if errors.As(err, &oe) {
		return err
	}
	if isClosed(err) {
		err = net.ErrClosed
	}
	local, remote := c.LocalAddr(), c.RemoteAddr()
	oe = &net.OpError{Op: op, Source: local, Addr: remote, Err: err}
	if remote != nil {
		oe.Net = remote.Network()
	}
	return oe
}

// Read implements io.Reader.
func (c *Conn) Read(p []byte) (int, error) {
	t, off, err := c.place()
	if err != nil {
		return 0, c.opError("read", err)
	}
	if off != nil {
		return off.Read(p)
	}
	s := c.reading()
	if c.rest.on {
		return 0, c.opError("read", ErrResting)
	}
	if err := s.enter(t); err != nil {
		return 0, c.opError("read", err)
	}
	defer s.leave()
	for {
		if err := c.usable(s); err != nil {
			return 0, c.opError("read", err)
		}
		n, err, ok := c.e.Read(&s.op, p)
		if ok {
			return n, c.opError("read", err)
		}
		if err := s.wait(t); err != nil {
			return 0, c.opError("read", err)
		}
	}
}

// Borrow is Read without a buffer: it returns the next bytes in a buffer of the
// loop's own, which holds only until the task parks, or reads from any connection,
// the next time. It may be given to a Write, which copies what does not go at
// once. At the end Borrow returns io.EOF. It is for tasks.
func (c *Conn) Borrow() ([]byte, error) { return c.borrow(0) }

// BorrowAtMost is [Conn.Borrow] of at most max bytes, at least one, and 72 KiB: for
// a caller that has to keep what it does not use at once.
func (c *Conn) BorrowAtMost(max int) ([]byte, error) { return c.borrow(min(max, scratchSize)) }

// scratchSize is the size of the buffer of BorrowAtMost: four TLS records and more.
const scratchSize = 72 << 10

func (c *Conn) borrow(max int) ([]byte, error) {
	t, off, err := c.place()
	if err == nil && off != nil {
		err = ErrNotTask
	}
	if err != nil {
		return nil, c.opError("read", err)
	}
	s := c.reading()
	if c.rest.on {
		return nil, c.opError("read", ErrResting)
	}
	if err := s.enter(t); err != nil {
		return nil, c.opError("read", err)
	}
	defer s.leave()
	for {
		if err := c.usable(s); err != nil {
			return nil, c.opError("read", err)
		}
		p, err, ok := c.lend(s, max)
		if ok {
			c.loop.lent = p
			return p, c.opError("read", err)
		}
		if err := s.wait(t); err != nil {
			return nil, c.opError("read", err)
		}
	}
}

// lend reads into a buffer of the loop's own, of max bytes, or of the poller's, if
// max is 0.
func (c *Conn) lend(s *side, max int) (p []byte, err error, ok bool) {
	if max == 0 {
		return c.e.Borrow(&s.op)
	}
	if c.loop.scratch == nil {
		c.loop.scratch = make([]byte, scratchSize)
	}
	p = c.loop.scratch[:max]
	n, err, ok := c.e.Read(&s.op, p)
	return p[:n], err, ok
}

// usable says why an operation cannot begin.
func (c *Conn) usable(s *side) error {
	if c.closed.Load() {
		return net.ErrClosed
	}
	if s.deadline != 0 && s.expired() {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// Write implements io.Writer: it returns when all of p is with the system. If
// the task is canceled meanwhile, n tells how much is.
func (c *Conn) Write(p []byte) (n int, err error) {
	t, off, err := c.place()
	if err != nil {
		return 0, c.opError("write", err)
	}
	if off != nil {
		return off.Write(p)
	}
	s := c.writing()
	if err := s.enter(t); err != nil {
		return 0, c.opError("write", err)
	}
	defer s.leave()
	for {
		if err := c.usable(s); err != nil {
			return n, c.opError("write", err)
		}
		k, err, ok := c.e.Write(&s.op, p[n:])
		if !ok {
			if c.loop.lends(p) {
				p = append(make([]byte, n, len(p)), p[n:]...)
			}
			if err := s.wait(t); err != nil {
				return n, c.opError("write", err)
			}
			continue
		}
		n += k
		if err != nil || n == len(p) {
			return n, c.opError("write", err)
		}
	}
}

// tryWrite writes what the system takes of p at once. It is for the loop's thread,
// also outside of tasks; while another one writes, nothing is taken.
func (c *Conn) tryWrite(p []byte) (n int, err error) {
	if c.closed.Load() {
		return 0, c.opError("write", net.ErrClosed)
	}
	s := c.writing()
	if s.busy {
		return 0, nil
	}
	if err := c.usable(s); err != nil {
		return 0, c.opError("write", err)
	}
	for n < len(p) {
		k, err, ok := c.e.Write(&s.op, p[n:])
		if !ok {
			c.e.Cancel(&s.op)
			break
		}
		n += k
		if err != nil {
			return n, c.opError("write", err)
		}
	}
	return n, nil
}

// Stale says, without parking, whether the connection cannot be used for a new
// exchange: its peer has closed it, or has sent something unasked. It is for
// tasks, and for connections that nobody is reading.
func (c *Conn) Stale() bool {
	if c.closed.Load() || !c.loop.k.OnLoop() || c.rest.on || c.reading().busy {
		return true
	}
	op := &c.sides.rd.op
	ok := c.e.Readable(op)
	if !ok {
		c.e.Cancel(op)
	}
	return ok
}

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.e.LocalAddr()
}

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.e.RemoteAddr()
}

// Adopt takes over an open connection, such as one from net.Dial: it belongs to
// the running loop from then on, and c must not be used any more. It does not
// park. If it fails, c is untouched.
//
// Errors: [ErrNotTask] off every loop; the backend's, for a connection without a
// descriptor of its own.
func Adopt(c net.Conn) (*Conn, error) {
	l := RunningLoop()
	if l == nil {
		return nil, ErrNotTask
	}
	e, err := l.k.Poller().Adopt(c)
	if err != nil {
		return nil, err
	}
	return newConn(l, e), nil
}

package websocket

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/loop"
	"github.com/rondo-go/rondo/rondotls"
)

// A Conn is a connection that speaks WebSocket. It belongs to where it was made: to the tasks of a loop,
// or, if that was on a goroutine off the loop, to goroutines. Its methods may be called by several of them at a
// time. Messages are written one after the other, and of several readers each gets whole ones.
//
// Writing parks until the system has taken the message: a peer that reads slowly slows its writer down,
// and nothing piles up.
//
// A Read that is canceled loses nothing: the next goes on where it was. A Write that is canceled when a part of
// the message is sent breaks the connection.
//
// Pings are answered, and a close is agreed to, while somebody reads, or the connection rests.
type Conn struct {
	conn     net.Conn
	raw      *rondo.Conn // conn, if that is plain, and belongs to a loop
	loop     *rondo.Loop // nil: off the loop
	set      *settings
	deflate  *deflate // nil: none
	protocol string
	home     context.Context // of the handler that accepted it on the loop, which ends with its task; or nil

	rd, wr, message turn // for reading, for writing a frame, for writing a message

	// Of the reader.
	buf      *[]byte // nil if there is nothing in it
	in       []byte  // what has come and was not looked at, in buf
	left     int64   // of the frame
	total    int64   // of the message so far
	msg      []byte  // what of a message is here
	mask     [4]byte
	phase    uint8 // of the mask
	op       ws.OpCode
	fin      bool
	within   bool // a message has begun, and not ended
	packed   bool // it is compressed
	text     textCheck
	streamed *reader // the message that is read as a stream
	resume   bool    // the reader is one of OnMessage, and is not to wait
	filled   bool    // since it was resumed

	mu        sync.Mutex // guards what follows, and is not held across a park
	err       error      // why nothing more comes
	sentClose bool
	over      bool
	pong      *[]byte                            // to be sent
	pings     map[uint64]*rondo.Future[struct{}] // by their payloads
	lastPing  uint64
	handler   *handler // of OnMessage
	ends      []func(error)
	closing   *CloseError // that of Close

	keep keeping
}

func newConn(c net.Conn, read []byte, o *Options, client bool, d *deflate, protocol string) *Conn {
	x := &Conn{conn: c, set: o.settings(client), deflate: d, protocol: protocol}
	if rondo.CurrentTask() != nil {
		x.loop = rondo.RunningLoop()
		x.raw, _ = c.(*rondo.Conn)
		if _, secure := c.(*rondotls.Conn); !secure && x.raw == nil {
			if n, ok := c.(interface{ NetConn() net.Conn }); ok { // taken over from a server
				x.raw, _ = n.NetConn().(*rondo.Conn)
			}
		}
	} else {
		for _, t := range []*turn{&x.rd, &x.wr, &x.message} {
			t.off = make(chan struct{}, 1)
		}
	}
	x.stash(read)
	x.watch()
	return x
}

// Subprotocol returns the subprotocol that was agreed on, "" if none was.
func (c *Conn) Subprotocol() string { return c.protocol }

// Compressed says whether compression was agreed on.
func (c *Conn) Compressed() bool { return c.deflate != nil }

// NetConn returns the connection beneath, to look at.
func (c *Conn) NetConn() net.Conn { return c.conn }

// A turn is a lock for tasks, or for goroutines.
type turn struct {
	lock rondo.Lock
	off  chan struct{} // not nil: for goroutines
}

func (t *turn) acquire(ctx context.Context) error {
	if t.off == nil {
		return t.lock.Acquire(ctx)
	}
	if rondo.RunningLoop() != nil {
		return rondo.ErrOtherLoop
	}
	select {
	case t.off <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (t *turn) tryAcquire() bool {
	if t.off == nil {
		return t.lock.TryAcquire()
	}
	select {
	case t.off <- struct{}{}:
		return true
	default:
		return false
	}
}

func (t *turn) release() {
	if t.off == nil {
		t.lock.Release()
		return
	}
	<-t.off
}

// ownContext reports whether the end of ctx cancels the task itself.
func ownContext(ctx context.Context) bool {
	_, own := ctx.(interface {
		AfterFunc(f func()) (stop func() bool)
	})
	return own || ctx.Done() == nil
}

// own reports whether the end of ctx cancels the running task itself.
func (c *Conn) own(ctx context.Context) bool {
	return c.home != nil && ctx == c.home || ownContext(ctx)
}

// under does I/O that ends when ctx does, whose making is another's: the methods of a net.Conn take none.
func (c *Conn) under(ctx context.Context, deadline func(time.Time) error, io func() error) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	var mu sync.Mutex
	over, set := false, false
	end := func() {
		mu.Lock()
		defer mu.Unlock()
		if !over {
			set = true
			deadline(time.Unix(1, 0))
		}
	}
	stop := context.AfterFunc(ctx, func() {
		if c.loop != nil {
			c.loop.CallSoonThreadsafe(end) // so that it cannot come after its time
			return
		}
		end()
	})
	err := io()
	stop()
	mu.Lock()
	defer mu.Unlock()
	over = true
	if set {
		deadline(time.Time{})
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = context.Cause(ctx)
		}
	}
	return err
}

// isInterruption reports whether err, of reading, has left the connection as it was.
func isInterruption(ctx context.Context, err error) bool {
	var canceled *rondo.CanceledError
	return errors.As(err, &canceled) || ctx.Err() != nil && errors.Is(err, context.Cause(ctx))
}

// fill gets more bytes into in.
func (c *Conn) fill(ctx context.Context) (err error) {
	if c.resume {
		if c.filled {
			return errToRest
		}
		c.filled = true
	}
	c.listen(true)
	if c.own(ctx) {
		err = c.read()
	} else {
		err = c.under(ctx, c.conn.SetReadDeadline, c.read)
	}
	c.listen(false)
	switch {
	case err == nil:
		return nil
	case isInterruption(ctx, err):
		return err
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	return c.lose(err)
}

var errToRest = errors.New("websocket: the connection is to rest")

func (c *Conn) read() error {
	if c.raw != nil {
		p, err := c.raw.Borrow() // a connection that waits has no buffer
		if len(p) > 0 {
			c.stash(p)
			return nil
		}
		if err == nil {
			err = io.ErrNoProgress
		}
		return err
	}
	if c.buf == nil {
		c.buf = buffer(16 << 10)
		c.in = (*c.buf)[:0]
	}
	c.in = (*c.buf)[:copy(*c.buf, c.in)] // what is left is less than a control frame
	n, err := c.conn.Read((*c.buf)[len(c.in):])
	if n > 0 {
		c.in = (*c.buf)[:len(c.in)+n]
		return nil
	}
	c.drop()
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// stash puts p behind what is in the buffer.
func (c *Conn) stash(p []byte) {
	if len(p) == 0 {
		return
	}
	n := len(c.in) + len(p)
	if c.buf == nil || n > len(*c.buf) {
		b := buffer(n)
		copy(*b, c.in)
		if c.buf != nil {
			putBuffer(c.buf)
		}
		c.buf = b
	} else {
		copy(*c.buf, c.in)
	}
	copy((*c.buf)[len(c.in):], p)
	c.in = (*c.buf)[:n]
}

// drop gives the buffer back if nothing is in it.
func (c *Conn) drop() {
	if len(c.in) == 0 && c.buf != nil {
		putBuffer(c.buf)
		c.buf, c.in = nil, nil
	}
}

// lose notes that the connection is lost, by err, and returns why nothing more comes.
func (c *Conn) lose(err error) error {
	c.mu.Lock()
	if c.err == nil {
		c.err = err
	}
	err = c.err
	c.mu.Unlock()
	c.shut()
	return err
}

// fault returns why nothing more comes, nil if that is not so.
func (c *Conn) fault() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// shut closes the connection beneath, and tells who wants to know.
func (c *Conn) shut() {
	c.mu.Lock()
	if c.over {
		c.mu.Unlock()
		return
	}
	c.over = true
	ends, err := c.ends, c.err
	if err == nil {
		err = net.ErrClosed
		c.err = err
	}
	c.ends = nil
	pings := c.pings
	c.pings = nil
	c.mu.Unlock()
	c.conn.Close()
	c.unwatch()
	for _, f := range pings {
		f.Fail(err)
	}
	for _, f := range ends {
		f(err)
	}
}

// atEnd has f called when the connection is closed, which may be now.
func (c *Conn) atEnd(f func(error)) {
	c.mu.Lock()
	if over, err := c.over, c.err; over {
		c.mu.Unlock()
		f(err)
		return
	}
	c.ends = append(c.ends, f)
	c.mu.Unlock()
}

// spawn runs f where c belongs.
func (c *Conn) spawn(f func(ctx context.Context)) {
	task := func(ctx context.Context) (struct{}, error) {
		f(ctx)
		return struct{}{}, nil
	}
	switch {
	case c.loop == nil:
		go f(context.Background())
	case c.loop == rondo.RunningLoop():
		rondo.Spawn(context.Background(), task)
	default:
		rondo.SpawnThreadsafe(context.Background(), c.loop, task)
	}
}

// CloseNow closes the connection without a word, if it is open. It does not park.
func (c *Conn) CloseNow() error {
	c.lose(net.ErrClosed)
	return nil
}

// forAtMost runs f for at most d.
func (c *Conn) forAtMost(ctx context.Context, d time.Duration, f func(ctx context.Context) error) error {
	if c.loop != nil {
		return rondo.Timeout(ctx, d, f)
	}
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return f(ctx)
}

// now returns the time by which silence is measured.
func (c *Conn) now() loop.Time { return c.loop.Kernel().Now() }

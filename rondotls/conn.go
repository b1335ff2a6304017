package rondotls

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/rondo-go/rondo"
)

// A Conn is a TLS connection over a [rondo.Conn]. It is a net.Conn: called by a
// task it parks the task, called by a goroutine off the loop it blocks that
// goroutine. All methods may be called at the same time, by both; a reader, a
// writer and a closer never stop the loop's thread. Calls of one kind take turns.
//
// # Cancellation
//
// A canceled Read has consumed nothing. A canceled Write, or one whose deadline
// passed, returns how many bytes have become TLS records. These will be sent as a
// whole: after a cancellation soon, by a task of their own, after a deadline by
// the next Write. So the connection stays usable, unlike one of crypto/tls alone. A canceled
// handshake makes it unusable.
type Conn struct {
	tls    *tls.Conn
	wire   wire
	client bool
	verify bool // with the system's roots

	hs, rd, wr turn
	hsErr      error         // under hs
	hsTimeout  time.Duration // none if not positive
	closed     atomic.Bool

	next   Handler       // see Rest
	open   bool          // it rests by RestOpen
	resume rondo.Handler // serve, for the server to call when bytes arrive
	peek   [1]byte       // under rd: a byte that was read to see whether there is one
	peeked bool

	deadlines
}

// HandshakeTimeout is how long a handshake may take unless told otherwise.
const HandshakeTimeout = 10 * time.Second

// A ConnOption is an option of [Client], [Server] and [NewListener].
type ConnOption func(*Conn)

// WithBuffered gives bytes that were read from the connection already, such as
// those in a bufio.Reader when a protocol turns to TLS in the middle of a stream:
// they are the first of the peer's TLS bytes.
func WithBuffered(p []byte) ConnOption {
	return func(c *Conn) { c.wire.early = append(c.wire.early, p...) }
}

// WithHandshakeTimeout sets how long a handshake may take in place of
// [HandshakeTimeout]. Zero or less: no bound but the context and the deadlines.
func WithHandshakeTimeout(d time.Duration) ConnOption { return func(c *Conn) { c.hsTimeout = d } }

// WithUnwrap makes [Conn.Unwrap] possible, at the price of one more copy of what is read.
func WithUnwrap() ConnOption {
	return func(c *Conn) { c.wire.records = &recordReader{from: c.wire.read} }
}

// errRenegotiation: it would be done inside of a Read, holding a lock that a
// Write needs.
var errRenegotiation = errors.New("rondotls: renegotiation is not supported (leave Config.Renegotiation alone)")

func newConn(raw net.Conn, cfg *tls.Config, client bool, opts []ConnOption) *Conn {
	c := &Conn{client: client, hsTimeout: HandshakeTimeout}
	c.wire.raw, c.wire.flush, c.wire.later = raw, c.flush, c.flushLater
	for _, o := range opts {
		o(c)
	}
	if client {
		c.verify = cfg.RootCAs == nil && !cfg.InsecureSkipVerify
		c.tls = tls.Client(&c.wire, cfg)
	} else {
		c.tls = tls.Server(&c.wire, cfg)
	}
	return c
}

// Client makes a TLS connection of c and does the handshake as its client,
// parking meanwhile. It is also how a connection is upgraded in the middle of a
// stream (STARTTLS); see [WithBuffered]. Cfg may be shared by any number of
// connections, and must have a ServerName, or not verify. A nil cfg is that of
// [ClientConfig], which has no ServerName.
//
// C is a *[rondo.Conn], or a *Conn (TLS inside of TLS), or, off the loop, any
// net.Conn. It belongs to the TLS connection from then on, and is closed if the
// handshake fails.
//
// Errors: a *net.OpError that says what is wrong with the peer's certificate and
// what can be done, and wraps crypto/x509's error; a timeout after
// [HandshakeTimeout]; the cause of ctx; those of [rondo.Conn.Read].
func Client(ctx context.Context, c net.Conn, cfg *tls.Config, opts ...ConnOption) (*Conn, error) {
	if cfg == nil {
		cfg = defaultConfig
	}
	if cfg.Renegotiation != tls.RenegotiateNever {
		c.Close()
		return nil, errRenegotiation
	}
	return handshaken(ctx, newConn(c, cfg, true, opts))
}

// Server is [Client] for the server's side. Cfg must have a certificate.
func Server(ctx context.Context, c net.Conn, cfg *tls.Config, opts ...ConnOption) (*Conn, error) {
	if err := servable(cfg); err != nil {
		c.Close()
		return nil, err
	}
	return handshaken(ctx, newConn(c, cfg, false, opts))
}

func handshaken(ctx context.Context, c *Conn) (*Conn, error) {
	if err := c.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Handshake is [Conn.HandshakeContext] without a context.
func (c *Conn) Handshake() error { return c.HandshakeContext(context.Background()) }

// HandshakeContext does the handshake if it was not done yet. Read and Write do
// so too. Its error is final.
func (c *Conn) HandshakeContext(ctx context.Context) error {
	if c.wire.ready.Load() {
		return nil
	}
	if err := c.hs.enter(); err != nil {
		return c.opError("handshake", err)
	}
	defer c.hs.leave()
	if c.wire.ready.Load() {
		return nil
	}
	if c.hsErr != nil {
		return c.hsErr
	}
	if c.closed.Load() {
		return c.opError("handshake", net.ErrClosed)
	}
	return c.handshake(ctx)
}

// handshake is HandshakeContext for the holder of hs.
func (c *Conn) handshake(ctx context.Context) error {
	if c.verify {
		if err := loadSystemRoots(ctx); err != nil {
			c.hsErr = c.opError("handshake", err)
			return c.hsErr
		}
	}
	c.startLimit()
	stop := context.AfterFunc(ctx, c.endHandshake)
	// The task's cancellation arrives in the park. Given ctx, crypto/tls would close the wire.
	err := c.tls.HandshakeContext(context.WithoutCancel(ctx))
	done := err == nil
	if ferr := c.flush(); done {
		c.wire.ready.Store(true)
		err = ferr
	}
	stop()
	late := c.stopLimit()
	if err == nil {
		return nil
	}
	err = interrupted(err)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		} else if late {
			err = &lateHandshake{c.hsTimeout, err}
		}
	}
	err = c.opError("handshake", explain(err, c.client))
	if !done {
		c.hsErr = err
	}
	return err
}

// opError adds the connection to an error that does not have it yet.
func (c *Conn) opError(op string, err error) error {
	var oe *net.OpError
	if err == nil || err == io.EOF || errors.As(err, &oe) && oe.Addr != nil {
		return err
	}
	remote := c.RemoteAddr()
	oe = &net.OpError{Op: "tls " + op, Source: c.LocalAddr(), Addr: remote, Err: err}
	if remote != nil {
		oe.Net = remote.Network()
	}
	return oe
}

// Read implements io.Reader. At the peer's close_notify it returns io.EOF; so it
// does, like crypto/tls, if the connection ends without one between two records,
// as that of many servers does. Inside of a record that is io.ErrUnexpectedEOF.
func (c *Conn) Read(p []byte) (int, error) {
	if !c.wire.ready.Load() {
		if err := c.Handshake(); err != nil {
			return 0, err
		}
	}
	if err := c.rd.enter(); err != nil {
		return 0, c.opError("read", err)
	}
	var n int
	var err error
	if c.peeked {
		n, err = c.readPeeked(p)
	} else {
		n, err = c.tls.Read(p)
		for 0 < n && n < len(p) && err == nil && len(c.wire.early) > 0 {
			k, perr := c.probe(p[n:]) // the message's next record
			if n += k; perr != nil {
				break // it comes again, unless it says only that the record is not complete
			}
		}
	}
	c.wire.keep()
	c.rd.leave()
	if c.wire.queued.Load() {
		c.flushLater()
	}
	if err != nil {
		err = c.readError(err)
	}
	return n, err
}

func (c *Conn) readError(err error) error {
	switch {
	case err == io.EOF, err == io.ErrUnexpectedEOF:
		return err
	case c.closed.Load():
		return c.opError("read", net.ErrClosed)
	}
	return c.opError("read", explain(interrupted(err), c.client))
}

// maxPiece is how much of a message is encrypted before it is sent.
const maxPiece = 256 << 10

// Write implements io.Writer: it returns when all of p is with the system. The
// records of a message leave in one system call, if it is of at most 256 KiB and
// the socket takes it.
func (c *Conn) Write(p []byte) (int, error) {
	if !c.wire.ready.Load() {
		if err := c.Handshake(); err != nil {
			return 0, err
		}
	}
	if err := c.wr.enter(); err != nil {
		return 0, c.opError("write", err)
	}
	n, err := c.send(p)
	c.leaveWriter(err)
	if err != nil {
		err = c.writeError(err)
	}
	return n, err
}

// send is Write for the holder of wr.
func (c *Conn) send(p []byte) (n int, err error) {
	if at := c.wdl.Load(); at != 0 && time.Now().UnixNano() >= at {
		return 0, os.ErrDeadlineExceeded
	}
	// What an earlier Write left goes first: so there is never more than one piece.
	if c.wire.unsent() {
		if err := c.wire.drain(); err != nil {
			return 0, err
		}
	}
	for {
		k, err := c.tls.Write(p[n:min(len(p), n+maxPiece)])
		n += k
		if err != nil {
			return n, err
		}
		if err := c.wire.drain(); err != nil {
			return n, err
		}
		if n == len(p) {
			return n, nil
		}
	}
}

func (c *Conn) writeError(err error) error {
	if c.closed.Load() {
		err = net.ErrClosed
	}
	return c.opError("write", err)
}

// leaveWriter passes the writer's turn on after a drain that ended with err.
func (c *Conn) leaveWriter(err error) {
	c.wr.leave()
	switch {
	case err == nil:
		if c.wire.queued.Load() { // by a Read that saw the turn taken
			c.flushLater()
		}
	case isCancellation(err):
		c.flushLater()
	}
}

func isCancellation(err error) bool {
	var canceled *rondo.CanceledError
	return errors.As(err, &canceled)
}

// flush sends what is queued.
func (c *Conn) flush() error {
	if !c.wire.queued.Load() {
		return nil
	}
	if err := c.wr.enter(); err != nil {
		return err
	}
	err := c.wire.drain()
	c.leaveWriter(err)
	return err
}

// flushLater starts to send what is queued, unless somebody is sending.
func (c *Conn) flushLater() {
	if c.closed.Load() || !c.wr.tryEnter() {
		return // the holder of the turn sends it
	}
	if rondo.RunningLoop() == nil {
		go c.flushNow(context.Background())
		return
	}
	rondo.Spawn(context.Background(), c.flushNow, rondo.WithName("tls flush"))
}

// flushNow is the task of flushLater. Its error comes to light at the next write.
func (c *Conn) flushNow(context.Context) (struct{}, error) {
	if c.wire.drain() != nil {
		c.wr.leave()
	} else {
		c.leaveWriter(nil)
	}
	return struct{}{}, nil
}

// closeTimeout is how long Close tries to send the end.
const closeTimeout = 5 * time.Second

// Close sends the close_notify alert, unless a Write is in progress, and closes the
// connection. If the socket is full it parks for that, for at most five seconds.
// Calls in progress end with net.ErrClosed.
//
// Errors: net.ErrClosed if it is closed already; a [rondo.CanceledError] if the
// task is canceled meanwhile: the connection is closed nevertheless.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return c.opError("close", net.ErrClosed)
	}
	alert := c.wire.ready.Load() && c.wr.tryEnter()
	c.tls.Close()
	var err error
	if alert {
		c.wire.raw.SetWriteDeadline(time.Now().Add(closeTimeout))
		err = c.wire.drain()
	}
	cerr := c.wire.raw.Close()
	if alert {
		c.wr.leave()
	}
	if isCancellation(err) {
		return err
	}
	return cerr
}

// CloseWrite sends the close_notify alert: the peer's Read returns io.EOF. Reading
// goes on. It parks until the alert is with the system.
func (c *Conn) CloseWrite() error {
	if !c.wire.ready.Load() {
		if err := c.Handshake(); err != nil {
			return err
		}
	}
	if err := c.wr.enter(); err != nil {
		return c.opError("close", err)
	}
	err := c.wire.drain()
	if err == nil {
		if err = c.tls.CloseWrite(); err == nil {
			err = c.wire.drain()
		}
	}
	c.leaveWriter(err)
	if err != nil {
		err = c.writeError(err)
	}
	return err
}

// NetConn returns the connection below. What is read from it or written to it
// breaks the TLS connection.
func (c *Conn) NetConn() net.Conn { return c.wire.raw }

// ConnectionState describes the connection, once the handshake is done; before, it
// is the zero state.
func (c *Conn) ConnectionState() tls.ConnectionState {
	if !c.wire.ready.Load() {
		return tls.ConnectionState{}
	}
	return c.tls.ConnectionState()
}

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr { return c.wire.raw.LocalAddr() }

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return c.wire.raw.RemoteAddr() }

// String names the connection, for humans.
func (c *Conn) String() string {
	return fmt.Sprintf("TLS connection %v -> %v", c.LocalAddr(), c.RemoteAddr())
}

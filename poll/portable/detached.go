package portable

import (
	"io"
	"net"
	"os"
	"time"
)

// A detached connection is a user of a socket off the loop's thread: a [net.Conn] like
// any other. It offers no system descriptor, and no ReadFrom or WriteTo beside the
// buffers that it shares.
type detached struct {
	s *socket

	// Guarded by s.mu.
	closed     bool
	rend, wend time.Time // deadlines
}

// Read implements [net.Conn].
func (d *detached) Read(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	for {
		if err := d.stopped(&d.rend); err != nil {
			return 0, d.wrap("read", err)
		}
		n, err, ok := d.s.read(p)
		if ok {
			return n, d.wrap("read", err)
		}
		d.pause(&d.rend)
	}
}

// Write implements [net.Conn]. It returns when all is handed to the system, so that
// an error is this write's and not the next one's; or at the deadline, when it counts
// what will still be sent as written.
func (d *detached) Write(p []byte) (n int, err error) {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	for {
		if err := d.stopped(&d.wend); err != nil {
			if n == len(p) && n > 0 {
				return n, nil
			}
			return n, d.wrap("write", err)
		}
		if n == len(p) && !d.s.writing {
			return n - min(n, d.s.unsent), d.wrap("write", d.s.writeErr)
		}
		if n < len(p) {
			k, err, ok := d.s.write(p[n:])
			if err != nil {
				return n - min(n, d.s.unsent), d.wrap("write", err)
			}
			if ok {
				n += k
				continue
			}
		}
		d.pause(&d.wend)
	}
}

// stopped says whether the connection was closed or a deadline has passed. Called with
// s.mu held, as is pause.
func (d *detached) stopped(deadline *time.Time) error {
	if d.closed {
		return net.ErrClosed
	}
	if !deadline.IsZero() && !time.Now().Before(*deadline) {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// pause waits until the socket has changed or the deadline has passed.
func (d *detached) pause(deadline *time.Time) {
	changed := d.s.next()
	var timeout <-chan time.Time
	if !deadline.IsZero() {
		timer := time.NewTimer(time.Until(*deadline))
		defer timer.Stop()
		timeout = timer.C
	}
	d.s.mu.Unlock()
	defer d.s.mu.Lock()
	select {
	case <-changed:
	case <-timeout:
	}
}

func (d *detached) wrap(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	local, remote := d.LocalAddr(), d.RemoteAddr()
	oe := &net.OpError{Op: op, Source: local, Addr: remote, Err: err}
	if remote != nil {
		oe.Net = remote.Network()
	}
	return oe
}

// CloseRead and CloseWrite shut one side down, as those of [net.TCPConn].
func (d *detached) CloseRead() error {
	if d.gone() {
		return d.wrap("close", net.ErrClosed)
	}
	return d.wrap("close", d.s.closeRead())
}

// CloseWrite: see CloseRead.
func (d *detached) CloseWrite() error {
	if d.gone() {
		return d.wrap("close", net.ErrClosed)
	}
	return d.wrap("close", d.s.closeWrite())
}

func (d *detached) gone() bool {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	return d.closed
}

// Close implements [net.Conn].
func (d *detached) Close() error {
	d.s.mu.Lock()
	was := d.closed
	d.closed = true
	d.s.mu.Unlock()
	if was {
		return d.wrap("close", net.ErrClosed)
	}
	return d.wrap("close", d.s.release(false))
}

// LocalAddr implements [net.Conn].
func (d *detached) LocalAddr() net.Addr { return d.s.conn.LocalAddr() }

// RemoteAddr implements [net.Conn].
func (d *detached) RemoteAddr() net.Addr { return d.s.conn.RemoteAddr() }

// SetDeadline implements [net.Conn].
func (d *detached) SetDeadline(t time.Time) error { return d.setDeadline(t, &d.rend, &d.wend) }

// SetReadDeadline implements [net.Conn].
func (d *detached) SetReadDeadline(t time.Time) error { return d.setDeadline(t, &d.rend) }

// SetWriteDeadline implements [net.Conn].
func (d *detached) SetWriteDeadline(t time.Time) error { return d.setDeadline(t, &d.wend) }

func (d *detached) setDeadline(t time.Time, deadlines ...*time.Time) error {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	if d.closed {
		return d.wrap("set", net.ErrClosed)
	}
	for _, deadline := range deadlines {
		*deadline = t
	}
	d.s.change()
	return nil
}

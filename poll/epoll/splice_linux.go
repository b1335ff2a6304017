package epoll

import (
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/rondo-go/rondo/internal/sys"
	"github.com/rondo-go/rondo/poll"
)

const (
	// How large a pipe is asked for. A pipe has a place for each fragment of a packet,
	// of which many are not full.
	pipeSize = 1 << 20

	// How many pipes are kept that nobody uses.
	pipesKept = 8
)

// A conduit is a pipe between two sockets. It is filled only when it is empty, so
// that EAGAIN can only mean the socket, never the pipe.
type conduit struct {
	p        *Poller
	dst, src *endpoint
	r, w     int // the pipe's ends
	held     int
}

// Conduit implements [poll.Splicer], for sockets.
func (p *Poller) Conduit(dst, src poll.Endpoint) (poll.Conduit, error) {
	d, dok := dst.(*endpoint)
	s, sok := src.(*endpoint)
	if !dok || !sok || d.file || s.file || d == s {
		return nil, fmt.Errorf("splice: %w", poll.ErrUnsupported)
	}
	if n := len(p.pipes); n > 0 {
		c := p.pipes[n-1]
		p.pipes = p.pipes[:n-1]
		c.dst, c.src = d, s
		return c, nil
	}
	r, w, err := sys.Pipe(pipeSize)
	if err != nil {
		return nil, os.NewSyscallError("pipe2", err)
	}
	return &conduit{p: p, dst: d, src: s, r: r, w: w}, nil
}

// Fill implements [poll.Conduit]. A short count proves nothing: the pipe may be full.
func (c *conduit) Fill(op *poll.Op) (n int, err error, ok bool) {
	e := c.src
	if e.fd < 0 {
		return 0, net.ErrClosed, true
	}
	if e.bits&readable != 0 {
		n, errno := sys.Splice(int(e.fd), c.w, pipeSize)
		switch errno {
		case 0:
			e.settle(&e.reading)
			if n == 0 {
				return 0, io.EOF, true
			}
			c.held += n
			return n, nil, true
		case syscall.EAGAIN:
			e.bits &^= readable
		case syscall.EINVAL, syscall.ENOSYS, syscall.EOPNOTSUPP:
			e.settle(&e.reading)
			return 0, fmt.Errorf("splice: %w: %w", poll.ErrUnsupported, errno), true
		default:
			e.settle(&e.reading)
			return 0, os.NewSyscallError("splice", errno), true
		}
	}
	e.wait(&e.reading, op)
	return 0, nil, false
}

// Drain implements [poll.Conduit].
func (c *conduit) Drain(op *poll.Op) (n int, err error, ok bool) {
	e := c.dst
	if e.fd < 0 {
		return 0, net.ErrClosed, true
	}
	if e.bits&writable != 0 {
		n, errno := sys.Splice(c.r, int(e.fd), c.held)
		switch errno {
		case 0:
			e.settle(&e.writing)
			c.held -= n
			return n, nil, true
		case syscall.EAGAIN:
			e.bits &^= writable
		default:
			e.settle(&e.writing)
			return 0, os.NewSyscallError("splice", errno), true
		}
	}
	e.wait(&e.writing, op)
	return 0, nil, false
}

// Held implements [poll.Conduit].
func (c *conduit) Held() int { return c.held }

// Release implements [poll.Conduit]. An empty pipe is kept for the next.
func (c *conduit) Release() {
	p := c.p
	if c.held > 0 || len(p.pipes) == pipesKept || p.epfd < 0 {
		c.close()
		return
	}
	c.dst, c.src = nil, nil
	p.pipes = append(p.pipes, c)
}

func (c *conduit) close() {
	sys.Close(c.r)
	sys.Close(c.w)
}

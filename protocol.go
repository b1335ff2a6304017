package rondo

import (
	"context"

	"github.com/rondo-go/rondo/loop"
	"github.com/rondo-go/rondo/poll"
)

// A Protocol is told of what happens to a connection, in callbacks on the loop's
// thread. They must not park. It is the tier below tasks: an idle connection holds
// no coroutine and no buffer, and a message costs no switch. What wants
// straight-line code can be promoted to a task; see [Transport.Promote].
//
// It is asyncio's Protocol; see [BufferedProtocol] and [FlowProtocol] for what
// more a protocol may have.
type Protocol interface {
	// Connected is the first call.
	Connected(t *Transport)
	// Received gives bytes that came. P holds until the method returns.
	Received(p []byte)
	// Ended tells that the peer sends no more. True keeps the connection open
	// for writing; false closes it, once all is sent.
	Ended() (keep bool)
	// Lost is the last call. Err is nil after a Close, an Abort, or an Ended that
	// returned false.
	Lost(err error)
}

// A BufferedProtocol brings its own buffers: Received is not called then.
type BufferedProtocol interface {
	Protocol
	// Buffer returns where the next bytes are to go, at least one byte.
	Buffer() []byte
	// Filled tells that n bytes were put there.
	Filled(n int)
}

// A FlowProtocol is told when too much waits to be sent, and when no longer.
type FlowProtocol interface {
	Protocol
	PauseWriting()
	ResumeWriting()
}

// NewProtocolServer makes a server that has factory make a protocol for each
// connection.
func NewProtocolServer(factory func() Protocol, opts ...ServerOption) *Server {
	s := NewServer(nil, opts...)
	s.factory = factory
	return s
}

// DialProtocol connects as [Dial] does, and has p told of what happens then. It is
// asyncio's create_connection.
//
// Errors: those of [Dial].
func DialProtocol(ctx context.Context, network, address string, p Protocol) (*Transport, error) {
	c, err := Dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return NewTransport(c, p), nil
}

// NewTransport gives a connection to a protocol. Nobody else must read from it or
// write to it any more. P's first callback comes in the loop's next iteration. It
// is for the loop's thread.
func NewTransport(c *Conn, p Protocol) *Transport {
	t := &Transport{conn: c, protocol: p}
	t.step.InitCallback((*transportStep)(t))
	c.rest.transport = t
	c.rest.op.Owner = (*transportReader)(t)
	c.loop.k.Schedule(&t.step)
	return t
}

// A transportStep is a Transport as a callback: the next thing that its protocol is
// to be told.
type transportStep Transport

func (s *transportStep) Call() {
	t := (*Transport)(s)
	t.scheduled = false
	t.guarded(func() {
		switch {
		case !t.connected:
			t.connected = true
			t.protocol.Connected(t)
			if !t.lost {
				t.schedule()
			}
		case t.lost:
			t.tellLost()
		default:
			t.receive()
		}
	})
}

// guarded calls f. If that panics, the connection is aborted, and the panic goes on
// to the loop's exception handler.
func (t *Transport) guarded(f func()) {
	done := false
	defer func() {
		if !done {
			t.Abort()
		}
	}()
	f()
	done = true
}

// A transportReader is a Transport as the owner of its read.
type transportReader Transport

// Ready implements [poll.Owner].
func (r *transportReader) Ready(*poll.Op) {
	t := (*Transport)(r)
	t.conn.loop.k.Inflight(-1)
	t.reading = false
	t.schedule()
}

func (t *Transport) schedule() {
	if !t.scheduled {
		t.scheduled = true
		t.conn.loop.k.Schedule(&t.step)
	}
}

var _ loop.Call = (*transportStep)(nil)

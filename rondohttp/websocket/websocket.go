// Package websocket speaks WebSocket (RFC 6455), with compression (RFC 7692), on both sides: [Accept] for
// any [http.Handler], [AcceptNative] for the server's own face, [Dial] through a [rondohttp.Session].
//
//	func echo(w http.ResponseWriter, r *http.Request) {
//		c, err := websocket.Accept(w, r, nil)
//		if err != nil {
//			return // it has been answered
//		}
//		defer c.CloseNow()
//		for m, err := range c.Messages(r.Context()) {
//			if err != nil || c.Write(r.Context(), m.Type, m.Data) != nil {
//				return
//			}
//		}
//	}
//
// A connection may also be left to a callback, see [Conn.OnMessage]: it then holds no task
// while its peer is silent.
package websocket

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/gobwas/ws"
)

// A MessageType says what a message holds.
type MessageType uint8

// The types of messages. Those of type Text are valid UTF-8: what comes is checked, what is sent is the caller's affair.
const (
	Text   = MessageType(ws.OpText)
	Binary = MessageType(ws.OpBinary)
)

func (t MessageType) String() string {
	switch t {
	case Text:
		return "text"
	case Binary:
		return "binary"
	}
	return fmt.Sprintf("type %d", uint8(t))
}

// A Message is one message.
type Message struct {
	Type MessageType
	Data []byte
}

// A StatusCode says why a connection is closed (RFC 6455 section 7.4).
type StatusCode uint16

// The codes.
const (
	StatusNormal          StatusCode = 1000
	StatusGoingAway       StatusCode = 1001
	StatusProtocolError   StatusCode = 1002
	StatusUnsupportedData StatusCode = 1003
	StatusNone            StatusCode = 1005 // the peer has closed it without a code; it is not sent
	StatusAbnormal        StatusCode = 1006 // it broke off; it is not sent
	StatusInvalidData     StatusCode = 1007 // a text that is not UTF-8
	StatusPolicyViolation StatusCode = 1008
	StatusTooBig          StatusCode = 1009
	StatusExtension       StatusCode = 1010
	StatusInternalError   StatusCode = 1011
	StatusTryAgainLater   StatusCode = 1013
)

// A CloseError is what reading returns when the connection has been closed by the protocol.
type CloseError struct {
	Code   StatusCode
	Reason string
	Local  bool // this side closed it, the peer has only agreed, if at all
}

func (e *CloseError) Error() string {
	s := fmt.Sprintf("websocket: closed by the peer: %d", e.Code)
	if e.Local {
		s = fmt.Sprintf("websocket: closed: %d", e.Code)
	}
	if e.Reason != "" {
		s += " (" + e.Reason + ")"
	}
	return s
}

// Is makes it [net.ErrClosed] if this side has closed the connection.
func (e *CloseError) Is(target error) bool { return e.Local && target == net.ErrClosed }

// CloseStatus returns the code of the [CloseError] in err; [StatusAbnormal] if err is another one,
// and 0 if it is nil.
func CloseStatus(err error) StatusCode {
	var e *CloseError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e):
		return e.Code
	}
	return StatusAbnormal
}

// Errors.
var (
	// ErrHandshake: the handshake was refused, or is none.
	ErrHandshake = errors.New("websocket: handshake failed")
	// ErrPongTimeout: the peer has not answered a ping in time.
	ErrPongTimeout = errors.New("websocket: peer does not answer")
)

// Options are those of [Accept] and [Dial]. The zero value, and nil, mean the defaults.
type Options struct {
	// Subprotocols are those that the server speaks, the best first, or that the client offers.
	Subprotocols []string

	// Origins are the hosts, besides the server's own, whose pages may connect: as in "example.org", "example.org:8080" or
	// "*.example.org"; "*" is all. Requests without an Origin field do not come from a browser's page, and pass.
	Origins []string

	// Header is added to the client's request, or to the server's answer.
	Header http.Header

	// Compression is offered, or agreed to, if it is not nil.
	Compression *Compression

	// MessageLimit bounds a message that comes, decompressed, and FrameLimit a frame of one: beyond it the
	// connection is closed with StatusTooBig. Defaults: 1 MiB, and as much for a frame; negative: no bound.
	MessageLimit, FrameLimit int64

	// A peer that has been silent for PingInterval is sent a ping, and the connection is given up if nothing comes for PongTimeout. That
	// is watched while somebody reads, or the connection rests. Defaults: 30 s, 20 s; a negative PingInterval: never. It is
	// for connections of a loop.
	PingInterval, PongTimeout time.Duration

	// CloseTimeout is how long a peer may take to agree to a close. Default 5 s.
	CloseTimeout time.Duration
}

// Compression configures permessage-deflate.
type Compression struct {
	// Threshold is the length from which on messages are compressed. Default 512, with ContextTakeover 128.
	Threshold int

	// ContextTakeover keeps what was sent as context for what follows, which makes small messages that are
	// alike smaller. It costs each connection up to 4 KB for sending, and for receiving a window: 32 KB, or 1 << WindowBits.
	// Without it a connection keeps nothing between messages.
	ContextTakeover bool

	// WindowBits, 9 to 15, bounds the window that the peer is allowed, and that is used, to 1 << WindowBits bytes. Default 15.
	WindowBits int
}

// Settings are Options with the defaults put in.
type settings struct {
	client       bool
	messageLimit int64
	frameLimit   int64
	ping, pong   time.Duration
	closing      time.Duration
}

func (o *Options) settings(client bool) *settings {
	s := &settings{client, o.MessageLimit, o.FrameLimit, o.PingInterval, o.PongTimeout, o.CloseTimeout}
	bound := func(n *int64, usual int64) {
		if *n == 0 {
			*n = usual
		}
		if *n < 0 {
			*n = 1<<63 - 1
		}
	}
	bound(&s.messageLimit, 1<<20)
	bound(&s.frameLimit, s.messageLimit)
	usually := func(d *time.Duration, usual time.Duration) {
		if *d == 0 {
			*d = usual
		}
	}
	usually(&s.ping, 30*time.Second)
	usually(&s.pong, 20*time.Second)
	usually(&s.closing, 5*time.Second)
	return s
}

// Package http2core is what a client and a server of HTTP/2 (RFC 9113) share: reading frames, gathering those to be
// written into one write, flow control in both directions, and the peer's settings. Which streams there are and what
// they mean is theirs.
//
// All of it belongs to one loop's thread. What parks says so, and is for tasks.
//
// A connection has a [Reader] while something arrives, a [Writer], and an [Inflow]; each stream has a [Sender]
// and a [Receiver]. The connection's task calls [Reader.Next], and for each DATA frame [Receiver.Put], for
// each SETTINGS [Writer.Apply], for each WINDOW_UPDATE [Writer.AddWindow] or [Sender.AddWindow].
package http2core

import (
	"errors"

	"golang.org/x/net/http2"
)

// Preface is what a client sends first, RFC 9113 section 3.4; a SETTINGS frame follows.
const Preface = http2.ClientPreface

// Values of RFC 9113 that hold until settings say otherwise.
const (
	DefaultWindow     = 65535
	DefaultFrameSize  = 16384
	DefaultTableBytes = 4096
	maxWindow         = 1<<31 - 1
	frameHeader       = 9
)

// ErrFlowControl is that of a peer that sends more than a window allows, or makes a window too
// large. For a stream it is a stream error, for the connection a connection error (RFC 9113 section 6.9).
var ErrFlowControl = errors.New("http2: flow control window exceeded")

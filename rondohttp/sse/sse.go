// Package sse sends and receives server-sent events (WHATWG HTML, section 9.2): a [Stream] is a server's answer
// that goes on, [Events] ranges over what a server sends, over new connections where that is needed.
package sse

import "time"

// An Event is one event.
type Event struct {
	Type string // "" is "message"
	Data string // lines are separated by LF

	// ID is sent back by a client that connects anew, as Last-Event-ID. An event that is received has the ID of the last
	// one that had one. To be sent it must not hold CR, LF or NUL; "" is none.
	ID string

	// Retry, if positive, tells the client how long to wait before it connects anew. It counts in milliseconds.
	Retry time.Duration
}

package poll

import (
	"net"
	"syscall"
)

// A ControlFunc is called with a socket that has been made, before it is bound or
// connected. Network is tcp4, tcp6 or unix; address is literal. C serves just this
// call, and only its method Control. It may be called on any goroutine.
type ControlFunc func(network, address string, c syscall.RawConn) error

// ConnectOptions are what a connection is to have. The zero one is the default.
type ConnectOptions struct {
	Local     net.Addr             // to bind to; may be nil
	Control   ControlFunc          // or nil
	KeepAlive *net.KeepAliveConfig // of TCP; nil: on, as package net has it
}

// ListenOptions are what a listener is to have. The zero one is the default.
type ListenOptions struct {
	ReusePort bool                 // SO_REUSEPORT
	Backlog   int                  // 0: the most that the system allows; a hint
	Control   ControlFunc          // or nil
	KeepAlive *net.KeepAliveConfig // of the connections; see ConnectOptions
}

package rondotls

import (
	"context"
	"crypto/tls"
	"errors"

	"github.com/rondo-go/rondo"
)

// Upgrade makes a TLS connection of the connection of a stream, as its client, when both sides
// have agreed on that (STARTTLS). What was written to s is sent first; what s has
// read ahead goes into TLS. S must not be used any more, unless what was written
// could not be sent. It is asyncio's start_tls.
//
// Errors: those of [rondo.Stream.Flush] and of [Client].
func Upgrade(ctx context.Context, s *rondo.Stream, cfg *tls.Config, opts ...ConnOption) (*Conn, error) {
	opts, err := handOver(s, opts)
	if err != nil {
		return nil, err
	}
	return Client(ctx, s.Conn(), cfg, opts...)
}

// UpgradeServer is [Upgrade] for the server's side.
func UpgradeServer(ctx context.Context, s *rondo.Stream, cfg *tls.Config, opts ...ConnOption) (*Conn, error) {
	opts, err := handOver(s, opts)
	if err != nil {
		return nil, err
	}
	return Server(ctx, s.Conn(), cfg, opts...)
}

// errUnsent: the peer does not read what was written before TLS.
var errUnsent = errors.New("rondotls: upgrade of a stream with unsent bytes (write with water marks of 0, and Drain it first)")

// handOver empties s.
func handOver(s *rondo.Stream, opts []ConnOption) ([]ConnOption, error) {
	if err := s.Flush(); err != nil {
		return nil, err
	}
	if s.Buffered() > 0 {
		return nil, errUnsent
	}
	n := s.Unread()
	if n == 0 {
		return opts, nil
	}
	early, err := s.Peek(n)
	if err != nil {
		return nil, err
	}
	return append(opts[:len(opts):len(opts)], WithBuffered(early)), nil
}

package rondotls

import (
	"context"
	"crypto/tls"

	"github.com/rondo-go/rondo"
)

// Upgrade makes a TLS connection of the connection of a stream, as its client, when both sides
// have agreed on that (STARTTLS). What was written to s is sent first, for which it may
// park; what s has read ahead goes into TLS. S must not be used any more. It is
// asyncio's start_tls.
//
// Errors: those of [rondo.Stream.WaitFlushed] and of [Client].
func Upgrade(ctx context.Context, s *rondo.Stream, cfg *tls.Config, opts ...ConnOption) (*Conn, error) {
	opts, err := handOver(ctx, s, opts)
	if err != nil {
		return nil, err
	}
	return Client(ctx, s.Conn(), cfg, opts...)
}

// UpgradeServer is [Upgrade] for the server's side.
func UpgradeServer(ctx context.Context, s *rondo.Stream, cfg *tls.Config, opts ...ConnOption) (*Conn, error) {
	opts, err := handOver(ctx, s, opts)
	if err != nil {
		return nil, err
	}
	return Server(ctx, s.Conn(), cfg, opts...)
}

// handOver empties s.
func handOver(ctx context.Context, s *rondo.Stream, opts []ConnOption) ([]ConnOption, error) {
	if err := s.WaitFlushed(ctx); err != nil {
		return nil, err
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

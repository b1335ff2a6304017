package rondotls

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rondo-go/rondo"
)

// A Dialer makes TLS connections. The zero Dialer is that of [Dial].
type Dialer struct {
	// Dialer connects.
	Dialer rondo.Dialer
	// Config is the client's configuration. Nil: that of [ClientConfig]. Without a
	// ServerName, it is the host of the address.
	Config *tls.Config
	// HandshakeTimeout bounds the handshake. Zero: [HandshakeTimeout]. Negative: no bound
	// but the context's.
	HandshakeTimeout time.Duration
}

// Dial connects to address as [rondo.Dial] does, and does the handshake, parking
// the task meanwhile. If it fails or the task is canceled, nothing stays open.
//
// Errors: those of [rondo.Dial] and of [Client].
func Dial(ctx context.Context, network, address string, cfg *tls.Config) (*Conn, error) {
	return (&Dialer{Config: cfg}).Dial(ctx, network, address)
}

// Dial is described at the function [Dial].
func (d *Dialer) Dial(ctx context.Context, network, address string) (*Conn, error) {
	cfg, err := d.config(address)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	raw, err := d.Dialer.Dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return Client(ctx, raw, cfg, d.option())
}

func (d *Dialer) option() ConnOption {
	if d.HandshakeTimeout != 0 {
		return WithHandshakeTimeout(d.HandshakeTimeout)
	}
	return WithHandshakeTimeout(HandshakeTimeout)
}

// DialContext is [Dialer.Dial] with the result of net.Dialer's method, for
// libraries that can be given a dial function (DialTLSContext of http.Transport,
// say). On a goroutine off the loop, it connects with net.Dialer, which looks names
// up itself unless the Dialer's Resolver is one of package net's.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if rondo.RunningLoop() != nil {
		return result(d.Dial(ctx, network, address))
	}
	cfg, err := d.config(address)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	nd := net.Dialer{Timeout: d.Dialer.Timeout, LocalAddr: d.Dialer.LocalAddr}
	nd.Resolver, _ = d.Dialer.Resolver.(*net.Resolver)
	raw, err := nd.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return result(Client(ctx, raw, cfg, d.option()))
}

func result(c *Conn, err error) (net.Conn, error) {
	if err != nil {
		return nil, err
	}
	return c, nil
}

// config returns the configuration for address.
func (d *Dialer) config(address string) (*tls.Config, error) {
	cfg := d.Config
	if cfg == nil {
		cfg = defaultConfig
	}
	if cfg.ServerName != "" {
		return cfg, nil
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		if cfg.InsecureSkipVerify {
			return cfg, nil // a unix socket, say
		}
		return nil, err
	}
	cfg = cfg.Clone()
	cfg.ServerName = strings.TrimSuffix(host, ".")
	return cfg, nil
}

// defaultConfig is shared, and so is its cache of sessions.
var defaultConfig = &tls.Config{ClientSessionCache: tls.NewLRUClientSessionCache(0)}

var systemRootsLoaded atomic.Bool

// loadSystemRoots reads the system's roots, off the loop, which crypto/x509 would
// do in the first handshake.
func loadSystemRoots(ctx context.Context) error {
	if systemRootsLoaded.Load() || rondo.RunningLoop() == nil {
		return nil
	}
	// An error is no concern of ours: the verification will have it.
	if _, err := rondo.ToThread(ctx, func() (struct{}, error) {
		x509.SystemCertPool()
		return struct{}{}, nil
	}); err != nil {
		return err
	}
	systemRootsLoaded.Store(true)
	return nil
}

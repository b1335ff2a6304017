package rondotls

import (
	"context"
	"crypto/tls"
	"errors"
	"net"

	"github.com/rondo-go/rondo"
)

// A Listener accepts TLS connections. It is a net.Listener, on the loop and off
// it.
type Listener struct {
	net.Listener
	config *tls.Config
	opts   []ConnOption
}

// Listen listens as [rondo.Listen] does. Cfg must have a certificate.
func Listen(ctx context.Context, network, address string, cfg *tls.Config, opts ...ConnOption) (*Listener, error) {
	if err := servable(cfg); err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Err: err}
	}
	ln, err := rondo.Listen(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return NewListener(ln, cfg, opts...), nil
}

// NewListener makes a Listener of ln, which is a *[rondo.Listener], or off the
// loop any other. It is closed with it.
func NewListener(ln net.Listener, cfg *tls.Config, opts ...ConnOption) *Listener {
	return &Listener{ln, cfg, opts}
}

// Accept implements net.Listener. The connection is a *[Conn] that has not done
// its handshake: its first use does, in the task that uses it, so that a slow
// client keeps nobody else waiting. See [Conn.HandshakeContext].
func (l *Listener) Accept() (net.Conn, error) {
	raw, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return newConn(raw, l.config, false, l.opts), nil
}

var errNoCertificate = errors.New("rondotls: the configuration has no certificate (see ServerConfig and SelfSigned)")

// servable says whether a server can run with cfg.
func servable(cfg *tls.Config) error {
	if cfg == nil || len(cfg.Certificates) == 0 && cfg.GetCertificate == nil && cfg.GetConfigForClient == nil {
		return errNoCertificate
	}
	return nil
}

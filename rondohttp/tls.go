package rondohttp

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
)

// newTLS returns the configuration that https connections have in common, made of one that was given, or nil. It
// offers what p has, HTTP/1.1 if that is nothing.
func newTLS(given *tls.Config, p http.Protocols) *tls.Config {
	c := new(tls.Config)
	if given != nil {
		c = given.Clone()
	}
	c.NextProtos = nil
	if p.HTTP2() {
		c.NextProtos = append(c.NextProtos, "h2")
	}
	if p.HTTP1() || !p.HTTP2() {
		c.NextProtos = append(c.NextProtos, "http/1.1")
	}
	if c.ClientSessionCache == nil {
		c.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	}
	return c
}

// tlsBase returns the configuration made of own, or else that of the session.
func (s *Session) tlsBase(own *tls.Config) *tls.Config {
	if own != nil {
		return newTLS(own, s.protocols)
	}
	if s.tlsCommon == nil {
		s.tlsCommon = newTLS(s.config.tls, s.protocols)
	}
	return s.tlsCommon
}

// tlsFor returns the configuration for h.
func (s *Session) tlsFor(h *host) *tls.Config {
	if h.tls == nil {
		h.tls = s.tlsBase(h.key.config)
		if h.tls.ServerName == "" {
			h.tls = h.tls.Clone()
			h.tls.ServerName = strings.TrimSuffix(hostname(h.header), ".")
		}
		if h.key.upgrade { // from HTTP/1.1
			h.tls = h.tls.Clone()
			h.tls.NextProtos = []string{"http/1.1"}
		}
	}
	return h.tls
}

// refusesOffer reports whether err is a server's answer to an offer (ALPN) of which it speaks nothing. The type of
// crypto/tls for alerts that came is not exported.
func refusesOffer(err error) bool {
	const noApplicationProtocol tls.AlertError = 120
	for op := (*net.OpError)(nil); errors.As(err, &op); err = op.Err {
		if op.Op == "remote error" && op.Err.Error() == noApplicationProtocol.Error() {
			return true
		}
	}
	return false
}

func isTLSError(err error) bool {
	var alert tls.AlertError
	var record tls.RecordHeaderError
	var cert *tls.CertificateVerificationError
	return errors.As(err, &alert) || errors.As(err, &record) || errors.As(err, &cert)
}

// explainTLS adds the remedy of this package where that of rondotls is its own.
func explainTLS(err error) error {
	var unknown x509.UnknownAuthorityError
	if errors.As(err, &unknown) {
		return fmt.Errorf("%w: pass its root with --cacert or WithTLS", unknown)
	}
	return err
}

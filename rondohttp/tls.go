package rondohttp

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
)

// baseTLS returns what the session's https connections have in common.
func baseTLS(given *tls.Config) *tls.Config {
	c := given
	if c == nil {
		c = new(tls.Config)
	}
	c.NextProtos = []string{"http/1.1"}
	if c.ClientSessionCache == nil {
		c.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	}
	return c
}

// tlsFor returns the configuration for h.
func (h *host) tlsFor(base *tls.Config) *tls.Config {
	if h.tls == nil {
		h.tls = base.Clone()
		if h.tls.ServerName == "" {
			h.tls.ServerName = strings.TrimSuffix(hostname(h.header), ".")
		}
	}
	return h.tls
}

func isTLSError(err error) bool {
	var alert tls.AlertError
	var record tls.RecordHeaderError
	var cert *tls.CertificateVerificationError
	return errors.As(err, &alert) || errors.As(err, &record) || errors.As(err, &cert)
}

// explainTLS adds the remedy to errors of a handshake that have one.
func explainTLS(err error) error {
	var unknown x509.UnknownAuthorityError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("%w: pass its root with --cacert or WithTLS", err)
	case errors.As(err, &record) && strings.HasPrefix(string(record.RecordHeader[:]), "HTTP"):
		return fmt.Errorf("%w: the server answers in plain HTTP here: ask it with http://", err)
	}
	return err
}

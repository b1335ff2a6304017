package rondotls

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// A pin is the SHA-256 digest of a certificate, or of its public key
// (SubjectPublicKeyInfo, RFC 7469).
type pin [sha256.Size]byte

func parsePin(s string) (p pin, err error) {
	var digest []byte
	switch {
	case strings.HasPrefix(s, "sha256//"):
		digest, err = base64.StdEncoding.DecodeString(s[len("sha256//"):])
	case strings.HasPrefix(s, "sha256:"):
		digest, err = hex.DecodeString(strings.ReplaceAll(s[len("sha256:"):], ":", ""))
	default:
		return p, fmt.Errorf("pin %q: it must begin with sha256: or sha256//", s)
	}
	if err != nil {
		return p, fmt.Errorf("pin %q: %w", s, err)
	}
	if len(digest) != len(p) {
		return p, fmt.Errorf("pin %q: %d bytes, not %d", s, len(digest), len(p))
	}
	return pin(digest), nil
}

// A PinError says that the server's certificate is none of those that were
// expected.
type PinError struct {
	Certificate [sha256.Size]byte // digest of what the server has shown
	PublicKey   [sha256.Size]byte
	Subject     string
}

func (e *PinError) Error() string {
	return fmt.Sprintf("the certificate of %s is none of the pinned ones: its digest is sha256:%x, that of its key sha256//%s",
		e.Subject, e.Certificate, base64.StdEncoding.EncodeToString(e.PublicKey[:]))
}

func verifyPins(pins []pin) func(tls.ConnectionState) error {
	return func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 {
			return &PinError{Subject: "the peer"}
		}
		leaf := s.PeerCertificates[0]
		e := &PinError{sha256.Sum256(leaf.Raw), sha256.Sum256(leaf.RawSubjectPublicKeyInfo), subject(leaf)}
		if slices.Contains(pins, pin(e.Certificate)) || slices.Contains(pins, pin(e.PublicKey)) {
			return nil
		}
		return e
	}
}

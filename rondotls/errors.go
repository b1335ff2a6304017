package rondotls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"syscall"
	"time"
)

// An explained error says in words what is wrong, and what can be done.
type explained struct {
	message string
	err     error
}

func (e *explained) Error() string { return e.message }
func (e *explained) Unwrap() error { return e.err }

// A lateHandshake is a handshake that took too long.
type lateHandshake struct {
	limit time.Duration
	err   error
}

func (e *lateHandshake) Error() string { return fmt.Sprintf("no TLS handshake within %v", e.limit) }
func (e *lateHandshake) Timeout() bool { return true }

// Temporary is net.Error's.
func (e *lateHandshake) Temporary() bool { return true }
func (e *lateHandshake) Unwrap() error   { return e.err }

// Alerts (RFC 8446, section 6, and RFC 5246, section 7.2).
const (
	alertHandshakeFailure      = 40
	alertBadCertificate        = 42
	alertUnsupportedCert       = 43
	alertCertificateRevoked    = 44
	alertCertificateExpired    = 45
	alertCertificateUnknown    = 46
	alertUnknownCA             = 48
	alertProtocolVersion       = 70
	alertUnrecognizedName      = 112
	alertCertificateRequired   = 116
	alertNoApplicationProtocol = 120
)

// Explain says in words what is wrong with the peer, and what can be done, if
// err, from crypto/tls or net/http, is about TLS. Else it returns err. What it
// returns wraps err.
func Explain(err error) error { return explain(err, true) }

// explain is Explain for the client's or the server's side.
func explain(err error, client bool) error {
	say := func(format string, args ...any) error { return &explained{fmt.Sprintf(format, args...), err} }
	if err == nil {
		return nil
	}
	var done *explained
	if errors.As(err, &done) {
		return err
	}
	var invalid x509.CertificateInvalidError
	var host x509.HostnameError
	var unknown x509.UnknownAuthorityError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &record):
		return plain(say, record.RecordHeader, client)
	case errors.As(err, &host):
		return say("the certificate is not for %s but for %s: connect by one of these names, or set ServerName to it", host.Host, names(host.Certificate))
	case errors.As(err, &unknown):
		return say("the certificate of %s was issued by %s, which is not among the trusted roots: if you trust it, add its certificate with WithRootsFile", subject(unknown.Cert), issuer(unknown.Cert))
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return say("%s", validity(invalid.Cert, time.Now()))
	case errors.As(err, &invalid):
		return say("the certificate of %s cannot be used: %v", subject(invalid.Cert), err)
	}
	if alert, ok := remoteAlert(err); ok {
		if words := alertWords(alert, client); words != "" {
			return say("%s (%v)", words, err)
		}
		return err
	}
	switch {
	case err == io.EOF, errors.Is(err, io.ErrUnexpectedEOF):
		return &explained{"the peer closed the connection during the handshake: does it speak TLS on this port?", io.ErrUnexpectedEOF}
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return say("the peer broke the connection off: %v", err)
	}
	return err
}

// plain is the error for a peer that speaks something else.
func plain(say func(string, ...any) error, header [5]byte, client bool) error {
	switch head := string(header[:]); {
	case client && strings.HasPrefix(head, "HTTP"):
		return say("the peer does not speak TLS on this port: it answers in plain HTTP, so ask it with http://")
	case client:
		return say("the peer does not speak TLS on this port: it begins with %q", head)
	case isMethod(head):
		return say("the client does not speak TLS but plain HTTP: it must ask with https://")
	}
	return say("the client does not speak TLS: it begins with %q", header[:])
}

// isMethod says whether a request of plain HTTP begins with head.
func isMethod(head string) bool {
	for _, m := range []string{"GET /", "HEAD ", "POST ", "PUT /", "PATCH", "DELET", "OPTIO", "CONNE", "TRACE", "PRI *"} {
		if head == m {
			return true
		}
	}
	return false
}

// remoteAlert returns the alert that the peer has sent. Crypto/tls wraps it in a
// *net.OpError and does not export its type, which is a number.
func remoteAlert(err error) (int, bool) {
	var oe *net.OpError
	for errors.As(err, &oe) {
		if v := reflect.ValueOf(oe.Err); v.Kind() == reflect.Uint8 {
			return int(v.Uint()), true
		}
		err = oe.Err
	}
	return 0, false
}

func alertWords(alert int, client bool) string {
	switch alert {
	case alertCertificateRequired:
		return "the peer requires a client certificate: give one with WithCertificate"
	case alertBadCertificate, alertUnsupportedCert, alertCertificateRevoked, alertCertificateExpired, alertCertificateUnknown:
		if client {
			return "the peer did not accept the client certificate, or misses one: give another with WithCertificate"
		}
		return "the client did not accept the certificate"
	case alertUnknownCA:
		if client {
			return "the peer does not know who issued the client certificate: it must trust that authority"
		}
		return "the client does not know who issued the certificate: it must trust that authority"
	case alertProtocolVersion:
		return "the peer speaks none of the TLS versions offered: see WithMinVersion"
	case alertUnrecognizedName:
		return "the peer serves no such name: check ServerName"
	case alertNoApplicationProtocol:
		return "the peer speaks none of the application protocols offered: see WithALPN"
	case alertHandshakeFailure:
		if client {
			return "the peer finds no common ground: it may want a client certificate (WithCertificate), another version or cipher suite"
		}
		return "the client finds no common ground in versions or cipher suites"
	}
	return ""
}

func subject(c *x509.Certificate) string {
	switch {
	case c == nil:
		return "the peer"
	case len(c.DNSNames) > 0:
		return c.DNSNames[0]
	case c.Subject.CommonName != "":
		return c.Subject.CommonName
	}
	return "the peer"
}

func issuer(c *x509.Certificate) string {
	switch {
	case c == nil:
		return "somebody"
	case c.Subject.String() == c.Issuer.String() && len(c.Subject.Names) > 0:
		return fmt.Sprintf("itself (%v)", c.Issuer)
	}
	return fmt.Sprintf("%q", c.Issuer.String())
}

// names lists what a certificate is for, not too long.
func names(c *x509.Certificate) string {
	const most = 10
	var all []string
	if c != nil {
		all = append(all, c.DNSNames...)
		for _, ip := range c.IPAddresses {
			if a, ok := netip.AddrFromSlice(ip); ok {
				all = append(all, a.Unmap().String())
			}
		}
	}
	switch {
	case len(all) == 0:
		return "no host at all"
	case len(all) > most:
		return fmt.Sprintf("%s and %d more", strings.Join(all[:most], ", "), len(all)-most)
	}
	return strings.Join(all, ", ")
}

func validity(c *x509.Certificate, now time.Time) string {
	if c == nil {
		return "the certificate has expired or is not yet valid"
	}
	if now.Before(c.NotBefore) {
		return fmt.Sprintf("the certificate of %s is not valid before %s: check this machine's clock, which shows %s",
			subject(c), c.NotBefore.UTC().Format(time.DateTime), now.UTC().Format(time.DateTime))
	}
	return fmt.Sprintf("the certificate of %s expired on %s, %s ago: its owner must renew it (or this machine's clock is wrong)",
		subject(c), c.NotAfter.UTC().Format(time.DateTime), ago(now.Sub(c.NotAfter)))
}

func ago(d time.Duration) string {
	if d >= 48*time.Hour {
		return fmt.Sprintf("%d days", int(d.Hours()/24))
	}
	return d.Round(time.Second).String()
}

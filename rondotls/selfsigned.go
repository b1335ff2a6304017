package rondotls

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// A DevCertificate is a certificate for development and tests, issued by an
// authority of its own.
type DevCertificate struct {
	CertPEM     []byte          // the certificate, and the authority's behind it
	KeyPEM      []byte          // its key, PKCS #8
	CAPEM       []byte          // the authority's certificate, for clients
	Certificate tls.Certificate // for servers, as [WithKeyPair] takes it
	Roots       *x509.CertPool  // the authority, for clients, as [WithRoots] takes it
}

// SelfSigned makes a certificate for hosts, which are names (*.example.test too) or IP
// addresses; without any, for localhost, 127.0.0.1 and ::1. It is valid for 397 days
// from an hour ago, for servers and for clients, with ECDSA P-256 keys. The
// authority's key is not kept: it can issue nothing else.
func SelfSigned(hosts ...string) (*DevCertificate, error) {
	if len(hosts) == 0 {
		hosts = []string{"localhost", "127.0.0.1", "::1"}
	}
	d, err := selfSigned(hosts, time.Now().Add(-time.Hour), 397*24*time.Hour)
	if err != nil {
		return nil, fmt.Errorf("rondotls: self-signed certificate: %w", err)
	}
	return d, nil
}

func selfSigned(hosts []string, from time.Time, valid time.Duration) (*DevCertificate, error) {
	ca := &x509.Certificate{
		// Authorities are told apart by their names.
		Subject:               pkix.Name{Organization: []string{"Rondo"}, CommonName: "development authority for " + hosts[0], SerialNumber: rand.Text()[:8]},
		NotBefore:             from,
		NotAfter:              from.Add(valid),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		Subject:     pkix.Name{Organization: []string{"Rondo"}, CommonName: hosts[0]},
		NotBefore:   from,
		NotAfter:    from.Add(valid),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, h := range hosts {
		switch ip := net.ParseIP(h); {
		case h == "":
			return nil, errors.New("an empty host")
		case ip != nil:
			leaf.IPAddresses = append(leaf.IPAddresses, ip)
		default:
			leaf.DNSNames = append(leaf.DNSNames, h)
		}
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	caDER, err := issue(ca, ca, &caKey.PublicKey, caKey)
	if err != nil {
		return nil, err
	}
	if ca, err = x509.ParseCertificate(caDER); err != nil {
		return nil, err
	}
	leafDER, err := issue(leaf, ca, &key.PublicKey, caKey)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	d := &DevCertificate{
		CAPEM:  pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER}),
		KeyPEM: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
		Roots:  x509.NewCertPool(),
	}
	d.CertPEM = append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leafDER}), d.CAPEM...)
	d.Roots.AddCert(ca)
	d.Certificate, err = tls.X509KeyPair(d.CertPEM, d.KeyPEM)
	return d, err
}

// issue makes a certificate with a serial number of its own.
func issue(c, parent *x509.Certificate, public *ecdsa.PublicKey, by *ecdsa.PrivateKey) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	c.SerialNumber = serial
	return x509.CreateCertificate(rand.Reader, c, parent, public, by)
}

// WriteFiles writes cert.pem, key.pem (readable by its owner only) and ca.pem to
// a directory, which it makes if need be.
func (d *DevCertificate) WriteFiles(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		data []byte
		mode os.FileMode
	}{{"cert.pem", d.CertPEM, 0o644}, {"key.pem", d.KeyPEM, 0o600}, {"ca.pem", d.CAPEM, 0o644}} {
		if err := os.WriteFile(filepath.Join(dir, f.name), f.data, f.mode); err != nil {
			return err
		}
	}
	return nil
}

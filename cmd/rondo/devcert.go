package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/rondo-go/rondo/rondotls"
)

// suites are those of TLS 1.2 that encrypt with authentication: all browsers of the last ten years know one. Those of
// TLS 1.3 are not chosen here.
var suites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// loadCertificate makes the configuration of x. What the two sides speak is the server's affair.
func (x *site) loadCertificate(cert, key string) (err error) {
	if x.tls, err = rondotls.ServerConfig(cert, key); err != nil {
		return err
	}
	x.tls.CipherSuites = suites
	return nil
}

// certify gives x its certificate: the user's own, or ours.
func (x *site) certify() error {
	if x.cert != "" {
		return x.loadCertificate(x.cert, x.key)
	}
	dir, err := certDir()
	if err != nil {
		return err
	}
	host, _, _ := net.SplitHostPort(x.addr)
	made, err := keepCertificate(dir, devHosts(host), time.Now())
	if err != nil {
		return fmt.Errorf("certificate for development: %w", err)
	}
	x.ca = filepath.Join(dir, "ca.pem")
	if made {
		fmt.Fprintf(x.s.err, "rondo serve: made a certificate for development in %s\n", dir)
	}
	return x.loadCertificate(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
}

// certDir is where our certificate is kept.
func certDir() (string, error) {
	config, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("there is no place to keep a certificate in: %w; give one with --cert and --key", err)
	}
	return filepath.Join(config, "rondo", "serve"), nil
}

// devHosts are the hosts that our certificate is for, and host if that is another.
func devHosts(host string) []string {
	all := []string{"localhost", "127.0.0.1", "::1"}
	if name, err := os.Hostname(); err == nil && name != "" && !slices.Contains(all, name) {
		all = append(all, name)
	}
	if ip := net.ParseIP(host); host != "" && (ip == nil || !ip.IsUnspecified()) && !slices.Contains(all, host) {
		all = append(all, host)
	}
	return all
}

// renewBefore is how long before its end a certificate is replaced.
const renewBefore = 7 * 24 * time.Hour

// keepCertificate makes a certificate for hosts in dir, unless there is one. That of earlier runs is replaced
// when its time is nearly over, or a host is missing, and stays good for the hosts that it had.
func keepCertificate(dir string, hosts []string, now time.Time) (made bool, err error) {
	old, err := readCertificate(dir)
	if err == nil && now.Before(old.NotAfter.Add(-renewBefore)) {
		missing := false
		for _, h := range hosts {
			missing = missing || old.VerifyHostname(h) != nil
		}
		if !missing {
			return false, nil
		}
	}
	if err == nil {
		for _, ip := range old.IPAddresses {
			hosts = append(hosts, ip.String())
		}
		hosts = append(hosts, old.DNSNames...)
		slices.Sort(hosts[3:]) // localhost stays first: the certificate is named after it
		hosts = slices.Compact(hosts)
	}
	cert, err := rondotls.SelfSigned(hosts...)
	if err != nil {
		return false, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return false, err
	}
	return true, cert.WriteFiles(dir)
}

// readCertificate reads what keepCertificate made.
func readCertificate(dir string) (*x509.Certificate, error) {
	if _, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(dir, "cert.pem"))
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("no certificate in it")
	}
	return x509.ParseCertificate(block.Bytes)
}

// tellTrust says how to make programs trust our certificate.
func (x *site) tellTrust(w io.Writer, url string) {
	fmt.Fprintf(w, "The certificate is issued by %s, which no program trusts until it is told to:\n", x.ca)
	fmt.Fprintf(w, "  curl --cacert %s %s\n", x.ca, url)
	switch runtime.GOOS {
	case "darwin":
		fmt.Fprintf(w, "  security add-trusted-cert -k ~/Library/Keychains/login.keychain-db %s\n", x.ca)
	case "windows":
		fmt.Fprintf(w, "  certutil -user -addstore Root %s\n", x.ca)
	default:
		fmt.Fprintf(w, "  sudo cp %s /usr/local/share/ca-certificates/rondo.crt && sudo update-ca-certificates   # this machine\n", x.ca)
		fmt.Fprintf(w, "  certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n rondo -i %s                              # Chromium\n", x.ca)
	}
}

package rondotls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// An Option is an option of [ClientConfig] and [ServerConfig].
type Option func(*settings) error

type settings struct {
	cfg     tls.Config
	client  bool
	roots   *x509.CertPool
	pins    []pin
	certs   []certSource
	unsafe  bool
	noCache bool
}

var (
	errClientOnly = errors.New("it is an option of ClientConfig only")
)

// WithRootsFile trusts the certificates in a PEM file, or in the files of a
// directory, in place of the system's. Given several times, all of them. For a
// server, they are the authorities of its clients' certificates, which it
// then requires.
func WithRootsFile(path string) Option {
	return func(s *settings) error {
		if s.roots == nil {
			s.roots = x509.NewCertPool()
		}
		if err := addRoots(s.roots, path); err != nil {
			return fmt.Errorf("roots %s: %w", path, err)
		}
		return nil
	}
}

// WithRoots is [WithRootsFile] with certificates in memory, such as those of
// package mozilla. It replaces what was given before it.
func WithRoots(pool *x509.CertPool) Option {
	return func(s *settings) error {
		if pool == nil {
			return errors.New("WithRoots(nil)")
		}
		s.roots = pool.Clone()
		return nil
	}
}

// WithCertificate gives a certificate, with those of its issuers behind it, and
// its key, in PEM files. They are read anew when they change. A server may have
// several, and shows each client the first that is for the name which it asks for, or
// else the first; a client shows the first that the server accepts.
func WithCertificate(certFile, keyFile string) Option {
	return func(s *settings) error {
		f, err := openCertFiles(certFile, keyFile)
		if err != nil {
			return err
		}
		s.certs = append(s.certs, f)
		return nil
	}
}

// WithKeyPair is [WithCertificate] with a certificate in memory.
func WithKeyPair(c tls.Certificate) Option {
	return func(s *settings) error {
		s.certs = append(s.certs, fixedCert{&c})
		return nil
	}
}

// WithPin accepts only a server whose certificate, or whose public key, has one
// of the given SHA-256 digests: "sha256:" and 64 hexadecimal digits, as
// `openssl x509 -fingerprint -sha256` prints them, or "sha256//" and base64, as
// curl takes them. Nothing else is verified then, unless roots are given too.
func WithPin(digests ...string) Option {
	return func(s *settings) error {
		if !s.client {
			return fmt.Errorf("WithPin: %w", errClientOnly)
		}
		for _, d := range digests {
			p, err := parsePin(d)
			if err != nil {
				return err
			}
			s.pins = append(s.pins, p)
		}
		return nil
	}
}

// WithInsecureSkipVerify accepts any certificate: whoever is in between can read and
// change everything. [WithPin] and [WithRootsFile] are better, also for tests.
func WithInsecureSkipVerify() Option {
	return func(s *settings) error {
		if !s.client {
			return fmt.Errorf("WithInsecureSkipVerify: %w", errClientOnly)
		}
		s.unsafe = true
		return nil
	}
}

// WithServerName sets the name that a client asks for and that the server's
// certificate must have, in place of the host of the address.
func WithServerName(name string) Option {
	return func(s *settings) error {
		if !s.client {
			return fmt.Errorf("WithServerName: %w", errClientOnly)
		}
		s.cfg.ServerName = name
		return nil
	}
}

// WithALPN offers application protocols (RFC 7301), the preferred one first.
func WithALPN(protocols ...string) Option {
	return func(s *settings) error {
		s.cfg.NextProtos = protocols
		return nil
	}
}

// WithMinVersion sets the oldest version of TLS that is spoken, such as
// tls.VersionTLS13. Without it, it is TLS 1.2.
func WithMinVersion(v uint16) Option {
	return func(s *settings) error {
		s.cfg.MinVersion = v
		return nil
	}
}

// WithoutResumption makes every handshake a full one. Otherwise a client resumes
// its last 64 sessions, one a server, and a server hands out tickets.
func WithoutResumption() Option {
	return func(s *settings) error {
		s.noCache = true
		return nil
	}
}

// ClientConfig returns a configuration for [Dial] and [Client], which verifies
// the server by the system's roots unless options say otherwise. It can be shared
// and should be, because of its sessions. It reads files: call it off the loop, or at the start.
func ClientConfig(opts ...Option) (*tls.Config, error) {
	s := &settings{client: true}
	if err := s.apply(opts); err != nil {
		return nil, fmt.Errorf("rondotls: client configuration: %w", err)
	}
	s.cfg.RootCAs = s.roots
	if !s.noCache {
		s.cfg.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	}
	switch {
	case s.unsafe && (len(s.pins) > 0 || s.roots != nil):
		return nil, errors.New("rondotls: client configuration: WithInsecureSkipVerify together with roots or pins")
	case s.unsafe:
		s.cfg.InsecureSkipVerify = true
	case len(s.pins) > 0:
		s.cfg.InsecureSkipVerify = s.roots == nil
		s.cfg.VerifyConnection = verifyPins(s.pins)
	}
	if len(s.certs) > 0 {
		s.cfg.GetClientCertificate = certificates(s.certs).forServer
	}
	return &s.cfg, nil
}

// ServerConfig returns a configuration for [Listen] and [Server] with the
// certificate in certFile (PEM, issuers behind it) and its key in keyFile, which are read
// anew when they change. Both may be "" if options give a certificate. It reads
// files: call it off the loop, or at the start.
func ServerConfig(certFile, keyFile string, opts ...Option) (*tls.Config, error) {
	s := &settings{}
	if certFile != "" || keyFile != "" {
		opts = append([]Option{WithCertificate(certFile, keyFile)}, opts...)
	}
	if err := s.apply(opts); err != nil {
		return nil, fmt.Errorf("rondotls: server configuration: %w", err)
	}
	if len(s.certs) == 0 {
		return nil, errNoCertificate
	}
	s.cfg.GetCertificate = certificates(s.certs).forClient
	s.cfg.SessionTicketsDisabled = s.noCache
	if s.roots != nil {
		s.cfg.ClientCAs, s.cfg.ClientAuth = s.roots, tls.RequireAndVerifyClientCert
	}
	return &s.cfg, nil
}

func (s *settings) apply(opts []Option) error {
	s.cfg.MinVersion = tls.VersionTLS12
	for _, o := range opts {
		if err := o(s); err != nil {
			return err
		}
	}
	return nil
}

// addRoots adds the certificates of a file, or of a directory's files.
func addRoots(pool *x509.CertPool, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	files := []string{path}
	if info.IsDir() {
		entries, err := os.ReadDir(path)
		if err != nil {
			return err
		}
		files = files[:0]
		for _, e := range entries {
			if f := filepath.Join(path, e.Name()); isFile(f) {
				files = append(files, f)
			}
		}
	}
	found := false
	for _, f := range files {
		pem, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		found = pool.AppendCertsFromPEM(pem) || found
	}
	if !found {
		return errors.New("no PEM certificate in it")
	}
	return nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

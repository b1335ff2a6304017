package rondotls

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rondo-go/rondo"
)

// state makes a connection and returns the client's state, once both sides agree.
func state(t *testing.T, client, server *tls.Config) (state tls.ConnectionState, err error) {
	t.Helper()
	run(t, func(ctx context.Context) error {
		ln, err2 := Listen(ctx, "tcp", "127.0.0.1:0", server)
		if err2 != nil {
			return err2
		}
		defer ln.Close()
		rondo.Spawn(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, echo(ctx, ln) })
		var c *Conn
		if c, err = Dial(ctx, "tcp", ln.Addr().String(), client); err != nil {
			return nil
		}
		defer c.Close()
		state = c.ConnectionState()
		io.WriteString(c, "x")
		_, err = c.Read(make([]byte, 1))
		return nil
	})
	return state, err
}

func mustState(t *testing.T, client, server *tls.Config) tls.ConnectionState {
	t.Helper()
	s, err := state(t, client, server)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustSelfSign(t *testing.T, hosts ...string) *DevCertificate {
	t.Helper()
	d, err := SelfSigned(hosts...)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestConfigTrustsRootsFile(t *testing.T) {
	dir := t.TempDir()
	if err := dev().WriteFiles(dir); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(dir, "key.pem")); err != nil || info.Mode().Perm()&0o077 != 0 && os.PathSeparator == '/' {
		t.Errorf("the key's mode: %v, %v", info.Mode(), err)
	}
	server, err := ServerConfig(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := filepath.Join(dir, "roots")
	os.Mkdir(roots, 0o755)
	os.WriteFile(filepath.Join(roots, "readme"), []byte("no certificate"), 0o644)
	os.WriteFile(filepath.Join(roots, "ca.pem"), dev().CAPEM, 0o644)
	for _, path := range []string{filepath.Join(dir, "ca.pem"), roots} {
		client, err := ClientConfig(WithRootsFile(path))
		if err != nil {
			t.Fatal(err)
		}
		mustState(t, client, server) // by the address 127.0.0.1
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "key.pem"): "no PEM certificate",
		filepath.Join(dir, "none"):    "none",
	} {
		if _, err := ClientConfig(WithRootsFile(path)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := ServerConfig(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "none.pem")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing key: %v", err)
	}
	if _, err := ServerConfig("", ""); err == nil {
		t.Error("a server without a certificate")
	}
}

func TestConfigPins(t *testing.T) {
	leaf := dev().Certificate.Leaf
	cert, key := sha256.Sum256(leaf.Raw), sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	colons := strings.ToUpper(hex.EncodeToString(cert[:]))
	for i := len(colons) - 2; i > 0; i -= 2 {
		colons = colons[:i] + ":" + colons[i:]
	}
	for _, p := range []string{
		"sha256:" + hex.EncodeToString(cert[:]), "sha256:" + colons,
		"sha256//" + base64.StdEncoding.EncodeToString(key[:]),
	} {
		client, err := ClientConfig(WithPin("sha256:"+strings.Repeat("11", 32), p))
		if err != nil {
			t.Fatal(err)
		}
		server := serverConfig(t)
		mustState(t, client, server)
		if s := mustState(t, client, server); !s.DidResume {
			t.Error("not resumed: pins are not checked on resumed sessions here")
		}
	}
	// With roots, both must agree.
	client, err := ClientConfig(WithPin("sha256:"+hex.EncodeToString(cert[:])), WithRoots(mustSelfSign(t).Roots))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := state(t, client, serverConfig(t)); !errors.As(err, new(x509.UnknownAuthorityError)) {
		t.Errorf("pinned, but issued by a stranger: %v", err)
	}
	if _, err := ClientConfig(WithPin("md5:00")); err == nil {
		t.Error("an md5 pin")
	}
}

func TestConfigSkipsVerificationByNameOnly(t *testing.T) {
	client, err := ClientConfig(WithInsecureSkipVerify())
	if err != nil {
		t.Fatal(err)
	}
	mustState(t, client, serverConfig(t))
	if _, err := ClientConfig(WithInsecureSkipVerify(), WithRoots(dev().Roots)); err == nil {
		t.Error("roots that are not looked at")
	}
	if _, err := state(t, nil, serverConfig(t)); !errors.As(err, new(x509.UnknownAuthorityError)) {
		t.Errorf("with the system's roots: %v", err)
	}
	for _, o := range []Option{WithInsecureSkipVerify(), WithPin("sha256:" + strings.Repeat("11", 32)), WithServerName("x")} {
		if _, err := ServerConfig("", "", WithKeyPair(dev().Certificate), o); !errors.Is(err, errClientOnly) {
			t.Errorf("a client's option for a server: %v", err)
		}
	}
}

func TestConfigPicksCertificateByName(t *testing.T) {
	a, b := mustSelfSign(t, "a.test"), mustSelfSign(t, "*.b.test")
	server := serverConfig(t, WithKeyPair(a.Certificate), WithKeyPair(b.Certificate))
	for name, want := range map[string]string{"a.test": "a.test", "x.b.test": "*.b.test", "localhost": "localhost", "unknown.test": "localhost"} {
		client, err := ClientConfig(WithInsecureSkipVerify(), WithServerName(name))
		if err != nil {
			t.Fatal(err)
		}
		s := mustState(t, client, server)
		if got := s.PeerCertificates[0].DNSNames[0]; got != want {
			t.Errorf("%s gets the certificate of %s", name, got)
		}
	}
}

func TestConfigAsksForClientCertificates(t *testing.T) {
	server := serverConfig(t, WithRoots(dev().Roots))
	mustState(t, clientConfig(t, WithKeyPair(dev().Certificate)), server)
	// Of two, the one that the server accepts.
	mustState(t, clientConfig(t, WithKeyPair(mustSelfSign(t).Certificate), WithKeyPair(dev().Certificate)), server)
	if _, err := state(t, clientConfig(t), server); err == nil || !strings.Contains(err.Error(), "client certificate") {
		t.Errorf("without one: %v", err)
	}
}

func TestConfigALPNAndVersion(t *testing.T) {
	s := mustState(t, clientConfig(t, WithALPN("h2", "http/1.1")), serverConfig(t, WithALPN("http/1.1")))
	if s.NegotiatedProtocol != "http/1.1" {
		t.Errorf("protocol %q", s.NegotiatedProtocol)
	}
	server := serverConfig(t)
	server.MaxVersion = tls.VersionTLS12
	if s := mustState(t, clientConfig(t), server); s.Version != tls.VersionTLS12 {
		t.Errorf("version %x", s.Version)
	}
	if _, err := state(t, clientConfig(t, WithMinVersion(tls.VersionTLS13)), server); err == nil {
		t.Error("1.2 in spite of WithMinVersion")
	}
}

func TestConfigReloadsCertificates(t *testing.T) {
	dir := t.TempDir()
	if err := mustSelfSign(t, "old.test").WriteFiles(dir); err != nil {
		t.Fatal(err)
	}
	server, err := ServerConfig(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), WithoutResumption())
	if err != nil {
		t.Fatal(err)
	}
	client, err := ClientConfig(WithInsecureSkipVerify(), WithoutResumption())
	if err != nil {
		t.Fatal(err)
	}
	source, err := openCertFiles(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	check := func() string {
		source.check()
		return source.current().Leaf.DNSNames[0]
	}
	fresh := mustSelfSign(t, "new.test")
	// Half of the change is no change.
	os.WriteFile(filepath.Join(dir, "cert.pem"), fresh.CertPEM, 0o644)
	if got := check(); got != "old.test" {
		t.Errorf("with half of the files replaced: %s", got)
	}
	os.WriteFile(filepath.Join(dir, "key.pem"), fresh.KeyPEM, 0o600)
	if got := check(); got != "new.test" {
		t.Errorf("with the files replaced: %s", got)
	}
	// And the server notices by itself. Real time: it looks once a second.
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if mustState(t, client, server).PeerCertificates[0].DNSNames[0] == "new.test" {
			return
		}
		if time.Now().After(end) {
			t.Fatal("the server keeps the old certificate")
		}
	}
}

func TestSelfSignedDefaultsToLocalhost(t *testing.T) {
	d := mustSelfSign(t)
	for _, host := range []string{"localhost", "127.0.0.1", "::1"} {
		if _, err := d.Certificate.Leaf.Verify(x509.VerifyOptions{Roots: d.Roots, DNSName: host}); err != nil {
			t.Error(err)
		}
	}
	if _, err := SelfSigned(""); err == nil {
		t.Error("an empty host")
	}
}

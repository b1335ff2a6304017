//go:build linux

package integration

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// site is nginx with the corpus.
type site struct {
	http, https string // begin URLs
	root        string // certificate, for --cacert
	docs        []document
}

// startSite runs nginx with the configuration of the published figures. It inherits its sockets, listening: so no
// port is guessed, and nobody waits until it answers.
func startSite(t *testing.T) *site {
	t.Helper()
	nginx := needs(t, "nginx")
	dir := t.TempDir()
	files := filepath.Join(dir, "files")
	if err := os.Mkdir(files, 0o755); err != nil {
		t.Fatal(err)
	}
	s := &site{docs: writeCorpus(t, files), root: filepath.Join(dir, "root.pem")}
	writeCertificate(t, s.root, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))

	var ports []string
	cmd := exec.Command(nginx, "-e", filepath.Join(dir, "error.log"), "-p", dir, "-c", filepath.Join(dir, "nginx.conf"))
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		f, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
		_, port, _ := net.SplitHostPort(l.Addr().String())
		ports = append(ports, port)
	}
	s.http, s.https = "http://127.0.0.1:"+ports[0], "https://127.0.0.1:"+ports[1]

	conf, err := os.ReadFile("../bench/origin/nginx.conf.in")
	if err != nil {
		t.Fatal(err)
	}
	user := ""
	if os.Getuid() == 0 {
		user = "user root;"
	}
	// In the foreground it is our child, and ends with us.
	text := strings.NewReplacer("@USER@", user, "@PREFIX@", dir, "@DATA@", files, "@HTTP@", ports[0], "@HTTPS@", ports[1],
		"daemon on;", "daemon off;").Replace(string(conf))
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	var says bytes.Buffer
	cmd.Stderr = &says
	cmd.Env = append(os.Environ(), "NGINX=3;4;") // descriptors of inherited sockets
	startServer(t, cmd)
	t.Cleanup(func() {
		if log, _ := os.ReadFile(filepath.Join(dir, "error.log")); t.Failed() {
			t.Logf("nginx: %s%s", says.Bytes(), log)
		}
	})
	for _, f := range cmd.ExtraFiles {
		// exec has made them blocking, and nginx takes inherited sockets as they are.
		if err := syscall.SetNonblock(int(f.Fd()), true); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// writeCertificate makes a private root and a certificate for this host by it.
func writeCertificate(t *testing.T, rootFile, certFile, keyFile string) {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	write := func(name, kind string, der []byte) {
		check(os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	}
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a private root"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: root.NotBefore, NotAfter: root.NotAfter, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, root, root, &rootKey.PublicKey, rootKey)
	check(err)
	write(rootFile, "CERTIFICATE", der)
	der, err = x509.CreateCertificate(rand.Reader, leaf, root, &key.PublicKey, rootKey)
	check(err)
	write(certFile, "CERTIFICATE", der)
	der, err = x509.MarshalPKCS8PrivateKey(key)
	check(err)
	write(keyFile, "PRIVATE KEY", der)
}

// hostile is a running bench/origin/hostile.
type hostile struct {
	a, b, tls, deaf string // host:port
	client          http.Client
}

// startHostile starts one for the test alone, so that its counters are the test's own.
func startHostile(t *testing.T) *hostile {
	t.Helper()
	cmd := exec.Command(program(t, "hostile", "../bench", "./origin/hostile"),
		"-a", "127.0.0.1:0", "-b", "127.0.0.1:0", "-tls", "127.0.0.1:0", "-deaf", "127.0.0.1:0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	startServer(t, cmd)
	line, err := bufio.NewReader(out).ReadString('\n')
	f := strings.Fields(line)
	if err != nil || len(f) != 5 || f[0] != "ready" {
		t.Fatalf("hostile origin says %q: %v", line, err)
	}
	h := &hostile{a: f[1], b: f[2], tls: f[3], deaf: f[4]}
	h.client.Transport = new(http.Transport)
	t.Cleanup(h.client.CloseIdleConnections)
	return h
}

// get asks for what is not counted, over the one connection that this takes.
func (h *hostile) get(t *testing.T, path string) []byte {
	t.Helper()
	resp, err := h.client.Get("http://" + h.a + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(resp.Status, err)
	}
	return body
}

// root writes the certificate of the TLS listener to a file, for --cacert.
func (h *hostile) root(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "hostile.pem")
	if err := os.WriteFile(name, h.get(t, "/cert"), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// seen is what the origin has counted.
type seen struct {
	All            atOnce            `json:"all"`
	Paths          map[string]atOnce `json:"paths"`
	Hosts          map[string]atOnce `json:"hosts"`
	Status         map[string]int    `json:"status"`
	ConnectionsMax int               `json:"connections_max"` // our own included
	ConnectionsNow int               `json:"connections_now"` // likewise
}

type atOnce struct {
	Count int `json:"count"`
	Max   int `json:"max"`
}

// stats returns the counters since the last reset.
func (h *hostile) stats(t *testing.T) (s seen) {
	t.Helper()
	if err := json.Unmarshal(h.get(t, "/stats"), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// fresh sets the origin's counters to zero once it has seen the end of every
// connection of before: it learns of that a moment after the client is gone.
func (h *hostile) fresh(t *testing.T) {
	t.Helper()
	for range 1000 {
		if h.stats(t).ConnectionsNow <= 1 {
			h.get(t, "/stats/reset")
			return
		}
		time.Sleep(5 * time.Millisecond) // the origin's time, which is real
	}
	t.Fatal("the origin still has connections of before")
}

// closedPort returns the address of a port where nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	// Bound without listening, the port is nobody else's and refuses connections.
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	addr, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return "127.0.0.1:" + strconv.Itoa(addr.(*syscall.SockaddrInet4).Port)
}

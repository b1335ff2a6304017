//go:build linux

package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Postgres starts a PostgreSQL server with TLS on, which trusts user postgres on 127.0.0.1 without a password, and has
// a user scram with password secret. Its certificate, for 127.0.0.1, is root.pem in its folder. Settings are further
// "name=value".
func Postgres(settings ...string) (s *Server, err error) {
	initdb, err := find("initdb", "/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return nil, err
	}
	dir, err := newDir("postgres")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
			s = nil
		}
	}()
	s = &Server{Dir: dir, name: "postgres", quit: syscall.SIGINT} // the fast shutdown
	data := filepath.Join(dir, "data")
	if err := run(dir, initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"); err != nil {
		return s, err
	}
	hba := "local all all trust\nhost all scram 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n"
	if err := os.WriteFile(filepath.Join(data, "pg_hba.conf"), []byte(hba), 0o644); err != nil {
		return s, err
	}
	if err := writeCertificate(filepath.Join(dir, "root.pem"), filepath.Join(data, "server.key")); err != nil {
		return s, err
	}
	port, err := freePort()
	if err != nil {
		return s, err
	}
	s.Addr = "127.0.0.1:" + port
	if err := s.RestartPostgres(settings...); err != nil {
		return s, err
	}
	return s, s.Exec("CREATE ROLE scram LOGIN PASSWORD 'secret'")
}

// RestartPostgres starts a server that was killed or stopped again, with its data and on the same port.
func (s *Server) RestartPostgres(settings ...string) error {
	path, err := find("postgres", "/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		return err
	}
	args := []string{"-D", filepath.Join(s.Dir, "data"), "-p", port}
	for _, set := range append([]string{
		"listen_addresses=127.0.0.1", "unix_socket_directories=" + s.Dir, "max_connections=300", "fsync=off",
		"synchronous_commit=off", "full_page_writes=off", "ssl=on", "ssl_cert_file=" + filepath.Join(s.Dir, "root.pem"),
	}, settings...) {
		args = append(args, "-c", set)
	}
	return s.launch(path, args, func(ctx context.Context) error {
		c, err := pgx.Connect(ctx, s.PostgresURL())
		if err == nil {
			err = c.Close(ctx)
		}
		return err
	})
}

// PostgresURL names the database postgres, for the user postgres, without TLS.
func (s *Server) PostgresURL() string { return s.postgresURL("postgres") }

func (s *Server) postgresURL(database string) string {
	return fmt.Sprintf("postgres://postgres@%s/%s?sslmode=disable", s.Addr, database)
}

// Exec has a PostgreSQL server execute statements, in the database postgres.
func (s *Server) Exec(sql string) error { return s.ExecIn("postgres", sql) }

// ExecIn is [Server.Exec] in a database.
func (s *Server) ExecIn(database, sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := pgx.Connect(ctx, s.postgresURL(database))
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	_, err = c.PgConn().Exec(ctx, sql).ReadAll()
	return err
}

// writeCertificate makes a certificate for 127.0.0.1, signed by itself.
func writeCertificate(certFile, keyFile string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "127.0.0.1"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	cert, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	who, err := owner()
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name, kind string
		der        []byte
	}{{certFile, "CERTIFICATE", cert}, {keyFile, "PRIVATE KEY", private}} {
		if err := os.WriteFile(f.name, pem.EncodeToMemory(&pem.Block{Type: f.kind, Bytes: f.der}), 0o600); err != nil {
			return err
		}
		if who != nil {
			if err := os.Chown(f.name, int(who.Uid), int(who.Gid)); err != nil {
				return err
			}
		}
	}
	return nil
}

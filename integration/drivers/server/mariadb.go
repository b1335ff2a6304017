//go:build linux

package server

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"syscall"

	_ "github.com/go-sql-driver/mysql" // the driver "mysql"
)

// MariaDB starts a MariaDB server. Its user root has no password.
func MariaDB() (s *Server, err error) {
	install, err := find("mariadb-install-db")
	if err != nil {
		return nil, err
	}
	path, err := find("mariadbd", "/usr/sbin/mariadbd")
	if err != nil {
		return nil, err
	}
	dir, err := newDir("mariadb")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
			s = nil
		}
	}()
	s = &Server{Dir: dir, name: "mariadb", quit: syscall.SIGTERM}
	data := filepath.Join(dir, "data")
	if err := run(dir, install, "--no-defaults", "--datadir="+data, "--auth-root-authentication-method=normal",
		"--skip-test-db", "--innodb-flush-log-at-trx-commit=0"); err != nil {
		return s, err
	}
	port, err := freePort()
	if err != nil {
		return s, err
	}
	s.Addr = net.JoinHostPort("127.0.0.1", port)
	return s, s.launch(path, []string{
		"--no-defaults", "--datadir=" + data, "--socket=" + filepath.Join(dir, "s"), "--pid-file=" + filepath.Join(dir, "pid"),
		"--port=" + port, "--bind-address=127.0.0.1", "--skip-log-bin", "--innodb-flush-log-at-trx-commit=0",
		"--innodb-fast-shutdown=2", "--max-connections=400", "--back-log=400",
	}, func(ctx context.Context) error {
		db, err := sql.Open("mysql", s.MySQLDSN("tcp"))
		if err != nil {
			return err
		}
		defer db.Close()
		return db.PingContext(ctx)
	})
}

// MySQLDSN names the database mysql, for the user root, over a network that the driver knows.
func (s *Server) MySQLDSN(network string) string {
	return fmt.Sprintf("root@%s(%s)/mysql", network, s.Addr)
}

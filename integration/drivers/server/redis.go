//go:build linux

package server

import (
	"context"
	"net"
	"os"
	"syscall"
)

// Redis starts a redis-server or a valkey-server that keeps nothing. Args are further arguments.
func Redis(args ...string) (s *Server, err error) {
	if _, err := findRedis(); err != nil {
		return nil, err
	}
	dir, err := newDir("redis")
	if err != nil {
		return nil, err
	}
	s = &Server{Dir: dir, name: "redis", quit: syscall.SIGTERM}
	defer func() {
		if err != nil {
			os.RemoveAll(dir)
		}
	}()
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s.Addr = "127.0.0.1:" + port
	return s, s.RestartRedis(args...)
}

// RestartRedis starts a server that was killed or stopped again, empty, on the same port.
func (s *Server) RestartRedis(args ...string) error {
	path, err := findRedis()
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		return err
	}
	args = append([]string{"--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", s.Dir,
		"--maxclients", "2000"}, args...)
	return s.launch(path, args, func(ctx context.Context) error {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", s.Addr)
		if err == nil {
			c.Close()
		}
		return err
	})
}

func findRedis() (string, error) {
	path, err := find("redis-server")
	if err != nil {
		path, err = find("valkey-server")
	}
	return path, err
}

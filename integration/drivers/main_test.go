//go:build linux

// Package drivers holds tests of real database clients over Rondo's connections, against real servers that the tests
// start. It is a module of its own so that nobody who uses Rondo gets to see the clients.
package drivers

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/integration/drivers/server"
)

// shared holds the servers that all tests use. Tests that kill theirs start their own.
var shared struct {
	postgres, mariadb, redis onceServer
}

type onceServer struct {
	once sync.Once
	s    *server.Server
	err  error
}

func TestMain(m *testing.M) {
	// Under the race detector a program sleeps a second in its exit, unless it is told not to.
	os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	status := m.Run()
	for _, o := range []*onceServer{&shared.postgres, &shared.mariadb, &shared.redis} {
		if o.s != nil {
			o.s.Close()
		}
	}
	os.Exit(status)
}

func (o *onceServer) get(t testing.TB, start func() (*server.Server, error)) *server.Server {
	t.Helper()
	o.once.Do(func() { o.s, o.err = start() })
	return started(t, o.s, o.err)
}

// started skips the test if the server is not installed, and under CI fails it.
func started(t testing.TB, s *server.Server, err error) *server.Server {
	t.Helper()
	switch {
	case err == nil:
		return s
	case errors.Is(err, server.ErrMissing) && os.Getenv("CI") != "true":
		t.Skipf("%v: install it to run this test", err)
	}
	t.Fatal(err)
	return nil
}

func postgres(t testing.TB) *server.Server {
	t.Helper()
	return shared.postgres.get(t, func() (*server.Server, error) { return server.Postgres() })
}

func mariadb(t testing.TB) *server.Server {
	t.Helper()
	return shared.mariadb.get(t, server.MariaDB)
}

func redisServer(t testing.TB) *server.Server {
	t.Helper()
	return shared.redis.get(t, func() (*server.Server, error) { return server.Redis() })
}

// onLoop runs main as a task on a new loop.
func onLoop(t testing.TB, main func(ctx context.Context) error) {
	t.Helper()
	if err := rondo.Run(main, rondo.WithoutSignals()); err != nil {
		t.Fatal(err)
	}
}

// eachOf runs fn as n tasks, and returns the first error.
func eachOf(ctx context.Context, n int, fn func(ctx context.Context, i int) error) error {
	return rondo.WithGroup(ctx, func(g *rondo.Group) error {
		for i := range n {
			g.Go(func(ctx context.Context) error { return fn(ctx, i) })
		}
		return nil
	})
}

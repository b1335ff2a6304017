package rondo

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A server that runs out of descriptors says so, pauses, and goes on.
func TestServerOutOfDescriptors(t *testing.T) {
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	defer slog.SetDefault(before)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	setLimit := func(n uint64) {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: n, Max: limit.Max}); err != nil {
			t.Fatal(err)
		}
	}
	defer setLimit(limit.Cur)
	h := func(ctx context.Context, c *Conn) error {
		_, err := io.Copy(c, c)
		return err
	}
	err := Run(func(ctx context.Context) error {
		ln, err := Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		const clients = 10
		var conns []*Conn
		for range clients { // they wait in the backlog
			c, err := Dial(ctx, "tcp", ln.Addr().String())
			if err != nil {
				return err
			}
			defer c.Close()
			conns = append(conns, c)
		}
		setLimit(nextDescriptor(t) + 4)
		s := NewServer(h)
		server := Spawn(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, s.Serve(ctx, ln) })
		if err := Sleep(ctx, 20*time.Millisecond); err != nil { // real: it is to fail several times
			return err
		}
		if n := s.Connections(); n >= clients {
			return fmt.Errorf("%d connections, though there were no descriptors for them", n)
		}
		setLimit(limit.Cur)
		for i, c := range conns {
			if _, err := io.WriteString(c, "x"); err != nil {
				return err
			}
			if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
				return fmt.Errorf("connection %d: %w", i, err)
			}
		}
		server.Cancel("")
		server.Await(ctx)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(log.String(), "cannot accept for now"); n != 1 {
		t.Errorf("said %d times:\n%s", n, log.String())
	}
}

// nextDescriptor returns the number of the next descriptor, when there are no gaps
// below it any more.
func nextDescriptor(t *testing.T) uint64 {
	highest := uint64(0)
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		var n uint64
		fmt.Sscan(name.Name(), &n)
		highest = max(highest, n)
	}
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		if n := uint64(f.Fd()); n > highest {
			f.Close()
			return n
		}
		t.Cleanup(func() { f.Close() })
	}
}

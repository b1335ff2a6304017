package rondohttp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"
)

// deaf returns an address where connecting hangs: the queue of connections that nobody accepts is full,
// and the kernel drops what else would join it (listen(2), tcp_abort_on_overflow off).
func deaf(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	sa, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", sa.(*syscall.SockaddrInet4).Port)
	for range 8 {
		c, err := net.DialTimeout("tcp", addr, short)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Skip("the kernel takes more connections than the queue holds")
	return ""
}

func TestTimeoutConnect(t *testing.T) {
	url := "http://" + deaf(t)
	for kind, timeouts := range map[Kind]Timeouts{
		KindTimeoutConnect: {Connect: short, Queue: long, Total: long}, KindTimeoutTotal: {Connect: long, Total: short},
	} {
		before := descriptors(t)
		run(t, func(ctx context.Context, s *Session) {
			if _, err := s.Get(ctx, url); kindOf(err) != kind || !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("kind %q, want %q: %v", kindOf(err), kind, err)
			}
			if s.pool.open != 0 || len(s.pool.hosts) != 0 {
				t.Errorf("%d connections and %d hosts left", s.pool.open, len(s.pool.hosts))
			}
		}, WithTimeouts(timeouts))
		waitFor(t, func() bool { return descriptors(t) <= before }) // the portable backend closes its socket in a goroutine
	}
}

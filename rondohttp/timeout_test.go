package rondohttp

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rondo-go/rondo"
)

// The clocks are real here: they are the connection's deadlines, and the server is another goroutine.
const short, long = 40 * time.Millisecond, 20 * time.Second

func TestTimeoutKinds(t *testing.T) {
	hang := serveRaw(t, silent)
	stall := serveRaw(t, func(c *net.TCPConn, _ int) {
		answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")(c, 0)
		silent(c, 0)
	})
	drip := serveRaw(t, func(c *net.TCPConn, _ int) {
		answer("HTTP/1.1 200 OK\r\n\r\n")(c, 0)
		for {
			if _, err := io.WriteString(c, "x"); err != nil {
				return
			}
			time.Sleep(short / 10)
		}
	})
	all := Timeouts{Queue: long, Connect: long, TLS: long, FirstByte: long, Read: long, Total: long}
	for name, c := range map[string]struct {
		url  string
		set  func(*Timeouts)
		kind Kind
		text string
	}{
		"tls":           {strings.Replace(hang, "http", "https", 1), func(t *Timeouts) { t.TLS = short }, KindTimeoutTLS, "no TLS handshake within 40ms"},
		"first byte":    {hang, func(t *Timeouts) { t.FirstByte = short }, KindTimeoutFirstByte, "no answer within 40ms"},
		"read":          {stall, func(t *Timeouts) { t.Read = short }, KindTimeoutRead, "nothing moved within 40ms"},
		"total, hang":   {hang, func(t *Timeouts) { t.Total = short }, KindTimeoutTotal, "not done within 40ms"},
		"total, drip":   {drip, func(t *Timeouts) { t.Total = short }, KindTimeoutTotal, "not done within 40ms"},
		"total, in tls": {strings.Replace(hang, "http", "https", 1), func(t *Timeouts) { t.Total = short }, KindTimeoutTotal, "not done within 40ms"},
	} {
		t.Run(name, func(t *testing.T) {
			timeouts := all
			c.set(&timeouts)
			run(t, func(ctx context.Context, s *Session) {
				start := time.Now()
				_, err := fetch(ctx, s, &Request{URL: c.url})
				var ne net.Error
				if kindOf(err) != c.kind || !strings.Contains(err.Error(), c.text) || !errors.Is(err, os.ErrDeadlineExceeded) ||
					!errors.As(err, &ne) || !ne.Timeout() {
					t.Errorf("kind %q: %v", kindOf(err), err)
				}
				if d := time.Since(start); d < short || d > long/2 {
					t.Errorf("after %v", d)
				}
				if s.pool.open != 0 {
					t.Errorf("%d connections left", s.pool.open)
				}
			}, WithTimeouts(timeouts))
		})
	}
}

func TestTimeoutQueueWhenTheLimitIsTaken(t *testing.T) {
	for _, limit := range []Option{WithLimit(1), WithPerHost(1)} {
		url := serveRaw(t, func(c *net.TCPConn, _ int) {
			br := bufio.NewReader(c)
			for readRequest(br) != nil {
				io.WriteString(c, ok("hello"))
			}
		})
		run(t, func(ctx context.Context, s *Session) {
			held, err := s.Get(ctx, url)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Get(ctx, url); kindOf(err) != KindTimeoutQueue || !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("with the limit taken: %v", err)
			}
			held.Bytes(ctx)
			if _, b := get(t, ctx, s, url); b != "hello" {
				t.Errorf("with the limit free: %q", b)
			}
		}, limit, WithTimeouts(Timeouts{Queue: short}))
	}
}

func TestTimeoutClocksDoNotCountEachOther(t *testing.T) {
	// Each phase takes most of its own time; together they take more than any.
	const d = 200 * time.Millisecond
	url := serveRaw(t, func(c *net.TCPConn, _ int) {
		readRequest(bufio.NewReader(c))
		time.Sleep(d / 2)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n")
		for range 3 {
			time.Sleep(d / 2)
			io.WriteString(c, "x")
		}
	})
	run(t, func(ctx context.Context, s *Session) {
		if _, b := get(t, ctx, s, url); b != "xxx" {
			t.Errorf("%q", b)
		}
	}, WithTimeouts(Timeouts{Connect: d, FirstByte: d, Read: d}))
}

func TestTimeoutOfTheContextCounts(t *testing.T) {
	hang := serveRaw(t, silent)
	run(t, func(ctx context.Context, s *Session) {
		ctx, cancel := context.WithTimeout(ctx, short)
		defer cancel()
		if _, err := s.Get(ctx, hang); !errors.Is(err, context.DeadlineExceeded) || kindOf(err) != KindTimeoutTotal {
			t.Errorf("%v", err)
		}
	})
}

// A request that waits for its host's turn does not time out for it.
func TestTimeoutTotalStartsAfterTheQueue(t *testing.T) {
	const each, total = 150 * time.Millisecond, 500 * time.Millisecond
	url := serveRaw(t, func(c *net.TCPConn, _ int) {
		time.Sleep(each) // the server's time, which is real
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx")
	})
	run(t, func(ctx context.Context, s *Session) {
		err := rondo.WithGroup(ctx, func(g *rondo.Group) error {
			for range 5 { // the last waits for 600 ms
				g.Go(func(ctx context.Context) error {
					r, err := s.Get(ctx, url)
					if err != nil {
						return err
					}
					_, err = r.Bytes(ctx)
					return err
				})
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}, WithPerHost(1), WithTimeouts(Timeouts{Total: total}))
}

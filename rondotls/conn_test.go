package rondotls

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rondo-go/rondo"
)

func TestConnReadKeepsBytesWhenCanceled(t *testing.T) {
	withPair(t, func(ctx context.Context, c, s *Conn) error {
		for i := range 50 {
			reader := rondo.Spawn(ctx, func(context.Context) (int, error) { return s.Read(make([]byte, 10)) })
			if err := rondo.Sleep(ctx, 0); err != nil {
				return err
			}
			reader.Cancel("")
			if _, err := reader.Await(ctx); !errors.Is(err, context.Canceled) {
				return fmt.Errorf("canceled read: %v", err)
			}
			want := fmt.Sprint("message ", i)
			if _, err := io.WriteString(c, want); err != nil {
				return err
			}
			got := make([]byte, len(want))
			if _, err := io.ReadFull(s, got); err != nil || string(got) != want {
				return fmt.Errorf("got %q, %v", got, err)
			}
		}
		return nil
	})
}

func TestConnWriteStaysUsableWhenCanceled(t *testing.T) {
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	withPair(t, func(ctx context.Context, c, s *Conn) error {
		var taken int
		writer := rondo.Spawn(ctx, func(context.Context) (struct{}, error) {
			var err error
			taken, err = c.Write(big)
			return struct{}{}, err
		})
		for c.wire.sending == nil {
			if err := rondo.Sleep(ctx, 0); err != nil {
				return err
			}
		}
		rondo.Sleep(ctx, 10*time.Millisecond) // until the socket is full, or nearly
		writer.Cancel("")
		if _, err := writer.Await(ctx); !errors.Is(err, context.Canceled) {
			return fmt.Errorf("canceled write: %v", err)
		}
		if taken == 0 || taken >= len(big) {
			return fmt.Errorf("%d of %d bytes were taken: nothing was tested", taken, len(big))
		}
		// The records are sent though nobody writes any more.
		got := make([]byte, taken)
		if _, err := io.ReadFull(s, got); err != nil || !bytes.Equal(got, big[:taken]) {
			return fmt.Errorf("what was taken does not arrive: %v", err)
		}
		if _, err := io.WriteString(c, "and on"); err != nil {
			return err
		}
		got = make([]byte, 6)
		if _, err := io.ReadFull(s, got); err != nil || string(got) != "and on" {
			return fmt.Errorf("got %q, %v", got, err)
		}
		return nil
	})
}

func TestConnWriteStaysUsableAfterItsDeadline(t *testing.T) {
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	withPair(t, func(ctx context.Context, c, s *Conn) error {
		c.SetWriteDeadline(time.Now().Add(20 * time.Millisecond)) // the peer does not read
		n, err := c.Write(big)
		if !errors.Is(err, os.ErrDeadlineExceeded) || n == 0 || n >= len(big) {
			return fmt.Errorf("late write: %d, %v", n, err)
		}
		if n, err := c.Write(big[:1]); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("write after the deadline: %d, %v", n, err)
		}
		c.SetWriteDeadline(time.Time{})
		rest := rondo.Spawn(ctx, func(context.Context) (struct{}, error) {
			if _, err := c.Write(big[n:]); err != nil {
				return struct{}{}, err
			}
			return struct{}{}, c.CloseWrite()
		})
		got, err := io.ReadAll(s)
		if err != nil || !bytes.Equal(got, big) {
			return fmt.Errorf("got %d bytes, %v", len(got), err)
		}
		_, err = rest.Await(ctx)
		return err
	})
}

// A countedConn counts system calls.
type countedConn struct {
	net.Conn
	writes atomic.Int64
}

func (c *countedConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

func TestConnSendsAMessageInOneWrite(t *testing.T) {
	client, server := clientConfig(t), serverConfig(t)
	run(t, func(ctx context.Context) error {
		ln, err := Listen(ctx, "tcp", "127.0.0.1:0", server)
		if err != nil {
			return err
		}
		defer ln.Close()
		rondo.Spawn(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, echo(ctx, ln) })
		raw, err := rondo.Dial(ctx, "tcp", ln.Addr().String())
		if err != nil {
			return err
		}
		counted := &countedConn{Conn: raw}
		c, err := Client(ctx, counted, client)
		if err != nil {
			return err
		}
		defer c.Close()
		if n := counted.writes.Swap(0); n != 2 {
			t.Errorf("the handshake took %d writes, not 2: hello and finished", n)
		}
		for _, size := range []int{1, 100, 16 << 10, 64 << 10, 200 << 10} {
			for range 8 { // records start small and grow
				message := bytes.Repeat([]byte{'x'}, size)
				if _, err := c.Write(message); err != nil {
					return err
				}
				if n := counted.writes.Swap(0); n != 1 {
					t.Errorf("%d bytes took %d writes", size, n)
				}
				if _, err := io.ReadFull(c, message); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// Readers, writers, closers and deadlines at once, by tasks and by goroutines:
// nothing wedges, and what arrives is in order.
func TestConnUnderStress(t *testing.T) {
	for i := range 6 {
		t.Run(fmt.Sprint(i), func(t *testing.T) { stress(t, rand.Uint64()) })
	}
}

func stress(t *testing.T, seed uint64) {
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	rnd := rand.New(rand.NewPCG(seed, 0))
	withPair(t, func(ctx context.Context, c, s *Conn) error {
		var tasks []*rondo.Task[struct{}]
		spawn := func(fn func()) {
			body := func(context.Context) (struct{}, error) { fn(); return struct{}{}, nil }
			if rnd.IntN(2) == 0 {
				body = func(ctx context.Context) (struct{}, error) {
					return rondo.ToThread(ctx, func() (struct{}, error) { fn(); return struct{}{}, nil })
				}
			}
			tasks = append(tasks, rondo.Spawn(ctx, body))
		}
		for _, x := range []*Conn{c, s} {
			for range 2 {
				spawn(func() { io.Copy(io.Discard, x) })
				spawn(func() {
					for {
						if _, err := x.Write(make([]byte, 100<<10)); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
							return
						}
						rondo.Sleep(context.Background(), 0) // a deadline that has passed parks nobody
					}
				})
			}
			spawn(func() {
				for i := range 200 {
					if err := x.SetWriteDeadline(time.Now().Add(time.Duration(i%3) * time.Millisecond)); err != nil {
						return
					}
					x.ConnectionState()
				}
				x.SetWriteDeadline(time.Time{})
			})
		}
		after := time.Duration(rnd.IntN(30)) * time.Millisecond // of real work
		if err := rondo.Sleep(ctx, after); err != nil {
			return err
		}
		for _, i := range rnd.Perm(len(tasks))[:3] {
			tasks[i].Cancel("")
		}
		rondo.Sleep(ctx, time.Millisecond)
		if rnd.IntN(2) == 0 {
			c, s = s, c
		}
		spawn(func() { c.Close() })
		spawn(func() { s.Close() })
		return rondo.Timeout(ctx, 20*time.Second, func(ctx context.Context) error {
			for _, x := range tasks {
				if _, err := x.Await(ctx); err != nil && !errors.Is(err, context.Canceled) {
					return err
				}
				if err := ctx.Err(); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

func TestConnCloseEndsCalls(t *testing.T) {
	withPair(t, func(ctx context.Context, c, s *Conn) error {
		reader := rondo.Spawn(ctx, func(context.Context) (int, error) { return c.Read(make([]byte, 1)) })
		second := rondo.Spawn(ctx, func(context.Context) (int, error) { return c.Read(make([]byte, 1)) })
		writer := rondo.Spawn(ctx, func(context.Context) (int, error) { return c.Write(make([]byte, 32<<20)) })
		rondo.Sleep(ctx, 10*time.Millisecond) // until the writer's socket is full
		if err := c.Close(); err != nil {
			return err
		}
		for _, x := range []*rondo.Task[int]{reader, second, writer} {
			if _, err := x.Await(ctx); !errors.Is(err, net.ErrClosed) {
				t.Errorf("call ended with %v", err)
			}
		}
		if err := c.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("second Close: %v", err)
		}
		if _, err := c.Write([]byte{1}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Write: %v", err)
		}
		if _, err := c.Read([]byte{1}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Read: %v", err)
		}
		return nil
	})
}

func TestConnCloseTellsThePeer(t *testing.T) {
	withPair(t, func(ctx context.Context, c, s *Conn) error {
		io.WriteString(c, "last words")
		if err := c.CloseWrite(); err != nil {
			return err
		}
		if got, err := io.ReadAll(s); err != nil || string(got) != "last words" {
			t.Errorf("after CloseWrite: %q, %v", got, err)
		}
		io.WriteString(s, "an answer")
		s.Close()
		if got, err := io.ReadAll(c); err != nil || string(got) != "an answer" {
			t.Errorf("after Close: %q, %v", got, err)
		}
		return nil
	})
	withPair(t, func(ctx context.Context, c, s *Conn) error {
		s.wire.raw.Write([]byte{23, 3, 3}) // the beginning of a record
		s.NetConn().Close()
		if _, err := io.ReadAll(c); err != io.ErrUnexpectedEOF {
			t.Errorf("the connection breaks off: %v", err)
		}
		return nil
	})
}

func TestConnGoesThroughTLS(t *testing.T) {
	client, server := clientConfig(t), serverConfig(t)
	withPair(t, func(ctx context.Context, c, s *Conn) error {
		inner := rondo.Spawn(ctx, func(ctx context.Context) (*Conn, error) { return Server(ctx, s, server) })
		c2, err := Client(ctx, c, client)
		if err != nil {
			return err
		}
		s2, err := inner.Await(ctx)
		if err != nil {
			return err
		}
		io.WriteString(c2, "deep")
		c2.Close()
		got, err := io.ReadAll(s2)
		if err != nil || string(got) != "deep" {
			t.Errorf("got %q, %v", got, err)
		}
		return s2.Close()
	})
}

func TestClientUpgradesInMidStream(t *testing.T) {
	client, server := clientConfig(t), serverConfig(t)
	run(t, func(ctx context.Context) error {
		ln, err := rondo.Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer ln.Close()
		served := rondo.Spawn(ctx, func(ctx context.Context) (string, error) {
			raw, err := ln.Accept()
			if err != nil {
				return "", err
			}
			// A reader with a buffer takes the client's hello along with its command.
			rondo.Sleep(ctx, 20*time.Millisecond) // until both are there
			buf := make([]byte, 1<<16)
			n, err := raw.Read(buf)
			line, rest, ok := bytes.Cut(buf[:n], []byte("\n"))
			if err != nil || !ok || len(rest) == 0 {
				return "", fmt.Errorf("command %q, then %d bytes, %v", line, len(rest), err)
			}
			s, err := Server(ctx, raw, server, WithBuffered(rest))
			if err != nil {
				return "", err
			}
			defer s.Close()
			got, err := io.ReadAll(s)
			return string(line) + " " + string(got), err
		})
		raw, err := rondo.Dial(ctx, "tcp", ln.Addr().String())
		if err != nil {
			return err
		}
		io.WriteString(raw, "STARTTLS\n")
		c, err := Client(ctx, raw, client)
		if err != nil {
			return err
		}
		io.WriteString(c, "secret")
		c.Close()
		if got, err := served.Await(ctx); err != nil || got != "STARTTLS secret" {
			t.Errorf("got %q, %v", got, err)
		}
		return nil
	})
}

func TestConnUnwrapGivesThePlainConnectionBack(t *testing.T) {
	withPair(t, func(ctx context.Context, c, s *Conn) error {
		peer := rondo.Spawn(ctx, func(ctx context.Context) (string, error) {
			if _, err := io.ReadFull(s, make([]byte, 6)); err != nil {
				return "", err
			}
			raw, rest, err := s.Unwrap(ctx)
			if err != nil {
				return "", err
			}
			io.WriteString(raw, "plain too")
			got, err := io.ReadAll(io.MultiReader(bytes.NewReader(rest), raw))
			return string(got), err
		})
		io.WriteString(c, "secret")
		// The plain bytes come in one segment with close_notify.
		c.wr.enter()
		c.tls.CloseWrite()
		c.wire.Write([]byte("plain"))
		err := c.wire.drain()
		c.leaveWriter(err)
		if err != nil {
			return err
		}
		raw, rest, err := c.Unwrap(ctx)
		if err != nil {
			return err
		}
		raw.(*rondo.Conn).CloseWrite()
		if got, err := peer.Await(ctx); err != nil || got != "plain" {
			t.Errorf("the peer got %q, %v", got, err)
		}
		buf := make([]byte, 9)
		if _, err := io.ReadFull(io.MultiReader(bytes.NewReader(rest), raw), buf); err != nil || string(buf) != "plain too" {
			t.Errorf("got %q, %v", buf, err)
		}
		return nil
	}, WithUnwrap())
	withPair(t, func(ctx context.Context, c, s *Conn) error {
		if _, _, err := c.Unwrap(ctx); err == nil {
			t.Error("Unwrap without WithUnwrap succeeds")
		}
		return nil
	})
}

func TestClientRefusesRenegotiation(t *testing.T) {
	a, b := net.Pipe()
	defer b.Close()
	_, err := Client(t.Context(), a, &tls.Config{ServerName: "x", Renegotiation: tls.RenegotiateOnceAsClient})
	if err == nil || !strings.Contains(err.Error(), "renegotiation") {
		t.Errorf("got %v", err)
	}
}

// A Read takes all the records of a message that have arrived, and what is read
// ahead is kept for the next, whatever others do with the loop's buffer meanwhile.
func TestConnReadsAMessageAtOnce(t *testing.T) {
	withPair(t, func(ctx context.Context, c, s *Conn) error {
		message := make([]byte, 60<<10)
		for i := range message {
			message[i] = byte(i * 7 >> 3)
		}
		for _, size := range []int{64 << 10, 1000} {
			if _, err := c.Write(message); err != nil {
				return err
			}
			// Real time: the whole of it is to be there.
			if err := rondo.Sleep(ctx, 20*time.Millisecond); err != nil {
				return err
			}
			got := make([]byte, size)
			n, err := s.Read(got)
			if err != nil {
				return err
			}
			if size > len(message) && n <= 16<<10 {
				return fmt.Errorf("%d bytes at once, no more than of one record", n)
			}
			if err := disturb(ctx); err != nil {
				return err
			}
			rest := make([]byte, len(message)-n)
			if _, err := io.ReadFull(s, rest); err != nil {
				return err
			}
			if !bytes.Equal(append(got[:n], rest...), message) {
				return errors.New("the message came otherwise")
			}
		}
		return nil
	})
}

// disturb has other connections use the loop's buffers.
func disturb(ctx context.Context) error {
	a, b, err := rondo.SocketPair()
	if err != nil {
		return err
	}
	defer a.Close()
	defer b.Close()
	if _, err := a.Write(bytes.Repeat([]byte("x"), 50000)); err != nil {
		return err
	}
	_, err = b.BorrowAtMost(1 << 20)
	return err
}

package rondo_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rondo-go/rondo"
)

// serve runs h on a server of its own while body runs, and then aborts it.
func serve(t *testing.T, h rondo.Handler, body func(ctx context.Context, s *rondo.Server, addr string) error, opts ...rondo.ServerOption) {
	t.Helper()
	serveOn(t, nil, h, body, opts...)
}

func serveOn(t *testing.T, run []rondo.Option, h rondo.Handler, body func(ctx context.Context, s *rondo.Server, addr string) error, opts ...rondo.ServerOption) {
	t.Helper()
	err := rondo.Run(func(ctx context.Context) error {
		s := rondo.NewServer(h, opts...)
		listening := rondo.NewFuture[string]()
		server := rondo.Spawn(ctx, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, s.ListenAndServe(ctx, "tcp", "127.0.0.1:0", func(a net.Addr) { listening.Set(a.String()) })
		})
		addr, err := listening.Await(ctx)
		if err != nil {
			return err
		}
		if err := body(ctx, s, addr); err != nil {
			return err
		}
		s.Close()
		s.AbortClients()
		if _, err := server.Await(ctx); !errors.Is(err, rondo.ErrServerClosed) {
			return fmt.Errorf("Serve: %w", err)
		}
		if n := s.Connections(); n != 0 {
			return fmt.Errorf("%d connections left", n)
		}
		return nil
	}, run...)
	if err != nil {
		t.Fatal(err)
	}
}

func echo(ctx context.Context, c *rondo.Conn) error {
	for {
		p, err := c.Borrow()
		if err != nil {
			return err
		}
		if _, err := c.Write(p); err != nil {
			return err
		}
	}
}

func echoOnce(ctx context.Context, c *rondo.Conn) error {
	p, err := c.Borrow()
	if err != nil {
		return err
	}
	if _, err := c.Write(p); err != nil {
		return err
	}
	return c.Rest(nil)
}

// exchange sends a message and reads it back.
func exchange(c net.Conn, message string) error {
	if _, err := io.WriteString(c, message); err != nil {
		return err
	}
	p := make([]byte, len(message))
	if _, err := io.ReadFull(c, p); err != nil {
		return err
	}
	if string(p) != message {
		return fmt.Errorf("got %.40q..., want %.40q...", p, message)
	}
	return nil
}

func TestServerEchoes(t *testing.T) {
	for name, h := range map[string]rondo.Handler{"straight": echo, "resting": echoOnce} {
		for _, lazy := range []bool{false, true} {
			t.Run(fmt.Sprint(name, "/lazy=", lazy), func(t *testing.T) {
				var opts []rondo.ServerOption
				if lazy {
					opts = append(opts, rondo.WithLazyStart())
				}
				serve(t, h, func(ctx context.Context, s *rondo.Server, addr string) error {
					return rondo.WithGroup(ctx, func(g *rondo.Group) error {
						for i := range 50 {
							g.Go(func(ctx context.Context) error {
								c, err := rondo.Dial(ctx, "tcp", addr)
								if err != nil {
									return err
								}
								defer c.Close()
								for j := range 20 {
									// Larger than the buffer at times.
									if err := exchange(c, strings.Repeat(fmt.Sprint(i, j, ","), 1+j*j*20)); err != nil {
										return err
									}
								}
								return nil
							})
						}
						return nil
					})
				}, opts...)
			})
		}
	}
}

func TestServerRestHoldsNoTask(t *testing.T) {
	serve(t, echoOnce, func(ctx context.Context, s *rondo.Server, addr string) error {
		before := len(rondo.Tasks())
		var conns []*rondo.Conn
		for range 100 {
			c, err := rondo.Dial(ctx, "tcp", addr)
			if err != nil {
				return err
			}
			defer c.Close()
			if err := exchange(c, "hello"); err != nil {
				return err
			}
			conns = append(conns, c)
		}
		rondo.Sleep(ctx, 0)
		if n := len(rondo.Tasks()) - before; n != 0 {
			return fmt.Errorf("%d tasks for connections at rest", n)
		}
		if n := s.Connections(); n != 100 {
			return fmt.Errorf("%d connections, want 100", n)
		}
		for _, c := range conns {
			if err := exchange(c, "again"); err != nil {
				return err
			}
			c.Close()
		}
		for s.Connections() > 0 {
			if err := rondo.Sleep(ctx, time.Millisecond); err != nil { // the peers' ends are on their way
				return err
			}
		}
		return nil
	})
}

// The next handler given to Rest is called once, with the same connection.
func TestServerRestNext(t *testing.T) {
	first := func(ctx context.Context, c *rondo.Conn) error {
		p, err := c.Borrow()
		if err != nil {
			return err
		}
		name := string(p)
		if _, err := io.WriteString(c, "name"); err != nil {
			return err
		}
		return c.Rest(func(ctx context.Context, c *rondo.Conn) error {
			if _, err := c.Borrow(); err != nil {
				return err
			}
			_, err := io.WriteString(c, "bye "+name)
			return err
		})
	}
	serve(t, first, func(ctx context.Context, s *rondo.Server, addr string) error {
		c, err := rondo.Dial(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		defer c.Close()
		io.WriteString(c, "Ada")
		p := make([]byte, 4)
		if _, err := io.ReadFull(c, p); err != nil || string(p) != "name" {
			return fmt.Errorf("%q, %w", p, err)
		}
		io.WriteString(c, "x")
		all, err := io.ReadAll(c)
		if string(all) != "bye Ada" {
			return fmt.Errorf("%q, %w", all, err)
		}
		return nil
	})
}

func TestServerIdleTimeout(t *testing.T) {
	serveOn(t, []rondo.Option{rondo.WithVirtualTime()}, echoOnce, func(ctx context.Context, s *rondo.Server, addr string) error {
		quiet, err := rondo.Dial(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		defer quiet.Close()
		busy, err := rondo.Dial(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		defer busy.Close()
		start := rondo.RunningLoop().Time()
		for range 5 {
			if err := exchange(busy, "still here"); err != nil {
				return err
			}
			if err := rondo.Sleep(ctx, 40*time.Second); err != nil {
				return err
			}
		}
		if _, err := quiet.Read(make([]byte, 1)); err != io.EOF {
			return fmt.Errorf("quiet connection: %v", err)
		}
		if _, err := busy.Read(make([]byte, 1)); err != io.EOF {
			return fmt.Errorf("busy connection: %v", err)
		}
		// The last exchange was at 160 s.
		if at := rondo.RunningLoop().Time() - start; at < 220*time.Second || at > 225*time.Second {
			return fmt.Errorf("closed after %v", at)
		}
		return nil
	}, rondo.WithLazyStart(), rondo.WithIdleTimeout(time.Minute))
}

func TestServerReadAtRestIsRefused(t *testing.T) {
	var kept *rondo.Conn
	h := func(ctx context.Context, c *rondo.Conn) error {
		kept = c
		return echoOnce(ctx, c)
	}
	serve(t, h, func(ctx context.Context, s *rondo.Server, addr string) error {
		c, err := rondo.Dial(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		defer c.Close()
		if err := exchange(c, "x"); err != nil {
			return err
		}
		rondo.Sleep(ctx, 0)
		if _, err := kept.Read(make([]byte, 1)); !errors.Is(err, rondo.ErrResting) {
			return fmt.Errorf("read at rest: %v", err)
		}
		// Others may write to it.
		if _, err := io.WriteString(kept, "news"); err != nil {
			return err
		}
		p := make([]byte, 4)
		if _, err := io.ReadFull(c, p); err != nil {
			return err
		}
		return exchange(c, "y")
	})
}

func TestServerShutdownDrains(t *testing.T) {
	release := make(chan struct{})
	h := func(ctx context.Context, c *rondo.Conn) error {
		p, err := c.Borrow()
		if err != nil {
			return err
		}
		if string(p) == "slow" {
			rondo.ToThread(ctx, func() (int, error) { <-release; return 0, nil })
		}
		if _, err := io.WriteString(c, "done"); err != nil {
			return err
		}
		return c.Rest(nil)
	}
	serve(t, h, func(ctx context.Context, s *rondo.Server, addr string) error {
		slow, err := rondo.Dial(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		defer slow.Close()
		idle, err := rondo.Dial(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		defer idle.Close()
		io.WriteString(idle, "quick")
		if _, err := io.ReadFull(idle, make([]byte, 4)); err != nil {
			return err
		}
		io.WriteString(slow, "slow")
		for len(rondo.Tasks()) < 3 { // main, server, the slow one's
			rondo.Sleep(ctx, time.Millisecond)
		}
		down := rondo.Spawn(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, s.Shutdown(ctx) })
		if _, err := idle.Read(make([]byte, 1)); err != io.EOF {
			return fmt.Errorf("idle connection: %v", err)
		}
		if !s.Closing() {
			return errors.New("not closing")
		}
		if _, err := rondo.Dial(ctx, "tcp", addr); err == nil {
			return errors.New("still listening")
		}
		close(release)
		all, err := io.ReadAll(slow)
		if string(all) != "done" {
			return fmt.Errorf("slow one got %q, %w", all, err)
		}
		_, err = down.Await(ctx)
		return err
	})
}

func TestServerShutdownAbortsWhatIsLeft(t *testing.T) {
	serve(t, echo, func(ctx context.Context, s *rondo.Server, addr string) error {
		c, err := rondo.Dial(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		defer c.Close()
		if err := exchange(c, "x"); err != nil {
			return err
		}
		err = rondo.Timeout(ctx, time.Millisecond, s.Shutdown)
		if !errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("Shutdown: %v", err)
		}
		if _, err := c.Read(make([]byte, 1)); err == nil {
			return errors.New("connection survived")
		}
		return s.WaitClosed(ctx)
	})
}

func TestServerCancelEndsHandlers(t *testing.T) {
	var ended atomic.Int32
	h := func(ctx context.Context, c *rondo.Conn) error {
		defer ended.Add(1)
		return echo(ctx, c)
	}
	err := rondo.Run(func(ctx context.Context) error {
		ln, err := rondo.Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		server := rondo.Spawn(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, rondo.Serve(ctx, ln, h) })
		c, err := rondo.Dial(ctx, "tcp", ln.Addr().String())
		if err != nil {
			return err
		}
		defer c.Close()
		if err := exchange(c, "x"); err != nil {
			return err
		}
		server.Cancel("enough")
		if _, err := server.Await(ctx); !errors.Is(err, context.Canceled) {
			return fmt.Errorf("Serve: %v", err)
		}
		if n := ended.Load(); n != 1 {
			return fmt.Errorf("%d handlers ended", n)
		}
		if _, err := c.Read(make([]byte, 1)); err == nil {
			return errors.New("connection survived")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestServerHandlerFailureIsTold(t *testing.T) {
	oops := errors.New("oops")
	var told []error
	h := func(ctx context.Context, c *rondo.Conn) error {
		p, err := c.Borrow()
		if err != nil {
			return err
		}
		if string(p) == "panic" {
			panic("the handler's")
		}
		return oops
	}
	serve(t, h, func(ctx context.Context, s *rondo.Server, addr string) error {
		for _, message := range []string{"panic", "error", ""} {
			c, err := rondo.Dial(ctx, "tcp", addr)
			if err != nil {
				return err
			}
			io.WriteString(c, message)
			c.CloseWrite()
			if _, err := c.Read(make([]byte, 1)); err != io.EOF {
				return fmt.Errorf("after %q: %v", message, err)
			}
			c.Close()
		}
		var panicked *rondo.PanicError
		if len(told) != 2 || !errors.As(told[0], &panicked) || told[1] != oops {
			return fmt.Errorf("told %v", told)
		}
		return nil
	}, rondo.WithErrorHandler(func(c *rondo.Conn, err error) { told = append(told, err) }))
}

func TestServerMaxConnections(t *testing.T) {
	serve(t, echo, func(ctx context.Context, s *rondo.Server, addr string) error {
		var conns []*rondo.Conn
		for range 5 {
			c, err := rondo.Dial(ctx, "tcp", addr)
			if err != nil {
				return err
			}
			defer c.Close()
			conns = append(conns, c)
		}
		for _, c := range conns[:2] {
			if err := exchange(c, "x"); err != nil {
				return err
			}
		}
		if n := s.Connections(); n != 2 {
			return fmt.Errorf("%d connections at once", n)
		}
		for _, c := range conns {
			if err := exchange(c, "y"); err != nil {
				return err
			}
			if n := s.Connections(); n > 2 {
				return fmt.Errorf("%d connections at once", n)
			}
			c.Close()
		}
		return nil
	}, rondo.WithMaxConnections(2))
}

func TestServerOnSeveralLoops(t *testing.T) {
	for _, network := range []string{"reuseport", "spread"} {
		t.Run(network, func(t *testing.T) {
			var served [3]atomic.Int32
			h := func(ctx context.Context, c *rondo.Conn) error {
				for i, l := range rondo.RunningLoop().Loops() {
					if l == rondo.RunningLoop() {
						served[i].Add(1)
					}
				}
				return echoOnce(ctx, c)
			}
			body := func(ctx context.Context, s *rondo.Server, addr string) error {
				var conns []*rondo.Conn
				for range 60 {
					c, err := rondo.Dial(ctx, "tcp", addr)
					if err != nil {
						return err
					}
					defer c.Close()
					conns = append(conns, c)
				}
				for range 3 {
					for _, c := range conns {
						if err := exchange(c, "hello"); err != nil {
							return err
						}
					}
				}
				for i := range served {
					if served[i].Load() == 0 {
						return fmt.Errorf("loop %d has served nobody", i)
					}
				}
				if n := s.Connections(); n != 60 {
					return fmt.Errorf("%d connections", n)
				}
				return nil
			}
			run := []rondo.Option{rondo.WithLoops(3)}
			if network == "reuseport" {
				serveOn(t, run, h, body)
				return
			}
			err := rondo.Run(func(ctx context.Context) error {
				ln, err := rondo.Listen(ctx, "tcp", "127.0.0.1:0")
				if err != nil {
					return err
				}
				s := rondo.NewServer(h, rondo.WithSpread(), rondo.WithLazyStart())
				server := rondo.Spawn(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, s.Serve(ctx, ln) })
				if err := body(ctx, s, ln.Addr().String()); err != nil {
					return err
				}
				server.Cancel("")
				if _, err := server.Await(ctx); !errors.Is(err, context.Canceled) {
					return fmt.Errorf("Serve: %v", err)
				}
				return nil
			}, run...)
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

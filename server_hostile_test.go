package rondo_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/rondotest"
)

// Tests of servers at their edges: races at the end, and limits.

// A lostProtocol counts the connections that it is told of.
type lostProtocol struct{ made, lost *int }

func (p lostProtocol) Connected(*rondo.Transport) { *p.made++ }
func (p lostProtocol) Received([]byte)            {}
func (p lostProtocol) Ended() bool                { return true }
func (p lostProtocol) Lost(error)                 { *p.lost++ }

func TestServerCancelEndsProtocols(t *testing.T) {
	rondotest.Run(t, func(ctx context.Context) {
		made, lost := 0, 0
		s := rondo.NewProtocolServer(func() rondo.Protocol { return lostProtocol{&made, &lost} })
		ln := rondotest.Listen(t)
		x := rondo.Spawn(ctx, func(ctx context.Context) (int, error) { return 0, s.Serve(ctx, ln) })
		c, err := rondo.Dial(ctx, "tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for made == 0 {
			rondo.Sleep(ctx, time.Millisecond)
		}
		x.Cancel("")
		if _, err := rondo.WaitFor(ctx, x, time.Hour); !errors.Is(err, context.Canceled) {
			t.Errorf("Serve: %v", err)
		}
		rondo.Sleep(ctx, time.Millisecond)
		if lost != 1 || s.Connections() != 0 {
			t.Errorf("lost %d, %d connections", lost, s.Connections())
		}
		s.AbortClients()
	})
}

func TestServerAbortBeforeTheProtocolIsMade(t *testing.T) {
	rondotest.Run(t, func(ctx context.Context) {
		for when := range 8 {
			made, lost := 0, 0
			s := rondo.NewProtocolServer(func() rondo.Protocol { return lostProtocol{&made, &lost} })
			ln := rondotest.Listen(t)
			x := rondo.Spawn(ctx, func(ctx context.Context) (int, error) { return 0, s.Serve(ctx, ln) })
			c, err := rondo.Dial(ctx, "tcp", ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			for s.Connections() == 0 {
				rondo.Sleep(ctx, 0)
			}
			for range when {
				rondo.Sleep(ctx, 0)
			}
			s.Close()
			s.AbortClients()
			if _, err := rondo.WaitFor(ctx, x, time.Hour); !errors.Is(err, rondo.ErrServerClosed) {
				t.Errorf("%d: Serve: %v", when, err)
			}
			rondo.Sleep(ctx, time.Millisecond)
			if made != lost || s.Connections() != 0 {
				t.Errorf("%d: made %d, lost %d, %d connections", when, made, lost, s.Connections())
			}
			c.Close()
		}
	})
}

func TestServerRestWhileClosing(t *testing.T) {
	for range 10 {
		var served atomic.Int32
		restless := func(ctx context.Context, c *rondo.Conn) error {
			p, err := c.Borrow()
			if err != nil {
				return err
			}
			served.Add(1)
			if _, err := c.Write(p); err != nil {
				return err
			}
			return c.Rest(nil)
		}
		serveOn(t, []rondo.Option{rondo.WithLoops(3)}, restless, func(ctx context.Context, s *rondo.Server, addr string) error {
			var all sync.WaitGroup
			for i := range 24 {
				all.Go(func() {
					c, err := net.Dial("tcp", addr)
					if err != nil { // the server has closed while it was in the backlog
						return
					}
					defer c.Close()
					c.SetDeadline(time.Now().Add(10 * time.Second))
					p := []byte{byte(i)}
					for {
						if _, err := c.Write(p); err != nil {
							return
						}
						if _, err := io.ReadFull(c, p); err != nil {
							var ne net.Error
							if errors.As(err, &ne) && ne.Timeout() {
								t.Error("neither an answer nor an end")
							}
							return
						}
					}
				})
			}
			_, err := rondo.ToThread(ctx, func() (int, error) {
				for served.Load() < 500 {
					time.Sleep(time.Millisecond) // other threads work
				}
				err := s.Shutdown(context.Background())
				all.Wait()
				return 0, err
			})
			return err
		}, rondo.WithLazyStart())
	}
}

func TestServerSpreadKeepsToMaxConnections(t *testing.T) {
	const loops, most = 3, 2
	var mu sync.Mutex
	now, worst := map[*rondo.Loop]int{}, 0
	hold := func(_ context.Context, c *rondo.Conn) error {
		l := rondo.RunningLoop()
		mu.Lock()
		now[l]++
		worst = max(worst, now[l])
		mu.Unlock()
		_, err := io.Copy(io.Discard, c)
		mu.Lock()
		now[l]--
		mu.Unlock()
		return err
	}
	run := []rondo.Option{rondo.WithLoops(loops)}
	err := rondo.Run(func(ctx context.Context) error {
		ln, err := rondo.Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		s := rondo.NewServer(hold, rondo.WithSpread(), rondo.WithMaxConnections(most))
		x := rondo.Spawn(ctx, func(ctx context.Context) (int, error) { return 0, s.Serve(ctx, ln) })
		_, err = rondo.ToThread(ctx, func() (int, error) {
			for range 3 {
				var all []net.Conn
				for range 4 * loops * most {
					c, err := net.Dial("tcp", ln.Addr().String())
					if err != nil {
						return 0, err
					}
					all = append(all, c)
				}
				for end := time.Now().Add(5 * time.Second); s.Connections() < loops*most; time.Sleep(time.Millisecond) { // other threads work
					if time.Now().After(end) {
						return 0, fmt.Errorf("%d connections", s.Connections())
					}
				}
				for _, c := range all {
					c.Close()
				}
			}
			return 0, nil
		})
		s.Close()
		s.AbortClients()
		if _, xerr := x.Await(ctx); !errors.Is(xerr, rondo.ErrServerClosed) {
			return xerr
		}
		return err
	}, run...)
	if err != nil {
		t.Error(err)
	}
	if worst > most {
		t.Errorf("a loop had %d connections", worst)
	}
}

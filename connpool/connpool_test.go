package connpool_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/connpool"
)

// A conn stands in for a connection.
type conn struct {
	id     int
	users  int
	broken bool
	closed bool
}

// A server counts what it serves.
type server struct {
	made, open, most int
	refuse           error
}

func (s *server) options(size int) connpool.Options[*conn] {
	return connpool.Options[*conn]{
		Open: func(ctx context.Context) (*conn, error) {
			if err := rondo.Sleep(ctx, time.Millisecond); err != nil {
				return nil, err
			}
			if s.refuse != nil {
				return nil, s.refuse
			}
			s.made++
			s.open++
			s.most = max(s.most, s.open)
			return &conn{id: s.made}, nil
		},
		Close: func(ctx context.Context, c *conn) error {
			if err := rondo.Sleep(ctx, time.Millisecond); err != nil {
				return err
			}
			s.open--
			c.closed = true
			return nil
		},
		Usable: func(c *conn) bool { return !c.broken },
		Size:   size,
	}
}

// run runs main on a virtual clock.
func run(t *testing.T, main func(ctx context.Context) error) {
	t.Helper()
	if err := rondo.Run(main, rondo.WithVirtualTime(), rondo.WithExitWhenIdle(), rondo.WithoutSignals()); err != nil {
		t.Fatal(err)
	}
}

func TestPoolGivesEachConnectionToOneTask(t *testing.T) {
	run(t, func(ctx context.Context) error {
		s := new(server)
		p := connpool.New(s.options(5))
		err := rondo.WithGroup(ctx, func(g *rondo.Group) error {
			for range 100 {
				g.Go(func(ctx context.Context) error {
					return p.With(ctx, func(ctx context.Context, c *conn) error {
						if c.users++; c.users != 1 {
							t.Errorf("connection %d has %d users", c.id, c.users)
						}
						defer func() { c.users-- }()
						return rondo.Sleep(ctx, time.Millisecond)
					})
				})
			}
			return nil
		})
		if open, idle := p.Len(); open != 5 || idle != 5 || s.made != 5 {
			t.Errorf("%d open, %d idle, %d made", open, idle, s.made)
		}
		if err := errors.Join(err, p.Close(ctx), p.Close(ctx)); err != nil || s.open != 0 {
			t.Errorf("after close %d are open, %v", s.open, err)
		}
		if _, err := p.Acquire(ctx); !errors.Is(err, connpool.ErrClosed) {
			t.Errorf("acquire of a closed pool: %v", err)
		}
		return nil
	})
}

func TestPoolReplacesUnusableConnection(t *testing.T) {
	run(t, func(ctx context.Context) error {
		s := new(server)
		p := connpool.New(s.options(1))
		if err := p.With(ctx, func(ctx context.Context, c *conn) error { c.broken = true; return nil }); err != nil {
			return err
		}
		if open, _ := p.Len(); open != 0 || s.open != 0 {
			t.Errorf("a broken connection is kept: %d, %d", open, s.open)
		}
		c, err := p.Acquire(ctx)
		if err != nil {
			return err
		}
		if c.Value.id != 2 {
			t.Errorf("connection %d", c.Value.id)
		}
		c.Release(ctx)
		c.Value.broken = true // while it rests, as when the server ends it
		return p.With(ctx, func(ctx context.Context, next *conn) error {
			if next.id != 3 || !c.Value.closed {
				t.Errorf("connection %d, the broken one closed: %v", next.id, c.Value.closed)
			}
			return nil
		})
	})
}

func TestPoolForgetsWhatIsTooOldOrIdleForTooLong(t *testing.T) {
	run(t, func(ctx context.Context) error {
		s := new(server)
		o := s.options(3)
		o.MaxIdle, o.MaxAge = time.Minute, time.Hour
		p := connpool.New(o)
		use := func() (id int) {
			if err := p.With(ctx, func(ctx context.Context, c *conn) error { id = c.id; return nil }); err != nil {
				t.Error(err)
			}
			return id
		}
		for step, want := range []struct {
			pause time.Duration
			id    int
		}{{0, 1}, {50 * time.Second, 1}, {61 * time.Second, 2}, {59 * time.Second, 2}} {
			rondo.Sleep(ctx, want.pause)
			if id := use(); id != want.id {
				t.Errorf("step %d: connection %d, want %d", step, id, want.id)
			}
		}
		last := 0
		for range 61 { // it never rests for long
			rondo.Sleep(ctx, 59*time.Second)
			last = use()
		}
		if last != 3 || s.open != 1 {
			t.Errorf("after an hour connection %d, %d open", last, s.open)
		}
		// One that nobody takes is closed when another comes back.
		a, err := p.Acquire(ctx)
		if err != nil {
			return err
		}
		b, err := p.Acquire(ctx)
		if err != nil {
			return err
		}
		a.Release(ctx)
		rondo.Sleep(ctx, 2*time.Minute)
		b.Release(ctx)
		if open, idle := p.Len(); open != 1 || idle != 1 || !a.Value.closed {
			t.Errorf("%d open, %d idle", open, idle)
		}
		return p.Close(ctx)
	})
}

func TestPoolAcquireTakesNothingWhenCanceled(t *testing.T) {
	run(t, func(ctx context.Context) error {
		s := new(server)
		p := connpool.New(s.options(1))
		// One that is canceled while it connects, one while it waits.
		first := rondo.Spawn(ctx, func(ctx context.Context) (*connpool.Conn[*conn], error) { return p.Acquire(ctx) })
		second := rondo.Spawn(ctx, func(ctx context.Context) (*connpool.Conn[*conn], error) { return p.Acquire(ctx) })
		rondo.Sleep(ctx, 0)
		first.Cancel("")
		second.Cancel("")
		for _, x := range []*rondo.Task[*connpool.Conn[*conn]]{first, second} {
			if _, err := x.Await(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("acquire: %v", err)
			}
		}
		if open, _ := p.Len(); open != 0 {
			t.Errorf("%d open", open)
		}
		s.refuse = errors.New("too many connections")
		if _, err := p.Acquire(ctx); !errors.Is(err, s.refuse) {
			t.Errorf("acquire: %v", err)
		}
		s.refuse = nil
		return p.With(ctx, func(ctx context.Context, c *conn) error { return nil })
	})
}

// A task that is canceled while it has a broken connection still closes it.
func TestPoolReleaseClosesWhenCanceled(t *testing.T) {
	run(t, func(ctx context.Context) error {
		s := new(server)
		p := connpool.New(s.options(1))
		x := rondo.Spawn(ctx, func(ctx context.Context) (int, error) {
			return 0, p.With(ctx, func(ctx context.Context, c *conn) error {
				c.broken = true
				return rondo.Sleep(ctx, time.Hour)
			})
		})
		rondo.Sleep(ctx, time.Second)
		x.Cancel("")
		if _, err := x.Await(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("with: %v", err)
		}
		if s.made != 1 || s.open != 0 {
			t.Errorf("%d made, %d open", s.made, s.open)
		}
		return p.With(ctx, func(ctx context.Context, c *conn) error { return nil })
	})
}

func TestPoolCloseEndsWaitersAndThoseInUse(t *testing.T) {
	run(t, func(ctx context.Context) error {
		s := new(server)
		p := connpool.New(s.options(1))
		c, err := p.Acquire(ctx)
		if err != nil {
			return err
		}
		waiter := rondo.Spawn(ctx, func(ctx context.Context) (*connpool.Conn[*conn], error) { return p.Acquire(ctx) })
		rondo.Sleep(ctx, time.Second)
		if err := p.Close(ctx); err != nil {
			return err
		}
		c.Release(ctx)
		if _, err := waiter.Await(ctx); !errors.Is(err, connpool.ErrClosed) {
			t.Errorf("waiter: %v", err)
		}
		if s.open != 0 {
			t.Errorf("%d open", s.open)
		}
		defer func() {
			if recover() == nil {
				t.Error("a second release passed")
			}
		}()
		c.Release(ctx)
		return nil
	})
}

// A pool of connections to a server of lines. With a database, Open is the driver's connect function, which was given
// [rondo.DialContext] to dial with.
func ExamplePool() {
	rondo.Run(func(ctx context.Context) error {
		pool := connpool.New(connpool.Options[*conn]{
			Open:  func(ctx context.Context) (*conn, error) { return &conn{id: 7}, nil },
			Close: func(ctx context.Context, c *conn) error { return nil },
			Size:  10,
		})
		defer pool.Close(ctx)
		return pool.With(ctx, func(ctx context.Context, c *conn) error {
			fmt.Println("connection", c.id)
			return nil
		})
	})
	// Output: connection 7
}

func TestPoolOpenThatPanicsCostsNothing(t *testing.T) {
	run(t, func(ctx context.Context) error {
		var s server
		o := s.options(1)
		open, oops := o.Open, true
		o.Open = func(ctx context.Context) (*conn, error) {
			if oops {
				panic("oops")
			}
			return open(ctx)
		}
		p := connpool.New(o)
		x := rondo.Spawn(ctx, func(ctx context.Context) (int, error) { _, err := p.Acquire(ctx); return 0, err })
		var pe *rondo.PanicError
		if _, err := x.Await(ctx); !errors.As(err, &pe) {
			t.Errorf("Acquire: %v", err)
		}
		if n, _ := p.Len(); n != 0 {
			t.Errorf("%d connections are open", n)
		}
		oops = false
		err := p.With(ctx, func(context.Context, *conn) error { return nil })
		return errors.Join(err, p.Close(ctx))
	})
}

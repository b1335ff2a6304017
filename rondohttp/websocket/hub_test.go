package websocket

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/rondo-go/rondo"
)

// member opens a connection whose server's side is a member of h.
func hubHandler(t *testing.T, h *Hub, o *Options) http.Handler {
	return accepting(t, o, func(_ context.Context, c *Conn) {
		h.Add(c)
		c.OnMessage(func(_ context.Context, c *Conn, m Message) error {
			h.Broadcast(m.Type, m.Data)
			return nil
		}, nil)
	})
}

func (h *Hub) wait(ctx context.Context, n int) {
	for h.Len() != n {
		rondo.Sleep(ctx, time.Millisecond) // real time: the other side comes or leaves through the system
	}
}

func TestHubSendsToAll(t *testing.T) {
	for name, compression := range compressions {
		t.Run(name, func(t *testing.T) {
			h := NewHub(200, CloseSlow)
			run(t, hubHandler(t, h, &Options{Compression: compression}), func(ctx context.Context, s *site) {
				var all []*Conn
				for range 5 {
					all = append(all, s.dial(t, ctx, &Options{Compression: compression}))
				}
				h.wait(ctx, 5)
				for i := range 100 {
					all[0].Write(ctx, Text, []byte("message "+strconv.Itoa(i)))
				}
				for _, c := range all {
					for i := range 100 {
						if m, err := c.Read(ctx); err != nil || string(m.Data) != "message "+strconv.Itoa(i) {
							t.Fatalf("message %d: %q %v", i, m.Data, err)
						}
					}
				}
				for i, c := range all {
					c.Close(ctx, StatusNormal, "")
					h.wait(ctx, 4-i)
				}
			})
		})
	}
}

func TestHubBoundsSlowMembers(t *testing.T) {
	for policy, name := range map[SlowPolicy]string{DropOldest: "oldest", DropNewest: "newest", CloseSlow: "close"} {
		t.Run(name, func(t *testing.T) {
			h := NewHub(3, policy)
			run(t, hubHandler(t, h, nil), func(ctx context.Context, s *site) {
				c := s.dial(t, ctx, nil)
				h.wait(ctx, 1)
				var server *Conn
				for server = range h.members {
				}
				server.wr.acquire(ctx) // nothing gets out
				for i := range 10 {
					h.Broadcast(Text, []byte(strconv.Itoa(i)))
					rondo.Sleep(ctx, 0)
				}
				dropped := h.Dropped(server)
				server.wr.release()
				// The first is with its writer. Of the rest three have room. What is closed is sent nothing more.
				want := map[SlowPolicy][]string{DropOldest: {"0", "7", "8", "9"}, DropNewest: {"0", "1", "2", "3"}, CloseSlow: nil}[policy]
				for _, w := range want {
					if m, err := c.Read(ctx); err != nil || string(m.Data) != w {
						t.Fatalf("got %q %v, want %s", m.Data, err, w)
					}
				}
				if policy == CloseSlow {
					if _, err := c.Read(ctx); CloseStatus(err) != StatusTryAgainLater {
						t.Errorf("slow: %v", err)
					}
				} else if dropped != 6 {
					t.Errorf("dropped %d", dropped)
				}
			})
		})
	}
}

func TestHubReachesOtherLoops(t *testing.T) {
	h := NewHub(10, CloseSlow)
	err := rondo.Run(func(ctx context.Context) error {
		s := newSite(hubHandler(t, h, nil))
		ready := rondo.NewFuture[struct{}]()
		served := rondo.Spawn(ctx, func(ctx context.Context) (error, error) {
			return s.ListenAndServe(ctx, "tcp", "127.0.0.1:0", s.listening(ready)), nil
		})
		ready.Await(ctx)
		var all []*Conn
		for range 20 {
			all = append(all, s.dial(t, ctx, nil))
		}
		h.wait(ctx, 20)
		h.Broadcast(Text, []byte("from here"))
		for _, c := range all {
			if m, err := c.Read(ctx); err != nil || string(m.Data) != "from here" {
				t.Errorf("%q %v", m.Data, err)
			}
		}
		readers := rondo.Spawn(ctx, func(ctx context.Context) (struct{}, error) {
			for _, c := range all {
				if _, err := c.Read(ctx); CloseStatus(err) != StatusGoingAway {
					t.Errorf("end: %v", err)
				}
			}
			return struct{}{}, nil
		})
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		readers.Await(ctx)
		if err, _ := served.Await(ctx); !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("served: %v", err)
		}
		return nil
	}, rondo.WithLoops(3))
	if err != nil {
		t.Fatal(err)
	}
}

package websocket

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/rondohttp"
)

// A site is a server under test, on a loop.
type site struct {
	*rondohttp.Server
	address string
	served  *rondo.Task[struct{}]
}

// run runs f as the main task of a loop, beside a server of h.
func run(t *testing.T, h http.Handler, f func(ctx context.Context, s *site)) {
	t.Helper()
	err := rondo.Run(func(ctx context.Context) error {
		ln, err := rondo.Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		s := newSite(h)
		s.address = ln.Addr().String()
		s.served = rondo.Spawn(ctx, func(ctx context.Context) (struct{}, error) {
			if err := s.Serve(ctx, ln); !errors.Is(err, http.ErrServerClosed) {
				return struct{}{}, err
			}
			return struct{}{}, nil
		})
		f(ctx, s)
		s.Close()
		_, err = s.served.Await(ctx)
		return err
	})
	if err != nil {
		t.Fatalf("run: %v", err)
	}
}

// accepting makes a handler of what is done with a connection.
func accepting(t *testing.T, o *Options, f func(ctx context.Context, c *Conn)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := Accept(w, r, o)
		if err != nil {
			return
		}
		f(r.Context(), c)
	})
}

// echoing sends back what comes, in the handler's task.
func echoing(ctx context.Context, c *Conn) {
	defer c.CloseNow()
	for m, err := range c.Messages(ctx) {
		if err != nil || c.Write(ctx, m.Type, m.Data) != nil {
			return
		}
	}
}

// resting sends back what comes, by callbacks.
func resting(_ context.Context, c *Conn) {
	c.OnMessage(func(ctx context.Context, c *Conn, m Message) error { return c.Write(ctx, m.Type, m.Data) }, nil)
}

// dial connects, or fails the test.
func (s *site) dial(t *testing.T, ctx context.Context, o *Options) *Conn {
	t.Helper()
	c, err := Dial(ctx, nil, "ws://"+s.address+"/", o)
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	return c
}

// A rawPeer speaks frames as they are written.
type rawPeer struct {
	net.Conn
	*bufio.Reader
}

func (p *rawPeer) Read(b []byte) (int, error) { return p.Reader.Read(b) }

// raw connects without a Conn of this package.
func (s *site) raw(t *testing.T, ctx context.Context, fields ...string) (*rawPeer, *http.Response) {
	t.Helper()
	c, err := rondo.Dial(ctx, "tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: "+s.address+"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"+strings.Join(append(fields, ""), "\r\n")+"\r\n")
	p := &rawPeer{c, bufio.NewReader(c)}
	r, err := http.ReadResponse(p.Reader, nil)
	if err != nil {
		t.Fatalf("handshake: %v", err)
	}
	return p, r
}

// newSite returns a server that does not listen yet.
func newSite(h http.Handler) *site {
	return &site{Server: rondohttp.NewServer(h, rondohttp.WithServerLog(slog.New(slog.DiscardHandler)))}
}

// listening notes the address that s listens on.
func (s *site) listening(ready *rondo.Future[struct{}]) func(net.Addr) {
	return func(a net.Addr) {
		s.address = a.String()
		ready.Set(struct{}{})
	}
}

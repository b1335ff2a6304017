package rondo_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/rondo-go/rondo"
)

// An echo server in straight-line code, and one client.
func ExampleServe() {
	rondo.Run(func(ctx context.Context) error {
		ln, err := rondo.Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		server := rondo.Spawn(ctx, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, rondo.Serve(ctx, ln, func(ctx context.Context, c *rondo.Conn) error {
				_, err := io.Copy(c, c)
				return err
			})
		})
		c, err := rondo.Dial(ctx, "tcp", ln.Addr().String())
		if err != nil {
			return err
		}
		io.WriteString(c, "hello")
		c.CloseWrite()
		answer, err := io.ReadAll(c)
		fmt.Printf("%s\n", answer)
		server.Cancel("that was all")
		return err
	})
	// Output: hello
}

// A server whose connections hold no task between messages, on two loops.
func ExampleServer() {
	shout := func(ctx context.Context, c *rondo.Conn) error {
		p, err := c.Borrow()
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(c, "%s!", p); err != nil {
			return err
		}
		return c.Rest(nil)
	}
	err := rondo.Run(func(ctx context.Context) error {
		s := rondo.NewServer(shout, rondo.WithLazyStart())
		client := rondo.NewFuture[string]()
		return rondo.WithGroup(ctx, func(g *rondo.Group) error {
			g.Go(func(ctx context.Context) error {
				err := s.ListenAndServe(ctx, "tcp", "127.0.0.1:0", func(a net.Addr) { client.Set(a.String()) })
				if errors.Is(err, rondo.ErrServerClosed) {
					return nil
				}
				return err
			})
			addr, err := client.Await(ctx)
			if err != nil {
				return err
			}
			c, err := rondo.Dial(ctx, "tcp", addr)
			if err != nil {
				return err
			}
			defer c.Close()
			for _, word := range []string{"one", "two"} {
				io.WriteString(c, word)
				answer := make([]byte, 4)
				if _, err := io.ReadFull(c, answer); err != nil {
					return err
				}
				fmt.Printf("%s\n", answer)
			}
			return s.Shutdown(ctx)
		})
	}, rondo.WithLoops(2))
	fmt.Println(err)
	// Output:
	// one!
	// two!
	// <nil>
}

// An upper is a protocol: callbacks instead of a task.
type upper struct{ t *rondo.Transport }

func (u *upper) Connected(t *rondo.Transport) { u.t = t }
func (u *upper) Received(p []byte)            { fmt.Fprintf(u.t, "%d bytes", len(p)) }
func (u *upper) Ended() bool                  { return false }
func (u *upper) Lost(error)                   { fmt.Println("lost") }

func ExampleProtocol() {
	rondo.Run(func(ctx context.Context) error {
		here, there, err := rondo.SocketPair()
		if err != nil {
			return err
		}
		rondo.NewTransport(there, &upper{})
		io.WriteString(here, "hello")
		answer := make([]byte, 7)
		io.ReadFull(here, answer)
		fmt.Printf("%s\n", answer)
		here.Close()
		return rondo.Sleep(ctx, 1)
	})
	// Output:
	// 5 bytes
	// lost
}

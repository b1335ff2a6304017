package websocket_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/rondohttp"
	"github.com/rondo-go/rondo/rondohttp/websocket"
)

func Example() {
	shout := func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return // it has been answered
		}
		c.OnMessage(func(ctx context.Context, c *websocket.Conn, m websocket.Message) error {
			return c.Write(ctx, m.Type, []byte(strings.ToUpper(string(m.Data))))
		}, nil)
	}
	err := rondo.Run(func(ctx context.Context) error {
		ln, err := rondo.Listen(ctx, "tcp", "localhost:0")
		if err != nil {
			return err
		}
		server := rondohttp.NewServer(http.HandlerFunc(shout))
		served := rondo.Spawn(ctx, func(ctx context.Context) (error, error) { return server.Serve(ctx, ln), nil })

		c, err := websocket.Dial(ctx, nil, "ws://"+ln.Addr().String()+"/", nil)
		if err != nil {
			return err
		}
		if err := c.Write(ctx, websocket.Text, []byte("hello")); err != nil {
			return err
		}
		for m, err := range c.Messages(ctx) {
			if err != nil {
				return err
			}
			fmt.Printf("%s\n", m.Data)
			break
		}
		if err := c.Close(ctx, websocket.StatusNormal, ""); err != nil {
			return err
		}
		server.Close()
		served.Await(ctx)
		return nil
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output: HELLO
}

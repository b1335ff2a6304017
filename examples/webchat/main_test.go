package main

import (
	"context"
	"fmt"
	"net"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/rondohttp/sse"
	"github.com/rondo-go/rondo/rondohttp/websocket"
)

// Two guests meet, and one of them says something.
func Example() {
	err := rondo.Run(func(ctx context.Context) error {
		ready := rondo.NewFuture[net.Addr]()
		server := rondo.Spawn(ctx, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, serve(ctx, "127.0.0.1:0", func(a net.Addr) { ready.Set(a) })
		})
		address, err := ready.Await(ctx)
		if err != nil {
			return err
		}
		var guests [2]*websocket.Conn
		for i := range guests {
			if guests[i], err = websocket.Dial(ctx, nil, fmt.Sprintf("ws://%v/chat", address), nil); err != nil {
				return err
			}
		}
		for e, err := range sse.Events(ctx, nil, fmt.Sprintf("http://%v/people", address)) {
			if err != nil {
				return err
			}
			if e.Data == "2" {
				fmt.Println(e.Data, "here")
				break
			}
		}
		if err := guests[0].Write(ctx, websocket.Text, []byte("hello")); err != nil {
			return err
		}
		for _, g := range guests {
			m, err := g.Read(ctx)
			if err != nil {
				return err
			}
			fmt.Printf("%s\n", m.Data)
			if err := g.Close(ctx, websocket.StatusNormal, ""); err != nil {
				return err
			}
		}
		server.Cancel("")
		server.Await(ctx)
		return nil
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// 2 here
	// guest 1: hello
	// guest 1: hello
}

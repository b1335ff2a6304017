// Command webchat is a chat for browsers: what is said goes by WebSocket, and how many are there is told by server-sent events.
//
//	go run ./examples/webchat localhost:8080
package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/rondohttp"
	"github.com/rondo-go/rondo/rondohttp/sse"
	"github.com/rondo-go/rondo/rondohttp/websocket"
)

//go:embed page.html
var page []byte

// A room is the people in it. It belongs to one loop.
type room struct {
	hub   *websocket.Hub
	feeds map[*rondo.Event]struct{} // to be told when somebody comes or leaves
	names int
}

// chat serves one browser's WebSocket. It holds no task while the browser is silent.
func (r *room) chat(w http.ResponseWriter, req *http.Request) {
	c, err := websocket.Accept(w, req, &websocket.Options{Compression: &websocket.Compression{}})
	if err != nil {
		return // it has been answered
	}
	r.names++
	name := "guest " + strconv.Itoa(r.names)
	r.hub.Add(c)
	r.changed()
	c.OnMessage(func(_ context.Context, _ *websocket.Conn, m websocket.Message) error {
		r.hub.Broadcast(websocket.Text, fmt.Appendf(nil, "%s: %s", name, m.Data))
		return nil
	}, func(*websocket.Conn, error) { r.changed() })
}

func (r *room) changed() {
	for e := range r.feeds {
		e.Set()
	}
}

// feed tells a browser how many there are, each time that this changes.
func (r *room) feed(w http.ResponseWriter, req *http.Request) {
	s, err := sse.NewStream(w, req)
	if err != nil {
		return
	}
	e := rondo.NewEvent()
	r.feeds[e] = struct{}{}
	defer delete(r.feeds, e)
	rondo.WithGroup(req.Context(), func(g *rondo.Group) error {
		g.Go(func(ctx context.Context) error { return s.KeepAlive(ctx, 15*time.Second) })
		for {
			e.Clear()
			if err := s.Send(sse.Event{Type: "people", Data: strconv.Itoa(r.hub.Len())}); err != nil {
				return err
			}
			if err := e.Wait(req.Context()); err != nil {
				return err
			}
		}
	})
}

// serve serves the room at address. Ready, if not nil, is told of the address.
func serve(ctx context.Context, address string, ready func(net.Addr)) error {
	r := &room{hub: websocket.NewHub(64, websocket.CloseSlow), feeds: make(map[*rondo.Event]struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { w.Write(page) })
	mux.HandleFunc("GET /chat", r.chat)
	mux.HandleFunc("GET /people", r.feed)
	return rondohttp.NewServer(mux).ListenAndServe(ctx, "tcp", address, ready)
}

func main() {
	address := "localhost:8080"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	err := rondo.Run(func(ctx context.Context) error {
		return serve(ctx, address, func(a net.Addr) { fmt.Printf("http://%v/\n", a) })
	})
	if !errors.Is(err, rondo.ErrInterrupted) {
		log.Fatal(err)
	}
}

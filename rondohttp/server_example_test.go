package rondohttp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/rondohttp"
)

// Any handler of net/http's is served, and the server ends in good order.
func ExampleServer() {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello/{name}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello, %s", r.PathValue("name"))
	})
	err := rondo.Run(func(ctx context.Context) error {
		ln, err := rondo.Listen(ctx, "tcp", "localhost:0")
		if err != nil {
			return err
		}
		srv := rondohttp.NewServer(mux)
		return rondo.WithGroup(ctx, func(g *rondo.Group) error {
			g.Go(func(ctx context.Context) error {
				if err := srv.Serve(ctx, ln); !errors.Is(err, http.ErrServerClosed) {
					return err
				}
				return nil
			})
			s := rondohttp.NewSession()
			defer s.Close()
			r, err := s.Get(ctx, "http://"+ln.Addr().String()+"/hello/world")
			if err != nil {
				return err
			}
			body, err := r.Bytes(ctx)
			fmt.Println(r.Status, string(body))
			return errors.Join(err, srv.Shutdown(ctx))
		})
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output: 200 hello, world
}

// The server's own face allocates nothing. It reads the body in pieces, in the server's buffer.
func ExampleHandlerFunc() {
	count := rondohttp.HandlerFunc(func(ctx context.Context, w *rondohttp.ServerResponse, r *rondohttp.ServerRequest) error {
		n := 0
		for {
			piece, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				return err
			}
			n += len(piece)
		}
		w.SetContentType("text/plain")
		_, err := fmt.Fprintf(w, "%d bytes\n", n)
		return err
	})
	rondo.Run(func(ctx context.Context) error {
		ctx, stop := context.WithCancel(ctx)
		stop() // so that the example ends
		ln, err := rondo.Listen(ctx, "tcp", "localhost:0")
		if err != nil {
			return err
		}
		return rondohttp.Serve(ctx, ln, count)
	})
}

// Rondo's small servers, for the comparison with others': echo in straight-line
// code, the same with connections that rest, echo over TLS, and HTTP.
//
//	go build -o rondo-net ./net/rondo
//	rondo-net echo|http|tls|idle -addr HOST:PORT -loops N [-cert FILE -key FILE]
//
// With RONDO_NET_FACE=net/http in the environment, http serves an http.Handler
// instead of the server's own face.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/rondohttp"
	"github.com/rondo-go/rondo/rondotls"
)

// echo sends back what comes, and holds its task while it waits.
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

// echoOnce rests between messages.
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

// echoTLS is echoOnce over TLS.
func echoTLS(ctx context.Context, c *rondotls.Conn) error {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	n, err := c.Read(*buf)
	if err != nil {
		return err
	}
	if _, err := c.Write((*buf)[:n]); err != nil {
		return err
	}
	return c.Rest(nil)
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 64<<10); return &b }}

// hello is the plaintext answer, by the server's own face.
func hello(ctx context.Context, w *rondohttp.ServerResponse, r *rondohttp.ServerRequest) error {
	w.SetContentType("text/plain")
	_, err := w.WriteString("Hello, World!")
	return err
}

// helloNet is the same by net/http's.
func helloNet(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain")
	io.WriteString(w, "Hello, World!")
}

func main() {
	if len(os.Args) < 2 {
		fail(fmt.Errorf("usage: %s echo|idle|tls|http -addr HOST:PORT [-loops N] [-cert FILE -key FILE]", os.Args[0]))
	}
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	addr := flags.String("addr", "127.0.0.1:0", "where to listen")
	loops := flags.Int("loops", 1, "loops")
	cert := flags.String("cert", "", "certificate, PEM")
	key := flags.String("key", "", "its key, PEM")
	flags.Parse(os.Args[2:])
	fail(rondo.Run(func(ctx context.Context) error {
		switch job := os.Args[1]; job {
		case "echo":
			return rondo.NewServer(echo).ListenAndServe(ctx, "tcp", *addr, nil)
		case "idle":
			return rondo.NewServer(echoOnce, rondo.WithLazyStart()).ListenAndServe(ctx, "tcp", *addr, nil)
		case "tls":
			cfg, err := rondotls.ServerConfig(*cert, *key)
			if err != nil {
				return err
			}
			return rondo.NewServer(rondotls.Handle(cfg, echoTLS), rondo.WithLazyStart()).ListenAndServe(ctx, "tcp", *addr, nil)
		case "http":
			if os.Getenv("RONDO_NET_FACE") == "net/http" {
				return rondohttp.NewServer(http.HandlerFunc(helloNet)).ListenAndServe(ctx, "tcp", *addr, nil)
			}
			return rondohttp.NewServer(rondohttp.HandlerFunc(hello)).ListenAndServe(ctx, "tcp", *addr, nil)
		default:
			return fmt.Errorf("unknown server %s", job)
		}
	}, rondo.WithLoops(*loops)))
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "rondo-net:", err)
		os.Exit(1)
	}
}

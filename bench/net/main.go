// Rondo's small servers, for the comparison with others': echo in straight-line
// code, the same with connections that rest, echo over TLS, and HTTP.
//
//	go build -o rondo-net ./net
//	rondo-net echo|http|tls|idle -addr HOST:PORT -loops N [-cert FILE -key FILE]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"github.com/rondo-go/rondo"
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

func main() {
	if len(os.Args) < 2 {
		fail(fmt.Errorf("usage: %s echo|idle -addr HOST:PORT [-loops N]", os.Args[0]))
	}
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	addr := flags.String("addr", "127.0.0.1:0", "where to listen")
	loops := flags.Int("loops", 1, "loops")
	flags.Parse(os.Args[2:])
	handlers := map[string]rondo.Handler{"echo": echo, "idle": echoOnce}
	h := handlers[os.Args[1]]
	if h == nil {
		fail(fmt.Errorf("unknown server %s", os.Args[1]))
	}
	var opts []rondo.ServerOption
	if os.Args[1] == "idle" {
		opts = append(opts, rondo.WithLazyStart())
	}
	fail(rondo.Run(func(ctx context.Context) error {
		return rondo.NewServer(h, opts...).ListenAndServe(ctx, "tcp", *addr, nil)
	}, rondo.WithLoops(*loops)))
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "rondo-net:", err)
		os.Exit(1)
	}
}

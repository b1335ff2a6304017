// Command hello asks each host:port on its command line for its status line, all at once.
package main

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"os"

	"github.com/rondo-go/rondo"
)

func main() {
	err := rondo.Run(func(ctx context.Context) error {
		return rondo.WithGroup(ctx, func(g *rondo.Group) error {
			for _, addr := range os.Args[1:] {
				g.Go(func(ctx context.Context) error {
					c, err := rondo.Dial(ctx, "tcp", addr)
					if err != nil {
						return err
					}
					defer c.Close()
					fmt.Fprintf(c, "HEAD / HTTP/1.0\r\nHost: %s\r\n\r\n", addr)
					status, err := bufio.NewReader(c).ReadString('\n')
					if err == nil {
						fmt.Printf("%s: %s", addr, status)
					}
					return err
				})
			}
			return nil // the block ends when its tasks have
		})
	})
	if err != nil {
		log.Fatal(err)
	}
}

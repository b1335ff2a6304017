package rondo_test

import (
	"context"
	"fmt"

	"github.com/rondo-go/rondo"
)

// A client and a server that speak in lines.
func ExampleStream() {
	rondo.Run(func(ctx context.Context) error {
		ln, err := rondo.Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer ln.Close()
		return rondo.WithGroup(ctx, func(g *rondo.Group) error {
			g.Go(func(ctx context.Context) error {
				conn, err := ln.Accept()
				if err != nil {
					return err
				}
				s := rondo.NewStream(conn)
				defer s.Close()
				for line, err := range s.Lines() {
					if err != nil {
						return err
					}
					fmt.Fprintf(s, "you said %s", line)
					if err := s.Drain(ctx); err != nil {
						return err
					}
				}
				return nil
			})
			s, err := rondo.OpenStream(ctx, "tcp", ln.Addr().String())
			if err != nil {
				return err
			}
			defer s.Close()
			for _, word := range []string{"hello", "bye"} {
				fmt.Fprintln(s, word)
				line, err := s.ReadLine()
				if err != nil {
					return err
				}
				fmt.Printf("%s", line)
			}
			return nil
		})
	})
	// Output:
	// you said hello
	// you said bye
}

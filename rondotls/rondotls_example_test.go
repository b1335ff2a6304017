package rondotls_test

import (
	"bufio"
	"context"
	"fmt"
	"log"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/rondotls"
)

// A server with a certificate of its own, and a client that trusts it.
func Example() {
	dev, err := rondotls.SelfSigned("localhost", "127.0.0.1")
	if err != nil {
		log.Fatal(err)
	}
	server, err := rondotls.ServerConfig("", "", rondotls.WithKeyPair(dev.Certificate))
	if err != nil {
		log.Fatal(err)
	}
	client, err := rondotls.ClientConfig(rondotls.WithRoots(dev.Roots))
	if err != nil {
		log.Fatal(err)
	}
	err = rondo.Run(func(ctx context.Context) error {
		ln, err := rondotls.Listen(ctx, "tcp", "127.0.0.1:0", server)
		if err != nil {
			return err
		}
		defer ln.Close()
		rondo.Spawn(ctx, func(ctx context.Context) (struct{}, error) {
			c, err := ln.Accept()
			if err != nil {
				return struct{}{}, err
			}
			defer c.Close()
			name, err := bufio.NewReader(c).ReadString('\n') // the handshake is done here
			if err != nil {
				return struct{}{}, err
			}
			_, err = fmt.Fprint(c, "hello ", name)
			return struct{}{}, err
		})
		c, err := rondotls.Dial(ctx, "tcp", ln.Addr().String(), client)
		if err != nil {
			return err
		}
		defer c.Close()
		fmt.Fprintln(c, "Ada")
		answer, err := bufio.NewReader(c).ReadString('\n')
		fmt.Print(answer)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: hello Ada
}

// A connection that turns to TLS in the middle, as with SMTP's STARTTLS.
func ExampleWithBuffered() {
	upgrade := func(ctx context.Context, c *rondo.Conn) (*rondotls.Conn, error) {
		in := bufio.NewReader(c)
		fmt.Fprint(c, "STARTTLS\r\n")
		if _, err := in.ReadString('\n'); err != nil { // 220 go ahead
			return nil, err
		}
		cfg, err := rondotls.ClientConfig(rondotls.WithServerName("mail.example.com"))
		if err != nil {
			return nil, err
		}
		early, _ := in.Peek(in.Buffered())
		return rondotls.Client(ctx, c, cfg, rondotls.WithBuffered(early))
	}
	_ = upgrade
}

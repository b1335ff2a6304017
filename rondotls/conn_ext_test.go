package rondotls

import (
	"context"
	"net"
	"testing"

	"golang.org/x/net/nettest"
)

func TestConnIsANetConn(t *testing.T) {
	for _, where := range []string{"loop", "goroutines", "both"} {
		t.Run(where, func(t *testing.T) {
			l := startLoop(t)
			client, server := clientConfig(t), serverConfig(t)
			nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
				type ends struct{ c, s *Conn }
				e, err := do(l, func(ctx context.Context) (e ends, err error) {
					e.c, e.s, err = pair(ctx, client, server)
					return e, err
				})
				if err != nil {
					return nil, nil, nil, err
				}
				var c, s net.Conn = e.c, e.s
				if where != "goroutines" {
					c = &taskConn{e.c, l}
				}
				if where == "loop" {
					s = &taskConn{e.s, l}
				}
				return c, s, func() { c.Close(); s.Close() }, nil
			})
		})
	}
}

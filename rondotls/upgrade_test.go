package rondotls

import (
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/rondo-go/rondo"
)

func TestUpgradeTakesWhatTheStreamHasRead(t *testing.T) {
	client, server := clientConfig(t), serverConfig(t)
	run(t, func(ctx context.Context) error {
		ln, err := rondo.Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer ln.Close()
		served := rondo.Spawn(ctx, func(ctx context.Context) (string, error) {
			raw, err := ln.Accept()
			if err != nil {
				return "", err
			}
			s := rondo.NewStream(raw)
			if _, err := s.Peek(len("STARTTLS\n") + 1); err != nil { // so it reads ahead
				return "", err
			}
			line, err := s.ReadLine()
			if err != nil {
				return "", err
			}
			if got := string(line); got != "STARTTLS" && got != "STARTTLS\n" {
				return "", fmt.Errorf("command %q", got)
			}
			if s.Unread() == 0 {
				t.Error("the stream has nothing in its buffer: nothing is tested")
			}
			c, err := UpgradeServer(ctx, s, server)
			if err != nil {
				return "", err
			}
			defer c.Close()
			got, err := io.ReadAll(c)
			return string(got), err
		})
		raw, err := rondo.Dial(ctx, "tcp", ln.Addr().String())
		if err != nil {
			return err
		}
		s := rondo.NewStream(raw)
		s.WriteString("STARTTLS\n")
		c, err := Upgrade(ctx, s, client)
		if err != nil {
			return err
		}
		io.WriteString(c, "secret")
		c.Close()
		if got, err := served.Await(ctx); err != nil || got != "secret" {
			t.Errorf("got %q, %v", got, err)
		}
		return nil
	})
}

// What was written and is not with the system yet goes before TLS.
func TestUpgradeSendsWhatIsUnsent(t *testing.T) {
	client, server := clientConfig(t), serverConfig(t)
	const size = 16 << 20
	run(t, func(ctx context.Context) error {
		ln, err := rondo.Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer ln.Close()
		served := rondo.Spawn(ctx, func(ctx context.Context) (string, error) {
			raw, err := ln.Accept()
			if err != nil {
				return "", err
			}
			s := rondo.NewStream(raw)
			if _, err := s.ReadExactly(size); err != nil {
				return "", err
			}
			c, err := UpgradeServer(ctx, s, server)
			if err != nil {
				return "", err
			}
			defer c.Close()
			got, err := io.ReadAll(c)
			return string(got), err
		})
		raw, err := rondo.Dial(ctx, "tcp", ln.Addr().String())
		if err != nil {
			return err
		}
		s := rondo.NewStream(raw)
		s.Write(make([]byte, size))
		if s.Flush(); s.Buffered() == 0 {
			t.Error("all is with the system: nothing is tested")
		}
		c, err := Upgrade(ctx, s, client)
		if err != nil {
			return err
		}
		io.WriteString(c, "secret")
		c.Close()
		if got, err := served.Await(ctx); err != nil || got != "secret" {
			t.Errorf("got %q, %v", got, err)
		}
		return nil
	})
}

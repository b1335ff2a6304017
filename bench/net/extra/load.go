package main

import (
	"fmt"
	"io"
	"net"
	"time"
)

// loadConnect opens a connection, has a byte echoed and sees it closed by the server
// (so that no port of the client's is left waiting), again and again.
func loadConnect(address string) (int, error) {
	const ops = 20_000
	p := []byte{1}
	for range ops {
		c, err := net.Dial("tcp", address)
		if err != nil {
			return 0, err
		}
		if _, err := c.Write(p); err != nil {
			return 0, err
		}
		if _, err := io.ReadFull(c, p); err != nil {
			return 0, err
		}
		if n, err := c.Read(p); n != 0 || err != io.EOF {
			return 0, fmt.Errorf("no end after the echo: %d, %v", n, err)
		}
		c.Close()
	}
	return ops, nil
}

// loadReceive takes a gigabyte.
func loadReceive(address string) (int, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	n, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{c}, make([]byte, 256<<10))
	if err == nil && n != 1<<30 {
		err = fmt.Errorf("%d bytes came", n)
	}
	return 1, err
}

// loadUDP has datagrams of 64 bytes echoed, 32 on their way at a time.
func loadUDP(address string) (int, error) {
	const ops, window = 400_000, 32
	c, err := net.Dial("udp", address)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	p := make([]byte, 64)
	for range ops / window {
		for range window {
			if _, err := c.Write(p); err != nil {
				return 0, err
			}
		}
		for range window {
			if n, err := c.Read(p); err != nil || n != len(p) {
				return 0, fmt.Errorf("an echo of %d bytes: %w", n, err)
			}
		}
	}
	return ops, nil
}

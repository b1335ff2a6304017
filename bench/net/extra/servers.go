package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"

	"github.com/rondo-go/rondo"
)

// serveNet calls handle for each connection, in a goroutine of its own.
func serveNet(ready func(net.Addr), handle func(c *net.TCPConn) error) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ready(ln.Addr())
	for {
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		go func() {
			if err := handle(c.(*net.TCPConn)); err != nil {
				fail(err)
			}
			c.Close()
		}()
	}
}

func serveRondo(ready func(net.Addr), handle rondo.Handler) error {
	return rondo.Run(func(ctx context.Context) error {
		return rondo.NewServer(handle).ListenAndServe(ctx, "tcp", "127.0.0.1:0", ready)
	})
}

func goConnect(ready func(net.Addr), _ string) error {
	return serveNet(ready, func(c *net.TCPConn) error {
		p := make([]byte, 1)
		if _, err := c.Read(p); err != nil {
			return err
		}
		_, err := c.Write(p)
		return err
	})
}

func rondoConnect(ready func(net.Addr), _ string) error {
	return serveRondo(ready, func(ctx context.Context, c *rondo.Conn) error {
		p, err := c.Borrow()
		if err == nil {
			_, err = c.Write(p)
		}
		return err
	})
}

func goSendFile(ready func(net.Addr), file string) error {
	return serveNet(ready, func(c *net.TCPConn) error { return sendTo(c, file) })
}

func rondoSendFile(ready func(net.Addr), file string) error {
	return serveRondo(ready, func(ctx context.Context, c *rondo.Conn) error { return sendTo(c, file) })
}

func sendTo(c io.ReaderFrom, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = c.ReadFrom(f)
	return err
}

// source is where a proxy gets its gigabyte: this program's own sendfile server.
func source(file string) (net.Addr, error) {
	addrs := make(chan net.Addr, 1)
	errs := make(chan error, 1)
	go func() { errs <- child(addrs, file) }()
	select {
	case a := <-addrs:
		return a, nil
	case err := <-errs:
		return nil, err
	}
}

func goProxy(ready func(net.Addr), file string) error {
	from, err := source(file)
	if err != nil {
		return err
	}
	return serveNet(ready, func(c *net.TCPConn) error {
		in, err := net.Dial("tcp", from.String())
		if err != nil {
			return err
		}
		defer in.Close()
		_, err = io.Copy(c, in)
		return err
	})
}

func rondoProxy(ready func(net.Addr), file string) error {
	from, err := source(file)
	if err != nil {
		return err
	}
	return serveRondo(ready, func(ctx context.Context, c *rondo.Conn) error {
		in, err := rondo.Dial(ctx, "tcp", from.String())
		if err != nil {
			return err
		}
		defer in.Close()
		_, err = io.Copy(c, in)
		return err
	})
}

func goUDP(ready func(net.Addr), _ string) error {
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	ready(c.LocalAddr())
	p := make([]byte, 2048)
	for {
		n, from, err := c.ReadFromUDPAddrPort(p)
		if err != nil {
			return err
		}
		if _, err := c.WriteToUDPAddrPort(p[:n], from); err != nil {
			return err
		}
	}
}

func rondoUDP(ready func(net.Addr), _ string) error {
	return rondo.Run(func(ctx context.Context) error {
		c, err := rondo.ListenPacket(ctx, "udp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		ready(c.LocalAddr())
		p := make([]byte, 2048)
		for {
			n, from, err := c.ReadFromAddrPort(p)
			if err != nil {
				return err
			}
			if _, err := c.WriteToAddrPort(p[:n], from); err != nil {
				return err
			}
		}
	})
}

func rondoUDPBatch(ready func(net.Addr), _ string) error {
	return rondo.Run(func(ctx context.Context) error {
		c, err := rondo.ListenPacket(ctx, "udp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		ready(c.LocalAddr())
		ms, bufs := make([]rondo.Message, 32), make([][]byte, 32)
		for i := range bufs {
			bufs[i] = make([]byte, 2048)
		}
		for {
			for i := range ms {
				ms[i].Buffer = bufs[i]
			}
			n, err := c.ReadBatch(ms)
			if err != nil {
				return err
			}
			for i := range ms[:n] {
				ms[i].Buffer = ms[i].Buffer[:ms[i].N]
			}
			if _, err := c.WriteBatch(ms[:n]); err != nil { // to whom they are from
				return err
			}
		}
	})
}

// child runs this program's own sendfile server.
func child(addrs chan<- net.Addr, file string) error {
	cmd := exec.Command(os.Args[0], "-serve", "go-net", "-file", file, "sendfile")
	if _, err := cmd.StdinPipe(); err != nil { // which ends with this process
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return err
	}
	a, err := net.ResolveTCPAddr("tcp", strings.TrimSpace(address))
	if err != nil {
		return err
	}
	addrs <- a
	return cmd.Wait()
}

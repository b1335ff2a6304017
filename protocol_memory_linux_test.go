package rondo

import (
	"context"
	"net"
	"os"
	"runtime"
	"syscall"
	"testing"
)

// An idle connection of a protocol holds no coroutine, and at most 1 KB of heap.
func TestProtocolIdleIsSmall(t *testing.T) {
	if os.Getenv("RONDO_POLLER") == "portable" {
		t.Skip("the portable backend reads ahead, into a buffer a connection")
	}
	const n, most = 300, 1 << 10
	memory := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc + m.StackInuse)
	}
	err := Run(func(ctx context.Context) error {
		ln, err := Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		port := ln.Addr().(*net.TCPAddr).Port
		var peers []int // descriptors alone, so that only the server's side is counted
		defer func() {
			for _, fd := range peers {
				syscall.Close(fd)
			}
		}()
		open := func() error {
			fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			peers = append(peers, fd)
			if err := syscall.Connect(fd, &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
				return err
			}
			c, err := ln.Accept()
			if err != nil {
				return err
			}
			NewTransport(c.(*Conn), &echoing{})
			return nil
		}
		if err := open(); err != nil {
			return err
		}
		for range 10 { // until the loop has what it needs itself, such as the buffer that all share
			if err := Sleep(ctx, 0); err != nil {
				return err
			}
		}
		tasks, before := len(Tasks()), memory()
		for range n {
			if err := open(); err != nil {
				return err
			}
		}
		for range 10 { // until each is at rest
			if err := Sleep(ctx, 0); err != nil {
				return err
			}
		}
		each := (memory() - before) / n
		t.Logf("%d bytes a connection", each)
		if each > most {
			t.Errorf("an idle connection takes %d bytes, not at most %d", each, most)
		}
		if got := len(Tasks()); got != tasks {
			t.Errorf("%d tasks, then %d", tasks, got)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

package rondo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
)

var (
	_ net.PacketConn = (*PacketConn)(nil)
	_ net.Conn       = (*PacketConn)(nil)
)

// runTest runs main on a loop.
func runTest(t *testing.T, main func(ctx context.Context) error, opts ...Option) {
	t.Helper()
	err := Run(main, append(opts, WithoutSignals())...)
	if err != nil {
		t.Fatal(err)
	}
}

func packetPair(ctx context.Context) (a, b *PacketConn, err error) {
	if a, err = ListenPacket(ctx, "udp", "127.0.0.1:0"); err == nil {
		b, err = ListenPacket(ctx, "udp", "127.0.0.1:0")
	}
	return a, b, err
}

func addrPort(c *PacketConn) netip.AddrPort {
	ap := c.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

func TestPacketConnParksTasks(t *testing.T) {
	runTest(t, func(ctx context.Context) error {
		a, b, err := packetPair(ctx)
		if err != nil {
			return err
		}
		echo := Spawn(ctx, func(ctx context.Context) (int, error) {
			p := make([]byte, 100)
			for i := range 3 {
				n, from, err := b.ReadFrom(p)
				if err != nil {
					return i, err
				}
				if _, err := b.WriteTo(p[:n], from); err != nil {
					return i, err
				}
			}
			return 3, nil
		})
		p := make([]byte, 100)
		for _, text := range []string{"one", "", "three"} {
			if _, err := a.WriteToAddrPort([]byte(text), addrPort(b)); err != nil {
				return err
			}
			n, from, err := a.ReadFromAddrPort(p)
			if err != nil || string(p[:n]) != text || from != addrPort(b) {
				t.Errorf("got %q from %v, %v; want %q", p[:n], from, err, text)
			}
		}
		_, err = echo.Await(ctx)
		return errors.Join(err, a.Close(), b.Close())
	})
}

func TestPacketConnServesGoroutines(t *testing.T) {
	for _, network := range []string{"udp", "unixgram"} {
		if network == "unixgram" && runtime.GOOS == "windows" {
			continue
		}
		address := func() string {
			if network == "unixgram" {
				return t.TempDir() + "/s"
			}
			return "127.0.0.1:0"
		}
		runTest(t, func(ctx context.Context) error {
			a, err := ListenPacket(ctx, network, address())
			if err != nil {
				return err
			}
			b, err := ListenPacket(ctx, network, address())
			if err != nil {
				return err
			}
			var wg sync.WaitGroup
			wg.Go(func() { // off the loop, while the loop's thread is in this task or asleep
				p := make([]byte, 100)
				for {
					n, from, err := b.ReadFrom(p)
					if err != nil {
						if !errors.Is(err, net.ErrClosed) {
							t.Error(err)
						}
						return
					}
					if _, err := b.WriteTo(p[:n], from); err != nil {
						t.Error(err)
					}
				}
			})
			p := make([]byte, 100)
			for i := range 50 {
				text := fmt.Sprint(i)
				if _, err := a.WriteTo([]byte(text), b.LocalAddr()); err != nil {
					return err
				}
				n, from, err := a.ReadFrom(p)
				if err != nil || string(p[:n]) != text || from.String() != b.LocalAddr().String() {
					t.Errorf("got %q from %v, %v", p[:n], from, err)
				}
			}
			err = b.Close()
			wg.Wait()
			return errors.Join(err, a.Close())
		})
	}
}

func TestPacketConnOffLoopDeadlineAndClose(t *testing.T) {
	var c *PacketConn
	l, stop := background(t)
	x, err := SpawnThreadsafe(context.Background(), l, func(ctx context.Context) (*PacketConn, error) {
		return ListenPacket(ctx, "udp", "127.0.0.1:0")
	})
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x.Await(context.Background()); err != nil {
		t.Fatal(err)
	}
	c.SetReadDeadline(time.Now().Add(time.Millisecond))
	if _, _, err := c.ReadFrom(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read past the deadline: %v", err)
	}
	c.SetReadDeadline(time.Time{})
	got := make(chan error)
	go func() {
		_, _, err := c.ReadFrom(make([]byte, 1))
		got <- err
	}()
	c.Close()
	if err := <-got; !errors.Is(err, net.ErrClosed) {
		t.Errorf("read of closed: %v", err)
	}
	if err := c.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("second close: %v", err)
	}
	stop()
}

func TestPacketConnDeadlineOnVirtualTime(t *testing.T) {
	runTest(t, func(ctx context.Context) error {
		a, _, err := packetPair(ctx)
		if err != nil {
			return err
		}
		start := RunningLoop().Time()
		a.SetDeadline(time.Now().Add(time.Hour))
		_, _, err = a.ReadFrom(make([]byte, 1))
		var ne net.Error
		if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &ne) || !ne.Timeout() {
			t.Errorf("read: %v", err)
		}
		if took := RunningLoop().Time() - start; took < time.Hour-time.Minute || took > time.Hour+time.Minute {
			t.Errorf("read took %v of the loop's time", took)
		}
		if _, err := a.WriteTo(nil, a.LocalAddr()); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("write: %v", err)
		}
		a.SetDeadline(time.Time{})
		_, err = a.WriteTo([]byte("x"), a.LocalAddr())
		return err
	}, WithVirtualTime())
}

func TestPacketConnCanceledReadKeepsDatagram(t *testing.T) {
	runTest(t, func(ctx context.Context) error {
		a, b, err := packetPair(ctx)
		if err != nil {
			return err
		}
		reader := Spawn(ctx, func(ctx context.Context) (int, error) { return b.Read(make([]byte, 10)) })
		if err := Sleep(ctx, 0); err != nil {
			return err
		}
		reader.Cancel("")
		if _, err := a.WriteTo([]byte("kept"), b.LocalAddr()); err != nil {
			return err
		}
		var oe *net.OpError
		if _, err := reader.Await(ctx); !errors.Is(err, context.Canceled) || !errors.As(err, &oe) {
			t.Errorf("canceled read: %v", err)
		}
		p := make([]byte, 10)
		n, err := b.Read(p)
		if string(p[:n]) != "kept" {
			t.Errorf("read %q", p[:n])
		}
		return err
	})
}

func TestPacketConnBatchTakesBurst(t *testing.T) {
	runTest(t, func(ctx context.Context) error {
		a, b, err := packetPair(ctx)
		if err != nil {
			return err
		}
		if err := b.SetReadBuffer(1 << 20); err != nil {
			t.Error(err)
		}
		const all, window = 1000, 100
		room := NewSemaphore(window)
		reader := Spawn(ctx, func(ctx context.Context) (got int, err error) {
			ms := make([]Message, 32)
			for i := range ms {
				ms[i].Buffer = make([]byte, 16)
			}
			for got < all {
				n, err := b.ReadBatch(ms)
				if err != nil {
					return got, err
				}
				for _, m := range ms[:n] {
					if want := fmt.Sprint(got); string(m.Buffer[:m.N]) != want || m.Addr != addrPort(a) || m.Truncated {
						return got, fmt.Errorf("got %q from %v, want %q", m.Buffer[:m.N], m.Addr, want)
					}
					got++
					room.Release()
				}
			}
			return got, nil
		})
		for sent := 0; sent < all; sent += window / 2 {
			var out []Message
			for i := range window / 2 {
				if err := room.Acquire(ctx); err != nil {
					return err
				}
				out = append(out, Message{Buffer: fmt.Append(nil, sent+i), Addr: addrPort(b)})
			}
			if n, err := a.WriteBatch(out); n != len(out) || err != nil {
				t.Errorf("sent %d, %v", n, err)
			}
		}
		_, err = reader.Await(ctx)
		return err
	})
}

func TestDialPacketFiltersAndTellsRefusal(t *testing.T) {
	runTest(t, func(ctx context.Context) error {
		server, stranger, err := packetPair(ctx)
		if err != nil {
			return err
		}
		c, err := DialPacket(ctx, "udp", server.LocalAddr().String())
		if err != nil {
			return err
		}
		if _, err := stranger.WriteTo([]byte("unasked"), c.LocalAddr()); err != nil {
			return err
		}
		if _, err := server.WriteTo([]byte("hello"), c.LocalAddr()); err != nil {
			return err
		}
		p := make([]byte, 10)
		n, err := c.Read(p)
		if string(p[:n]) != "hello" || err != nil || c.RemoteAddr().String() != server.LocalAddr().String() {
			t.Errorf("read %q, %v, from %v", p[:n], err, c.RemoteAddr())
		}
		if _, err := c.WriteTo(p, server.LocalAddr()); !errors.Is(err, net.ErrWriteToConnected) {
			t.Errorf("WriteTo of a connected socket: %v", err)
		}
		server.Close()
		if _, err := c.Write(p); err != nil {
			return err
		}
		if _, err := c.Read(p); runtime.GOOS != "windows" && !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("read from nobody: %v", err)
		}
		c.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := c.Read(p); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("refusal told twice: %v", err)
		}
		return nil
	})
}

func TestListenPacketRefusesBadAddresses(t *testing.T) {
	if _, err := ListenPacket(context.Background(), "udp", ":0"); !errors.Is(err, ErrNotTask) {
		t.Errorf("off the loop: %v", err)
	}
	runTest(t, func(ctx context.Context) error {
		for _, x := range [][2]string{{"tcp", "127.0.0.1:0"}, {"udp", "127.0.0.1"}, {"udp", "127.0.0.1:99999"}, {"unixpacket", "x"}} {
			var oe *net.OpError
			if _, err := ListenPacket(ctx, x[0], x[1]); !errors.As(err, &oe) {
				t.Errorf("listen %v: %v", x, err)
			}
			if _, err := DialPacket(ctx, x[0], x[1]); !errors.As(err, &oe) {
				t.Errorf("dial %v: %v", x, err)
			}
		}
		c, err := ListenPacket(ctx, "udp", "localhost:0")
		if err != nil {
			return err
		}
		d, err := DialPacket(ctx, "udp4", fmt.Sprintf("localhost:%d", addrPort(c).Port()))
		if err != nil {
			return err
		}
		return errors.Join(c.Close(), d.Close())
	})
}

func TestPacketConnJoinsGroup(t *testing.T) {
	runTest(t, func(ctx context.Context) error {
		group := netip.MustParseAddr("224.0.0.251")
		lo, err := net.InterfaceByName("lo")
		if err != nil {
			t.Skip("no interface lo")
		}
		c, err := (&PacketConfig{ReusePort: true}).Listen(ctx, "udp4", ":0")
		if err != nil {
			return err
		}
		if err := c.JoinGroup(lo, netip.MustParseAddr("127.0.0.1")); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("joined what is no group: %v", err)
		}
		if err := c.JoinGroup(lo, group); err != nil {
			return err
		}
		if err := c.JoinGroup(lo, group); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("joined twice: %v", err)
		}
		if err := c.LeaveGroup(lo, group); err != nil {
			return err
		}
		c.Close()
		if err := c.LeaveGroup(lo, group); !errors.Is(err, net.ErrClosed) {
			t.Errorf("option of a closed socket: %v", err)
		}
		return nil
	})
}

func TestPacketConnAllocatesNothing(t *testing.T) {
	if os.Getenv("RONDO_POLLER") == "portable" || runtime.GOOS != "linux" {
		t.Skip("the portable backend copies")
	}
	runTest(t, func(ctx context.Context) error {
		a, b, err := packetPair(ctx)
		if err != nil {
			return err
		}
		p, to := make([]byte, 64), addrPort(b)
		ms := []Message{{Buffer: make([]byte, 64)}, {Buffer: make([]byte, 64)}}
		allocs := testing.AllocsPerRun(100, func() {
			a.WriteToAddrPort(p, to)
			if n, from, err := b.ReadFromAddrPort(p); n != 64 || err != nil || !from.IsValid() {
				t.Error(n, from, err)
			}
			a.WriteToAddrPort(p, to)
			if n, err := b.ReadBatch(ms); n != 1 || err != nil {
				t.Error(n, err)
			}
		})
		if allocs != 0 {
			t.Errorf("%v allocations", allocs)
		}
		return nil
	})
}

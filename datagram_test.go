package rondo

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"syscall"
	"testing"
)

// recorder is a DatagramProtocol for tests.
type recorder struct {
	received func(p []byte, from netip.AddrPort)
	errs     *Queue[error]
	lost     *Queue[error]
}

func newRecorder(received func([]byte, netip.AddrPort)) *recorder {
	return &recorder{received, NewQueue[error](0), NewQueue[error](0)}
}

func (r *recorder) ReceivedDatagram(p []byte, from netip.AddrPort) { r.received(p, from) }
func (r *recorder) ErrorReceived(err error)                        { r.errs.TryPut(err) }
func (r *recorder) Lost(err error)                                 { r.lost.TryPut(err) }

func TestServePacketCallsProtocol(t *testing.T) {
	runTest(t, func(ctx context.Context) error {
		var server *DatagramTransport
		served := newRecorder(func(p []byte, from netip.AddrPort) {
			if err := server.SendTo(p, from); err != nil {
				t.Error(err)
			}
		})
		server, err := ServePacket(ctx, "udp", "127.0.0.1:0", served)
		if err != nil {
			return err
		}
		got := NewQueue[string](0)
		client := newRecorder(func(p []byte, _ netip.AddrPort) { got.TryPut(string(p)) })
		c, err := OpenDatagram(ctx, "udp", "127.0.0.1:0", server.LocalAddr().String(), client)
		if err != nil {
			return err
		}
		texts := []string{"one", "", "three"}
		for _, text := range texts {
			if err := c.SendTo([]byte(text), netip.AddrPort{}); err != nil {
				return err
			}
		}
		for _, want := range texts {
			if text, err := got.Get(ctx); text != want || err != nil {
				t.Errorf("got %q, %v, want %q", text, err, want)
			}
		}
		if err := server.SendTo(nil, netip.AddrPort{}); err == nil {
			t.Error("sent to nobody")
		}
		server.Close()
		if err, _ := served.lost.Get(ctx); err != nil {
			t.Errorf("lost: %v", err)
		}
		// The client is told that nobody is there any more, and goes on.
		if runtime.GOOS != "windows" {
			c.SendTo([]byte("x"), netip.AddrPort{})
			if err, _ := client.errs.Get(ctx); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("error %v, want ECONNREFUSED", err)
			}
		}
		c.Abort()
		if err, _ := client.lost.Get(ctx); err != nil {
			t.Errorf("lost: %v", err)
		}
		if err := c.SendTo(nil, netip.AddrPort{}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("send by a closed socket: %v", err)
		}
		return nil
	})
}

func TestDatagramTransportSurvivesPanic(t *testing.T) {
	reports := 0
	runTest(t, func(ctx context.Context) error {
		got := NewQueue[string](0)
		server, err := ServePacket(ctx, "udp", "127.0.0.1:0", newRecorder(func(p []byte, _ netip.AddrPort) {
			if string(p) == "panic" {
				panic("as told")
			}
			got.TryPut(string(p))
		}))
		if err != nil {
			return err
		}
		c, err := DialPacket(ctx, "udp", server.LocalAddr().String())
		if err != nil {
			return err
		}
		c.Write([]byte("panic"))
		c.Write([]byte("on"))
		if text, err := got.Get(ctx); text != "on" || err != nil {
			t.Errorf("got %q, %v", text, err)
		}
		return nil
	}, WithExceptionHandler(func(Report) { reports++ }))
	if reports != 1 {
		t.Errorf("%d reports", reports)
	}
}

func TestDatagramTransportIsLostWithLoop(t *testing.T) {
	served := newRecorder(nil)
	runTest(t, func(ctx context.Context) error {
		_, err := ServePacket(ctx, "udp", "127.0.0.1:0", served)
		return err
	})
	if err, ok := served.lost.TryGet(); ok != nil || !errors.Is(err, ErrClosed) {
		t.Errorf("lost: %v, %v", err, ok)
	}
}

// What the system does not take at once is sent later, in order, and before the end.
func TestDatagramTransportQueuesWhatDoesNotFit(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("others drop, or say ENOBUFS")
	}
	runTest(t, func(ctx context.Context) error {
		receiver, err := ListenPacket(ctx, "unixgram", t.TempDir()+"/r")
		if err != nil {
			return err
		}
		sender := newRecorder(nil)
		tr, err := OpenDatagram(ctx, "unixgram", "", receiver.LocalAddr().String(), sender)
		if err != nil {
			return err
		}
		const all = 600 // more than a queue holds
		for i := range all {
			if err := tr.SendTo([]byte{byte(i)}, netip.AddrPort{}); err != nil {
				return err
			}
		}
		if tr.Buffered() == 0 {
			t.Error("the queue was never full")
		}
		tr.Close()
		if err := tr.SendTo(nil, netip.AddrPort{}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("send after close: %v", err)
		}
		p := make([]byte, 2)
		for i := range all {
			if n, err := receiver.Read(p); n != 1 || p[0] != byte(i) || err != nil {
				t.Fatalf("%d: got %v, %v", i, p[:n], err)
			}
		}
		if err, _ := sender.lost.Get(ctx); err != nil || tr.Buffered() != 0 {
			t.Errorf("lost: %v, buffered %d", err, tr.Buffered())
		}
		return nil
	})
}

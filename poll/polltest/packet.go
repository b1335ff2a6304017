package polltest

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/rondo-go/rondo/poll"
)

// Packet makes a datagram socket at an address of the test's own.
func (r *Rig) Packet(network string) poll.PacketEndpoint {
	r.Helper()
	address := "127.0.0.1:0"
	switch network {
	case "udp6":
		address = "[::1]:0"
	case "unixgram":
		address = filepath.Join(r.TempDir(), "s")
	}
	e, err := r.P.ListenPacket(network, address, poll.PacketOptions{})
	if err != nil {
		r.Fatal(err)
	}
	return e
}

// PacketTo makes a datagram socket that is connected to remote.
func (r *Rig) PacketTo(network string, local, remote net.Addr) poll.PacketEndpoint {
	r.Helper()
	e, err := r.P.ConnectPacket(network, local, remote, poll.PacketOptions{})
	if err != nil {
		r.Fatal(err)
	}
	return e
}

// Receive receives into ms, once.
func (r *Rig) Receive(e poll.PacketEndpoint, ms []poll.Message) (n int, err error) {
	r.Helper()
	op := r.Op()
	r.Await(op, func() (ok bool) { n, err, ok = e.ReadMessages(&op.Op, ms); return ok })
	return n, err
}

// ReceiveOne receives one datagram.
func (r *Rig) ReceiveOne(e poll.PacketEndpoint, size int) poll.Message {
	r.Helper()
	ms := []poll.Message{{Buffer: make([]byte, size)}}
	if n, err := r.Receive(e, ms); n != 1 || err != nil {
		r.Fatalf("receive: %d, %v", n, err)
	}
	return ms[0]
}

// Send sends ms, once.
func (r *Rig) Send(e poll.PacketEndpoint, ms ...poll.Message) (n int, err error) {
	r.Helper()
	op := r.Op()
	r.Await(op, func() (ok bool) { n, err, ok = e.WriteMessages(&op.Op, ms); return ok })
	return n, err
}

func (r *Rig) sendOne(e poll.PacketEndpoint, m poll.Message) {
	r.Helper()
	if n, err := r.Send(e, m); n != 1 || err != nil {
		r.Fatalf("send: %d, %v", n, err)
	}
}

// to is a message to the address of e.
func to(e poll.PacketEndpoint, text string) poll.Message {
	m := poll.Message{Buffer: []byte(text)}
	switch a := e.LocalAddr().(type) {
	case *net.UDPAddr:
		m.Addr = netip.AddrPortFrom(a.AddrPort().Addr().Unmap(), a.AddrPort().Port())
	case *net.UnixAddr:
		m.Path = a.Name
	}
	return m
}

// startReceive leaves a receive in flight.
func (r *Rig) startReceive(e poll.PacketEndpoint) *Op {
	r.Helper()
	op := r.Op()
	for {
		n, err, ok := e.ReadMessages(&op.Op, []poll.Message{{Buffer: make([]byte, 100)}})
		if ok {
			r.Fatalf("receive: %d, %v at once", n, err)
		}
		for op.Pending {
			if n, err := r.P.Wait(0); err != nil {
				r.Fatal(err)
			} else if n == 0 {
				op.Fired = 0
				return op
			}
		}
	}
}

func testPacketEcho(r *Rig) {
	for _, network := range []string{"udp", "udp4", "udp6"} {
		if l, err := net.ListenPacket("udp6", "[::1]:0"); err != nil && network == "udp6" {
			r.Logf("no IPv6 here: %v", err)
			continue
		} else if err == nil {
			l.Close()
		}
		a, b := r.Packet(network), r.Packet(network)
		r.sendOne(a, to(b, "ping"))
		m := r.ReceiveOne(b, 100)
		if string(m.Buffer[:m.N]) != "ping" || m.Truncated || m.Addr.String() != a.LocalAddr().String() {
			r.Errorf("%s: got %q from %v, want it from %v", network, m.Buffer[:m.N], m.Addr, a.LocalAddr())
		}
		m.Buffer = []byte("pong")
		r.sendOne(b, m)
		m = r.ReceiveOne(a, 100)
		if string(m.Buffer[:m.N]) != "pong" || m.Addr != to(b, "").Addr {
			r.Errorf("%s: got %q from %v", network, m.Buffer[:m.N], m.Addr)
		}
		if a.RemoteAddr() != nil || a.LocalAddr().Network() != "udp" {
			r.Errorf("%s: %v to %v", network, a.LocalAddr(), a.RemoteAddr())
		}
		r.Close(a, b)
	}
}

func testPacketBurst(r *Rig) {
	a, b := r.Packet("udp"), r.Packet("udp")
	const all, batch = 1000, 50
	in := make([]poll.Message, batch)
	for i := range in {
		in[i].Buffer = make([]byte, 16)
	}
	got := 0
	for sent := 0; sent < all; {
		var out []poll.Message
		for i := range batch {
			out = append(out, to(b, fmt.Sprintf("datagram %d", sent+i)))
		}
		for len(out) > 0 {
			n, err := r.Send(a, out...)
			if err != nil {
				r.Fatal(err)
			}
			out = out[n:]
			sent += n
		}
		for got < sent {
			n, err := r.Receive(b, in)
			if n == 0 || err != nil {
				r.Fatal(n, err)
			}
			for _, m := range in[:n] {
				if want := fmt.Sprintf("datagram %d", got); string(m.Buffer[:m.N]) != want || m.Addr != to(a, "").Addr {
					r.Fatalf("got %q from %v, want %q", m.Buffer[:m.N], m.Addr, want)
				}
				got++
			}
		}
	}
	r.Close(a, b)
}

func testPacketEmpty(r *Rig) {
	a, b := r.Packet("udp"), r.Packet("udp")
	c := r.PacketTo("udp", nil, b.LocalAddr())
	r.sendOne(a, to(b, ""))
	r.sendOne(c, poll.Message{})
	r.sendOne(a, to(b, "next"))
	for _, want := range []string{"", "", "next"} {
		if m := r.ReceiveOne(b, 10); string(m.Buffer[:m.N]) != want || m.Truncated {
			r.Errorf("got %q, want %q", m.Buffer[:m.N], want)
		}
	}
	r.Close(a, b, c)
}

func testPacketTruncated(r *Rig) {
	for _, network := range packetNetworks() {
		a, b := r.Packet(network), r.Packet(network)
		r.sendOne(a, to(b, "too long"))
		r.sendOne(a, to(b, "fits"))
		r.sendOne(a, to(b, "too long"))
		r.sendOne(a, to(b, "fits"))
		var ms []poll.Message
		for range 2 {
			ms = append(ms, r.ReceiveOne(b, 4))
		}
		batch := []poll.Message{{Buffer: make([]byte, 4)}, {Buffer: make([]byte, 4)}}
		for len(batch) > 0 {
			n, err := r.Receive(b, batch)
			if err != nil {
				r.Fatal(err)
			}
			ms = append(ms, batch[:n]...)
			batch = batch[n:]
		}
		for i, m := range ms {
			want, long := "fits", i%2 == 0
			if long {
				want = "too "
			}
			if string(m.Buffer[:m.N]) != want || m.Truncated != long {
				r.Errorf("%s: %d: got %q, truncated %v", network, i, m.Buffer[:m.N], m.Truncated)
			}
		}
		r.Close(a, b)
	}
}

func packetNetworks() []string {
	if runtime.GOOS == "windows" {
		return []string{"udp"}
	}
	return []string{"udp", "unixgram"}
}

func testPacketConnectedFilters(r *Rig) {
	b, stranger := r.Packet("udp"), r.Packet("udp")
	a := r.PacketTo("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}, b.LocalAddr())
	if a.RemoteAddr().String() != b.LocalAddr().String() {
		r.Errorf("connected to %v", a.RemoteAddr())
	}
	r.sendOne(stranger, to(a, "unasked"))
	r.sendOne(a, poll.Message{Buffer: []byte("ping")})
	m := r.ReceiveOne(b, 10)
	m.Buffer = []byte("pong")
	r.sendOne(b, m)
	if m := r.ReceiveOne(a, 10); string(m.Buffer[:m.N]) != "pong" || m.Addr != to(b, "").Addr {
		r.Errorf("got %q from %v", m.Buffer[:m.N], m.Addr)
	}
	r.Close(a, b, stranger)
}

// refused makes an endpoint that is connected to where nobody is.
func (r *Rig) refused() poll.PacketEndpoint {
	r.Helper()
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		r.Fatal(err)
	}
	defer l.Close()
	return r.PacketTo("udp", nil, l.LocalAddr())
}

func testPacketRefused(r *Rig) {
	if runtime.GOOS == "windows" {
		r.Skip("it does not tell of port unreachable messages")
	}
	e := r.refused()
	r.sendOne(e, poll.Message{Buffer: []byte("x")})
	_, err := r.Receive(e, []poll.Message{{Buffer: make([]byte, 1)}})
	r.WantErr("receive", err, syscall.ECONNREFUSED)
	r.startReceive(e) // told once
	r.Close(e)

	// It wakes one that waits.
	e = r.refused()
	ms := []poll.Message{{Buffer: make([]byte, 1)}}
	op := r.startReceive(e)
	r.sendOne(e, poll.Message{Buffer: []byte("x")})
	r.Await(op, func() (ok bool) { _, err, ok = e.ReadMessages(&op.Op, ms); return ok })
	r.WantErr("receive in flight", err, syscall.ECONNREFUSED)
	r.Close(e)
}

func testPacketTooLarge(r *Rig) {
	a, b := r.Packet("udp"), r.Packet("udp")
	large := to(b, "")
	large.Buffer = make([]byte, 70_000)
	n, err := r.Send(a, large)
	if n != 0 {
		r.Errorf("sent %d", n)
	}
	if runtime.GOOS != "windows" {
		r.WantErr("send", err, syscall.EMSGSIZE)
	}
	// In a batch, what comes before it is sent.
	if n, err := r.Send(a, to(b, "first"), large, to(b, "last")); n != 1 || err != nil {
		r.Errorf("batch: sent %d, %v", n, err)
	}
	if m := r.ReceiveOne(b, 10); string(m.Buffer[:m.N]) != "first" {
		r.Errorf("got %q", m.Buffer[:m.N])
	}
	r.startReceive(b)
	r.Close(a, b)
}

func testPacketWrongReceiver(r *Rig) {
	a, b := r.Packet("udp"), r.Packet("udp")
	c := r.PacketTo("udp", nil, b.LocalAddr())
	_, err := r.Send(c, to(a, "x"))
	r.WantErr("send to another than the peer", err, net.ErrWriteToConnected)
	if _, err = r.Send(a, poll.Message{Buffer: []byte("x")}); err == nil {
		r.Error("sent to nobody")
	}
	if _, err = r.Send(a, poll.Message{Addr: netip.MustParseAddrPort("[::1]:9")}); err == nil {
		r.Error("sent to IPv6 by an IPv4 socket")
	}
	r.Close(a, b, c)
}

func testPacketAny(r *Rig) {
	e, err := r.P.ListenPacket("udp", ":0", poll.PacketOptions{})
	if err != nil {
		r.Fatal(err)
	}
	port := e.LocalAddr().(*net.UDPAddr).Port
	for _, host := range []string{"127.0.0.1", "::1"} {
		c, err := net.Dial("udp", net.JoinHostPort(host, fmt.Sprint(port)))
		if err != nil {
			r.Logf("%s: %v", host, err) // no IPv6 here
			continue
		}
		if _, err := c.Write([]byte("x")); err != nil {
			r.Logf("%s: %v", host, err)
			continue
		}
		m := r.ReceiveOne(e, 10)
		if m.Addr.String() != c.LocalAddr().String() {
			r.Errorf("from %v, want %v", m.Addr, c.LocalAddr())
		}
		r.sendOne(e, m)
		c.SetDeadline(time.Now().Add(patience))
		if _, err := c.Read(make([]byte, 10)); err != nil {
			r.Errorf("answer to %v: %v", m.Addr, err)
		}
		c.Close()
	}
	r.Close(e)
}

func testPacketReusePort(r *Rig) {
	o := poll.PacketOptions{ReusePort: true}
	a, err := r.P.ListenPacket("udp", "127.0.0.1:0", o)
	if errors.Is(err, poll.ErrUnsupported) {
		r.Skip(err)
	} else if err != nil {
		r.Fatal(err)
	}
	called := false
	o.Control = func(network, address string, c syscall.RawConn) error {
		called = true
		return c.Control(func(uintptr) {})
	}
	b, err := r.P.ListenPacket("udp", a.LocalAddr().String(), o)
	if err != nil || !called {
		r.Fatal(err, called)
	}
	if _, err := r.P.ListenPacket("udp", a.LocalAddr().String(), poll.PacketOptions{}); err == nil {
		r.Error("third socket without the option")
	}
	o.Control = func(string, string, syscall.RawConn) error { return os.ErrPermission }
	_, err = r.P.ListenPacket("udp", "127.0.0.1:0", o)
	r.WantErr("control", err, os.ErrPermission)
	r.Close(a, b)
}

func testPacketBadAddress(r *Rig) {
	for _, x := range [][2]string{{"tcp", "127.0.0.1:0"}, {"udp", "no.literal:0"}, {"udp4", "[::1]:0"}, {"udp", "127.0.0.1"}} {
		if e, err := r.P.ListenPacket(x[0], x[1], poll.PacketOptions{}); err == nil {
			r.Errorf("%v: listening at %v", x, e.LocalAddr())
		}
	}
	if _, err := r.P.ConnectPacket("tcp", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9}, poll.PacketOptions{}); err == nil {
		r.Error("connected by network tcp")
	}
}

func testPacketUnix(r *Rig) {
	if runtime.GOOS == "windows" {
		r.Skip("no unixgram")
	}
	a, b := r.Packet("unixgram"), r.Packet("unixgram")
	r.sendOne(a, to(b, "ping"))
	m := r.ReceiveOne(b, 10)
	if string(m.Buffer[:m.N]) != "ping" || m.Path != a.LocalAddr().String() || m.Addr.IsValid() {
		r.Errorf("got %q from %q", m.Buffer[:m.N], m.Path)
	}
	nameless := r.PacketTo("unixgram", nil, b.LocalAddr())
	r.sendOne(nameless, poll.Message{Buffer: []byte("who")})
	if m := r.ReceiveOne(b, 10); string(m.Buffer[:m.N]) != "who" || m.Path != "" {
		r.Errorf("got %q from %q", m.Buffer[:m.N], m.Path)
	}
	_, err := r.Send(a, poll.Message{Path: filepath.Join(r.TempDir(), "nobody")})
	r.WantErr("send", err, os.ErrNotExist)
	r.Close(a, b, nameless)
	if runtime.GOOS != "linux" {
		return
	}
	name := fmt.Sprintf("@rondo-test-%d-%s", os.Getpid(), r.P.Name())
	c, err := r.P.ListenPacket("unixgram", name, poll.PacketOptions{})
	if err != nil {
		r.Fatal(err)
	}
	d, err := r.P.ListenPacket("unixgram", name+"d", poll.PacketOptions{})
	if err != nil {
		r.Fatal(err)
	}
	r.sendOne(d, poll.Message{Buffer: []byte("x"), Path: name})
	if m := r.ReceiveOne(c, 10); m.Path != name+"d" {
		r.Errorf("from %q", m.Path)
	}
	if c.LocalAddr().String() != name {
		r.Errorf("at %v", c.LocalAddr())
	}
	r.Close(c, d)
}

// A connected Unix socket waits for room in its receiver's queue.
func testPacketSlowReceiver(r *Rig) {
	if runtime.GOOS != "linux" {
		r.Skip("others drop, or say ENOBUFS")
	}
	b := r.Packet("unixgram")
	a := r.PacketTo("unixgram", nil, b.LocalAddr())
	op, rop := r.Op(), r.Op()
	sent, got := 0, 0
	text := func(i int) string { return fmt.Sprintf("%01000d", i) }
	in := []poll.Message{{Buffer: make([]byte, 2000)}}
	r.Until(func() bool {
		for !op.Pending && sent < 5000 {
			n, err, _ := a.WriteMessages(&op.Op, []poll.Message{{Buffer: []byte(text(sent))}})
			if err != nil {
				r.Fatal(err)
			}
			sent += n
		}
		if !rop.Pending {
			n, err, _ := b.ReadMessages(&rop.Op, in)
			if err != nil {
				r.Fatal(err)
			}
			if want := text(got); n == 1 && string(in[0].Buffer[:in[0].N]) != want {
				r.Fatalf("got %.20q of %d, want %.20q", in[0].Buffer, in[0].N, want)
			}
			got += n
			if n == 1 {
				r.P.Wake() // to go on without an event
			}
		}
		return got == 5000
	})
	if op.Fired == 0 {
		r.Error("never waited")
	}
	r.Close(a, b)
}

func testPacketCanceled(r *Rig) {
	a, b := r.Packet("udp"), r.Packet("udp")
	op := r.startReceive(b)
	b.Cancel(&op.Op)
	if op.Pending {
		r.Error("pending after cancel")
	}
	r.sendOne(a, to(b, "first"))
	r.sendOne(a, to(b, "second"))
	r.Linger(op)
	for _, want := range []string{"first", "second"} {
		if m := r.ReceiveOne(b, 10); string(m.Buffer[:m.N]) != want {
			r.Errorf("got %q, want %q", m.Buffer[:m.N], want)
		}
	}
	// A write that was withdrawn leaves nothing for the next one to collect.
	wop := r.Op()
	if _, err, ok := a.WriteMessages(&wop.Op, []poll.Message{to(b, "dropped")}); err != nil {
		r.Fatal(err)
	} else if !ok {
		a.Cancel(&wop.Op)
	}
	r.sendOne(a, to(b, "last"))
	for text := ""; text != "last"; {
		m := r.ReceiveOne(b, 10)
		text = string(m.Buffer[:m.N])
	}
	r.Close(a, b)
}

func testPacketDetach(r *Rig) {
	for _, network := range packetNetworks() {
		a, b := r.Packet(network), r.Packet(network)
		op := r.startReceive(b)
		b.Cancel(&op.Op)
		r.sendOne(a, to(b, "one"))
		r.Linger(op)
		d, err := b.Detach()
		if err != nil {
			r.Fatal(err)
		}
		// What a canceled receive got is had by the detached one.
		read := func() poll.Message {
			m := poll.Message{Buffer: make([]byte, 10)}
			d.SetReadDeadline(time.Now().Add(patience))
			if err := d.ReadMessage(&m); err != nil {
				r.Fatal(err)
			}
			return m
		}
		from := to(a, "")
		if m := read(); string(m.Buffer[:m.N]) != "one" || m.Addr != from.Addr || m.Path != from.Path {
			r.Errorf("%s: read %q from %v %v", network, m.Buffer[:m.N], m.Addr, m.Path)
		}
		m := to(a, "two")
		if err := d.WriteMessage(&m); err != nil {
			r.Error(err)
		}
		if m := r.ReceiveOne(a, 10); string(m.Buffer[:m.N]) != "two" {
			r.Errorf("%s: got %q", network, m.Buffer[:m.N])
		}
		d.SetReadDeadline(time.Now().Add(time.Millisecond))
		r.WantErr("read past the deadline", d.ReadMessage(&m), os.ErrDeadlineExceeded)
		// It outlives the endpoint.
		r.Close(b)
		r.sendOne(a, to(b, "on"))
		if m := read(); string(m.Buffer[:m.N]) != "on" {
			r.Errorf("%s: read %q", network, m.Buffer[:m.N])
		}
		ended := make(chan error)
		go func() {
			m := poll.Message{Buffer: make([]byte, 10)}
			ended <- d.ReadMessage(&m)
		}()
		r.Close(d)
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			r.Errorf("%s: read of closed: %v", network, err)
		}
		r.Close(a)
	}
}

func testPacketClose(r *Rig) {
	e := r.Packet("udp")
	op := r.startReceive(e)
	r.Close(e)
	r.Linger(op)
	if op.Pending {
		r.Error("pending after close")
	}
	_, err, ok := e.ReadMessages(&op.Op, make([]poll.Message, 1))
	r.WantErr("read", err, net.ErrClosed)
	if !ok {
		r.Error("read in flight after close")
	}
	_, err, _ = e.WriteMessages(&op.Op, make([]poll.Message, 1))
	r.WantErr("write", err, net.ErrClosed)
	r.WantErr("close", e.Close(), net.ErrClosed)
	_, err = e.Detach()
	r.WantErr("detach", err, net.ErrClosed)
	if e.LocalAddr() == nil {
		r.Error("no address after close")
	}
}

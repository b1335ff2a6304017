package polltest

import (
	"io/fs"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/rondo-go/rondo/poll"
)

func testConnect(r *Rig, network string) {
	client, server := r.Pair(network)
	defer r.Close(client, server)
	r.WriteAll(client, []byte("ping"))
	if got := r.ReadFull(server, 4); string(got) != "ping" {
		r.Errorf("got %q", got)
	}
	r.WriteAll(server, []byte("pong"))
	if got := r.ReadFull(client, 4); string(got) != "pong" {
		r.Errorf("got %q", got)
	}
	// A connection that has been collected stays connected.
	op := r.Op()
	if err, ok := client.Connected(&op.Op); err != nil || !ok {
		r.Errorf("connected again: %v, %v", err, ok)
	}
}

func testConnectTCP(r *Rig)  { testConnect(r, "tcp") }
func testConnectUnix(r *Rig) { testConnect(r, "unix") }

func testConnectTCP6(r *Rig) {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		r.Skip("no IPv6 here")
	}
	l.Close()
	testConnect(r, "tcp6")
}

func testConnectFromLocal(r *Rig) {
	l := r.Listen("tcp")
	defer r.Close(l)
	for _, ip := range []string{"", "127.0.0.1"} {
		e, err := r.Connect("tcp", &net.TCPAddr{IP: net.ParseIP(ip)}, l.Addr())
		if err != nil {
			r.Fatal(err)
		}
		r.Close(e, r.Accept(l))
	}
	// An address of nobody's here.
	if _, err := r.Connect("tcp", &net.TCPAddr{IP: net.ParseIP("192.0.2.1")}, l.Addr()); err == nil {
		r.Error("bound to a foreign address")
	}
}

// closedPort finds a port at which nobody listens.
func closedPort(r *Rig) net.Addr {
	l := r.Listen("tcp")
	r.Close(l)
	return l.Addr()
}

func testConnectRefused(r *Rig) {
	for range 10 {
		_, err := r.Connect("tcp", nil, closedPort(r))
		if err == nil {
			r.Fatal("connected to nobody")
		}
		if runtime.GOOS != "windows" && err != error(syscall.ECONNREFUSED) {
			r.Fatalf("error %v (%T), want a bare ECONNREFUSED", err, err)
		}
	}
	// A socket that is connected to itself is no connection.
	addr := closedPort(r)
	if _, err := r.Connect("tcp", addr, addr); err == nil {
		r.Error("connected to itself")
	}
}

func testConnectNoSuchPath(r *Rig) {
	path := filepath.Join(r.TempDir(), "none")
	_, err := r.Connect("unix", nil, &net.UnixAddr{Net: "unix", Name: path})
	r.WantErr("connect", err, fs.ErrNotExist)
}

func testConnectUnknownNetwork(r *Rig) {
	addr := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}
	_, err := r.Connect("udp", nil, addr)
	r.WantErr("connect udp", err, poll.ErrUnsupported)
	if _, err := r.Connect("tcp6", nil, addr); err == nil {
		r.Error("connected to an IPv4 address by tcp6")
	}
	if _, err := r.P.Listen("udp", "127.0.0.1:0", poll.ListenOptions{}); err == nil {
		r.Error("listening at udp")
	}
}

func testConnectClosedUnderway(r *Rig) {
	l := r.Listen("tcp")
	for range 20 {
		e, err := r.P.Connect("tcp", l.Addr(), poll.ConnectOptions{})
		if err != nil {
			r.Fatal(err)
		}
		op := r.Op()
		if err, ok := e.Connected(&op.Op); ok && err != nil {
			r.Fatal(err)
		}
		r.Close(e)
		if op.Pending || op.Fired != 0 {
			r.Fatal("close did not withdraw the connect")
		}
		err, ok := e.Connected(&op.Op)
		if !ok {
			r.Fatal("connect of a closed endpoint in flight")
		}
		r.WantErr("connected after close", err, net.ErrClosed)
	}
	r.Close(l)
}

func testListenAny(r *Rig) {
	l, err := r.P.Listen("tcp", ":0", poll.ListenOptions{})
	if err != nil {
		r.Fatal(err)
	}
	defer r.Close(l)
	port := l.Addr().(*net.TCPAddr).Port
	for _, ip := range []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback} {
		e, err := r.Connect("tcp", nil, &net.TCPAddr{IP: ip, Port: port})
		if err != nil {
			if ip.To4() == nil {
				r.Skip("no IPv6 here")
			}
			r.Fatal(err)
		}
		r.Close(e, r.Accept(l))
	}
}

func testListenInUse(r *Rig) {
	l := r.Listen("tcp")
	defer r.Close(l)
	if l2, err := r.P.Listen("tcp", l.Addr().String(), poll.ListenOptions{}); err == nil {
		r.Close(l2)
		r.Error("two listeners at one address")
	} else if !strings.HasPrefix(err.Error(), "listen "+l.Addr().String()) {
		r.Errorf("error %q does not say what failed", err)
	}
}

func testListenReusePort(r *Rig) {
	if runtime.GOOS == "windows" {
		r.Skip("no SO_REUSEPORT")
	}
	l, err := r.P.Listen("tcp", "127.0.0.1:0", poll.ListenOptions{ReusePort: true})
	if err != nil {
		r.Fatal(err)
	}
	l2, err := r.P.Listen("tcp", l.Addr().String(), poll.ListenOptions{ReusePort: true})
	if err != nil {
		r.Fatal(err)
	}
	r.Close(l, l2)
}

func testListenBadAddress(r *Rig) {
	for _, address := range []string{"", "127.0.0.1", "127.0.0.1:99999", "[::1:0", "localhost:0"} {
		if l, err := r.P.Listen("tcp", address, poll.ListenOptions{}); err == nil {
			r.Close(l)
			r.Errorf("listening at %q", address)
		}
	}
}

func testAcceptBurst(r *Rig) {
	const burst = 500
	l := r.Listen("tcp")
	defer r.Close(l)
	go func() {
		for i := range burst {
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				r.Error(err)
				return
			}
			c.Write([]byte{byte(i), byte(i >> 8)})
			c.Close()
		}
	}()
	seen := make(map[int]bool)
	for range burst {
		e := r.Accept(l)
		p := r.ReadFull(e, 2)
		seen[int(p[0])|int(p[1])<<8] = true
		r.Close(e)
	}
	if len(seen) != burst {
		r.Errorf("%d connections of %d", len(seen), burst)
	}
}

func testAcceptCanceled(r *Rig) {
	l := r.Listen("tcp")
	defer r.Close(l)
	op := r.Op()
	if _, _, ok := l.Accept(&op.Op); ok {
		r.Fatal("accepted nobody")
	}
	l.Cancel(&op.Op)
	l.Cancel(&op.Op)
	if op.Pending {
		r.Error("pending after cancel")
	}
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		r.Fatal(err)
	}
	defer c.Close()
	r.Linger(op)
	e := r.Accept(l)
	if e.RemoteAddr().String() != c.LocalAddr().String() {
		r.Errorf("accepted %v, want %v", e.RemoteAddr(), c.LocalAddr())
	}
	r.Close(e)
}

func testAcceptClose(r *Rig) {
	l := r.Listen("tcp")
	op := r.Op()
	if _, _, ok := l.Accept(&op.Op); ok {
		r.Fatal("accepted nobody")
	}
	r.Close(l)
	if op.Pending {
		r.Error("pending after close")
	}
	r.Linger(op)
	_, err, ok := l.Accept(&op.Op)
	if !ok {
		r.Fatal("accept on a closed listener in flight")
	}
	r.WantErr("accept", err, net.ErrClosed)
	r.WantErr("close", l.Close(), net.ErrClosed)
}

func testAddresses(r *Rig) {
	l := r.Listen("tcp")
	client, err := r.Connect("tcp", nil, l.Addr())
	if err != nil {
		r.Fatal(err)
	}
	server := r.Accept(l)
	if got := client.RemoteAddr().String(); got != l.Addr().String() {
		r.Errorf("client's remote %v, want %v", got, l.Addr())
	}
	if got := server.LocalAddr().String(); got != l.Addr().String() {
		r.Errorf("server's local %v, want %v", got, l.Addr())
	}
	if a, b := server.RemoteAddr().String(), client.LocalAddr().String(); a != b {
		r.Errorf("server's remote %v, client's local %v", a, b)
	}
	r.Close(l, client, server)
	if got := client.RemoteAddr().String(); got != l.Addr().String() {
		r.Errorf("remote after close %v, want %v", got, l.Addr())
	}

	l = r.Listen("unix")
	client, err = r.Connect("unix", nil, l.Addr())
	if err != nil {
		r.Fatal(err)
	}
	server = r.Accept(l)
	if got := client.RemoteAddr().String(); got != l.Addr().String() {
		r.Errorf("client's remote %v, want %v", got, l.Addr())
	}
	r.Close(l, client, server)
}

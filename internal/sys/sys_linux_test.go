package sys

import (
	"errors"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestGettidTellsThreadsApart(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	here := Gettid()
	if here <= 0 || here != Gettid() || here != unix.Gettid() {
		t.Errorf("thread %d, then %d", here, Gettid())
	}
	there := make(chan int)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		there <- Gettid()
	}()
	if <-there == here {
		t.Error("two threads of one id")
	}
}

func TestMillisRoundsUp(t *testing.T) {
	for d, want := range map[time.Duration]int{
		1:                               1,
		time.Millisecond:                1,
		time.Millisecond + 1:            2,
		time.Second:                     1000,
		1<<63 - 1:                       1<<31 - 1,
		(1<<31 - 1) * time.Millisecond:  1<<31 - 1,
		(1<<31 - 2) * time.Millisecond:  1<<31 - 2,
		1500*time.Millisecond + 500_000: 1501,
	} {
		if got := millis(d); got != want {
			t.Errorf("millis(%d) = %d, want %d", d, got, want)
		}
	}
}

// A kernel without epoll_pwait2 is simulated by the flag that remembers one.
func TestEpollWaitFallsBackToMilliseconds(t *testing.T) {
	defer noPwait2.Store(noPwait2.Load())
	epfd, err := EpollCreate()
	if err != nil {
		t.Fatal(err)
	}
	defer Close(epfd)
	fd, err := Eventfd()
	if err != nil {
		t.Fatal(err)
	}
	defer Close(fd)
	if err := EpollAdd(epfd, fd, EpollIn|EpollEdge, 7, 8); err != nil {
		t.Fatal(err)
	}
	events := make([]EpollEvent, 4)
	for _, old := range []bool{false, true} {
		noPwait2.Store(old)
		start := time.Now()
		n, err := EpollWait(epfd, events, 1500*time.Microsecond)
		if took := time.Since(start); n != 0 || err != nil || took < 1500*time.Microsecond {
			t.Errorf("old %v: %d events, %v after %v", old, n, err, took)
		}
		for _, d := range []time.Duration{0, time.Hour, -1} {
			Notify(fd)
			n, err = EpollWait(epfd, events, d)
			if n != 1 || err != nil || events[0].Fd != 7 || events[0].Pad != 8 || events[0].Events != EpollIn {
				t.Errorf("old %v: wait %v: %d events, %v, %+v", old, d, n, err, events[0])
			}
		}
	}
	if err := EpollDelete(epfd, fd); err != nil {
		t.Error(err)
	}
	if err := EpollDelete(epfd, fd); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("second delete: %v", err)
	}
	if _, err := EpollWait(-1, events, 0); !errors.Is(err, syscall.EBADF) {
		t.Errorf("wait on a bad descriptor: %v", err)
	}
}

func TestSockaddrRoundTrips(t *testing.T) {
	loopback := 1
	for _, test := range []struct {
		network string
		addr    net.Addr
		family  int
		want    string
	}{
		{"tcp", &net.TCPAddr{IP: net.IPv4(10, 1, 2, 3), Port: 80}, Inet4, "10.1.2.3:80"},
		{"tcp4", &net.TCPAddr{IP: net.ParseIP("10.1.2.3").To4(), Port: 65535}, Inet4, "10.1.2.3:65535"},
		{"tcp", &net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 1}, Inet6, "[2001:db8::1]:1"},
		{"tcp6", &net.TCPAddr{IP: net.ParseIP("fe80::1"), Port: 1, Zone: "lo"}, Inet6, "[fe80::1%lo]:1"},
		{"tcp", &net.TCPAddr{IP: net.ParseIP("fe80::1"), Port: 1, Zone: "99999"}, Inet6, "[fe80::1%99999]:1"},
		{"tcp", &net.TCPAddr{Port: 9}, Inet4, "0.0.0.0:9"},
		{"tcp6", &net.TCPAddr{Port: 9}, Inet6, "[::]:9"},
		{"unix", &net.UnixAddr{Net: "unix", Name: "/run/x"}, Unix, "/run/x"},
		{"unix", &net.UnixAddr{Net: "unix", Name: "@abstract"}, Unix, "@abstract"},
	} {
		family, sa, err := Sockaddr(test.network, test.addr)
		if err != nil || family != test.family {
			t.Errorf("%s %v: family %d, %v", test.network, test.addr, family, err)
			continue
		}
		if got := netAddr(sa).String(); got != test.want {
			if _, err := net.InterfaceByIndex(loopback); err != nil && strings.Contains(test.want, "%lo") {
				continue // no interfaces in this sandbox
			}
			t.Errorf("%s %v: got %v", test.network, test.addr, got)
		}
	}
}

func TestSockaddrRefusesMismatch(t *testing.T) {
	v4, v6 := net.IPv4(127, 0, 0, 1), net.IPv6loopback
	for _, test := range []struct {
		network     string
		addr        net.Addr
		unsupported bool
	}{
		{"tcp4", &net.TCPAddr{IP: v6}, false},
		{"tcp6", &net.TCPAddr{IP: v4}, false},
		{"tcp", &net.TCPAddr{IP: v6, Zone: "no such zone"}, false},
		{"tcp", &net.TCPAddr{IP: net.IP{1, 2, 3}}, true},
		{"udp", &net.TCPAddr{IP: v4}, true},
		{"tcp", &net.UDPAddr{IP: v4}, true},
		{"tcp", &net.UnixAddr{Name: "x"}, true},
		{"tcp", nil, true},
	} {
		_, _, err := Sockaddr(test.network, test.addr)
		if err == nil || errors.Is(err, errors.ErrUnsupported) != test.unsupported {
			t.Errorf("%s %v: error %v", test.network, test.addr, err)
		}
	}
}

func TestInetSockaddrFitsFamily(t *testing.T) {
	for _, test := range []struct {
		family   int
		ip, want string
	}{
		{Inet4, "127.0.0.1", "127.0.0.1:5"},
		{Inet4, "::", "0.0.0.0:5"},
		{Inet4, "", "0.0.0.0:5"},
		{Inet4, "::ffff:127.0.0.1", "127.0.0.1:5"},
		{Inet4, "::1", ""},
		{Inet6, "::1", "[::1]:5"},
		{Inet6, "0.0.0.0", "[::]:5"},
		{Inet6, "", "[::]:5"},
		{Inet6, "127.0.0.1", "127.0.0.1:5"}, // mapped, and shown as what it is
	} {
		ip, _ := netip.ParseAddr(test.ip)
		sa, err := InetSockaddr(test.family, netip.AddrPortFrom(ip, 5))
		if test.want == "" {
			if err == nil {
				t.Errorf("%d %s: no error", test.family, test.ip)
			}
			continue
		}
		if err != nil {
			t.Errorf("%d %s: %v", test.family, test.ip, err)
		} else if got := netAddr(sa).String(); got != test.want {
			t.Errorf("%d %s: %s", test.family, test.ip, got)
		}
	}
}

func TestListenChoosesFamily(t *testing.T) {
	for _, test := range []struct{ network, address, want string }{
		{"tcp", "127.0.0.1:0", "127.0.0.1"},
		{"tcp4", ":0", "0.0.0.0"},
		{"tcp4", "", "error"},
		{"tcp4", "[::1]:0", "error"},
		{"tcp6", "127.0.0.1:0", "error"},
		{"tcp", "localhost:0", "error"},
		{"tcp", "127.0.0.1:no-such-service", "error"},
		{"udp", "127.0.0.1:0", "error"},
	} {
		fd, err := Listen(test.network, test.address, ListenOptions{})
		if err != nil {
			if test.want != "error" {
				t.Errorf("%s %s: %v", test.network, test.address, err)
			}
			continue
		}
		addr, err := LocalAddr(fd)
		if err != nil || addr.(*net.TCPAddr).IP.String() != test.want {
			t.Errorf("%s %s: listening at %v, %v, want %s", test.network, test.address, addr, err, test.want)
		}
		Close(fd)
	}
}

func TestAcceptTellsPeer(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
		l, err := Listen("tcp", address, ListenOptions{ReusePort: true})
		if err != nil {
			t.Logf("%s: %v", address, err) // no IPv6 here
			continue
		}
		if _, _, errno := Accept(l); errno != syscall.EAGAIN {
			t.Errorf("accept of nobody: %v", errno)
		}
		addr, err := LocalAddr(l)
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ := net.SplitHostPort(addr.String())
		host := strings.Trim(strings.TrimSuffix(address, ":0"), "[]")
		if host == "" {
			host = "127.0.0.1" // which a socket for both families sees mapped
		}
		c, err := net.Dial("tcp", net.JoinHostPort(host, port))
		if err != nil {
			t.Fatal(err)
		}
		fd, peer, errno := Accept(l)
		if errno != 0 || peer.String() != c.LocalAddr().String() {
			t.Errorf("accepted %v, want %v, %v", peer, c.LocalAddr(), errno)
		}
		if !IsStream(fd) || !IsTCP(fd) {
			t.Error("not a TCP socket")
		}
		c.Close()
		Close(fd)
		Close(l)
	}
}

func TestSendAnswersEPIPE(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer Close(fds[0])
	if _, errno := Recv(fds[0], make([]byte, 1)); errno != syscall.EAGAIN {
		t.Errorf("receive on a blocking socket: %v", errno)
	}
	if n, errno := Send(fds[1], []byte("x")); n != 1 || errno != 0 {
		t.Errorf("send: %d, %v", n, errno)
	}
	Close(fds[1])
	if n, errno := Recv(fds[0], make([]byte, 2)); n != 1 || errno != 0 {
		t.Errorf("receive: %d, %v", n, errno)
	}
	if n, errno := Recv(fds[0], make([]byte, 2)); n != 0 || errno != 0 {
		t.Errorf("receive at the end: %d, %v", n, errno)
	}
	if _, errno := Send(fds[0], []byte("x")); errno != syscall.EPIPE {
		t.Errorf("send to nobody: %v", errno)
	}
}

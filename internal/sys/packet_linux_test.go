package sys

import (
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestNameRoundTrips(t *testing.T) {
	for _, test := range []struct {
		family   int
		in, want string
	}{
		{Inet4, "10.1.2.3:80", "10.1.2.3:80"},
		{Inet4, "[::ffff:10.1.2.3]:65535", "10.1.2.3:65535"},
		{Inet4, "[::]:1", "0.0.0.0:1"},
		{Inet6, "[2001:db8::1]:258", "[2001:db8::1]:258"},
		{Inet6, "10.1.2.3:80", "10.1.2.3:80"}, // mapped, and shown as what it is
		{Inet6, "0.0.0.0:80", "[::]:80"},
		{Inet6, "[fe80::1%99999]:7", "[fe80::1%99999]:7"},
	} {
		var n Name
		if err := n.SetAddrPort(test.family, netip.MustParseAddrPort(test.in)); err != nil {
			t.Errorf("%s: %v", test.in, err)
		} else if got := n.AddrPort().String(); got != test.want || n.Path() != "" {
			t.Errorf("%s: got %s, path %q", test.in, got, n.Path())
		}
	}
	var n Name
	if n.AddrPort().IsValid() || n.Path() != "" {
		t.Error("the zero Name is one")
	}
	if err := n.SetAddrPort(Inet4, netip.MustParseAddrPort("[2001:db8::1]:1")); err == nil {
		t.Error("IPv6 address for an IPv4 socket")
	}
	longest := strings.Repeat("x", 107)
	for _, path := range []string{"", "/run/x", "@abstract", "@", longest} {
		if err := n.SetPath(path); err != nil || n.Path() != path || n.AddrPort().IsValid() {
			t.Errorf("%q: got %q, %v", path, n.Path(), err)
		}
	}
	if err := n.SetPath(longest + "x"); err == nil {
		t.Error("path that does not fit")
	}
}

func TestBatchKeepsNoBuffers(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer Close(fds[0])
	defer Close(fds[1])
	var b Batch
	for i, text := range []string{"one", "", "three"} {
		b.Set(i, []byte(text))
	}
	if n, errno := b.Send(fds[0], 3, false); n != 3 || errno != 0 {
		t.Fatal(n, errno)
	}
	in := make([][]byte, 4)
	for i := range in {
		in[i] = make([]byte, 4)
		b.Set(i, in[i])
	}
	n, errno := b.Recv(fds[1], 4)
	if n != 3 || errno != 0 {
		t.Fatal(n, errno)
	}
	for i, want := range []string{"one", "", "thre"} {
		if got := string(in[i][:min(b.Len(i), 4)]); got != want || b.Truncated(i) != (i == 2) {
			t.Errorf("%d: got %q, truncated %v", i, got, b.Truncated(i))
		}
	}
	for i := range b.parts {
		if b.parts[i].Base != nil {
			t.Errorf("buffer %d is kept", i)
		}
	}
	if _, errno := b.Recv(fds[1], 4); errno != syscall.EAGAIN {
		t.Errorf("receive of nothing: %v", errno)
	}
}

func FuzzRights(f *testing.F) {
	f.Add(unix.UnixRights(1, 2, 3))
	f.Add(append(unix.UnixCredentials(&unix.Ucred{Pid: 1}), unix.UnixRights(7)...))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, oob []byte) {
		fds := Rights(oob)
		if len(fds)*4 > len(oob) {
			t.Errorf("%d descriptors in %d bytes", len(fds), len(oob))
		}
	})
}

func TestRightsSkipsOtherMessages(t *testing.T) {
	oob := append(unix.UnixCredentials(&unix.Ucred{Pid: int32(os.Getpid())}), unix.UnixRights(7, 9)...)
	if fds := Rights(oob); len(fds) != 2 || fds[0] != 7 || fds[1] != 9 {
		t.Errorf("got %v", fds)
	}
}

package rondo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestResolveNeedsNoLookUp(t *testing.T) {
	asked := ResolverFunc(func(_ context.Context, network, host string) ([]netip.Addr, error) {
		t.Errorf("%s %s was looked up", network, host)
		return nil, nil
	})
	for _, x := range []struct{ network, address, want string }{
		{"tcp", "192.0.2.1:80", "[192.0.2.1:80]"},
		{"tcp4", "[::ffff:192.0.2.1]:80", "[192.0.2.1:80]"},
		{"udp6", "[2001:db8::1%eth0]:53", "[[2001:db8::1%eth0]:53]"},
		{"tcp", ":80", "[127.0.0.1:80 [::1]:80]"},
		{"tcp6", "LocalHost:80", "[[::1]:80]"},
		{"tcp4", "api.localhost.:80", "[127.0.0.1:80]"},
	} {
		got, err := resolve(context.Background(), asked, x.network, x.address)
		if fmt.Sprint(got) != x.want || err != nil {
			t.Errorf("%s %s: %v, %v; want %s", x.network, x.address, got, err, x.want)
		}
	}
	for _, x := range [][2]string{{"tcp", "192.0.2.1"}, {"tcp6", "192.0.2.1:80"}, {"tcp46", ":1"}, {"unix", "/x:1"}, {"tcp", ":no-such-service"}} {
		if got, err := resolve(context.Background(), asked, x[0], x[1]); err == nil {
			t.Errorf("%v: %v", x, got)
		}
	}
}

func TestResolveLooksUpOffTheLoop(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		r := ResolverFunc(func(_ context.Context, network, host string) ([]netip.Addr, error) {
			if RunningLoop() != nil || network != "ip4" || host != "example.com" {
				t.Errorf("%s %s looked up on %v", network, host, RunningLoop())
			}
			return []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}, nil
		})
		got, err := resolve(ctx, r, "tcp4", "example.com:http")
		if fmt.Sprint(got) != "[192.0.2.1:80]" {
			t.Errorf("%v, %v", got, err)
		}
		return err
	})
}

func TestInterleaveTakesFamiliesInTurn(t *testing.T) {
	var in, out []string
	for _, ip := range []string{"2001:db8::1", "2001:db8::2", "2001:db8::3", "192.0.2.1", "192.0.2.2"} {
		in = append(in, netip.AddrPortFrom(netip.MustParseAddr(ip), 1).String())
	}
	var addrs []netip.AddrPort
	for _, a := range in {
		addrs = append(addrs, netip.MustParseAddrPort(a))
	}
	for _, a := range interleave(addrs) {
		out = append(out, a.String())
	}
	if want := []string{in[0], in[3], in[1], in[4], in[2]}; !slices.Equal(out, want) {
		t.Errorf("got %v, want %v", out, want)
	}
}

// A names is a resolver that counts, and waits for leave if that is not nil.
type names struct {
	asked atomic.Int32
	leave chan struct{}
	err   error
}

func (n *names) LookupNetIP(_ context.Context, network, host string) ([]netip.Addr, error) {
	k := n.asked.Add(1)
	if n.leave != nil {
		<-n.leave
	}
	if n.err != nil {
		return nil, n.err
	}
	return []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(k)})}, nil
}

func TestCachingResolverAsksOnceForAll(t *testing.T) {
	n := &names{leave: make(chan struct{})}
	r := &CachingResolver{Resolver: n}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if ips, err := r.LookupNetIP(context.Background(), "ip", "example.com"); len(ips) != 1 || err != nil {
				t.Errorf("goroutine: %v, %v", ips, err)
			}
		})
	}
	virtually(t, func(ctx context.Context) error {
		look := func(ctx context.Context) ([]netip.Addr, error) { return r.LookupNetIP(ctx, "ip", "Example.com") }
		tasks := make([]*Task[[]netip.Addr], 20)
		for i := range tasks {
			tasks[i] = Spawn(ctx, look)
		}
		Sleep(ctx, 0)
		Sleep(ctx, 0)
		tasks[0].Cancel("")
		_, err := tasks[0].Await(ctx)
		wantErr(t, "the one that was canceled", err, context.Canceled)
		ended, cancel := context.WithCancel(ctx)
		cancel()
		_, err = look(ended)
		wantErr(t, "one whose context is over", err, context.Canceled)
		close(n.leave)
		for _, x := range tasks[1:] {
			ips, err := x.Await(ctx)
			if len(ips) != 1 || err != nil {
				t.Errorf("task: %v, %v", ips, err)
			}
			ips[0] = netip.Addr{} // it is the caller's
		}
		return nil
	})
	wg.Wait()
	if k := n.asked.Load(); k != 1 {
		t.Errorf("looked up %d times", k)
	}
}

func TestCachingResolverKeepsAnswersForATime(t *testing.T) {
	n := new(names)
	r := &CachingResolver{Resolver: n, TTL: time.Minute}
	virtually(t, func(ctx context.Context) error {
		ask := func(want int32) {
			t.Helper()
			r.LookupNetIP(ctx, "ip", "example.com")
			if k := n.asked.Load(); k != want {
				t.Errorf("at %v: looked up %d times, want %d", now(), k, want)
			}
		}
		ask(1)
		Sleep(ctx, 59*time.Second)
		ask(1)
		Sleep(ctx, 2*time.Second)
		ask(2)
		ask(2)
		r.Forget("EXAMPLE.com")
		ask(3)
		n.err = &net.DNSError{Err: "no such host", IsNotFound: true}
		Sleep(ctx, time.Hour)
		ask(4)
		Sleep(ctx, 4*time.Second)
		ask(4)
		Sleep(ctx, 2*time.Second)
		ask(5)
		n.err = &net.DNSError{Err: "server misbehaving", IsTemporary: true}
		Sleep(ctx, time.Hour)
		ask(6)
		ask(7)
		return nil
	})
}

func TestCachingResolverGivesStaleAnswersWhileItAsks(t *testing.T) {
	n := new(names)
	r := &CachingResolver{Resolver: n, TTL: time.Minute, Stale: time.Hour}
	virtually(t, func(ctx context.Context) error {
		look := func() string {
			ips, err := r.LookupNetIP(ctx, "ip", "example.com")
			if err != nil {
				return err.Error()
			}
			return ips[0].String()
		}
		settle := func() { // the goroutine that looks up is nobody's
			r.mu.Lock()
			var f *flight
			if a := r.answers[question{"ip", "example.com"}]; a != nil {
				f = a.flight
			}
			r.mu.Unlock()
			if f != nil {
				f.wait(ctx)
			}
		}
		var got []string
		got = append(got, look())
		Sleep(ctx, 2*time.Minute)
		got = append(got, look())
		settle()
		got = append(got, look())
		n.err = errors.New("out of order")
		Sleep(ctx, 30*time.Minute)
		got = append(got, look())
		settle()
		got = append(got, look())
		settle()
		Sleep(ctx, 40*time.Minute)
		got = append(got, look())
		want := []string{"192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.2", "192.0.2.2", "out of order"}
		if !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		return nil
	})
}

func TestCachingResolverIsBounded(t *testing.T) {
	n := new(names)
	r := &CachingResolver{Resolver: n, MaxNames: 3}
	for _, host := range []string{"a", "b", "c", "a", "d", "a", "c", "b"} {
		if _, err := r.LookupNetIP(context.Background(), "ip", host); err != nil {
			t.Fatal(err)
		}
	}
	if k := n.asked.Load(); k != 5 || len(r.answers) != 3 || r.recent.Len() != 3 {
		t.Errorf("looked up %d times, %d answers, %d recent", k, len(r.answers), r.recent.Len())
	}
}

func TestCachingResolverSurvivesAPanic(t *testing.T) {
	r := &CachingResolver{Resolver: ResolverFunc(func(context.Context, string, string) ([]netip.Addr, error) { panic("oops") })}
	_, err := r.LookupNetIP(context.Background(), "ip", "example.com")
	var pe *PanicError
	if !errors.As(err, &pe) {
		t.Errorf("got %v", err)
	}
}

func TestDialerUsesTheCache(t *testing.T) {
	n := new(names)
	d := Dialer{Resolver: &CachingResolver{Resolver: n}}
	planned(t, map[string]behaviour{"192.0.2.1": {}}, func(ctx context.Context, p *plannedPoller) error {
		for range 3 {
			c, err := d.Dial(ctx, "tcp", "example.com:80")
			if err != nil {
				return err
			}
			c.Close()
		}
		if k := n.asked.Load(); k != 1 {
			t.Errorf("looked up %d times", k)
		}
		return nil
	})
}

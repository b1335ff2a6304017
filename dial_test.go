package rondo

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rondo-go/rondo/poll"
)

// A plannedPoller is a network in which each address behaves as planned: it
// answers or fails after some time, or never.
type plannedPoller struct {
	poll.Poller
	plan  map[string]behaviour // by IP; what is not in it is real
	begun []beginning
	open  int // endpoints that were made and not closed
}

type behaviour struct {
	after time.Duration // negative: never
	err   error
	now   bool // the error comes from Connect itself
}

type beginning struct {
	ip string
	at time.Duration
}

func (p *plannedPoller) Connect(network string, remote net.Addr, o poll.ConnectOptions) (poll.Endpoint, error) {
	ip := remote.(*net.TCPAddr).IP.String()
	p.begun = append(p.begun, beginning{ip, now()})
	b, ok := p.plan[ip]
	switch {
	case !ok:
		return p.Poller.Connect(network, remote, o)
	case b.now:
		return nil, b.err
	}
	p.open++
	e := &plannedEndpoint{p: p, addr: remote}
	if b.after >= 0 {
		RunningLoop().CallLater(b.after, func() {
			e.done, e.err = true, b.err
			if e.op != nil {
				e.op.Owner.Ready(e.op)
			}
		})
	}
	return e, nil
}

type plannedEndpoint struct {
	poll.Endpoint
	p      *plannedPoller
	addr   net.Addr
	op     *poll.Op // in flight
	done   bool
	closed bool
	err    error
}

func (e *plannedEndpoint) Connected(op *poll.Op) (error, bool) {
	if e.op = nil; !e.done {
		e.op = op
	}
	return e.err, e.done
}

func (e *plannedEndpoint) Cancel(*poll.Op) { e.op = nil }

func (e *plannedEndpoint) LocalAddr() net.Addr  { return nil }
func (e *plannedEndpoint) RemoteAddr() net.Addr { return e.addr }

func (e *plannedEndpoint) Close() error {
	if e.op = nil; !e.closed {
		e.closed = true
		e.p.open--
	}
	return nil
}

// fixed is a resolver that knows one answer.
func fixed(ips ...string) Resolver {
	return ResolverFunc(func(context.Context, string, string) (addrs []netip.Addr, err error) {
		for _, ip := range ips {
			addrs = append(addrs, netip.MustParseAddr(ip))
		}
		return addrs, nil
	})
}

// planned runs main on the virtual clock in a planned network, and sees to it that
// nothing of that stays open.
func planned(t *testing.T, plan map[string]behaviour, main func(ctx context.Context, p *plannedPoller) error) {
	t.Helper()
	inner, err := newPoller()
	if err != nil {
		t.Fatal(err)
	}
	p := &plannedPoller{Poller: inner, plan: plan}
	err = Run(func(ctx context.Context) error { return main(ctx, p) }, WithPoller(p), WithVirtualTime(), WithoutSignals())
	if err != nil {
		t.Fatal(err)
	}
	if p.open != 0 {
		t.Errorf("%d endpoints are left open", p.open)
	}
}

const never = -time.Second

func TestDialerStaggersAttempts(t *testing.T) {
	const ms = time.Millisecond
	refused := behaviour{10 * ms, syscall.ECONNREFUSED, false}
	for _, x := range []struct {
		name   string
		dialer Dialer
		ips    []string
		plan   map[string]behaviour
		want   []beginning
		won    string
		at     time.Duration
	}{
		{
			"the first is quick", Dialer{}, []string{"2001:db8::1", "192.0.2.1"},
			map[string]behaviour{"2001:db8::1": {after: 20 * ms}, "192.0.2.1": {}},
			[]beginning{{"2001:db8::1", 0}}, "2001:db8::1", 20 * ms,
		}, {
			"the first hangs", Dialer{}, []string{"2001:db8::1", "2001:db8::2", "192.0.2.1"},
			map[string]behaviour{"2001:db8::1": {after: never}, "2001:db8::2": {after: 0}, "192.0.2.1": {after: 30 * ms}},
			[]beginning{{"2001:db8::1", 0}, {"192.0.2.1", 250 * ms}}, "192.0.2.1", 280 * ms,
		}, {
			"the slow first still wins", Dialer{}, []string{"2001:db8::1", "192.0.2.1"},
			map[string]behaviour{"2001:db8::1": {after: 300 * ms}, "192.0.2.1": {after: 100 * ms}},
			[]beginning{{"2001:db8::1", 0}, {"192.0.2.1", 250 * ms}}, "2001:db8::1", 300 * ms,
		}, {
			"a failure begins the next", Dialer{FallbackDelay: time.Hour}, []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"},
			map[string]behaviour{"192.0.2.1": refused, "192.0.2.2": {err: syscall.ENETUNREACH, now: true}, "192.0.2.3": {after: 5 * ms}},
			[]beginning{{"192.0.2.1", 0}, {"192.0.2.2", 10 * ms}, {"192.0.2.3", 10 * ms}}, "192.0.2.3", 15 * ms,
		}, {
			"one after the other", Dialer{FallbackDelay: -1}, []string{"192.0.2.1", "192.0.2.2"},
			map[string]behaviour{"192.0.2.1": {time.Minute, syscall.ETIMEDOUT, false}, "192.0.2.2": {after: 5 * ms}},
			[]beginning{{"192.0.2.1", 0}, {"192.0.2.2", time.Minute}}, "192.0.2.2", time.Minute + 5*ms,
		}, {
			"the local address has a family", Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4zero}}, []string{"2001:db8::1", "192.0.2.1"},
			map[string]behaviour{"2001:db8::1": {}, "192.0.2.1": {after: 5 * ms}},
			[]beginning{{"192.0.2.1", 0}}, "192.0.2.1", 5 * ms,
		},
	} {
		t.Run(strings.ReplaceAll(x.name, " ", "-"), func(t *testing.T) {
			planned(t, x.plan, func(ctx context.Context, p *plannedPoller) error {
				d := x.dialer
				d.Resolver = fixed(x.ips...)
				c, err := d.Dial(ctx, "tcp", "example.com:80")
				if err != nil {
					return err
				}
				defer c.Close()
				if got := c.RemoteAddr().(*net.TCPAddr).IP.String(); got != x.won || now() != x.at {
					t.Errorf("%s has won at %v, want %s at %v", got, now(), x.won, x.at)
				}
				if !slices.Equal(p.begun, x.want) {
					t.Errorf("attempts %v, want %v", p.begun, x.want)
				}
				if p.open != 1 {
					t.Errorf("%d endpoints are open besides", p.open-1)
				}
				return nil
			})
		})
	}
}

func TestDialerJoinsAllErrors(t *testing.T) {
	plan := map[string]behaviour{
		"192.0.2.1": {0, syscall.ECONNREFUSED, false},
		"192.0.2.2": {time.Second, syscall.EHOSTUNREACH, false},
		"192.0.2.3": {err: syscall.ENETUNREACH, now: true},
	}
	planned(t, plan, func(ctx context.Context, p *plannedPoller) error {
		d := Dialer{Resolver: fixed("192.0.2.1", "192.0.2.2", "192.0.2.3")}
		_, err := d.Dial(ctx, "tcp", "example.com:80")
		for ip, b := range plan {
			wantErr(t, ip, err, b.err)
			if err != nil && !strings.Contains(err.Error(), ip+":80") {
				t.Errorf("%v does not name %s", err, ip)
			}
		}
		var oe *net.OpError
		if !errors.As(err, &oe) {
			t.Errorf("%T is no OpError", err)
		}
		return nil
	})
}

func TestDialerEndsAllAttemptsEarly(t *testing.T) {
	plan := map[string]behaviour{"192.0.2.1": {after: never}, "192.0.2.2": {after: never}}
	planned(t, plan, func(ctx context.Context, p *plannedPoller) error {
		d := Dialer{Resolver: fixed("192.0.2.1", "192.0.2.2")}
		x := Spawn(ctx, func(ctx context.Context) (*Conn, error) { return d.Dial(ctx, "tcp", "example.com:80") })
		Sleep(ctx, time.Second)
		if p.open != 2 {
			t.Errorf("%d attempts run", p.open)
		}
		x.Cancel("enough")
		_, err := x.Await(ctx)
		wantErr(t, "canceled", err, context.Canceled)
		if p.open != 0 {
			t.Errorf("%d endpoints are left open", p.open)
		}

		d.Timeout = time.Second
		begun := now()
		_, err = d.Dial(ctx, "tcp", "example.com:80")
		var ne net.Error
		if !errors.As(err, &ne) || !ne.Timeout() || now()-begun != time.Second {
			t.Errorf("after %v: %v", now()-begun, err)
		}

		derived, cancel := context.WithTimeout(ctx, 10*time.Millisecond) // of the system's clock
		defer cancel()
		d.Timeout = 0
		_, err = d.Dial(derived, "tcp", "example.com:80")
		wantErr(t, "under a context", err, context.DeadlineExceeded)
		return nil
	})
}

// A real race: nothing listens at the first address.
func TestDialerFindsTheAddressThatListens(t *testing.T) {
	err := Run(func(ctx context.Context) error {
		ln, err := Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer ln.Close()
		_, port, _ := net.SplitHostPort(ln.Addr().String())
		d := Dialer{Resolver: fixed("::1", "127.0.0.1"), FallbackDelay: time.Hour}
		c, err := d.Dial(ctx, "tcp", net.JoinHostPort("example.com", port))
		if err != nil {
			return err
		}
		defer c.Close()
		if got := c.RemoteAddr().String(); got != ln.Addr().String() {
			t.Errorf("connected to %s", got)
		}
		_, err = ln.Accept()
		return err
	}, WithoutSignals())
	if err != nil {
		t.Fatal(err)
	}
}

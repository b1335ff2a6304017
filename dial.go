package rondo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/rondo-go/rondo/loop"
	"github.com/rondo-go/rondo/poll"
)

// A Dialer holds options for connecting. The zero Dialer is that of [Dial].
type Dialer struct {
	// Timeout bounds the whole of a Dial. Zero: no bound but the context's.
	Timeout time.Duration
	// LocalAddr is the address to connect from, or nil.
	LocalAddr net.Addr
	// Resolver looks names up, off the loop. Nil: net.DefaultResolver.
	Resolver *net.Resolver
}

// Dial connects to address on network tcp, tcp4, tcp6 or unix, parking the task
// meanwhile. A host that is an IP literal is used at once; a name is looked up
// off the loop, and its addresses are tried in order. If the task is canceled,
// nothing stays open.
//
// Errors: a *net.OpError with the system's error (of several addresses, all of
// them); those of [Sleep].
func Dial(ctx context.Context, network, address string) (*Conn, error) {
	return new(Dialer).Dial(ctx, network, address)
}

// DialContext is [Dial] with the result and the place of net.Dialer's method:
// libraries that can be given a dial function take it. On a goroutine off the
// loop it is net.Dialer's DialContext.
func DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if l, _ := loop.Current(); l == nil {
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	c, err := Dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Dial is described at the function [Dial].
//
// It and what it calls keep their frames small, and do what takes stack before
// they park: a connection is often the deepest point of its task, whose stack
// stays as large as that needs.
func (d *Dialer) Dial(ctx context.Context, network, address string) (*Conn, error) {
	t, err := taskFor(ctx)
	if err != nil {
		return nil, dialError(network, address, err)
	}
	a := literal(network, address)
	switch {
	case a != nil:
		return dialAddr(ctx, t, network, d.LocalAddr, a, d.Timeout)
	case d.Timeout > 0:
		return d.dialNameWithin(ctx, t, network, address)
	}
	return d.dialName(ctx, t, network, address)
}

func dialError(network, address string, err error) error {
	return &net.OpError{Op: "dial", Net: network, Addr: textAddr{network, address}, Err: err}
}

// literal returns the address that needs no look-up, or nil.
func literal(network, address string) net.Addr {
	switch network {
	case "unix":
		return &net.UnixAddr{Name: address, Net: network}
	case "tcp", "tcp4", "tcp6":
		if ap, err := netip.ParseAddrPort(address); err == nil {
			return net.TCPAddrFromAddrPort(ap)
		}
	}
	return nil
}

func (d *Dialer) dialNameWithin(ctx context.Context, t *loop.Task, network, address string) (c *Conn, err error) {
	err = Timeout(ctx, d.Timeout, func(ctx context.Context) (err error) {
		c, err = d.dialName(ctx, t, network, address)
		return err
	})
	if err == nil {
		return c, nil
	}
	if c != nil {
		c.Close()
	}
	var oe *net.OpError
	if !errors.As(err, &oe) {
		err = dialError(network, address, err)
	}
	return nil, err
}

// dialName looks a name up and tries its addresses in order.
func (d *Dialer) dialName(ctx context.Context, t *loop.Task, network, address string) (*Conn, error) {
	addrs, err := d.resolve(ctx, network, address)
	if err != nil {
		return nil, dialError(network, address, err)
	}
	var errs []error
	for _, a := range addrs {
		c, err := dialAddr(ctx, t, network, d.LocalAddr, a, 0)
		if err == nil {
			return c, nil
		}
		errs = append(errs, err)
		if isCancellation(err) || ctx.Err() != nil {
			break
		}
	}
	if len(errs) == 1 {
		return nil, errs[0]
	}
	return nil, errors.Join(errs...)
}

// dialAddr connects to one address, for at most limit if that is not zero.
func dialAddr(ctx context.Context, t *loop.Task, network string, local, a net.Addr, limit time.Duration) (*Conn, error) {
	e, err := connect(ctx, t, network, local, a, limit)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Source: local, Addr: a, Err: err}
	}
	return newConn(coreOf(t).runtime, e), nil
}

// connect makes one connection.
func connect(ctx context.Context, t *loop.Task, network string, local, remote net.Addr, limit time.Duration) (poll.Endpoint, error) {
	l := t.Loop()
	e, err := l.Poller().Connect(network, local, remote)
	if err != nil {
		return nil, err
	}
	var s side
	s.init(l, e)
	if limit > 0 {
		s.deadline = l.Now().Add(limit)
	}
	for {
		err, ok := e.Connected(&s.op)
		if !ok {
			var stop func()
			if stop, err = under(ctx, t); err == nil {
				err = s.wait(t)
			}
			if stop != nil {
				stop()
			}
			if err == nil {
				continue
			}
		}
		s.stopTimer()
		if err != nil {
			e.Close()
			return nil, err
		}
		return e, nil
	}
}

// resolve turns a name into the addresses to try, in order.
func (d *Dialer) resolve(ctx context.Context, network, address string) ([]net.Addr, error) {
	switch network {
	case "tcp", "tcp4", "tcp6":
	default:
		return nil, net.UnknownNetworkError(network)
	}
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	r := d.Resolver
	if r == nil {
		r = net.DefaultResolver
	}
	type answer struct {
		ips  []netip.Addr
		port int
	}
	// The look-up is not canceled with the task, but bounded by its own timeouts.
	found, err := ToThread(ctx, func() (a answer, err error) {
		ctx := context.Background()
		if a.port, err = r.LookupPort(ctx, network, service); err != nil {
			return a, err
		}
		if host == "" {
			a.ips = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
			return a, nil
		}
		ipnet := "ip"
		switch network {
		case "tcp4":
			ipnet = "ip4"
		case "tcp6":
			ipnet = "ip6"
		}
		a.ips, err = r.LookupNetIP(ctx, ipnet, host)
		return a, err
	})
	if err != nil {
		return nil, err
	}
	var addrs []net.Addr
	for _, ip := range found.ips {
		addrs = append(addrs, net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip.Unmap(), uint16(found.port))))
	}
	if len(addrs) == 0 {
		return nil, fmt.Errorf("no address for %s", host)
	}
	return addrs, nil
}

package rondo

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/rondo-go/rondo/loop"
	"github.com/rondo-go/rondo/poll"
)

// A Dialer holds options for connecting. The zero Dialer is that of [Dial].
type Dialer struct {
	// Timeout bounds the whole of a Dial. Zero: no bound but the context's.
	Timeout time.Duration
	// FallbackDelay is how long the address before is waited for until the next
	// one of a name is tried beside it (RFC 8305). Zero: 250 ms; negative: until
	// it has failed.
	FallbackDelay time.Duration
	// LocalAddr is the address to connect from, or nil. Only addresses of its
	// family are tried.
	LocalAddr net.Addr
	// Resolver looks names up. Nil: net.DefaultResolver.
	Resolver Resolver
	// KeepAlive is after which silence and how often a peer of TCP is probed,
	// unless KeepAliveConfig is enabled. Zero: 15 s; negative: never.
	KeepAlive time.Duration
	// KeepAliveConfig says in detail when a peer is probed, if it is enabled.
	KeepAliveConfig net.KeepAliveConfig
	// Control, if not nil, is called with each socket before it is bound and
	// connected; see [ControlFunc].
	Control ControlFunc
}

// A ControlFunc sets options of a socket that has been made for a [Dialer] or a
// [ListenConfig], before it is bound. Network is tcp4, tcp6 or unix, address a literal
// one. C is valid only meanwhile, and only its method Control is of use. An error ends
// the attempt. It may be called on any goroutine, and must neither park nor block.
type ControlFunc func(ctx context.Context, network, address string, c syscall.RawConn) error

// within is f for the poller.
func (f ControlFunc) within(ctx context.Context) poll.ControlFunc {
	if f == nil {
		return nil
	}
	return func(network, address string, c syscall.RawConn) error { return f(ctx, network, address, c) }
}

// keepAlive returns what is not the default, as net.Dialer understands it.
func keepAlive(d time.Duration, c net.KeepAliveConfig) *net.KeepAliveConfig {
	switch {
	case c.Enable:
		return &c
	case d > 0:
		return &net.KeepAliveConfig{Enable: true, Idle: d}
	case d < 0:
		return &net.KeepAliveConfig{}
	}
	return nil
}

// options are d's for the poller.
func (d *Dialer) options(ctx context.Context) poll.ConnectOptions {
	return poll.ConnectOptions{
		Local: d.LocalAddr, Control: d.Control.within(ctx),
		KeepAlive: keepAlive(d.KeepAlive, d.KeepAliveConfig),
	}
}

// defaultFallbackDelay is the Connection Attempt Delay of RFC 8305, section 5.
const defaultFallbackDelay = 250 * time.Millisecond

// Dial connects to address on network tcp, tcp4, tcp6 or unix, parking the task
// meanwhile. A host that is an IP literal is used at once; a name is looked up as
// [Resolve] does. Of its addresses, IPv6 and IPv4 in turn, each is tried when the
// one before has failed or has not answered for 250 ms; the first connection
// counts and the others are closed. If the task is canceled, nothing stays open.
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
		return dialAddr(ctx, t, network, a, d.options(ctx), d.Timeout)
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

// dialName looks a name up and connects to one of its addresses.
func (d *Dialer) dialName(ctx context.Context, t *loop.Task, network, address string) (*Conn, error) {
	addrs, err := d.resolve(ctx, network, address)
	switch {
	case err != nil:
		return nil, dialError(network, address, err)
	case len(addrs) == 1:
		return dialAddr(ctx, t, network, addrs[0], d.options(ctx), 0)
	}
	delay := d.FallbackDelay
	if delay == 0 {
		delay = defaultFallbackDelay
	}
	c, err := dialRace(ctx, t, network, addrs, d.options(ctx), delay)
	var oe *net.OpError
	if err != nil && !errors.As(err, &oe) {
		err = dialError(network, address, err)
	}
	return c, err
}

// dialAddr connects to one address, for at most limit if that is not zero.
func dialAddr(ctx context.Context, t *loop.Task, network string, a net.Addr, o poll.ConnectOptions, limit time.Duration) (*Conn, error) {
	e, err := connect(ctx, t, network, a, o, limit)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Source: o.Local, Addr: a, Err: err}
	}
	return newConn(coreOf(t).runtime, e), nil
}

// connect makes one connection.
func connect(ctx context.Context, t *loop.Task, network string, remote net.Addr, o poll.ConnectOptions, limit time.Duration) (poll.Endpoint, error) {
	l := t.Loop()
	e, err := l.Poller().Connect(network, remote, o)
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
	if !strings.HasPrefix(network, "tcp") {
		return nil, net.UnknownNetworkError(network)
	}
	r := d.Resolver
	if r == nil {
		r = net.DefaultResolver
	}
	found, err := resolve(ctx, r, network, address)
	if err != nil {
		return nil, err
	}
	local, bound := d.LocalAddr.(*net.TCPAddr)
	bound = bound && local.IP != nil
	var addrs []net.Addr
	for _, a := range interleave(found) {
		if !bound || a.Addr().Is4() == (local.IP.To4() != nil) {
			addrs = append(addrs, net.TCPAddrFromAddrPort(a))
		}
	}
	if len(addrs) == 0 {
		return nil, &net.AddrError{Err: "no address of the family of " + local.String(), Addr: address}
	}
	return addrs, nil
}

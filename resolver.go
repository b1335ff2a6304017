package rondo

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/rondo-go/rondo/loop"
)

// A Resolver looks names up. *net.Resolver is one, and so is [CachingResolver].
//
// LookupNetIP is called on a goroutine off the loop, where it may block, unless
// the resolver has a method OnLoop() bool that returns true: then the task that
// asks calls it, and it may only park. Network is ip, ip4 or ip6.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// A ResolverFunc is a function as a [Resolver].
type ResolverFunc func(ctx context.Context, network, host string) ([]netip.Addr, error)

// LookupNetIP calls f.
func (f ResolverFunc) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	return f(ctx, network, host)
}

// Resolve returns the addresses that address, host:port, stands for on network
// tcp, udp or one of their kind with 4 or 6 at its end, in the order in which
// they are to be tried. It parks only for names, which are looked up off the
// loop; on a goroutine it blocks. It is asyncio's getaddrinfo.
//
// An IP address is taken as it is. An empty host is this machine. So are
// localhost and what ends in .localhost, without being looked up (RFC 6761,
// section 6.3), IPv4 first as [Listen] has it. A port may have a name.
//
// If the task is canceled, the look-up goes on for nobody; its own timeouts
// bound it.
//
// Errors: a *net.DNSError; a *net.AddrError for what is malformed, and for names
// without an address of the kind; those of [Sleep].
func Resolve(ctx context.Context, network, address string) ([]netip.AddrPort, error) {
	return resolve(ctx, net.DefaultResolver, network, address)
}

func resolve(ctx context.Context, r Resolver, network, address string) ([]netip.AddrPort, error) {
	kind := strings.TrimRight(network, "46")
	if kind != "tcp" && kind != "udp" || len(network) > len(kind)+1 {
		return nil, net.UnknownNetworkError(network)
	}
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := resolvePort(ctx, network, service)
	if err != nil {
		return nil, err
	}
	ips, err := resolveHost(ctx, r, "ip"+network[len(kind):], host)
	if err != nil {
		return nil, err
	}
	var found []netip.AddrPort
	for _, ip := range ips {
		ip = ip.Unmap()
		if strings.HasSuffix(network, "4") && !ip.Is4() || strings.HasSuffix(network, "6") && !ip.Is6() {
			continue
		}
		found = append(found, netip.AddrPortFrom(ip, port))
	}
	if len(found) == 0 {
		return nil, &net.AddrError{Err: "no address for " + network, Addr: host}
	}
	return found, nil
}

func resolvePort(ctx context.Context, network, service string) (uint16, error) {
	if n, err := strconv.ParseUint(service, 10, 16); err == nil {
		return uint16(n), nil
	}
	find := func() (int, error) {
		return net.DefaultResolver.LookupPort(context.Background(), network, service)
	}
	if l, _ := loop.Current(); l == nil {
		n, err := find()
		return uint16(n), err
	}
	n, err := ToThread(ctx, find)
	return uint16(n), err
}

func resolveHost(ctx context.Context, r Resolver, network, host string) ([]netip.Addr, error) {
	if host == "" || isLocalhost(host) {
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}, nil
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip}, nil
	}
	if l, _ := loop.Current(); l == nil {
		return r.LookupNetIP(ctx, network, host)
	}
	if x, ok := r.(interface{ OnLoop() bool }); ok && x.OnLoop() {
		return r.LookupNetIP(ctx, network, host)
	}
	return ToThread(ctx, func() ([]netip.Addr, error) {
		return r.LookupNetIP(context.Background(), network, host)
	})
}

func isLocalhost(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// interleave orders addresses for happy eyeballs: the families take turns,
// beginning with that of the first address (RFC 8305, section 4).
func interleave(addrs []netip.AddrPort) []netip.AddrPort {
	first := addrs[0].Addr().Is4()
	var same, other []netip.AddrPort
	for _, a := range addrs {
		if a.Addr().Is4() == first {
			same = append(same, a)
		} else {
			other = append(other, a)
		}
	}
	n := min(len(same), len(other))
	mixed := make([]netip.AddrPort, 0, len(addrs))
	for i := range n {
		mixed = append(mixed, same[i], other[i])
	}
	return slices.Concat(mixed, same[n:], other[n:])
}

package rondohttp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/http/httpproxy"
	"golang.org/x/net/idna"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/internal/http1"
	"github.com/rondo-go/rondo/rondotls"
)

// A proxy is what stands between a session and a host.
type proxy struct {
	scheme string // http, https, socks5 or socks5h
	name   string // of its host
	addr   string // to dial
	auth   string // the Proxy-Authorization line, "" if there is none
	user   *url.Userinfo
}

var proxyPorts = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}

func newProxy(u *url.URL) (*proxy, error) {
	port, ok := proxyPorts[u.Scheme]
	if !ok {
		return nil, fmt.Errorf("unsupported scheme %q of proxy %s", u.Scheme, u.Redacted())
	}
	if u.Hostname() == "" {
		return nil, fmt.Errorf("no host in proxy %s", u.Redacted())
	}
	if p := u.Port(); p != "" {
		port = p
	}
	name := u.Hostname()
	if !ascii(name) {
		var err error
		if name, err = idna.Lookup.ToASCII(name); err != nil {
			return nil, fmt.Errorf("proxy %s: %w", u.Redacted(), err)
		}
	}
	p := &proxy{scheme: u.Scheme, name: name, addr: net.JoinHostPort(name, port), user: u.User}
	if u.User != nil {
		password, _ := u.User.Password()
		p.auth = "Proxy-Authorization: " + basic(u.User.Username()+":"+password) + "\r\n"
	}
	return p, nil
}

func (p *proxy) socks() bool { return strings.HasPrefix(p.scheme, "socks") }

// forwards reports whether p is sent the requests for h themselves (RFC 9112 section 3.2.2), and not
// asked for a tunnel.
func (p *proxy) forwards(h *host) bool {
	return !h.key.tls && !p.socks() && h.mux == nil && !h.key.upgrade
}

// FromEnvironment is for [WithProxy]: it takes the proxies from the variables HTTP_PROXY, HTTPS_PROXY and
// NO_PROXY, or the same in lower case, as of now. Such a URL may be one of socks5, too.
func FromEnvironment() func(*url.URL) (*url.URL, error) {
	return httpproxy.FromEnvironment().ProxyFunc()
}

// ProxyURL is for [WithProxy]: every origin's proxy is the one at u.
func ProxyURL(u *url.URL) func(*url.URL) (*url.URL, error) {
	return func(*url.URL) (*url.URL, error) { return u, nil }
}

// route settles how h is reached.
func (s *Session) route(h *host) error {
	if h.routed || s.proxy == nil {
		return nil
	}
	u := &url.URL{Scheme: "http", Host: h.header}
	if h.key.tls {
		u.Scheme = "https"
	}
	to, err := s.proxy(u)
	if err == nil && to != nil {
		h.via, err = newProxy(to)
	}
	if err != nil {
		return &fault{KindProxy, err}
	}
	h.routed = true
	return nil
}

// throughProxy makes of a connection to x's proxy one to x's host, or one that takes absolute requests.
// It ends by the deadline, if that is not zero.
func (x *exchange) throughProxy(ctx context.Context, c *conn, until time.Time) error {
	p := x.host.via
	c.deadline = until
	if err := c.raw.SetDeadline(until); err != nil {
		return err
	}
	if p.scheme == "https" {
		config := x.s.tlsBase(nil).Clone()
		config.NextProtos = []string{"http/1.1"}
		if x.s.config.tls == nil || x.s.config.tls.ServerName == "" {
			config.ServerName = p.name
		}
		if err := x.secure(ctx, c, config); err != nil {
			return x.proxyFault(err)
		}
	}
	var err error
	switch {
	case p.socks():
		err = x.socks(ctx, c)
	case !p.forwards(x.host):
		err = x.tunnel(ctx, c)
	}
	if err != nil {
		return x.proxyFault(err)
	}
	return c.raw.SetWriteDeadline(time.Time{})
}

// proxyFault gives an error of the way to a proxy its kind.
func (x *exchange) proxyFault(err error) error {
	var f *fault
	if errors.As(err, &f) && (f.kind == KindCanceled || f.kind == KindDNS) || errors.Is(err, context.Canceled) || isLate(err) {
		return err
	}
	return faultf(KindProxy, "proxy %s: %w", x.host.via.addr, err)
}

// tunnel asks the proxy at the other end of c for a connection to x's host (RFC 9110 section 9.3.6).
func (x *exchange) tunnel(ctx context.Context, c *conn) error {
	b := http1.AppendRequest(nil, "CONNECT", x.host.addr, x.host.addr, x.host.via.auth)
	if err := c.write(ctx, b); err != nil {
		return err
	}
	head := x.s.heads.get()
	defer x.s.heads.put(head)
	for {
		if len(c.in) == 0 {
			if err := c.fill(ctx); err == io.EOF {
				return errors.New("it closed the connection")
			} else if err != nil {
				return err
			}
		}
		n, done, err := head.Parse(c.in, http1.Limits{})
		c.in = c.in[n:]
		switch {
		case err != nil:
			return err
		case !done:
		case head.Status < 200 && head.Status != http.StatusSwitchingProtocols:
			head.Reset()
		case head.Status < 200 || head.Status > 299:
			return fmt.Errorf("it answered %d %s to CONNECT", head.Status, head.Reason())
		case len(c.in) > 0:
			return errors.New("bytes follow its answer to CONNECT")
		default:
			c.discard()
			return nil
		}
	}
}

// socks asks the SOCKS server at the other end of c for a connection to x's host.
func (x *exchange) socks(ctx context.Context, c *conn) error {
	name, port, err := net.SplitHostPort(x.host.addr)
	if err != nil {
		return err
	}
	target := socksTarget{name: name, port: port, user: x.host.via.user}
	if ip, err := netip.ParseAddr(name); err == nil {
		target.ip = ip
	} else if x.host.via.scheme == "socks5" {
		if target.ip, err = x.lookUp(ctx, name, c.deadline); err != nil {
			return err
		}
	}
	shake := func() error { return target.connect(c.raw) }
	if ownContext(ctx) {
		return shake()
	}
	return c.under(ctx, shake)
}

// lookUp returns one address of name, by the time given, if it is not zero.
func (x *exchange) lookUp(ctx context.Context, name string, until time.Time) (netip.Addr, error) {
	limit := rondo.Forever
	if !until.IsZero() {
		limit = time.Until(until)
	}
	var ips []netip.Addr
	err := rondo.Timeout(ctx, limit, func(ctx context.Context) (err error) {
		ips, err = lookUp(ctx, x.resolver(), "ip", name)
		return err
	})
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return netip.Addr{}, &fault{KindDNS, err}
	case err == nil && len(ips) == 0:
		return netip.Addr{}, faultf(KindDNS, "no address for %s", name)
	case err != nil:
		return netip.Addr{}, err
	}
	return ips[0].Unmap(), nil
}

// secure runs TLS over what c is so far. C.tls is set if that succeeds.
func (x *exchange) secure(ctx context.Context, c *conn, config *tls.Config) error {
	under := net.Conn(c.raw)
	if c.tls != nil {
		c.discard()
		under = c.tls
	}
	// The deadline of c ends the handshake.
	shake := func() error {
		t, err := rondotls.Client(context.Background(), under, config, rondotls.WithHandshakeTimeout(0))
		if err == nil {
			c.tls = t
		}
		return err
	}
	if ownContext(ctx) {
		return shake()
	}
	return c.under(ctx, shake)
}

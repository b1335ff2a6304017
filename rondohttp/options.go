package rondohttp

import (
	"context"
	"crypto/tls"
	"maps"
	"net/http"
	"net/url"
	"time"

	"github.com/rondo-go/rondo"
)

// Timeouts bound the phases of a request. Zero means no bound. The clock of one
// phase never includes the wait for another.
type Timeouts struct {
	Queue     time.Duration // until the limits on connections let the request through
	Connect   time.Duration // from then until a new connection stands, name resolution included
	TLS       time.Duration // of the handshake on it
	FirstByte time.Duration // from the request being written to the whole head of the answer
	Read      time.Duration // for each next piece of the body
	Total     time.Duration // from the end of the queue to the end of the body, redirects included, but not their queues; of each try, if there are retries
}

// An Option configures a [Session].
type Option func(*config)

type config struct {
	limit, perHost int
	timeouts       Timeouts
	tls            *tls.Config
	header         http.Header
	userAgent      string
	maxRedirects   int
	maxBody        int64
	decompress     bool
	maxRatio       int
	bombFrom       int64
	base           string
	query          url.Values
	jar            http.CookieJar
	netrcPath      *string
	dialer         rondo.Dialer
	unix           string
	proxy          func(*url.URL) (*url.URL, error)
	middlewares    []Middleware
	trace          func(ctx context.Context, method, url string) *Trace
	rate, hostRate Rate
	protocols      http.Protocols
	http2          http.HTTP2Config
	perHostStreams int
}

const (
	defaultLimit     = 100
	defaultRedirects = 10
	defaultUserAgent = "rondo/0.1"
	defaultRatio     = 2000
	defaultBombFrom  = 16 << 20
	idleTimeout      = 90 * time.Second
)

// WithLimit bounds the connections of a session (100 unless told), idle ones included.
func WithLimit(total int) Option { return func(c *config) { c.limit = max(total, 1) } }

// WithPerHost bounds the connections to one scheme, host and port; 0 is no bound. Over HTTP/2 each may carry
// many requests at a time: see [WithHTTP2] and [WithPerHostStreams].
func WithPerHost(n int) Option { return func(c *config) { c.perHost = max(n, 0) } }

// WithTimeouts sets the clocks of every request. Without it there are none.
func WithTimeouts(t Timeouts) Option { return func(c *config) { c.timeouts = t } }

// WithTLS sets the configuration of https connections, which is cloned, with its ALPN protocols set to what the session speaks.
func WithTLS(t *tls.Config) Option { return func(c *config) { c.tls = t.Clone() } }

// WithUserAgent sets the User-Agent field; "" sends none.
func WithUserAgent(s string) Option { return func(c *config) { c.userAgent = s } }

// WithHeader adds fields to every request. A request's own field of the same name takes precedence.
func WithHeader(h http.Header) Option {
	h = h.Clone()
	return func(c *config) { c.setFields(h) }
}

// setFields makes the fields of h those of every request. A map that options share is not written to.
func (c *config) setFields(h http.Header) {
	if c.header = c.header.Clone(); c.header == nil {
		c.header = http.Header{}
	}
	maps.Copy(c.header, h)
}

// WithMaxRedirects sets how many redirects are followed (10 unless told). With 0 the
// redirecting response itself is returned.
func WithMaxRedirects(n int) Option { return func(c *config) { c.maxRedirects = max(n, 0) } }

// WithMaxBody bounds the decoded bytes of a body: beyond n, reading it fails with
// [KindTooLarge]. 0 is no bound.
func WithMaxBody(n int64) Option { return func(c *config) { c.maxBody = max(n, 0) } }

// WithMaxRatio bounds how many times its length a compressed body may decode to, once it has come
// to so many bytes: beyond that it is a bomb, and fails with [KindBomb]. Unless told it is 2,000 from 16 MiB on: gzip reaches
// half of that, the others a hundred times as much. A ratio of 0 is no bound.
func WithMaxRatio(ratio int, from int64) Option {
	return func(c *config) { c.maxRatio, c.bombFrom = max(ratio, 0), from }
}

// WithDecompress says whether gzip, deflate, br and zstd are asked for and taken off (true unless told). A
// request that has an Accept-Encoding field of its own gets what comes.
func WithDecompress(on bool) Option { return func(c *config) { c.decompress = on } }

// WithBaseURL makes the URLs of requests relative to base, by RFC 3986: "users" and "https://api.example/v1/" give
// https://api.example/v1/users, "/users" leaves v1 out. Absolute ones stay what they are.
func WithBaseURL(base string) Option { return func(c *config) { c.base = base } }

// WithQuery adds q to the query of every request that has not got a parameter of the same name.
func WithQuery(q url.Values) Option { return func(c *config) { c.query = q } }

// WithCookies makes the session keep cookies in jar, over redirects as well; see [NewJar].
func WithCookies(jar http.CookieJar) Option { return func(c *config) { c.jar = jar } }

// WithBasicAuth sends a user and a password with every request (RFC 7617), but not along
// a redirect to another origin. A request's own Authorization takes precedence.
func WithBasicAuth(user, password string) Option {
	return WithHeader(http.Header{"Authorization": {basic(user + ":" + password)}})
}

// WithBearer is [WithBasicAuth] for a token (RFC 6750).
func WithBearer(token string) Option {
	return WithHeader(http.Header{"Authorization": {"Bearer " + token}})
}

// WithNetrc takes logins from the .netrc file at path, which is read once, by [NewSession]; "" is that
// of $NETRC, or else .netrc in the home directory. They are sent to the hosts they belong to, after a redirect
// as well, by requests that carry no other.
func WithNetrc(path string) Option { return func(c *config) { c.netrcPath = &path } }

// WithDialer sets how connections are made: the local address, the resolver (see [rondo.CachingResolver]) and so on. Its
// Timeout is that of [Timeouts].
func WithDialer(d rondo.Dialer) Option { return func(c *config) { c.dialer = d } }

// WithUnixSocket makes all connections to the socket at path, whatever host the URL names.
func WithUnixSocket(path string) Option { return func(c *config) { c.unix = path } }

// WithProxy asks f for the proxy of each origin when a connection to it is made: nil is none. Its scheme is
// http, https (TLS up to the proxy), socks5 (names are looked up here) or socks5h (names are looked up
// there); its user and password are sent to the proxy. Requests for http go to an HTTP proxy
// themselves, all else through a tunnel. See [FromEnvironment] and [ProxyURL].
func WithProxy(f func(origin *url.URL) (*url.URL, error)) Option {
	return func(c *config) { c.proxy = f }
}

// WithMiddleware puts ms around every request, redirects included, RoundTrip's as well; the first is outermost.
func WithMiddleware(ms ...Middleware) Option {
	return func(c *config) { c.middlewares = append(c.middlewares, ms...) }
}

// WithTrace asks f for the trace of each request that has none of its own; nil is none.
func WithTrace(f func(ctx context.Context, method, url string) *Trace) Option {
	return func(c *config) { c.trace = f }
}

// WithRate bounds how many requests begin in a second; redirects count. The wait belongs to [Timeouts].Queue.
func WithRate(r Rate) Option { return func(c *config) { c.rate = r } }

// WithRatePerHost is [WithRate] for those to one scheme, host and port.
func WithRatePerHost(r Rate) Option { return func(c *config) { c.hostRate = r } }

// WithProtocols sets what is spoken; unless told it is HTTP/1.1 and HTTP/2. Over TLS the server chooses one of these (ALPN),
// and a connection fails with [KindProtocol] if HTTP/1.1 is not among them and HTTP/2 not offered. With
// UnencryptedHTTP2, http URLs are asked for in HTTP/2 at once, in place of HTTP/1.1 (prior knowledge, RFC 9113 section 3.3).
func WithProtocols(p http.Protocols) Option { return func(c *config) { c.protocols = p } }

func defaultProtocols() (p http.Protocols) {
	p.SetHTTP1(true)
	p.SetHTTP2(true)
	return p
}

// WithHTTP2 sets details of HTTP/2. A zero field means its default, one that is not named here is not looked at:
//   - MaxConcurrentStreams: requests at a time over one connection, or fewer as the server says; 256. When a connection is
//     full another is opened, up to the limit, see [WithPerHost], or with StrictMaxConcurrentRequests not.
//   - MaxReceiveBufferPerStream: what may be here of a body and not be read yet, 4 MiB; it starts at 256 KiB and
//     grows with the speed of the reader. MaxReceiveBufferPerConnection: of all bodies, 64 MiB.
//   - MaxDecoderHeaderTableSize: of the compression of heads; 4 KiB.
//   - SendPingTimeout: a connection with requests under way is pinged when nothing has come for so long, or up to
//     twice that; 30 s, and never if negative. PingTimeout: it is closed if there is no answer; 15 s.
func WithHTTP2(h http.HTTP2Config) Option { return func(c *config) { c.http2 = h } }

// WithPerHostStreams bounds the requests under way over HTTP/2 to one scheme, host and port, whatever connections they
// go over; 0 is no bound.
func WithPerHostStreams(n int) Option { return func(c *config) { c.perHostStreams = max(n, 0) } }

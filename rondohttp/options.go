package rondohttp

import (
	"crypto/tls"
	"net/http"
	"time"
)

// Timeouts bound the phases of a request. Zero means no bound. The clock of one
// phase never includes the wait for another.
type Timeouts struct {
	Queue     time.Duration // until the limits on connections let the request through
	Connect   time.Duration // from then until a new connection stands, name resolution included
	TLS       time.Duration // of the handshake on it
	FirstByte time.Duration // from the request being written to the whole head of the answer
	Read      time.Duration // for each next piece of the body
	Total     time.Duration // from the end of the queue to the end of the body, redirects included, but not their queues
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
}

const (
	defaultLimit     = 100
	defaultRedirects = 10
	defaultUserAgent = "rondo/0.1"
	idleTimeout      = 90 * time.Second
)

// WithLimit bounds the connections of a session (100 unless told), idle ones included.
func WithLimit(total int) Option { return func(c *config) { c.limit = max(total, 1) } }

// WithPerHost bounds the connections to one scheme, host and port; 0 is no bound.
func WithPerHost(n int) Option { return func(c *config) { c.perHost = max(n, 0) } }

// WithTimeouts sets the clocks of every request. Without it there are none.
func WithTimeouts(t Timeouts) Option { return func(c *config) { c.timeouts = t } }

// WithTLS sets the configuration of https connections, which is cloned.
func WithTLS(t *tls.Config) Option { return func(c *config) { c.tls = t.Clone() } }

// WithUserAgent sets the User-Agent field; "" sends none.
func WithUserAgent(s string) Option { return func(c *config) { c.userAgent = s } }

// WithHeader adds fields to every request. A request's own field of the same name takes precedence.
func WithHeader(h http.Header) Option { return func(c *config) { c.header = h.Clone() } }

// WithMaxRedirects sets how many redirects are followed (10 unless told). With 0 the
// redirecting response itself is returned.
func WithMaxRedirects(n int) Option { return func(c *config) { c.maxRedirects = max(n, 0) } }

// WithMaxBody bounds the decoded bytes of a body: beyond n, reading it fails with
// [KindTooLarge]. 0 is no bound.
func WithMaxBody(n int64) Option { return func(c *config) { c.maxBody = max(n, 0) } }

// WithDecompress says whether gzip is asked for and taken off (true unless told). A
// request that has an Accept-Encoding field of its own gets what comes.
func WithDecompress(on bool) Option { return func(c *config) { c.decompress = on } }

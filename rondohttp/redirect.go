package rondohttp

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/rondo-go/rondo/internal/http1"
)

// A Hop is a request that was answered by a redirect.
type Hop struct {
	Method string
	URL    string
	Status int // of the redirect
}

// redirects reports whether a status sends the client elsewhere, and whether the
// method and the body go along (RFC 9110 section 15.4). 300, 304 and 305 do not.
func redirects(status int) (yes, keep bool) {
	switch status {
	case 301, 302, 303:
		return true, false
	case 307, 308:
		return true, true
	}
	return false, false
}

// resolve returns the URL that location, seen in an answer from base, leads to.
func resolve(base string, location []byte) (string, http1.URL, error) {
	bad := func(err error) (string, http1.URL, error) {
		return "", http1.URL{}, &fault{KindRedirect, fmt.Errorf("redirect to %q: %w", redact(string(location)), err)}
	}
	b, err := url.Parse(base)
	if err != nil {
		return bad(err)
	}
	l, err := url.Parse(string(location))
	if err != nil {
		return bad(err.(*url.Error).Err)
	}
	to := b.ResolveReference(l)
	to.Fragment, to.RawFragment = "", ""
	u, err := http1.FromURL(to)
	if err != nil {
		return bad(err)
	}
	return to.String(), u, nil
}

// sameOrigin compares scheme, host and port (RFC 6454 section 5).
func sameOrigin(a, b http1.URL) bool {
	return a.Scheme == b.Scheme && a.Port() == b.Port() && strings.EqualFold(hostname(a.Host), hostname(b.Host))
}

// hostname returns host without its port, and a literal IPv6 address without its brackets.
func hostname(host string) string {
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		host = host[:i]
	}
	return strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
}

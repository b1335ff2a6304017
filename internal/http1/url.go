package http1

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// A URL is what a client needs of an http or https URL.
type URL struct {
	Scheme   string // "http" or "https"
	Host     string // with the port, if one is given, and as it was spelled
	Target   string // of the request line: path and query
	UserInfo string // user:password, decoded; "" if there is none
}

// Port returns the port that Host gives, or else that of the scheme.
func (u *URL) Port() string {
	if i := strings.LastIndexByte(u.Host, ':'); i > strings.LastIndexByte(u.Host, ']') {
		return u.Host[i+1:]
	}
	if u.Scheme == "https" {
		return "443"
	}
	return "80"
}

// SplitURL takes an absolute URL apart, as [url.Parse] would, and the fragment off. A
// plain one, which most are, costs one pass and no allocation; anything else goes through url.Parse.
// Where net/url leaves a space or a byte beyond ASCII in a query as it is, which
// breaks the request line, this percent-encodes it.
func SplitURL(s string) (URL, error) {
	u := URL{Scheme: "http"}
	rest, ok := strings.CutPrefix(s, "http://")
	if !ok {
		u.Scheme = "https"
		if rest, ok = strings.CutPrefix(s, "https://"); !ok {
			return splitOdd(s)
		}
	}
	i := 0
	for i < len(rest) && inHost[rest[i]] {
		i++
	}
	if i == 0 {
		return splitOdd(s)
	}
	if i < len(rest) && rest[i] == ':' {
		digits := i + 1
		for i++; i < len(rest) && isDigit(rest[i]); i++ {
		}
		if n := i - digits; n == 0 || n > 5 {
			return splitOdd(s)
		}
	}
	u.Host = rest[:i]
	if i == len(rest) {
		u.Target = "/"
		return u, nil
	}
	if rest[i] != '/' {
		return splitOdd(s)
	}
	u.Target = rest[i:]
	for i < len(rest) && inPath[rest[i]] {
		i++
	}
	if i < len(rest) && rest[i] != '?' {
		return splitOdd(s)
	}
	for ; i < len(rest); i++ {
		if c := rest[i]; c <= ' ' || c >= 0x7f || c == '#' {
			return splitOdd(s)
		}
	}
	return u, nil
}

// splitOdd is SplitURL for what is not plain.
func splitOdd(s string) (URL, error) {
	p, err := url.Parse(s)
	if err != nil {
		if e := (*url.Error)(nil); errors.As(err, &e) {
			err = e.Err // the caller knows the URL
		}
		return URL{}, err
	}
	return FromURL(p)
}

// FromURL is [SplitURL] for a URL that is parsed already.
func FromURL(p *url.URL) (URL, error) {
	u := URL{Scheme: p.Scheme, Host: strings.TrimSuffix(p.Host, ":"), Target: escapeTarget(p.RequestURI())}
	switch {
	case p.Scheme == "":
		return URL{}, errors.New("no http:// or https:// in front")
	case p.Scheme != "http" && p.Scheme != "https":
		return URL{}, fmt.Errorf("unsupported scheme %q", p.Scheme)
	case u.Host == "" || strings.HasPrefix(u.Host, ":"):
		return URL{}, errors.New("no host")
	case p.Opaque != "":
		return URL{}, errors.New("no // after the scheme")
	}
	for i := range len(u.Host) {
		if c := u.Host[i]; c < 0x80 && !inHost[c] && !strings.ContainsRune(":[]%~", rune(c)) {
			return URL{}, fmt.Errorf("invalid character %q in host name", c)
		}
	}
	if port := u.Port(); len(port) > 5 {
		return URL{}, fmt.Errorf("invalid port %q", port)
	}
	if p.User != nil {
		password, _ := p.User.Password()
		u.UserInfo = p.User.Username() + ":" + password
	}
	return u, nil
}

// escapeTarget percent-encodes what may not stand in a request line.
func escapeTarget(s string) string {
	odd := 0
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f {
			odd++
		}
	}
	if odd == 0 {
		return s
	}
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, len(s)+2*odd)
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f {
			b = append(b, '%', hex[c>>4], hex[c&15])
		} else {
			b = append(b, c)
		}
	}
	return string(b)
}

package rondohttp

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/rondo-go/rondo/internal/http1"
)

// request makes the request from the head.
func (x *httpExchange) request() (*http.Request, error) {
	v := x.w.v
	h := &v.head
	text := string(v.in[v.headAt-h.Size() : v.headAt])
	r := blank.WithContext(&x.ctx)
	r.Method = methodString(h.Method())
	r.Proto, r.ProtoMajor, r.ProtoMinor = protoString(h.Minor), 1, h.Minor
	from, to := h.TargetSpan()
	r.RequestURI = text[from:to]
	if err := parseTarget(&x.url, r.RequestURI, h.Form); err != nil {
		return nil, err
	}
	r.URL = &x.url
	if from, to = h.HostSpan(); to > from {
		r.Host = text[from:to]
	}
	r.RemoteAddr = v.x.remote()
	r.Close = !h.KeepAlive
	r.ContentLength = v.body.frame.Len()
	if h.Chunked {
		r.TransferEncoding = []string{"chunked"}
	}
	r.Body = http.NoBody
	if !v.body.done() {
		r.Body = &x.body
	}
	n := h.Len()
	r.Header = make(http.Header, n)
	values := make([]string, n)
	for i := range n {
		nf, nt, vf, vt := h.Spans(i)
		name := canonical(text[nf:nt])
		value := text[vf:vt]
		switch name {
		case "Host", "Transfer-Encoding":
			continue
		case "Trailer":
			if h.Chunked {
				r.Trailer = announced(r.Trailer, value)
				continue
			}
		}
		if old := r.Header[name]; old != nil {
			r.Header[name] = append(old, value)
			continue
		}
		values[i] = value
		r.Header[name] = values[i : i+1 : i+1]
	}
	if h.Chunked {
		x.body.trail = func() { r.Trailer = trailersOf(r.Trailer, v.body.trailers()) }
	}
	if v.stream != nil {
		r.Proto, r.ProtoMajor, r.ProtoMinor, r.TransferEncoding = protoH2, 2, 0, nil
	}
	if tls := v.x.tlsState(); tls != nil {
		r.TLS = tls
	}
	return r, nil
}

// announced notes the names that a Trailer field announces.
func announced(t http.Header, value string) http.Header {
	for name := range strings.SplitSeq(value, ",") {
		name = http.CanonicalHeaderKey(strings.Trim(name, " \t"))
		switch name {
		case "", "Transfer-Encoding", "Content-Length", "Trailer":
			continue
		}
		if t == nil {
			t = make(http.Header)
		}
		t[name] = nil
	}
	return t
}

// trailersOf adds the trailers that came.
func trailersOf(t http.Header, lines []byte) http.Header {
	for name, value := range http1.Fields(lines) {
		key := http.CanonicalHeaderKey(string(name))
		switch key {
		case "Transfer-Encoding", "Content-Length", "Trailer":
			continue
		}
		if t == nil {
			t = make(http.Header)
		}
		t[key] = append(t[key], string(value))
	}
	return t
}

// canonical returns the canonical spelling of the name of a field: itself, mostly.
func canonical(s string) string {
	upper := true
	for i := range len(s) {
		c := s[i]
		if upper && 'a' <= c && c <= 'z' || !upper && 'A' <= c && c <= 'Z' {
			return http.CanonicalHeaderKey(s)
		}
		upper = c == '-'
	}
	return s
}

// parseTarget parses a request's target as net/http does.
func parseTarget(u *url.URL, target string, form http1.Form) error {
	if form == http1.OriginForm && plainTarget(target) {
		u.Path = target
		if i := strings.IndexByte(target, '?'); i >= 0 {
			u.Path, u.RawQuery = target[:i], target[i+1:]
			u.ForceQuery = u.RawQuery == ""
		}
		return nil
	}
	if form == http1.AuthorityForm {
		u.Host = target
		return nil
	}
	p, err := url.ParseRequestURI(target)
	if err != nil {
		return err
	}
	*u = *p
	return nil
}

// plainTarget reports whether the path in s stands for itself.
func plainTarget(s string) bool {
	for i := range len(s) {
		if !plainPath[s[i]] {
			return s[i] == '?'
		}
	}
	return !strings.HasPrefix(s, "//")
}

// plainPath holds the bytes that net/url leaves alone in a path, in both directions.
var plainPath = func() (t [256]bool) {
	for c := range 128 {
		t[c] = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("/-._~$&+,:;=@", byte(c)) >= 0
	}
	return t
}()

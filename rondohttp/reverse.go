package rondohttp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/rondo-go/rondo"
)

// A ReverseProxy passes requests on to another server, the upstream, and its answers back, both as they come: an answer
// when the request has been sent, or the upstream breaks it off. It is an [http.Handler] for tasks, on any number of loops, each of which keeps connections to the upstream.
//
// Fields that are of one connection only stay there (RFC 9110 section 7.6.1). The upstream is told of the client by
// X-Forwarded-For, -Host and -Proto, by Forwarded (RFC 7239) and by Via. Trailers are passed back. An upgrade,
// such as to WebSocket, joins the two connections. When the client leaves, the request to the upstream ends; a
// connection of the upstream's that turns out to be closed is replaced by a new one, if
// the request may be sent twice. If the upstream cannot be asked or its answer is none, the client
// gets 502, or 504 if it took too long.
type ReverseProxy struct {
	upstream *url.URL
	base     string // path before that of requests, without a slash at its end
	o        ProxyOptions

	mu       sync.Mutex // guards what follows
	sessions map[*rondo.Loop]*Session
}

// ProxyOptions say how a [ReverseProxy] passes requests on. The zero value will do.
type ProxyOptions struct {
	// PreserveHost sends the client's Host, instead of that in the upstream's URL.
	PreserveHost bool

	// TrustForwarded keeps the X-Forwarded and Forwarded fields of requests, and adds to them, for a
	// proxy behind others. Without it they are dropped, since any client can write them.
	TrustForwarded bool

	// Timeout bounds the wait for the head of an answer, and for each next part of its body. Zero is no bound.
	Timeout time.Duration

	// Connect bounds the wait for a connection to the upstream. Zero: 10 s.
	Connect time.Duration

	// Connections bounds those to the upstream, a loop. Zero is no bound.
	Connections int

	// TLS is for an upstream of https. Nil: the usual.
	TLS *tls.Config

	// Log, if not nil, is told of requests that failed.
	Log *slog.Logger
}

// NewReverseProxy returns a proxy for the server at upstream, a URL of http or https. The path of a request is added to that
// of the URL.
func NewReverseProxy(upstream *url.URL, o ProxyOptions) *ReverseProxy {
	if o.Connect == 0 {
		o.Connect = 10 * time.Second
	}
	if o.Connections <= 0 {
		o.Connections = 1 << 30
	}
	u := *upstream
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return &ReverseProxy{upstream: &u, base: strings.TrimSuffix(u.EscapedPath(), "/"), o: o, sessions: make(map[*rondo.Loop]*Session)}
}

// session returns the one of the running loop.
func (p *ReverseProxy) session(l *rondo.Loop) *Session {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.sessions[l]
	if s == nil {
		// What the client did not send is not added: a request arrives as it was.
		s = NewSession(WithLimit(p.o.Connections), WithPerHost(p.o.Connections), WithMaxRedirects(0), WithDecompress(false), WithUserAgent(""),
			WithTLS(p.o.TLS), WithTimeouts(Timeouts{Connect: p.o.Connect, TLS: p.o.Connect, FirstByte: p.o.Timeout, Read: p.o.Timeout}))
		p.sessions[l] = s
	}
	return s
}

// ServeHTTP implements [http.Handler]. It is for tasks.
func (p *ReverseProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l := rondo.RunningLoop()
	switch {
	case l == nil:
		p.fail(w, r, http.StatusInternalServerError, errors.New("the proxy runs on loops only"))
		return
	case r.Method == http.MethodConnect:
		p.fail(w, r, http.StatusMethodNotAllowed, errors.New("no tunnels here"))
		return
	}
	header := p.header(r)
	if protocol := r.Header.Get("Upgrade"); protocol != "" && hasToken(strings.Join(r.Header["Connection"], ","), "upgrade") && r.ProtoMajor == 1 {
		p.upgrade(w, r, header, protocol)
		return
	}
	req := &Request{Method: r.Method, URL: p.upstream.Scheme + "://" + p.upstream.Host + p.target(r.URL), Header: header}
	body := &clientBody{r: r.Body}
	if r.Body != nil && r.Body != http.NoBody && r.ContentLength != 0 {
		req.Body, req.ContentLength = body, r.ContentLength
	}
	ctx := r.Context()
	resp, err := p.session(l).Do(ctx, req)
	if err != nil {
		switch {
		case ctx.Err() != nil:
			panic(http.ErrAbortHandler) // nobody waits for the answer
		case body.err != nil:
			p.fail(w, r, http.StatusBadRequest, fmt.Errorf("the body of the request broke off: %w", body.err))
		default:
			p.fail(w, r, gatewayStatus(err), err)
		}
		return
	}
	defer resp.Close()
	p.answer(ctx, w, r, resp)
}

// A clientBody notes whether it was the client that failed.
type clientBody struct {
	r   io.Reader
	err error
}

// Read implements io.Reader.
func (b *clientBody) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}

// target returns the path and the query for the upstream.
func (p *ReverseProxy) target(u *url.URL) string {
	path := u.EscapedPath()
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	path = p.base + path
	if u.RawQuery != "" || u.ForceQuery {
		path += "?" + u.RawQuery
	}
	return path
}

// ofOneConnection are the fields that a proxy does not pass on, beside those that Connection names.
var ofOneConnection = []string{"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// dropHops takes the fields out of h that are of one connection only.
func dropHops(h http.Header) {
	for _, value := range h["Connection"] {
		for name := range strings.SplitSeq(value, ",") {
			h.Del(strings.Trim(name, " \t"))
		}
	}
	for _, name := range ofOneConnection {
		delete(h, name)
	}
}

// header returns the fields for the upstream.
func (p *ReverseProxy) header(r *http.Request) http.Header {
	h := r.Header.Clone()
	trailers := hasToken(strings.Join(h["Te"], ","), "trailers")
	dropHops(h)
	delete(h, "Expect") // it has been answered here
	delete(h, "Content-Length")
	if trailers {
		h["Te"] = []string{"trailers"}
	}
	peer, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		peer = ""
	}
	proto := "http"
	if r.TLS != nil {
		proto = "https"
	}
	if !p.o.TrustForwarded {
		for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "X-Real-Ip"} {
			delete(h, name)
		}
	}
	if peer != "" {
		h["X-Forwarded-For"] = []string{strings.Join(append(h["X-Forwarded-For"], peer), ", ")}
	}
	if h["X-Forwarded-Host"] == nil {
		h["X-Forwarded-Host"] = []string{r.Host}
	}
	if h["X-Forwarded-Proto"] == nil {
		h["X-Forwarded-Proto"] = []string{proto}
	}
	h["Forwarded"] = append(h["Forwarded"], forwarded(peer, r.Host, proto))
	h["Via"] = append(h["Via"], fmt.Sprintf("%d.%d rondo", r.ProtoMajor, r.ProtoMinor))
	if p.o.PreserveHost {
		h["Host"] = []string{r.Host}
	}
	return h
}

// forwarded returns an element of Forwarded, RFC 7239 section 4.
func forwarded(peer, host, proto string) string {
	if peer == "" {
		peer = "unknown"
	} else if strings.Contains(peer, ":") {
		peer = `"[` + peer + `]"`
	}
	host = strings.NewReplacer(`\`, ``, `"`, ``).Replace(host)
	return "for=" + peer + `;host="` + host + `";proto=` + proto
}

// gatewayStatus returns the status for an upstream that failed with err.
func gatewayStatus(err error) int {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return http.StatusGatewayTimeout
	}
	return http.StatusBadGateway
}

// fail answers in place of the upstream.
func (p *ReverseProxy) fail(w http.ResponseWriter, r *http.Request, status int, err error) {
	if p.o.Log != nil {
		p.o.Log.Error("rondohttp: proxy", "upstream", p.upstream.Host, "method", r.Method, "target", r.RequestURI, "status", status, "err", err)
	}
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	fmt.Fprintf(w, "%d %s\nupstream %s://%s: %v\n", status, http.StatusText(status), p.upstream.Scheme, p.upstream.Host, err)
}

// answer passes an answer back.
func (p *ReverseProxy) answer(ctx context.Context, w http.ResponseWriter, r *http.Request, resp *Response) {
	h := w.Header()
	for name, values := range resp.Header() {
		h[name] = values
	}
	chunked := resp.ContentLength < 0
	dropHops(h)
	p.relocate(h)
	w.WriteHeader(resp.Status)
	b := partBuffers.Get().(*[]byte)
	defer partBuffers.Put(b)
	flush := http.NewResponseController(w).Flush
	for {
		// Copied: writing may park, and the piece would be another's by then.
		piece, err := resp.next(ctx, *b)
		if err == io.EOF {
			break
		}
		if err == nil {
			_, err = w.Write(piece)
		}
		if err == nil && chunked {
			err = flush() // of unknown length: it may be events, each of which somebody waits for
		}
		if err != nil {
			if p.o.Log != nil && ctx.Err() == nil {
				p.o.Log.Error("rondohttp: proxy: answer broke off", "upstream", p.upstream.Host, "method", r.Method, "target", r.RequestURI, "err", err)
			}
			panic(http.ErrAbortHandler) // so that the client sees it, too
		}
	}
	for name, values := range resp.Trailer() {
		h[http.TrailerPrefix+name] = values
	}
}

// relocate turns a Location at the upstream, whose address may mean nothing to the client, into one here.
func (p *ReverseProxy) relocate(h http.Header) {
	to := h.Get("Location")
	if to == "" || p.o.PreserveHost {
		return
	}
	u, err := url.Parse(to)
	if err != nil || !strings.EqualFold(u.Host, p.upstream.Host) || u.Scheme != p.upstream.Scheme {
		return
	}
	path := u.EscapedPath()
	if rest, ok := strings.CutPrefix(path, p.base); ok && (rest == "" || rest[0] == '/') {
		path = rest
	}
	// A path of two slashes would be another host's.
	path = "/" + strings.TrimLeft(path, "/")
	if u.RawQuery != "" {
		path += "?" + u.RawQuery
	}
	if u.Fragment != "" {
		path += "#" + u.EscapedFragment()
	}
	h.Set("Location", path)
}

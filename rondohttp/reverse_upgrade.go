package rondohttp

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/internal/http1"
	"github.com/rondo-go/rondo/rondotls"
)

// upgrade passes a request on that asks for another protocol (RFC 9110 section 7.8), and joins the connections if the
// upstream agrees.
func (p *ReverseProxy) upgrade(w http.ResponseWriter, r *http.Request, header http.Header, protocol string) {
	ctx := r.Context()
	up, err := p.dial(ctx)
	if err != nil {
		p.fail(w, r, gatewayStatus(err), err)
		return
	}
	defer up.Close()
	if d := p.o.Timeout; d > 0 {
		up.SetDeadline(time.Now().Add(d))
	}
	resp, br, err := p.ask(up, r, header, protocol)
	if err != nil {
		p.fail(w, r, gatewayStatus(err), err)
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusSwitchingProtocols {
		h := w.Header()
		for name, values := range resp.Header {
			h[name] = values
		}
		dropHops(h)
		w.WriteHeader(resp.StatusCode)
		if _, err := io.Copy(w, resp.Body); err != nil {
			panic(http.ErrAbortHandler)
		}
		return
	}
	up.SetDeadline(time.Time{})
	down, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		p.fail(w, r, http.StatusInternalServerError, err)
		return
	}
	defer down.Close()
	head := "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + cleaned(resp.Header.Get("Upgrade")) + "\r\n"
	fields := []byte(head)
	dropHops(resp.Header)
	for name, values := range resp.Header {
		for _, v := range values {
			if fields, err = http1.AppendField(fields, name, v); err != nil {
				return
			}
		}
	}
	if _, err := down.Write(append(fields, "\r\n"...)); err != nil {
		return
	}
	join(down, rw.Reader, up, br)
}

// dial connects to the upstream.
func (p *ReverseProxy) dial(ctx context.Context) (net.Conn, error) {
	port := p.upstream.Port()
	if port == "" {
		port = p.upstream.Scheme
	}
	address := net.JoinHostPort(p.upstream.Hostname(), port)
	var c net.Conn
	err := rondo.Timeout(ctx, p.o.Connect, func(ctx context.Context) (err error) {
		raw, err := rondo.Dial(ctx, "tcp", address)
		if err != nil {
			return err
		}
		if c = raw; p.upstream.Scheme != "https" {
			return nil
		}
		cfg := newTLS(p.o.TLS, http.Protocols{}) // HTTP/1.1, which has the upgrade
		if cfg.ServerName == "" {
			cfg.ServerName = p.upstream.Hostname()
		}
		if c, err = rondotls.Client(ctx, raw, cfg); err != nil {
			raw.Close()
		}
		return err
	})
	if err != nil {
		return nil, newError("dial", p.upstream.Redacted(), ioFault(err, false))
	}
	return c, nil
}

// ask sends r to the upstream and reads the head of its answer.
func (p *ReverseProxy) ask(up net.Conn, r *http.Request, header http.Header, protocol string) (*http.Response, *bufio.Reader, error) {
	host := p.upstream.Host
	if v := header.Get("Host"); v != "" {
		host = v
	}
	delete(header, "Host")
	fields := []byte("Connection: Upgrade\r\n")
	fields, err := http1.AppendField(fields, "Upgrade", protocol)
	if err != nil {
		return nil, nil, err
	}
	for name, values := range header {
		for _, v := range values {
			if fields, err = http1.AppendField(fields, name, v); err != nil {
				return nil, nil, err
			}
		}
	}
	if _, err := up.Write(http1.AppendRequest(nil, r.Method, p.target(r.URL), host, string(fields))); err != nil {
		return nil, nil, err
	}
	br := bufio.NewReader(up)
	resp, err := http.ReadResponse(br, r)
	if err != nil {
		return nil, nil, fmt.Errorf("no answer: %w", err)
	}
	return resp, br, nil
}

// join copies in both directions until both have ended, or one has failed. What lies in the readers has come already.
func join(a net.Conn, fromA *bufio.Reader, b net.Conn, fromB *bufio.Reader) {
	one := func(dst, src net.Conn, early *bufio.Reader) func(context.Context) error {
		return func(context.Context) error {
			p, _ := early.Peek(early.Buffered())
			_, err := dst.Write(p)
			if err == nil {
				_, err = io.Copy(bare(dst), bare(src))
			}
			if w, ok := dst.(interface{ CloseWrite() error }); ok && err == nil {
				err = w.CloseWrite()
			}
			if err != nil {
				a.Close()
				b.Close()
			}
			return nil
		}
	}
	_ = rondo.WithGroup(context.Background(), func(g *rondo.Group) error {
		g.Go(one(b, a, fromA))
		g.Go(one(a, b, fromB))
		return nil
	})
}

// bare returns the connection of the loop that c is of, if it is no more than that: between two of them bytes need no
// buffer while nobody sends.
func bare(c net.Conn) net.Conn {
	if h, ok := c.(*hijackedConn); ok {
		return h.Conn
	}
	return c
}

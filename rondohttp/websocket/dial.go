package websocket

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/rondohttp"
)

// Dial opens a connection to url, of scheme ws or wss (or http or https), by means of s: with its dialing, proxy, TLS, cookies, fields, clocks and
// middlewares. A nil s is a plain one. O may be nil. It is for tasks of the session's loop. The connection outlives the session, and does not count among its
// connections.
//
// Errors: those of [rondohttp.Session.Do]; a [*rondohttp.StatusError] if the server refuses; one that wraps [ErrHandshake].
func Dial(ctx context.Context, s *rondohttp.Session, url string, o *Options) (*Conn, error) {
	if rondo.CurrentTask() == nil {
		return nil, fmt.Errorf("websocket: dial %s: %w", url, rondo.ErrNotTask)
	}
	if o == nil {
		o = new(Options)
	}
	if s == nil {
		s = rondohttp.NewSession()
		defer s.Close()
	}
	if scheme, rest, ok := strings.Cut(url, "://"); ok && len(scheme) >= 2 && strings.EqualFold(scheme[:2], "ws") {
		url = "http" + strings.ToLower(scheme[2:]) + "://" + rest
	}
	nonce := make([]byte, 16)
	rand.Read(nonce)
	key := base64.StdEncoding.EncodeToString(nonce)
	h := o.Header.Clone()
	if h == nil {
		h = make(http.Header)
	}
	h.Set("Connection", "Upgrade")
	h.Set("Upgrade", "websocket")
	h.Set("Sec-WebSocket-Version", "13")
	h.Set("Sec-WebSocket-Key", key)
	if len(o.Subprotocols) > 0 {
		h.Set("Sec-WebSocket-Protocol", strings.Join(o.Subprotocols, ", "))
	}
	if o.Compression != nil {
		h.Set("Sec-WebSocket-Extensions", o.Compression.offer())
	}
	r, conn, read, err := s.Upgrade(ctx, &rondohttp.Request{URL: url, Header: h})
	if err != nil {
		return nil, err
	}
	if conn == nil {
		if err := r.RaiseForStatus(ctx); err != nil {
			return nil, err
		}
		r.Close()
		return nil, fmt.Errorf("%w: the server answers %d and does not switch", ErrHandshake, r.Status)
	}
	d, protocol, err := o.confirm(r.Header(), key)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return newConn(conn, read, o, true, d, protocol), nil
}

// confirm checks a server's answer, RFC 6455 section 4.1.
func (o *Options) confirm(h http.Header, key string) (*deflate, string, error) {
	protocol := h.Get("Sec-Websocket-Protocol")
	switch {
	case !hasToken(h["Upgrade"], "websocket"), !hasToken(h["Connection"], "upgrade"):
		return nil, "", fmt.Errorf("%w: the server switches to something else", ErrHandshake)
	case h.Get("Sec-Websocket-Accept") != acceptOf(key):
		return nil, "", fmt.Errorf("%w: wrong Sec-WebSocket-Accept", ErrHandshake)
	case protocol != "" && !slices.Contains(o.Subprotocols, protocol):
		return nil, "", fmt.Errorf("%w: subprotocol %q was not offered", ErrHandshake, protocol)
	}
	d, err := o.Compression.accepted(h["Sec-Websocket-Extensions"])
	return d, protocol, err
}

func validField(name, value string) bool {
	return httpguts.ValidHeaderFieldName(name) && httpguts.ValidHeaderFieldValue(value)
}

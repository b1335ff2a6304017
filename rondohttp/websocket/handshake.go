package websocket

import (
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/gobwas/httphead"
	"github.com/gobwas/ws/wsflate"
)

// A request is what the server's side of a handshake looks at, of either face.
type request struct {
	method string
	http11 bool
	host   string
	header http.Header
}

// A refusal is the answer to a handshake that fails.
type refusal struct {
	status int
	why    string
}

func (r *refusal) Error() string { return r.why }

func (r *refusal) Unwrap() error { return ErrHandshake }

// An agreement is what a handshake has led to.
type agreement struct {
	accept     string
	protocol   string
	extensions string
	deflate    *deflate
}

// agree checks the request of a handshake, RFC 6455 section 4.2.1, and decides what to agree to.
func (o *Options) agree(r *request) (*agreement, *refusal) {
	key := r.header.Get("Sec-Websocket-Key")
	nonce, err := base64.StdEncoding.DecodeString(key)
	switch {
	case r.method != http.MethodGet:
		return nil, &refusal{http.StatusMethodNotAllowed, "a WebSocket handshake is a GET"}
	case !r.http11:
		return nil, &refusal{http.StatusHTTPVersionNotSupported, "a WebSocket handshake takes HTTP/1.1"}
	case !hasToken(r.header["Connection"], "upgrade"), !hasToken(r.header["Upgrade"], "websocket"):
		return nil, &refusal{http.StatusUpgradeRequired, "this is for WebSocket"}
	case r.header.Get("Sec-Websocket-Version") != "13":
		return nil, &refusal{http.StatusUpgradeRequired, "unsupported version of WebSocket"}
	case err != nil, len(nonce) != 16, len(r.header["Sec-Websocket-Key"]) != 1:
		return nil, &refusal{http.StatusBadRequest, "invalid Sec-WebSocket-Key"}
	case !o.allowed(r.header.Get("Origin"), r.host):
		return nil, &refusal{http.StatusForbidden, "pages of this origin may not connect"}
	}
	a := &agreement{accept: acceptOf(key), protocol: o.choose(r.header["Sec-Websocket-Protocol"])}
	if o.Compression != nil {
		a.extensions, a.deflate = o.Compression.agree(r.header["Sec-Websocket-Extensions"])
	}
	return a, nil
}

// acceptOf returns the answer to a key.
func acceptOf(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// allowed reports whether pages of origin may connect to host.
func (o *Options) allowed(origin, host string) bool {
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	if err == nil && u.Host != "" && strings.EqualFold(u.Host, host) {
		return true
	}
	for _, p := range o.Origins {
		if p == "*" {
			return true
		}
		if err != nil || u.Host == "" {
			continue
		}
		name := u.Host
		if !strings.Contains(p, ":") {
			name = u.Hostname()
		}
		if rest, sub := strings.CutPrefix(p, "*"); sub && len(name) > len(rest) && strings.EqualFold(name[len(name)-len(rest):], rest) || strings.EqualFold(p, name) {
			return true
		}
	}
	return false
}

// choose returns the first of o's subprotocols that is offered.
func (o *Options) choose(offered []string) string {
	for _, p := range o.Subprotocols {
		for _, line := range offered {
			for t := range strings.SplitSeq(line, ",") {
				if strings.TrimSpace(t) == p {
					return p
				}
			}
		}
	}
	return ""
}

func hasToken(lines []string, token string) bool {
	for _, line := range lines {
		for t := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(t), token) {
				return true
			}
		}
	}
	return false
}

// bits returns the bound of the window.
func (c *Compression) bits() int {
	if c.WindowBits < 9 || c.WindowBits > 15 {
		return 15
	}
	return c.WindowBits
}

// agree returns what to answer to an offer, "" if none is acceptable, and what follows (RFC 7692 section 5.1).
func (c *Compression) agree(offers []string) (string, *deflate) {
	for _, line := range offers {
		list, ok := httphead.ParseOptions([]byte(line), nil)
		if !ok {
			continue
		}
		for _, offer := range list {
			var p wsflate.Parameters
			if string(offer.Name) != wsflate.ExtensionName || p.Parse(offer) != nil {
				continue
			}
			d := c.deflate()
			answer := wsflate.Parameters{
				ServerNoContextTakeover: p.ServerNoContextTakeover || !c.ContextTakeover,
				ClientNoContextTakeover: p.ClientNoContextTakeover || !c.ContextTakeover,
			}
			if p.ServerMaxWindowBits.Defined() {
				d.sendBits = min(d.sendBits, int(p.ServerMaxWindowBits))
				answer.ServerMaxWindowBits = wsflate.WindowBits(d.sendBits)
			}
			if p.ClientMaxWindowBits.Defined() && c.bits() < 15 {
				answer.ClientMaxWindowBits = wsflate.WindowBits(c.bits())
			} else if p.ClientMaxWindowBits > 1 {
				answer.ClientMaxWindowBits = p.ClientMaxWindowBits
			}
			if answer.ClientMaxWindowBits.Defined() {
				d.receiveBits = min(15, int(answer.ClientMaxWindowBits))
			}
			d.sendContext, d.receiveContext = !answer.ServerNoContextTakeover, !answer.ClientNoContextTakeover
			return rendered(answer), d
		}
	}
	return "", nil
}

func rendered(p wsflate.Parameters) string {
	var b strings.Builder
	httphead.WriteOptions(&b, []httphead.Option{p.Option()})
	return b.String()
}

// offer returns what a client offers.
func (c *Compression) offer() string {
	p := wsflate.Parameters{ServerNoContextTakeover: !c.ContextTakeover, ClientNoContextTakeover: !c.ContextTakeover, ClientMaxWindowBits: 1}
	if c.bits() < 15 {
		p.ServerMaxWindowBits = wsflate.WindowBits(c.bits())
	}
	return rendered(p)
}

// accepted returns what follows from a server's answer to the offer; nil if it did not agree.
func (c *Compression) accepted(lines []string) (*deflate, error) {
	if len(lines) == 0 {
		return nil, nil
	}
	list, ok := httphead.ParseOptions([]byte(strings.Join(lines, ",")), nil)
	if !ok || len(list) != 1 || string(list[0].Name) != wsflate.ExtensionName || c == nil {
		return nil, fmt.Errorf("%w: the server uses extensions that were not offered: %q", ErrHandshake, lines)
	}
	var p wsflate.Parameters
	if err := p.Parse(list[0]); err != nil || p.ClientMaxWindowBits == 1 {
		return nil, fmt.Errorf("%w: extension %q: invalid parameters", ErrHandshake, lines)
	}
	if !c.ContextTakeover && !p.ServerNoContextTakeover || c.bits() < 15 && (!p.ServerMaxWindowBits.Defined() || int(p.ServerMaxWindowBits) > c.bits()) {
		return nil, fmt.Errorf("%w: extension %q: the server ignores a bound", ErrHandshake, lines)
	}
	d := c.deflate()
	d.sendContext, d.receiveContext = c.ContextTakeover && !p.ClientNoContextTakeover, !p.ServerNoContextTakeover
	if p.ClientMaxWindowBits.Defined() {
		d.sendBits = min(d.sendBits, int(p.ClientMaxWindowBits))
	}
	if p.ServerMaxWindowBits.Defined() {
		d.receiveBits = int(p.ServerMaxWindowBits)
	}
	return d, nil
}

package rondohttp

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"net/http"
	"strings"

	"github.com/rondo-go/rondo/internal/http1"
)

// Digest returns a middleware that answers a server's challenge to digest authentication with user and password: by RFC
// 7616, with SHA-256 or MD5, or the -sess variant of either, and without or with qop "auth". The nonce of a challenge is used
// for later requests to its origin, so these go once; one that has become stale is replaced. A request whose body cannot
// be had again, see [Request.GetBody], is sent once, and its 401 returned.
func Digest(user, password string) Middleware {
	d := &digest{user: user, password: password, seen: map[string]*challenge{}}
	return func(next Doer) Doer {
		return DoerFunc(func(ctx context.Context, req *Request) (*Response, error) { return d.do(ctx, next, req) })
	}
}

// A digest is for the tasks of one loop.
type digest struct {
	user, password string
	seen           map[string]*challenge // by origin
}

// A challenge is what a server asked, and how often it was answered.
type challenge struct {
	realm, nonce, opaque, algorithm string
	hasOpaque, qop, stale           bool
	count                           uint32
}

const maxOrigins = 1000 // whose nonces are remembered

func (d *digest) do(ctx context.Context, next Doer, req *Request) (*Response, error) {
	u := newUpload(req)
	sent := req
	used := d.seen[origin(req.URL)]
	if used != nil {
		sent = d.answer(req, methodOf(req), req.URL, used)
	}
	answered := false // a challenge of this very request
	for try := 1; ; try++ {
		r, err := next.Do(ctx, sent)
		if err != nil || r.Status != http.StatusUnauthorized || try == digestTries {
			return r, err
		}
		c := digestChallenge(r.Header().Values("WWW-Authenticate"))
		at := origin(r.URL)
		switch {
		case c == nil || at == "":
			return r, nil
		case len(r.History) > 0 && at != origin(r.History[0].URL):
			return r, nil // another origin is not given what this one may have
		case !c.stale && (answered || used != nil && used.nonce == c.nonce):
			return r, nil // it has seen the answer, and does not like it
		}
		if u != nil && (u.again == nil || r.Method != methodOf(req)) {
			return r, nil
		}
		if u != nil {
			body, err := u.again()
			if err != nil {
				return r, nil
			}
			copied := *req
			copied.Body = body
			req = &copied
		}
		if len(d.seen) >= maxOrigins {
			clear(d.seen)
		}
		d.seen[at], used, answered = c, c, true
		url, method := r.URL, r.Method
		r.Close()
		sent = d.answer(req, method, url, c)
		sent.URL, sent.Method, sent.Query = url, method, nil
	}
}

// digestTries is how often one request is sent: without an answer, or with one to a nonce that is remembered; to
// a new one; and to the next, if that was stale already.
const digestTries = 3

func methodOf(req *Request) string {
	if req.Method == "" {
		return http.MethodGet
	}
	return req.Method
}

func origin(s string) string {
	u, err := http1.SplitURL(s)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + strings.ToLower(hostname(u.Host)) + ":" + u.Port()
}

// answer returns req with the answer to c, for method and the URL at.
func (d *digest) answer(req *Request, method, at string, c *challenge) *Request {
	copied := req.Clone()
	u, err := http1.SplitURL(at)
	if err != nil {
		return copied
	}
	copied.setHeader("Authorization", c.answer(d.user, d.password, method, u.Target, newNonce()))
	return copied
}

func newNonce() string {
	var b [16]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// answer returns the value of Authorization for one request.
func (c *challenge) answer(user, password, method, uri, cnonce string) string {
	h := func(s ...string) string {
		var sum hash.Hash
		if strings.HasPrefix(strings.ToUpper(c.algorithm), "SHA-256") {
			sum = sha256.New()
		} else {
			sum = md5.New()
		}
		sum.Write([]byte(strings.Join(s, ":")))
		return hex.EncodeToString(sum.Sum(nil))
	}
	c.count++
	nc := fmt.Sprintf("%08x", c.count)
	a1 := h(user, c.realm, password)
	session := strings.HasSuffix(strings.ToLower(c.algorithm), "-sess")
	if session {
		a1 = h(a1, c.nonce, cnonce)
	}
	a2 := h(method, uri)
	var response string
	if c.qop {
		response = h(a1, c.nonce, nc, cnonce, "auth", a2)
	} else {
		response = h(a1, c.nonce, a2)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `Digest username="%s", realm="%s", nonce="%s", uri="%s", response="%s"`,
		quoted(user), quoted(c.realm), quoted(c.nonce), quoted(uri), response)
	if c.algorithm != "" {
		b.WriteString(", algorithm=" + c.algorithm)
	}
	if c.hasOpaque {
		fmt.Fprintf(&b, `, opaque="%s"`, quoted(c.opaque))
	}
	if c.qop {
		fmt.Fprintf(&b, `, qop=auth, nc=%s, cnonce="%s"`, nc, cnonce)
	} else if session {
		fmt.Fprintf(&b, `, cnonce="%s"`, cnonce)
	}
	return b.String()
}

var quoted = strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace

// digestChallenge returns the best digest challenge among the values of WWW-Authenticate, nil if there is none that can be answered.
func digestChallenge(values []string) (best *challenge) {
	for _, v := range values {
		for _, c := range parseChallenges(v) {
			if !strings.EqualFold(c.scheme, "Digest") {
				continue
			}
			d := &challenge{realm: c.params["realm"], nonce: c.params["nonce"], algorithm: c.params["algorithm"],
				stale: strings.EqualFold(c.params["stale"], "true")}
			d.opaque, d.hasOpaque = c.params["opaque"]
			switch strings.ToUpper(d.algorithm) {
			case "", "MD5", "MD5-SESS", "SHA-256", "SHA-256-SESS":
			default:
				continue
			}
			if qop, ok := c.params["qop"]; ok {
				for q := range strings.SplitSeq(qop, ",") {
					d.qop = d.qop || strings.EqualFold(strings.TrimSpace(q), "auth")
				}
				if !d.qop {
					continue // auth-int alone
				}
			}
			better := best == nil || len(d.algorithm) >= len("SHA-256") && !strings.HasPrefix(strings.ToUpper(best.algorithm), "SHA") &&
				strings.HasPrefix(strings.ToUpper(d.algorithm), "SHA")
			if better && d.nonce != "" {
				best = d
			}
		}
	}
	return best
}

// A scheme is one challenge of WWW-Authenticate.
type scheme struct {
	scheme string
	params map[string]string
}

// parseChallenges parses a WWW-Authenticate, which may hold several challenges in one line (RFC 9110 section
// 11.6.1): a token that no equals sign follows begins one.
func parseChallenges(s string) (all []scheme) {
	for {
		s = strings.TrimLeft(s, " \t,")
		n := 0
		for n < len(s) && http1.ValidMethod(s[n:n+1]) {
			n++
		}
		if n == 0 {
			return all
		}
		name := s[:n]
		after := strings.TrimLeft(s[n:], " \t")
		value, isParam := strings.CutPrefix(after, "=")
		if !isParam {
			all = append(all, scheme{name, map[string]string{}})
			s = after
			continue
		}
		if len(all) == 0 {
			return nil
		}
		value = strings.TrimLeft(value, " \t")
		var v string
		if strings.HasPrefix(value, `"`) {
			var b strings.Builder
			i := 1
			for ; i < len(value) && value[i] != '"'; i++ {
				if value[i] == '\\' && i+1 < len(value) {
					i++
				}
				b.WriteByte(value[i])
			}
			v, s = b.String(), value[min(i+1, len(value)):]
		} else {
			i := strings.IndexAny(value, ", \t")
			if i < 0 {
				i = len(value)
			}
			v, s = value[:i], value[i:]
		}
		params := all[len(all)-1].params
		if name = strings.ToLower(name); params[name] == "" {
			params[name] = v
		}
	}
}

package rondohttp

import (
	"crypto/tls"
	"io"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// A Request is what [Session.Do] sends. It is not changed, and may be used again
// if its body can be.
//
// Exactly one of Body and Pieces may be set.
type Request struct {
	Method string      // "" means GET
	URL    string      // http or https, absolute or relative to the session's base; a fragment is dropped, a user and password become Authorization
	Header http.Header // beside the session's, and instead of those of the same names; Host sets the host named to the server

	// Body is sent if it is not nil: with a Content-Length if the length is known
	// (ContentLength is positive, or Body is a *bytes.Reader, *bytes.Buffer or *strings.Reader),
	// and in chunks if it is not. Its Read runs on the loop and must not block the thread.
	Body          io.Reader
	ContentLength int64

	// GetBody returns the body once more, for a redirect that keeps the method and for a retry.
	// It may be nil; for a *bytes.Reader and a *strings.Reader it is not needed.
	GetBody func() (io.Reader, error)

	// Pieces is the body, if it is not nil, as a sequence that the task ranges over, and that may park. Each piece is
	// sent before the next is asked for. An error ends the request with [KindBody].
	Pieces iter.Seq2[[]byte, error]

	Query url.Values // added to that of URL

	// ExpectContinue, if positive, makes the head go first, with Expect: 100-continue, and the body
	// only when the server asks for it, or has not answered for so long.
	ExpectContinue time.Duration

	TLS      *tls.Config // of https connections, instead of the session's; one that is used again shares its connections
	Timeouts *Timeouts   // instead of the session's
	Trace    *Trace      // instead of what the session's gives

	once    bool // for RoundTrip: no redirects, no cookies
	upgrade bool // for Upgrade
}

// SetBasicAuth makes req carry a user and a password (RFC 7617).
func (req *Request) SetBasicAuth(user, password string) {
	req.setHeader("Authorization", basic(user+":"+password))
}

// SetBearer makes req carry a token (RFC 6750).
func (req *Request) SetBearer(token string) { req.setHeader("Authorization", "Bearer "+token) }

func (req *Request) setHeader(name, value string) {
	if req.Header == nil {
		req.Header = http.Header{}
	}
	req.Header.Set(name, value)
}

// idempotent reports whether a request may be sent twice without its owner being asked (RFC 9110 section 9.2.2).
func idempotent(method string) bool {
	switch method {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE":
		return true
	}
	return false
}

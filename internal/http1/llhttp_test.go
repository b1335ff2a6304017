package http1

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
)

// An llhttpVector is a request of llhttp's own test suite, and whether that refuses it: see testdata/llhttp.
type llhttpVector struct {
	Name, Input, Error string
	Complete           bool // llhttp comes to the end of a message
}

func llhttpVectors(t *testing.T) (vs []llhttpVector) {
	b, err := os.ReadFile("testdata/llhttp/request.json")
	if err == nil {
		err = json.Unmarshal(b, &vs)
	}
	if err != nil || len(vs) < 100 {
		t.Fatalf("%d vectors, %v", len(vs), err)
	}
	return vs
}

// decodeAll parses requests, bodies and all, to the end of in: done says whether that is the end of one.
func decodeAll(in []byte) (n int, done bool, err error) {
	var h RequestHead
	var b Body
	for len(in) > 0 {
		h.Reset()
		k, complete, err := h.Parse(in, &RequestLimits{})
		if err != nil || !complete {
			return n, false, err
		}
		in = in[k:]
		b.ResetRequest(h.ContentLength, h.Chunked)
		for !b.Done() && len(in) > 0 {
			_, k, _, err := b.Next(in)
			if err != nil {
				return n, false, err
			}
			in = in[k:]
		}
		if !b.Done() {
			return n, false, nil
		}
		n++
		if !h.KeepAlive || h.Upgrade || h.Form == AuthorityForm {
			return n, true, nil
		}
	}
	return n, true, nil
}

// differences are where Parse and llhttp differ on purpose.
var differences = map[string]string{
	// Refused here.
	"method: M-SEARCH request":                                         "the target * is for OPTIONS: RFC 9112 section 3.2.4",
	"method: PRI request HTTP2":                                        "the preface of HTTP/2 is not a request",
	"method: SOURCE request with ICE":                                  "another protocol",
	"method: OPTIONS request with RTSP":                                "another protocol",
	"method: ANNOUNCE request with RTSP":                               "another protocol",
	"sample: No HTTP version":                                          "HTTP/0.9",
	"uri: Fragment in URI":                                             "a target has no fragment: RFC 9112 section 3.2",
	"uri: `host:port` and basic auth":                                  "user information in a target: RFC 9110 section 4.2.4",
	"transfer-encoding: POST with `chunked` as last transfer-encoding": "no other coding is supported: 501",
	"transfer-encoding: POST with `chunked` as last transfer-encoding (multiple headers)": "no other coding is supported: 501",
	// Accepted here.
	"invalid: HTTP protocol and ANNOUNCE method":                    "any token is a method: RFC 9110 section 9.1",
	"invalid: Invalid method":                                       "any token is a method: RFC 9110 section 9.1",
	"connection: No restart when keep-alive is off (1.0)":           "what follows the last request is not looked at",
	"pipelining: Should parse multiple events":                      "the last body is a byte short",
	"content-length: Content-Length reset when no body is received": "the vector skips the bodies",
}

var requestLine = regexp.MustCompile(`(?m)^(\w+ \S+ HTTP/1\.1\r\n)`)

func TestRequestHeadKeepsLLHTTPsVerdicts(t *testing.T) {
	refused := 0
	for _, v := range llhttpVectors(t) {
		in := v.Input
		// The vectors have no Host, mostly, which is another fault than the one that they are about.
		if !strings.Contains(strings.ToLower(in), "host:") {
			in = requestLine.ReplaceAllString(in, "${1}Host: a\r\n")
		}
		_, done, err := decodeAll([]byte(in))
		differs := (v.Error != "") != (err != nil) || v.Error == "" && v.Complete && !done && !strings.HasSuffix(in, "\r\n\r\n\r\n")
		if known := differences[v.Name] != ""; differs != known {
			t.Errorf("%s: %q: error %v, done %v; llhttp: %q; known to differ: %v", v.Name, in, err, done, v.Error, known)
		}
		if v.Error != "" && err != nil {
			refused++
		}
	}
	if refused < 50 {
		t.Errorf("only %d refused", refused)
	}
}

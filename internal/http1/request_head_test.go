package http1

import (
	"errors"
	"strings"
	"testing"
)

const curl = "GET /a/b?c=d HTTP/1.1\r\nHost: example.org:8080\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\nX-Empty:\r\nX-Padded: \t a b \t\r\n\r\n"

// parseRequest parses in, of which step bytes more come each time, in a slice that moves.
func parseRequest(h *RequestHead, in string, step int, lim RequestLimits) (n int, done bool, err error) {
	for end := 0; end < len(in); {
		end = min(end+step, len(in))
		n, done, err = h.Parse([]byte(in[:end]), &lim)
		if done || err != nil {
			break
		}
	}
	return n, done, err
}

func TestRequestHeadParse(t *testing.T) {
	for step := 1; step <= len(curl); step++ {
		var h RequestHead
		n, done, err := parseRequest(&h, curl+"rest", step, RequestLimits{})
		if n != len(curl) || !done || err != nil {
			t.Fatalf("step %d: %d, %v, %v", step, n, done, err)
		}
		if string(h.Method()) != "GET" || string(h.Target()) != "/a/b?c=d" || string(h.Host()) != "example.org:8080" || h.Minor != 1 ||
			h.Form != OriginForm || !h.KeepAlive || h.ContentLength != -1 || h.Chunked || h.Expect || h.Upgrade || h.Len() != 5 {
			t.Fatalf("step %d: %+v", step, h)
		}
		if string(h.Get("x-padded")) != "a b" || h.Get("X-Empty") == nil || len(h.Get("X-Empty")) != 0 || h.Get("X-None") != nil || string(h.Get("ACCEPT")) != "*/*" {
			t.Fatalf("step %d: fields %q", step, h.buf)
		}
	}
}

func TestRequestHeadKnowsWhatItMeans(t *testing.T) {
	for in, want := range map[string]func(h *RequestHead) bool{
		"GET / HTTP/1.0\r\n":                                                           func(h *RequestHead) bool { return !h.KeepAlive && h.Minor == 0 },
		"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n":                                 func(h *RequestHead) bool { return h.KeepAlive },
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: foo ,\tClose\r\n":                    func(h *RequestHead) bool { return !h.KeepAlive },
		"GET / HTTP/1.7\r\nHost: a\r\n":                                                func(h *RequestHead) bool { return h.Minor == 1 },
		"GET / HTTP/1.1\r\nHost:\r\n":                                                  func(h *RequestHead) bool { return len(h.Host()) == 0 },
		"GET / HTTP/1.1\r\nHost: [::1]:80\r\n":                                         func(h *RequestHead) bool { return string(h.Host()) == "[::1]:80" },
		"GET http://b:1/c HTTP/1.1\r\nHost: a\r\n":                                     func(h *RequestHead) bool { return h.Form == AbsoluteForm && string(h.Host()) == "b:1" },
		"CONNECT b:1 HTTP/1.1\r\nHost: a\r\n":                                          func(h *RequestHead) bool { return h.Form == AuthorityForm && string(h.Host()) == "b:1" },
		"OPTIONS * HTTP/1.1\r\nHost: a\r\n":                                            func(h *RequestHead) bool { return h.Form == AsteriskForm && string(h.Host()) == "a" },
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\nExpect: 100-Continue\r\n": func(h *RequestHead) bool { return h.ContentLength == 12 && h.Expect },
		"GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n":                        func(h *RequestHead) bool { return !h.Expect },
		"POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: CHUNKED\r\n":                 func(h *RequestHead) bool { return h.Chunked },
		"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: upgrade\r\n":         func(h *RequestHead) bool { return h.Upgrade },
		"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n":                                func(h *RequestHead) bool { return !h.Upgrade },
	} {
		var h RequestHead
		if _, done, err := h.Parse([]byte(in+"\r\n"), &RequestLimits{}); !done || err != nil || !want(&h) {
			t.Errorf("%q: done %v, %v, %+v", in, done, err, h)
		}
	}
}

func TestRequestHeadRefuses(t *testing.T) {
	const ok = "GET / HTTP/1.1\r\nHost: a\r\n"
	for in, want := range map[string]string{
		"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n": "malformed request line",
		"\nGET / HTTP/1.1\r\n":                      "without CRLF",
		" GET / HTTP/1.1\r\n":                       "malformed request line",
		"GET  / HTTP/1.1\r\n":                       "malformed request line",
		"GET / HTTP/1.1 \r\n":                       "malformed request line",
		"GET /\tHTTP/1.1\r\n":                       "malformed request line",
		"GET / a HTTP/1.1\r\n":                      "malformed request line",
		"GET / http/1.1\r\n":                        "malformed request line",
		"GET / HTTP/1.10\r\n":                       "malformed request line",
		"GET / HTTP/1\r\n":                          "malformed request line",
		"GET /\x00 HTTP/1.1\r\n":                    "malformed request line",
		"GET /é HTTP/1.1\r\n":                       "malformed request line",
		"GET\r\n":                                   "malformed request line",
		"G(T / HTTP/1.1\r\n":                        "malformed request line",
		"\x16\x03\x01\x02\x00":                      "malformed request line",
		"GET / HTTP/2.0\r\n":                        ErrVersion.Error(),
		"GET / HTTP/1.1\nHost: a\r\n\r\n":           "without CRLF",
		"GET a HTTP/1.1\r\n":                        "invalid request target",
		"GET * HTTP/1.1\r\n":                        "OPTIONS",
		"GET ftp://a/ HTTP/1.1\r\n":                 "invalid request target",
		"GET http:///a HTTP/1.1\r\n":                "invalid host",
		"GET http://u@a/ HTTP/1.1\r\n":              "invalid host",
		"CONNECT /a HTTP/1.1\r\n":                   "CONNECT",
		"CONNECT a HTTP/1.1\r\n":                    "CONNECT",
		"GET /#a HTTP/1.1\r\n":                      "fragment",
		"GET / HTTP/1.1\r\n\r\n":                    "no Host",
		ok + "Host: a\r\n\r\n":                      "more than one Host",
		"GET / HTTP/1.1\r\nHost: a b\r\n\r\n":       "invalid Host",
		"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n":       "invalid Host",
		"GET / HTTP/1.1\r\nHost: a,b@c\r\n\r\n":     "invalid Host",
		"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n":       "invalid Host",
		"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n":      "invalid Host",
		ok + "A: b\r\n c\r\n\r\n":                   "folded",
		ok + " A: b\r\n\r\n":                        "folded",
		"GET / HTTP/1.1\r\n Host: a\r\n\r\n":        "folded",
		ok + "A : b\r\n\r\n":                        "invalid header name",
		ok + "A\r\n\r\n":                            "without a name",
		ok + ": b\r\n\r\n":                          "without a name",
		ok + "A: b\rC: d\r\n\r\n":                   "control character",
		ok + "A: b\nC: d\r\n\r\n":                   "without CRLF",
		ok + "A: b\r\r\n\r\n":                       "control character",
		ok + "A: b\x00c\r\n\r\n":                    "control character",
		ok + "A: b\r\n\n":                           "without CRLF",
		ok + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n":      "both",
		ok + "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n":      "both",
		ok + "Content-Length: 3\r\nContent-Length: 4\r\n\r\n":               "second Content-Length",
		ok + "Content-Length: 3\r\ncontent-length: 3\r\n\r\n":               "second Content-Length",
		ok + "Content-Length: 3, 3\r\n\r\n":                                 "invalid Content-Length",
		ok + "Content-Length: +3\r\n\r\n":                                   "invalid Content-Length",
		ok + "Content-Length: -3\r\n\r\n":                                   "invalid Content-Length",
		ok + "Content-Length:\r\n\r\n":                                      "invalid Content-Length",
		ok + "Content-Length: 0x3\r\n\r\n":                                  "invalid Content-Length",
		ok + "Content-Length: 9223372036854775808\r\n\r\n":                  "invalid Content-Length",
		ok + "Transfer-Encoding: gzip, chunked\r\n\r\n":                     ErrTransferEncoding.Error(),
		ok + "Transfer-Encoding: chunked, gzip\r\n\r\n":                     "not the last",
		ok + "Transfer-Encoding: chunked, chunked\r\n\r\n":                  "not the last",
		ok + "Transfer-Encoding: identity\r\n\r\n":                          "does not end in chunked",
		ok + "Transfer-Encoding:\r\n\r\n":                                   "does not end in chunked",
		ok + "Transfer-Encoding: \x0bchunked\r\n\r\n":                       "control character",
		ok + "Transfer-Encoding: chunked;q=1\r\n\r\n":                       "does not end in chunked",
		ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n": "second Transfer-Encoding",
		"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n":             "HTTP/1.0",
		ok + "Expect: tea\r\n\r\n":                                          ErrUnmetExpectation.Error(),
	} {
		for _, step := range []int{1, 3, 1000} {
			var h RequestHead
			_, done, err := parseRequest(&h, in, step, RequestLimits{})
			if done || err == nil || step == 1000 && !strings.Contains(err.Error(), want) {
				t.Errorf("%q in steps of %d: done %v, error %v, want %s", in, step, done, err, want)
			}
		}
	}
}

func TestRequestHeadKeepsLimits(t *testing.T) {
	lim := RequestLimits{TargetBytes: 300, HeadBytes: 1000, Fields: 3}
	for _, c := range []struct {
		in   string
		want error
	}{
		{"GET /" + strings.Repeat("x", 299) + " HTTP/1.1\r\nHost: a\r\n\r\n", nil},
		{"GET /" + strings.Repeat("x", 300) + " HTTP/1.1\r\nHost: a\r\n\r\n", ErrTargetTooLong},
		{"GET /" + strings.Repeat("x", 5000), ErrTargetTooLong},
		{"GET / HTTP/1.1\r\nHost: a\r\nB: " + strings.Repeat("x", 970) + "\r\n\r\n", ErrHeaderTooLarge},
		{"GET / HTTP/1.1\r\nHost: a\r\nB: " + strings.Repeat("x", 1000), ErrHeaderTooLarge},
		{"GET / HTTP/1.1\r\nHost: a\r\nb:\r\nc:\r\n\r\n", nil},
		{"GET / HTTP/1.1\r\nHost: a\r\nb:\r\nc:\r\nd:\r\n\r\n", ErrHeaderTooLarge},
	} {
		for _, step := range []int{1, 7, 10000} {
			var h RequestHead
			if _, done, err := parseRequest(&h, c.in, step, lim); done != (c.want == nil) || !errors.Is(err, c.want) {
				t.Errorf("%.40q in steps of %d: done %v, %v, want %v", c.in, step, done, err, c.want)
			}
		}
	}
}

func TestBodyResetRequestIsStrict(t *testing.T) {
	for in, ok := range map[string]bool{
		"5\r\nhello\r\n0\r\n\r\n":                     true,
		"5;a\r\nhello\r\n0;b=c;d=\"e;\\\"\"\r\n\r\n":  true,
		"5;a=b;c\r\nhello\r\n0\r\nA: b\r\nC:\r\n\r\n": true,
		"5 \r\nhello\r\n0\r\n\r\n":                    false,
		"5;\r\nhello\r\n0\r\n\r\n":                    false,
		"5;a=\r\nhello\r\n0\r\n\r\n":                  false,
		"5; a\r\nhello\r\n0\r\n\r\n":                  false,
		"5;a=\"b\r\nhello\r\n0\r\n\r\n":               false,
		"5;a\x00\r\nhello\r\n0\r\n\r\n":               false,
		"5;a=\"\x7f\"\r\nhello\r\n0\r\n\r\n":          false,
		"5\r\nhello\r\n0\r\nA\r\n\r\n":                false,
		"5\r\nhello\r\n0\r\nA: b\r\n c\r\n\r\n":       false,
		"5\r\nhello\r\n0\r\nA : b\r\n\r\n":            false,
		"5\r\nhello\r\n0\r\nA: \x00\r\n\r\n":          false,
		"5\nhello\r\n0\r\n\r\n":                       false,
	} {
		for step := 1; step <= len(in); step++ {
			var b Body
			b.ResetRequest(-1, true)
			data, n, err := decode(&b, in, step)
			if (err == nil) != ok || ok && (data != "hello" || n != len(in) || !b.Done()) {
				t.Errorf("%q in steps of %d: %q, %d, %v", in, step, data, n, err)
			}
			if ok && strings.Contains(in, "A: b") {
				var got []string
				for name, value := range Fields(b.Trailers()) {
					got = append(got, string(name)+"="+string(value))
				}
				if strings.Join(got, ",") != "A=b,C=" {
					t.Errorf("trailers %q", got)
				}
			}
		}
	}
}

func TestRequestHeadParseAllocatesNothing(t *testing.T) {
	var h RequestHead
	b := []byte(curl)
	if got := testing.AllocsPerRun(100, func() {
		h.Reset()
		if _, done, err := h.Parse(b, &RequestLimits{}); !done || err != nil {
			t.Fatal(done, err)
		}
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

func BenchmarkRequestHeadParse(b *testing.B) {
	var h RequestHead
	in := []byte(curl)
	b.ReportAllocs()
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		h.Reset()
		if _, done, err := h.Parse(in, &RequestLimits{}); !done || err != nil {
			b.Fatal(done, err)
		}
	}
}

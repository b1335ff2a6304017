package http1

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// parse feeds s in pieces of size step.
func parse(h *Head, s string, step int, lim Limits) (n int, done bool, err error) {
	h.Reset()
	for n < len(s) && !done && err == nil {
		var k int
		k, done, err = h.Parse([]byte(s[n:min(n+step, len(s))]), lim)
		n += k
	}
	return n, done, err
}

const nginx = "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Mon, 24 Nov 2025 16:38:00 GMT\r\n" +
	"Content-Type: text/x-rst\r\nContent-Length: 12345\r\nLast-Modified: Mon, 24 Nov 2025 16:38:00 GMT\r\n" +
	"Connection: keep-alive\r\nETag: \"6924a9b8-3039\"\r\nAccept-Ranges: bytes\r\n\r\n"

func TestHeadParseReadsFieldsWhateverTheSplit(t *testing.T) {
	const s = "HTTP/1.1 302 Moved  on\r\nLocation: /x\r\nretry-after:\t7 \r\nSET-COOKIE: a=b\r\nSet-Cookie: c=d\r\n" +
		"Empty:\r\nTab: 0123456789\té 0123456789\xff\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n"
	var h Head
	for step := 1; step <= len(s)+4; step++ {
		n, done, err := parse(&h, s+"body", step, Limits{})
		if err != nil || !done || n != len(s) {
			t.Fatalf("step %d: n %d of %d, done %v, %v", step, n, len(s), done, err)
		}
		got := fmt.Sprintf("%d %s|%s|%s|%s|%v|%d|%v|%v|%s|%q|%v", h.Status, h.Reason(), h.Location(), h.RetryAfter(),
			h.ContentEncoding(), h.HasCookies(), h.ContentLength, h.Chunked, h.KeepAlive, h.Get("set-cookie"), h.Get("empty"), h.Get("nope") == nil)
		if want := `302 Moved  on|/x|7|gzip|true|5|false|true|a=b|""|true`; got != want {
			t.Fatalf("step %d:\ngot  %s\nwant %s", step, got, want)
		}
		var names []string
		for k, v := range h.Each() {
			names = append(names, string(k)+"="+string(v))
		}
		if got := strings.Join(names, ","); got != "Location=/x,retry-after=7,SET-COOKIE=a=b,Set-Cookie=c=d,Empty=,Tab=0123456789\té 0123456789\xff,"+
			"Content-Encoding=gzip,Content-Length=5,Content-Length=5" || h.Len() != len(names) {
			t.Fatalf("step %d: fields %s", step, got)
		}
	}
}

func TestHeadParseAcceptsBareLF(t *testing.T) {
	const s = "HTTP/1.1 200\nA: b\r\nC: d\n\n"
	var h Head
	n, done, err := parse(&h, s+"\n", 1000, Limits{})
	if err != nil || !done || n != len(s) || string(h.Get("a")) != "b" || string(h.Get("c")) != "d" || len(h.Reason()) != 0 {
		t.Fatalf("n %d, done %v, %v, a %q, c %q", n, done, err, h.Get("a"), h.Get("c"))
	}
}

func TestHeadKeepAlive(t *testing.T) {
	for s, want := range map[string]bool{
		"HTTP/1.1 200 OK\r\n\r\n":                                                true,
		"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n":                           false,
		"HTTP/1.1 200 OK\r\nConnection: Upgrade, CLOSE\r\n\r\n":                  false,
		"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n": false,
		"HTTP/1.1 200 OK\r\nConnection: disclose\r\n\r\n":                        true,
		"HTTP/1.0 200 OK\r\n\r\n":                                                false,
		"HTTP/1.0 200 OK\r\nconnection: Keep-Alive\r\n\r\n":                      true,
		"HTTP/1.9 200 OK\r\n\r\n":                                                true,
	} {
		var h Head
		if _, done, err := parse(&h, s, 1000, Limits{}); err != nil || !done || h.KeepAlive != want {
			t.Errorf("%q: keep-alive %v, done %v, %v", s, h.KeepAlive, done, err)
		}
	}
}

func TestHeadParseRefuses(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for s, want := range map[string]string{
		"220 smtp.example ESMTP\r\n": `not an HTTP response: "220 smtp.example ESMTP`,
		"2":                          `not an HTTP response: "2"`,
		"\r\n" + ok:                  "not an HTTP response",
		"HTTP/2.0 200 OK\r\n\r\n":    "not an HTTP response",
		"HTTP/1.1\r\n\r\n":           "malformed status line",
		"HTTP/1.12 200 OK\r\n\r\n":   "malformed status line",
		"HTTP/1.1  200 OK\r\n\r\n":   "malformed status line",
		"HTTP/1.1 20 OK\r\n\r\n":     "malformed status line",
		"HTTP/1.1 099 OK\r\n\r\n":    "malformed status line",
		"HTTP/1.1 2000 OK\r\n\r\n":   "malformed status line",
		"HTTP/1.1 200 O\rK\r\n\r\n":  "malformed status line",
		ok + "A: b\r\n c\r\n\r\n":    "folded",
		ok + " A: b\r\n\r\n":         "folded",
		ok + "A : b\r\n\r\n":         `invalid header name: "A : b"`,
		ok + "A\r\n\r\n":             "without a name",
		ok + ": b\r\n\r\n":           "without a name",
		ok + "A: b\rC: d\r\n\r\n":    "control character",
		ok + "A: b\r\r\n\r\n":        "control character",
		ok + "A: b\x00c\r\n\r\n":     "control character",
		ok + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n":          "both",
		ok + "Content-Length: 3\r\nContent-Length: 4\r\n\r\n":                   `differ; the second is: "4"`,
		ok + "Content-Length: 3, 3\r\n\r\n":                                     "invalid Content-Length",
		ok + "Content-Length: +3\r\n\r\n":                                       "invalid Content-Length",
		ok + "Content-Length: -3\r\n\r\n":                                       "invalid Content-Length",
		ok + "Content-Length:\r\n\r\n":                                          "invalid Content-Length",
		ok + "Content-Length: 0x3\r\n\r\n":                                      "invalid Content-Length",
		ok + "Content-Length: 9223372036854775808\r\n\r\n":                      "invalid Content-Length",
		ok + "Transfer-Encoding: gzip, chunked\r\n\r\n":                         "unsupported Transfer-Encoding",
		ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n": "unsupported Transfer-Encoding",
		ok + "Transfer-Encoding: chunked;q=1\r\n\r\n":                           "unsupported Transfer-Encoding",
		ok + "A: 0123456789\x7f\r\n\r\n":                                        "control character",
		"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n":                 "HTTP/1.0",
	} {
		for _, step := range []int{1, 3, 1000} {
			var h Head
			_, done, err := parse(&h, s, step, Limits{})
			var pe *ProtocolError
			if done && err == nil || !errors.As(err, &pe) || step == 1000 && !strings.Contains(err.Error(), want) {
				t.Errorf("%q in steps of %d: done %v, error %v, want %s", s, step, done, err, want)
			}
		}
	}
}

func TestHeadParseKeepsLimits(t *testing.T) {
	lim := Limits{HeadBytes: 100, Fields: 3}
	for _, step := range []int{1, 7, 1000} {
		var h Head
		fits := "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", 100-17-3-4) + "\r\n\r\n"
		if n, done, err := parse(&h, fits, step, lim); err != nil || !done || n != 100 {
			t.Errorf("step %d: a head of the limit: n %d, done %v, %v", step, n, done, err)
		}
		if n, _, err := parse(&h, fits[:99]+"x\r\n\r\n", step, lim); err != ErrHeaderTooLarge || n > 100 {
			t.Errorf("step %d: one byte more: n %d, %v", step, n, err)
		}
		if _, _, err := parse(&h, "HTTP/1.1 200 OK\r\nA: "+strings.Repeat("x", 1000), step, lim); err != ErrHeaderTooLarge {
			t.Errorf("step %d: a line without end: %v", step, err)
		}
		if _, done, err := parse(&h, "HTTP/1.1 200 OK\r\na:\r\nb:\r\nc:\r\n\r\n", step, lim); err != nil || !done {
			t.Errorf("step %d: as many fields as allowed: done %v, %v", step, done, err)
		}
		if _, _, err := parse(&h, "HTTP/1.1 200 OK\r\na:\r\nb:\r\nc:\r\nd:\r\n\r\n", step, lim); err != ErrHeaderTooLarge {
			t.Errorf("step %d: one field more: %v", step, err)
		}
	}
}

func TestHeadParseAllocatesNothing(t *testing.T) {
	var h Head
	b := []byte(nginx)
	got := testing.AllocsPerRun(100, func() {
		h.Reset()
		if _, done, err := h.Parse(b, Limits{}); !done || err != nil {
			t.Fatal(done, err)
		}
	})
	if got != 0 {
		t.Errorf("%v allocations", got)
	}
}

func BenchmarkHeadParse(b *testing.B) {
	var h Head
	in := []byte(nginx)
	b.ReportAllocs()
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		h.Reset()
		if _, done, err := h.Parse(in, Limits{}); !done || err != nil {
			b.Fatal(done, err)
		}
	}
}

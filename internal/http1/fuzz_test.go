package http1

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"strings"
	"testing"
)

// FuzzHead holds what Parse accepts to net/http's reader: status, fields and framing
// agree. It also parses in two pieces, which must not matter.
func FuzzHead(f *testing.F) {
	for _, s := range []string{nginx, chunked + "\r\n\r\n", "HTTP/1.0 404 Not\nConnection: keep-alive\n\n", "HTTP/1.1 204\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n",
		"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", "HTTP/1.1 200 \r\nConnection: a, Close\r\nA:\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n"} {
		f.Add([]byte(s), uint16(7))
	}
	f.Fuzz(func(t *testing.T, in []byte, cut uint16) {
		var h, g Head
		n, done, err := h.Parse(in, Limits{})
		gn, gdone, gerr := parseCut(&g, in, int(cut)%(len(in)+1))
		if gdone != done || done && (gn != n || err == nil && gerr != nil) {
			t.Fatalf("whole: %d %v %v, cut at %d: %d %v %v", n, done, err, cut, gn, gdone, gerr)
		}
		if !done || err != nil {
			return
		}
		r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(in[:n])), nil)
		if err != nil {
			t.Fatalf("accepted what net/http refuses: %v\n%q", err, in[:n])
		}
		var body Body
		body.Reset(&h, false)
		if r.StatusCode != h.Status || r.Header.Get("Location") != string(h.Location()) {
			t.Fatalf("status %d, net/http %d; location %q, net/http %q", h.Status, r.StatusCode, h.Location(), r.Header.Get("Location"))
		}
		if !body.Done() && r.ContentLength != body.Len() {
			t.Fatalf("length %d, net/http %d\n%q", body.Len(), r.ContentLength, in[:n])
		}
		if chunked := len(r.TransferEncoding) > 0; !body.Done() && chunked != h.Chunked {
			t.Fatalf("chunked %v, net/http %v\n%q", h.Chunked, chunked, in[:n])
		}
		if keep := h.KeepAlive && !body.UntilClose(); keep == r.Close {
			t.Fatalf("keep-alive %v, net/http closes %v\n%q", keep, r.Close, in[:n])
		}
		fields := 0
		for name, value := range h.Each() {
			fields++
			if _, ok := r.Header[http.CanonicalHeaderKey(string(name))]; !ok && !gone(r, string(name)) {
				t.Fatalf("field %q: %q, not in net/http's %v", name, value, r.Header)
			}
		}
		if fields != h.Len() {
			t.Fatalf("%d fields of %d", fields, h.Len())
		}
	})
}

func parseCut(h *Head, in []byte, cut int) (n int, done bool, err error) {
	n, done, err = h.Parse(in[:cut], Limits{})
	if !done && err == nil {
		var k int
		k, done, err = h.Parse(in[cut:], Limits{})
		n += k
	}
	return n, done, err
}

// gone says which fields net/http moves out of the header.
func gone(r *http.Response, name string) bool {
	return strings.EqualFold(name, "Transfer-Encoding") || strings.EqualFold(name, "Trailer") || strings.EqualFold(name, "Connection")
}

// FuzzBodyChunked holds the chunks that Body accepts to net/http's reader, over arbitrary splits.
func FuzzBodyChunked(f *testing.F) {
	f.Add("5\r\nhello\r\n0\r\n\r\n", uint8(1))
	f.Add("5;a=b\r\nhello\r\n6 \r\n world\r\n000\r\nX: y\r\n\r\n", uint8(4))
	f.Add("A\r\n0123456789\r\nb\r\nabcdefghijk\r\n0\r\n\r\nrest", uint8(200))
	f.Fuzz(func(t *testing.T, in string, step uint8) {
		h := Head{Status: 200, Chunked: true}
		var one, many Body
		one.Reset(&h, false)
		many.Reset(&h, false)
		data, n, err := decode(&one, in, len(in)+1)
		mdata, mn, merr := decode(&many, in, int(step)+1)
		if data != mdata || n != mn || (err == nil) != (merr == nil) {
			t.Fatalf("whole: %q %d %v, in steps: %q %d %v", data, n, err, mdata, mn, merr)
		}
		if err != nil {
			return
		}
		got, err := io.ReadAll(httputil.NewChunkedReader(strings.NewReader(in)))
		if string(got) == data && err == nil {
			return
		}
		// net/http reads lines of 4 KiB at most, and no white space between size and extension.
		if errors.Is(err, http.ErrLineTooLong) || strings.Contains(in, " ;") || strings.Contains(in, "\t;") {
			return
		}
		t.Fatalf("%q: %q, net/http has %q, %v", in, data, got, err)
	})
}

package http1

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"slices"
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

// FuzzRequestHead holds what RequestHead accepts to net/http's reader: what is accepted here is accepted there, and
// means the same. It is stricter. It also parses in two pieces, which must not matter.
func FuzzRequestHead(f *testing.F) {
	for _, s := range []string{"", curl, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "GET http://b/?c HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
		"\r\nCONNECT a:1 HTTP/1.1\r\nHost: b\r\nContent-Length: 3\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: [::1]:2\r\nExpect: 100-continue\r\n\r\n"} {
		f.Add([]byte(s), uint16(9))
	}
	f.Fuzz(func(t *testing.T, in []byte, cut uint16) {
		var h, g RequestHead
		lim := &RequestLimits{}
		n, done, err := h.Parse(in, lim)
		k := int(cut) % (len(in) + 1)
		gn, gdone, gerr := g.Parse(in[:k], lim)
		if !gdone && gerr == nil {
			gn, gdone, gerr = g.Parse(append([]byte(nil), in...), lim)
		}
		if gdone != done || gn != n || (err == nil) != (gerr == nil) {
			t.Fatalf("whole: %d %v %v, cut at %d: %d %v %v", n, done, err, k, gn, gdone, gerr)
		}
		if !done || err != nil {
			return
		}
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(bytes.TrimPrefix(in[:n], []byte("\r\n")))))
		if err != nil {
			// net/http parses the target, which is left to the handler here.
			if strings.Contains(err.Error(), "parse \"") {
				return
			}
			t.Fatalf("accepted what net/http refuses: %v\n%q", err, in[:n])
		}
		if r.Method != string(h.Method()) || r.RequestURI != string(h.Target()) {
			t.Fatalf("%q %q, net/http %q %q", h.Method(), h.Target(), r.Method, r.RequestURI)
		}
		if r.Host != string(h.Host()) {
			t.Fatalf("host %q, net/http %q", h.Host(), r.Host)
		}
		var body Body
		body.ResetRequest(h.ContentLength, h.Chunked)
		if r.ContentLength != body.Len() || h.Chunked != (len(r.TransferEncoding) > 0) {
			t.Fatalf("length %d, chunked %v, net/http %d, %v\n%q", body.Len(), h.Chunked, r.ContentLength, r.TransferEncoding, in[:n])
		}
		if h.KeepAlive == r.Close {
			t.Fatalf("keep-alive %v, net/http closes %v\n%q", h.KeepAlive, r.Close, in[:n])
		}
		for name, value := range h.Each() {
			key := http.CanonicalHeaderKey(string(name))
			switch key {
			case "Host", "Transfer-Encoding", "Trailer", "Connection":
				continue
			}
			if vs, ok := r.Header[key]; !ok || !slices.Contains(vs, string(value)) {
				t.Fatalf("field %q: %q, not in net/http's %v", name, value, r.Header)
			}
		}
	})
}

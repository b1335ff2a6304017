package http1

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// decode feeds s in pieces of size step. It returns the data, how much of s was taken and, if the body
// is not done by the end of s, what Finish says.
func decode(b *Body, s string, step int) (data string, n int, err error) {
	var out strings.Builder
	for n < len(s) {
		piece := []byte(s[n:min(n+step, len(s))])
		for len(piece) > 0 {
			d, k, done, err := b.Next(piece)
			out.Write(d)
			n += k
			if done || err != nil {
				return out.String(), n, err
			}
			piece = piece[k:]
		}
	}
	return out.String(), n, b.Finish()
}

func bodyOf(t *testing.T, head string, isHead bool) *Body {
	t.Helper()
	var h Head
	if _, done, err := h.Parse([]byte(head+"\r\n\r\n"), Limits{}); !done || err != nil {
		t.Fatalf("%q: done %v, %v", head, done, err)
	}
	b := new(Body)
	b.Reset(&h, isHead)
	return b
}

const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked"

func TestBodyFraming(t *testing.T) {
	const h = "HTTP/1.1 "
	for _, c := range []struct {
		head, in, want string
		isHead         bool
		n              int // bytes taken, if not all
	}{
		{head: h + "200 OK\r\nContent-Length: 5", in: "helloHTTP", want: "hello", n: 5},
		{head: h + "200 OK\r\nContent-Length: 0", in: "x", n: -1},
		{head: h + "200 OK\r\nContent-Length: 5", in: "x", isHead: true, n: -1},
		{head: h + "304 Not Modified\r\nContent-Length: 5", in: "x", n: -1},
		{head: h + "204 No Content\r\nContent-Length: 5", in: "x", n: -1},
		{head: h + "103 Early Hints", in: "x", n: -1},
		{head: h + "200 OK", in: "to the end", want: "to the end"},
		{head: chunked, in: "5\r\nhello\r\n0\r\n\r\nHTTP", want: "hello", n: 15},
		{head: chunked, in: "5;a=\"b\";c\r\nhello\r\n6 \t;x\r\n world\r\n000\r\nX-Done: yes\r\nB: c\r\n\r\n", want: "hello world"},
		{head: chunked, in: "A\r\n0123456789\r\nb \r\nabcdefghijk\r\n0\r\n\r\n", want: "0123456789abcdefghijk"},
	} {
		for step := 1; step <= len(c.in); step++ {
			b := bodyOf(t, c.head, c.isHead)
			data, n, err := decode(b, c.in, step)
			want := c.n
			if want == 0 {
				want = len(c.in)
			}
			if data != c.want || n != max(want, 0) || err != nil || !b.Done() || b.Got() != int64(len(c.want)) {
				t.Errorf("%q %q in steps of %d: %q, %d bytes, %v", c.head, c.in, step, data, n, err)
			}
		}
	}
}

func TestBodyFinishReportsTruncation(t *testing.T) {
	for _, c := range []struct {
		head, in  string
		got, want int64
	}{
		{"HTTP/1.1 200 OK\r\nContent-Length: 5", "", 0, 5},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5", "hell", 4, 5},
		{chunked, "", 0, -1},
		{chunked, "4\r\nabcd\r\n", 4, -1},
		{chunked, "4\r\nab", 2, -1},
		{chunked, "4\r\nabcd\r\n0\r\n", 4, -1},
		{chunked, "4\r\nabcd\r\n0\r\n\r", 4, -1},
	} {
		_, _, err := decode(bodyOf(t, c.head, false), c.in, 1)
		var te *TruncatedError
		if !errors.As(err, &te) || te.Got != c.got || te.Want != c.want || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q %q: %v", c.head, c.in, err)
		}
	}
}

func TestBodyRefusesBadChunks(t *testing.T) {
	for in, want := range map[string]string{
		"ZZ\r\nabcd\r\n":                      `invalid chunk size: "Z`,
		"\r\n":                                "invalid chunk size",
		";a\r\n":                              "invalid chunk size",
		" 4\r\nabcd\r\n":                      "invalid chunk size",
		"0x4\r\nabcd\r\n":                     "invalid chunk size",
		"-4\r\nabcd\r\n":                      "invalid chunk size",
		"4 4\r\nabcd\r\n":                     "invalid chunk size",
		"4\nabcd\r\n":                         "invalid chunk size",
		"4;a\nabcd\r\n":                       "bare LF",
		"4;a\rb\r\nabcd\r\n":                  "without CRLF",
		"4\r\nabcdef\r\n":                     "longer than its size",
		"4\r\nabcd\r0\r\n":                    "chunk data without CRLF",
		"4\r\nabcd\n0\r\n":                    "longer than its size",
		"8000000000000000\r\n":                "chunk size too large",
		"00000000000000001\r\na":              "chunk size too large",
		"0\r\n\n":                             "trailer without CRLF",
		"0\r\nA: b\n\r\n":                     "trailer without CRLF",
		"0\r\nA: b\rC: d\r\n\r\n":             "trailer without CRLF",
		"1;" + strings.Repeat("x", maxExcess): ErrHeaderTooLarge.Error(),
		strings.Repeat("1;"+strings.Repeat("x", 1000)+"\r\na\r\n", 20): ErrHeaderTooLarge.Error(),
		"0\r\n" + strings.Repeat("A: b\r\n", maxTrailer/6+1):           ErrHeaderTooLarge.Error(),
	} {
		for _, step := range []int{1, 5, 1 << 20} {
			_, _, err := decode(bodyOf(t, chunked, false), in, step)
			var pe *ProtocolError
			if err == nil || !strings.Contains(err.Error(), want) || !errors.As(err, &pe) && err != ErrHeaderTooLarge {
				t.Errorf("%.40q in steps of %d: %v, want %s", in, step, err, want)
			}
		}
	}
}

func TestBodyAllowsManySmallChunks(t *testing.T) {
	in := strings.Repeat("1\r\na\r\n", 10000) + "0\r\n\r\n"
	data, n, err := decode(bodyOf(t, chunked, false), in, 4096)
	if len(data) != 10000 || n != len(in) || err != nil {
		t.Errorf("%d bytes of data, %d of %d taken, %v", len(data), n, len(in), err)
	}
}

func BenchmarkBodyChunked(b *testing.B) {
	in := []byte(strings.Repeat("1000\r\n"+strings.Repeat("x", 4096)+"\r\n", 16) + "0\r\n\r\n")
	h := Head{Status: 200, Chunked: true}
	var body Body
	b.ReportAllocs()
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		body.Reset(&h, false)
		for p := in; ; {
			_, n, done, err := body.Next(p)
			if err != nil {
				b.Fatal(err)
			}
			if p = p[n:]; done {
				break
			}
		}
	}
}

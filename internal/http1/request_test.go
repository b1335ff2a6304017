package http1

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httputil"
	"strings"
	"testing"
)

func TestAppendRequestIsReadByNetHTTP(t *testing.T) {
	fields, err := AppendField(nil, "X-A", "b c\té")
	if err != nil {
		t.Fatal(err)
	}
	b := AppendRequest([]byte("before|"), "GET", "/p?q", "h:1", "Accept: */*\r\n", string(fields))
	rest, ok := strings.CutPrefix(string(b), "before|")
	if !ok {
		t.Fatalf("%q", b)
	}
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(rest)))
	if err != nil || r.Method != "GET" || r.RequestURI != "/p?q" || r.Host != "h:1" ||
		r.Header.Get("Accept") != "*/*" || r.Header.Get("X-A") != "b c\té" || len(r.Header) != 2 {
		t.Errorf("%v: %+v", err, r)
	}
}

func TestAppendFieldRefusesWhatCouldEndTheLine(t *testing.T) {
	for _, c := range [][2]string{{"", "v"}, {"a b", "v"}, {"a:", "v"}, {"a\r\nb", "v"}, {"a", "v\r\nb: c"}, {"a", "v\n"}, {"a", "\x00"}, {"é", "v"}} {
		if b, err := AppendField([]byte("x"), c[0], c[1]); err == nil || string(b) != "x" {
			t.Errorf("%q: %q, %v", c, b, err)
		}
	}
}

func TestAppendChunkIsReadByNetHTTP(t *testing.T) {
	b := AppendChunk(nil, []byte("hello"))
	b = AppendChunk(b, []byte(strings.Repeat("x", 300)))
	b = AppendChunk(b, nil)
	got, err := io.ReadAll(httputil.NewChunkedReader(strings.NewReader(string(b))))
	if want := "hello" + strings.Repeat("x", 300); string(got) != want || err != nil || !strings.HasSuffix(string(b), "\r\n0\r\n\r\n") {
		t.Errorf("%q, %v", got, err)
	}
}

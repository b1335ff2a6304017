package rondohttp

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

func zip(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, s)
	z.Close()
	return b.String()
}

// serveZipped answers with body, said to be gzip, in chunks or with a length.
func serveZipped(t *testing.T, body string, chunked bool) (string, *counter) {
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.Header.Get("Accept-Encoding"), "gzip") {
			w.Header().Set("Content-Encoding", "gzip")
		}
		if !chunked {
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		}
		for half := range strings.SplitSeq(body[:len(body)/2]+"\xff\xfe\xfd|"+body[len(body)/2:], "\xff\xfe\xfd|") {
			io.WriteString(w, half)
			if chunked {
				w.(http.Flusher).Flush()
			}
		}
	})
}

func TestDecoder(t *testing.T) {
	long := strings.Repeat("All that is gold does not glitter. ", 20000)
	for name, c := range map[string]struct{ body, want string }{
		"short": {zip("hello"), "hello"}, "long": {zip(long), long}, "two members": {zip("hello ") + zip("world"), "hello world"},
		"nothing": {zip(""), ""}, "empty body": {"", ""},
	} {
		for _, chunked := range []bool{false, true} {
			t.Run(name+"/chunked="+strconv.FormatBool(chunked), func(t *testing.T) {
				url, conns := serveZipped(t, c.body, chunked)
				run(t, func(ctx context.Context, s *Session) {
					for range 3 { // the decoder is used again
						r, err := s.Get(ctx, url)
						if err != nil {
							t.Fatal(err)
						}
						if !r.Decoded && c.body != "" || r.Decoded && r.ContentLength != -1 {
							t.Errorf("decoded %v, length %d", r.Decoded, r.ContentLength)
						}
						got, err := r.Bytes(ctx)
						if string(got) != c.want || err != nil {
							t.Errorf("%d bytes, want %d, %v", len(got), len(c.want), err)
						}
						r.Close()
					}
				})
				if n := conns.opened.Load(); n != 1 {
					t.Errorf("%d connections", n)
				}
			})
		}
	}
}

func TestDecoderIsLeftToWhoeverAsks(t *testing.T) {
	url, _ := serveZipped(t, zip("hello"), false)
	run(t, func(ctx context.Context, s *Session) {
		got, err := fetch(ctx, s, &Request{URL: url, Header: http.Header{"accept-encoding": {"gzip"}}})
		if got != zip("hello") || err != nil {
			t.Errorf("own Accept-Encoding: %q, %v", got, err)
		}
	})
	run(t, func(ctx context.Context, s *Session) {
		if got, err := fetch(ctx, s, &Request{URL: url}); got != zip("hello") || err != nil {
			t.Errorf("WithDecompress(false): %q, %v", got, err)
		}
	}, WithDecompress(false))
}

func TestDecoderRefusesABomb(t *testing.T) {
	bomb := zip(strings.Repeat("\x00", 16<<20))
	url, _ := serveZipped(t, bomb, false)
	run(t, func(ctx context.Context, s *Session) {
		r, err := s.Get(ctx, url)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for err == nil {
			var b []byte
			b, err = r.Next(ctx)
			n += len(b)
		}
		if kindOf(err) != KindTooLarge || n > 1<<20 || len(bomb) > 1<<20 {
			t.Errorf("a bomb of %d bytes gave %d: %v", len(bomb), n, err)
		}
		if s.pool.open != 0 {
			t.Error("its connection is kept")
		}
	}, WithMaxBody(1<<20))
}

func TestDecoderReportsBadCoding(t *testing.T) {
	whole := zip(strings.Repeat("hello", 1000))
	for name, body := range map[string]string{
		"not gzip": "this is not gzip", "cut": whole[:len(whole)-5], "checksum": whole[:len(whole)-8] + "\x01\x02\x03\x04" + whole[len(whole)-4:],
		"garbage behind": whole + "garbage that follows",
	} {
		t.Run(name, func(t *testing.T) {
			url, _ := serveZipped(t, body, true)
			run(t, func(ctx context.Context, s *Session) {
				if _, err := fetch(ctx, s, &Request{URL: url}); kindOf(err) != KindEncoding {
					t.Errorf("%v", err)
				}
			})
		})
	}
}

func TestDecoderTellsTruncationFromBadCoding(t *testing.T) {
	whole := zip(strings.Repeat("hello", 1000))
	url := serveRaw(t, answer("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1000\r\n\r\n"+whole[:20]))
	run(t, func(ctx context.Context, s *Session) {
		if _, err := fetch(ctx, s, &Request{URL: url}); kindOf(err) != KindTruncated {
			t.Errorf("%v", err)
		}
	})
}

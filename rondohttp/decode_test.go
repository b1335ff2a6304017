package rondohttp

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
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

// coded returns s in each coding, as its own encoder has it.
func coded(t *testing.T, s string) map[string][]string {
	t.Helper()
	with := func(f func(w io.Writer) (io.WriteCloser, error)) string {
		var b bytes.Buffer
		w, err := f(&b)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, s)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	return map[string][]string{
		"gzip":   {zip(s)},
		"x-gzip": {zip(s)},
		"deflate": {
			with(func(w io.Writer) (io.WriteCloser, error) { return zlib.NewWriter(w), nil }),
			with(func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, 6) }),
		},
		"br":   {with(func(w io.Writer) (io.WriteCloser, error) { return brotli.NewWriter(w), nil })},
		"zstd": {with(func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) })},
	}
}

func TestDecoderCodings(t *testing.T) {
	for _, text := range []string{"", "hello", strings.Repeat("Not all those who wander are lost. ", 3000)} {
		for name, bodies := range coded(t, text) {
			for i, body := range bodies {
				t.Run(fmt.Sprintf("%s/%d/%d", name, len(text), i), func(t *testing.T) {
					url, conns := serve(t, func(w http.ResponseWriter, r *http.Request) {
						body := body
						w.Header().Set("Content-Encoding", strings.ToUpper(name))
						for len(body) > 0 { // in pieces, so that the decoder parks
							n := min(len(body), 1500)
							io.WriteString(w, body[:n])
							w.(http.Flusher).Flush()
							body = body[n:]
						}
					})
					run(t, func(ctx context.Context, s *Session) {
						for range 3 {
							if got, err := fetch(ctx, s, &Request{URL: url}); got != text || err != nil {
								t.Errorf("%d bytes, want %d: %v", len(got), len(text), err)
							}
						}
						if n := len(s.decoders[codingOf([]byte(name))]); n != 1 {
							t.Errorf("%d decoders are kept, want the one used thrice", n)
						}
					})
					if n := conns.opened.Load(); n != 1 {
						t.Errorf("%d connections", n)
					}
				})
			}
		}
	}
}

func TestDecoderKnowsABombByItsRatio(t *testing.T) {
	const from, whole = 1 << 19, 1 << 20
	for name, bodies := range coded(t, strings.Repeat("\x00", whole)) {
		for i, body := range bodies {
			t.Run(fmt.Sprintf("%s/%d", name, i), func(t *testing.T) {
				url, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Encoding", name)
					io.WriteString(w, body)
				})
				run(t, func(ctx context.Context, s *Session) {
					got, err := fetch(ctx, s, &Request{URL: url})
					if kindOf(err) != KindBomb || len(got) > from {
						t.Errorf("%d bytes of %d, error %v", len(got), len(body), err)
					}
				}, WithMaxRatio(100, from))
				run(t, func(ctx context.Context, s *Session) {
					if got, err := fetch(ctx, s, &Request{URL: url}); len(got) != whole || err != nil {
						t.Errorf("without a bound: %d bytes, error %v", len(got), err)
					}
				}, WithMaxRatio(0, 0))
			})
		}
	}
}

func TestDecoderLeavesOtherCodingsAlone(t *testing.T) {
	for _, name := range []string{"compress", "gzip, br", "identity", "a-very-long-name"} {
		url, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", name)
			io.WriteString(w, "as it is")
		})
		run(t, func(ctx context.Context, s *Session) {
			r, err := s.Get(ctx, url)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if b, err := r.Bytes(ctx); string(b) != "as it is" || r.Decoded || err != nil {
				t.Errorf("%s: %q, decoded %v, %v", name, b, r.Decoded, err)
			}
		})
	}
}

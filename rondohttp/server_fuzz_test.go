package rondohttp

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/rondo-go/rondo"
)

// A piecewise is a connection that what a client sends comes over in pieces of a size, and that keeps the answers.
type piecewise struct {
	net.Conn
	in   []byte
	size int
	out  bytes.Buffer
}

func (p *piecewise) Read(b []byte) (int, error) {
	n := copy(b, p.in[:min(p.size, len(p.in))])
	p.in = p.in[n:]
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (p *piecewise) Write(b []byte) (int, error) { return p.out.Write(b) }

func (p *piecewise) RemoteAddr() net.Addr { return &net.TCPAddr{} }

// FuzzServer holds the answers of both faces to whatever comes to be well-formed, and the same however it is split.
func FuzzServer(f *testing.F) {
	for _, s := range []string{strings.Repeat(plainGet, 3), "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nA: b\r\n\r\n" + plainGet,
		"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabcHEAD / HTTP/1.0\r\n\r\n", "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n",
		"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", "OPTIONS * HTTP/1.1\r\nHost: a\r\nUpgrade: b\r\nConnection: upgrade\r\n\r\n"} {
		f.Add([]byte(s), uint8(5))
	}
	quiet, _ := quiet()
	f.Fuzz(func(t *testing.T, in []byte, size uint8) {
		for _, h := range []http.Handler{HandlerFunc(helloNative), http.HandlerFunc(helloHTTP)} {
			s := NewServer(h, quiet)
			var outs []string
			for _, n := range []int{len(in) + 1, int(size) + 1} {
				p := &piecewise{in: in, size: n}
				err := rondo.Run(func(ctx context.Context) error {
					x := &serverConn{shard: s.shardOf(), conn: p}
					for len(p.in) > 0 {
						if rest, err := x.serve(ctx); !rest {
							return err
						}
					}
					return nil
				}, rondo.WithoutSignals())
				if err != nil {
					t.Fatal(err)
				}
				outs = append(outs, p.out.String())
			}
			var statuses [2][]int
			for i, out := range outs {
				br := bufio.NewReader(strings.NewReader(out))
				for {
					if _, err := br.Peek(1); err != nil {
						break
					}
					r, err := http.ReadResponse(br, nil)
					if err != nil {
						t.Fatalf("%v: %q", err, out)
					}
					if r.StatusCode == 100 {
						continue
					}
					// What is refused may be so for the first fault that is seen.
					statuses[i] = append(statuses[i], min(r.StatusCode, http.StatusBadRequest))
					if bytes.Contains(in, []byte("HEAD")) {
						return // its answer looks as if it had a body
					}
					if _, err := io.Copy(io.Discard, r.Body); err != nil {
						t.Fatalf("%v: %q", err, out)
					}
				}
			}
			if len(statuses[0]) != len(statuses[1]) {
				t.Fatalf("whole: %v, in pieces of %d: %v", statuses[0], size, statuses[1])
			}
			for i := range statuses[0] {
				if statuses[0][i] != statuses[1][i] {
					t.Fatalf("whole: %v, in pieces of %d: %v", statuses[0], size, statuses[1])
				}
			}
		}
	})
}

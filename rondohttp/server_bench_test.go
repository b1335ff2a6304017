package rondohttp

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/rondo-go/rondo"
)

const plainGet = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: test\r\n\r\n"

var (
	plainNative = HandlerFunc(func(_ context.Context, w *ServerResponse, r *ServerRequest) error {
		if r.Method() != http.MethodGet || len(r.Path()) == 0 || r.Get("user-agent") == nil {
			w.SetStatus(http.StatusBadRequest)
		}
		w.SetContentType("text/plain")
		_, err := w.WriteString("Hello, World!")
		return err
	})
	plainHTTP = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, "Hello, World!")
	})
)

// A batch answers the requests that it is read as, and then is at rest.
type batch struct {
	net.Conn
	in  []byte
	out int
}

func (b *batch) Read(p []byte) (int, error) {
	if len(b.in) == 0 {
		return 0, io.EOF
	}
	n := copy(p, b.in)
	b.in = b.in[n:]
	return n, nil
}

func (b *batch) Write(p []byte) (int, error) {
	b.out += len(p)
	return len(p), nil
}

// onBatch calls f with a function that serves the requests in in by h, on a loop.
func onBatch(t testing.TB, h http.Handler, in string, f func(serve func())) {
	err := rondo.Run(func(ctx context.Context) error {
		s := NewServer(h)
		b := new(batch)
		x := &serverConn{shard: s.shardOf(), conn: b, remoteText: "peer"}
		all := []byte(in)
		f(func() {
			b.in, b.out = all, 0
			v := x.shard.enter(x)
			if rest, err := v.run(ctx); !rest || err != nil {
				t.Fatal(rest, err)
			}
			x.shard.leave(v)
			if want := strings.Count(in, "\r\n\r\n") * len("HTTP/1.1 200 OK\r\nDate: Mon, 02 Jan 2006 15:04:05 GMT\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, World!"); b.out != want {
				t.Fatalf("%d bytes, want %d", b.out, want)
			}
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestServerNativeFaceAllocatesNothing(t *testing.T) {
	for _, n := range []int{1, 16} {
		onBatch(t, plainNative, strings.Repeat(plainGet, n), func(serve func()) {
			serve()
			if got := testing.AllocsPerRun(100, serve); got != 0 {
				t.Errorf("%d requests: %v allocations", n, got)
			}
		})
	}
	const post = "POST / HTTP/1.1\r\nHost: a\r\nUser-Agent: x\r\nContent-Length: 5\r\n\r\nhello"
	body := HandlerFunc(func(ctx context.Context, w *ServerResponse, r *ServerRequest) error {
		for {
			if _, err := r.Next(); err != nil {
				break
			}
		}
		w.SetContentType("text/plain")
		_, err := w.WriteString("Hello, World!")
		return err
	})
	onBatch(t, body, post, func(serve func()) {
		serve()
		if got := testing.AllocsPerRun(100, serve); got != 0 {
			t.Errorf("with a body: %v allocations", got)
		}
	})
}

func TestServerHTTPFaceAllocatesLittle(t *testing.T) {
	onBatch(t, plainHTTP, plainGet, func(serve func()) {
		serve()
		got := testing.AllocsPerRun(100, serve)
		t.Logf("%v allocations", got)
		if got > 12 {
			t.Errorf("%v allocations", got)
		}
	})
}

// BenchmarkServerParseAndRespond has no sockets in it.
func BenchmarkServerParseAndRespond(b *testing.B) {
	for name, h := range map[string]http.Handler{"native": plainNative, "http": plainHTTP} {
		b.Run(name, func(b *testing.B) {
			onBatch(b, h, plainGet, func(serve func()) {
				b.ReportAllocs()
				for b.Loop() {
					serve()
				}
			})
		})
	}
}

// BenchmarkServerLoopback asks both faces, and net/http, over a connection of the loopback interface.
func BenchmarkServerLoopback(b *testing.B) {
	std := httptest.NewServer(plainHTTP)
	defer std.Close()
	for _, peer := range []struct{ name, addr string }{
		{"native", startServer(b, plainNative).addr}, {"http", startServer(b, plainHTTP).addr}, {"net-http", std.Listener.Addr().String()},
	} {
		for _, pipeline := range []int{1, 16} {
			b.Run(peer.name+map[int]string{1: "/one", 16: "/pipelined"}[pipeline], func(b *testing.B) {
				c, err := net.Dial("tcp", peer.addr)
				if err != nil {
					b.Fatal(err)
				}
				defer c.Close()
				br := bufio.NewReader(c)
				in := []byte(strings.Repeat(plainGet, pipeline))
				b.ReportAllocs()
				for b.Loop() {
					c.Write(in)
					for range pipeline {
						for {
							line, err := br.ReadSlice('\n')
							if err != nil {
								b.Fatal(err)
							}
							if len(line) == 2 {
								break
							}
						}
						br.Discard(13)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*pipeline), "ns/request")
			})
		}
	}
}

// BenchmarkServerIdle reports what a connection at rest holds.
func BenchmarkServerIdle(b *testing.B) {
	for name, h := range map[string]http.Handler{"native": plainNative, "http": plainHTTP} {
		b.Run(name, func(b *testing.B) {
			const n = 2000
			for b.Loop() {
				s := startServer(b, h)
				conns := make([]net.Conn, 0, n)
				memory := func() uint64 {
					runtime.GC()
					runtime.GC()
					var m runtime.MemStats
					runtime.ReadMemStats(&m)
					return m.HeapInuse + m.StackInuse
				}
				ask := func(c net.Conn) {
					io.WriteString(c, plainGet)
					r, err := http.ReadResponse(bufio.NewReader(c), nil)
					if err != nil {
						b.Fatal(err)
					}
					io.Copy(io.Discard, r.Body)
				}
				for range n {
					c, err := net.Dial("tcp", s.addr)
					if err != nil {
						b.Fatal(err)
					}
					conns = append(conns, c)
				}
				before := memory()
				for _, c := range conns {
					ask(c)
				}
				asked := memory()
				for _, c := range conns {
					c.Close()
				}
				for s.Connections() > 0 {
					runtime.Gosched()
				}
				b.ReportMetric(float64(int64(asked-before))/n, "B/conn-after-request")
				b.ReportMetric(float64(int64(asked-memory()))/n, "B/conn-both-ends")
			}
		})
	}
}

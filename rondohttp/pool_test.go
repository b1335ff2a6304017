package rondohttp

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/internal/http1"
)

// waitFor waits for what a server's goroutine does in its own time.
func waitFor(t *testing.T, cond func() bool) {
	t.Helper()
	for range 500 {
		if cond() {
			return
		}
		time.Sleep(5 * time.Millisecond) // real: net/http's server has no event to wait for
	}
	t.Error("it did not happen in 2.5 s")
}

// A gauge measures from the server's side how many requests are served at once.
type gauge struct{ now, max atomic.Int64 }

func (g *gauge) handler(w http.ResponseWriter, r *http.Request) {
	n := g.now.Add(1)
	defer g.now.Add(-1)
	for m := g.max.Load(); n > m && !g.max.CompareAndSwap(m, n); m = g.max.Load() {
	}
	time.Sleep(2 * time.Millisecond) // real: so that requests overlap if the client lets them
	io.WriteString(w, "x")
}

func TestPoolKeepsItsLimits(t *testing.T) {
	var a, b gauge
	urlA, connsA := serve(t, a.handler)
	urlB, connsB := serve(t, b.handler)
	run(t, func(ctx context.Context, s *Session) {
		err := rondo.WithGroup(ctx, func(g *rondo.Group) error {
			for i := range 100 {
				url := urlA
				if i%2 == 1 {
					url = urlB
				}
				g.Go(func(ctx context.Context) error {
					_, err := fetch(ctx, s, &Request{URL: url})
					if s.pool.open > 5 {
						t.Errorf("%d connections open", s.pool.open)
					}
					return err
				})
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		s.CloseIdle()
		if s.pool.open != 0 || len(s.pool.hosts) != 0 {
			t.Errorf("%d connections and %d hosts left", s.pool.open, len(s.pool.hosts))
		}
	}, WithLimit(5), WithPerHost(3))
	for name, g := range map[string]*gauge{"a": &a, "b": &b} {
		if m := g.max.Load(); m > 3 || m < 2 {
			t.Errorf("host %s served %d requests at once, want 2 or 3", name, m)
		}
	}
	t.Logf("connections: %d and %d", connsA.opened.Load(), connsB.opened.Load())
}

func TestPoolClosesTheOldestIdleConnectionToMakeRoom(t *testing.T) {
	echo := func(w http.ResponseWriter, r *http.Request) {}
	var urls [3]string
	var conns [3]*counter
	for i := range urls {
		urls[i], conns[i] = serve(t, echo)
	}
	run(t, func(ctx context.Context, s *Session) {
		for _, i := range []int{0, 1, 0, 2} { // 1 is the one idle longest when 2 comes
			get(t, ctx, s, urls[i])
		}
		waitFor(t, func() bool { return conns[1].now.Load() == 0 })
		get(t, ctx, s, urls[0])
		if n := conns[0].opened.Load(); n != 1 || s.pool.open != 2 {
			t.Errorf("the newer connection was closed: %d opened; %d open in all", n, s.pool.open)
		}
	}, WithLimit(2))
}

func TestPoolWaiterThatIsCanceledLosesNothing(t *testing.T) {
	url, _ := serve(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "x") })
	for _, opt := range []Option{WithLimit(1), WithPerHost(1)} {
		run(t, func(ctx context.Context, s *Session) {
			held, err := s.Do(ctx, &Request{URL: url})
			if err != nil {
				t.Fatal(err)
			}
			var order []int
			get := func(i int) *rondo.Task[int] {
				return rondo.Spawn(ctx, func(ctx context.Context) (int, error) {
					_, err := fetch(ctx, s, &Request{URL: url})
					order = append(order, i)
					return i, err
				})
			}
			a, b, c := get(1), get(2), get(3)
			rondo.Sleep(ctx, 0)
			rondo.Sleep(ctx, 0)
			b.Cancel("")
			if _, err := b.Await(ctx); kindOf(err) != KindCanceled {
				t.Errorf("canceled waiter: %v", err)
			}
			if _, err := held.Bytes(ctx); err != nil {
				t.Error(err)
			}
			for _, task := range []*rondo.Task[int]{a, c} {
				if _, err := task.Await(ctx); err != nil {
					t.Error(err)
				}
			}
			if got := fmt.Sprint(order); got != "[2 1 3]" {
				t.Errorf("order %s", got)
			}
		}, opt)
	}
}

func TestPoolDropsConnectionsIdleTooLong(t *testing.T) {
	url, conns := serve(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "x") })
	run(t, func(ctx context.Context, s *Session) {
		held, err := s.Get(ctx, url)
		if err != nil {
			t.Fatal(err)
		}
		get(t, ctx, s, url)
		held.Close()
		first, second := s.pool.idle.first, s.pool.idle.last
		if first == second || !s.idle.timer.Running() || s.idle.timer.When() < first.idleSince.Add(idleTimeout) {
			t.Fatalf("want two idle connections and a timer: %v", s.idle.timer.When())
		}
		first.idleSince = s.kernel.Now().Add(-idleTimeout)
		second.idleSince = first.idleSince.Add(time.Minute)
		s.sweep() // what the timer does
		if s.pool.open != 1 || s.pool.idle.first != second || !s.idle.timer.Running() || s.idle.timer.When() != second.idleSince.Add(idleTimeout) {
			t.Errorf("%d connections open; timer at %v, want %v", s.pool.open, s.idle.timer.When(), second.idleSince.Add(idleTimeout))
		}
		waitFor(t, func() bool { return conns.now.Load() == 1 })
		second.idleSince = first.idleSince
		s.sweep()
		if s.pool.open != 0 || s.idle.running || len(s.pool.hosts) != 0 {
			t.Errorf("%d connections and %d hosts left; timer runs: %v", s.pool.open, len(s.pool.hosts), s.idle.running)
		}
		get(t, ctx, s, url)
		if !s.idle.running {
			t.Error("the timer runs once only")
		}
	})
}

func TestPoolLookup(t *testing.T) {
	run(t, func(ctx context.Context, s *Session) {
		for in, want := range map[string]host{
			"http://Example.ORG/":         {addr: "Example.ORG:80", header: "Example.ORG"},
			"http://example.org:80/":      {addr: "example.org:80", header: "example.org"},
			"http://example.org:8080/":    {addr: "example.org:8080", header: "example.org:8080"},
			"https://example.org:443/":    {addr: "example.org:443", header: "example.org"},
			"https://example.org:80/":     {addr: "example.org:80", header: "example.org:80"},
			"http://[::1]/":               {addr: "[::1]:80", header: "[::1]"},
			"http://[::1]:81/":            {addr: "[::1]:81", header: "[::1]:81"},
			"http://[fe80::1%25eth0]:81/": {addr: "[fe80::1%eth0]:81", header: "[fe80::1]:81"},
			"http://bücher.example:81/":   {addr: "xn--bcher-kva.example:81", header: "xn--bcher-kva.example:81"},
		} {
			u, err := http1.SplitURL(in)
			if err != nil {
				t.Fatal(err)
			}
			clear(s.pool.hosts)
			if h, err := s.pool.lookup(&u, nil, false); err != nil || h.addr != want.addr || h.header != want.header {
				t.Errorf("%s: %+v, %v", in, h, err)
			}
		}
		clear(s.pool.hosts)
		a, _ := http1.SplitURL("http://example.org/")
		b, _ := http1.SplitURL("http://EXAMPLE.org:80/")
		ha, _ := s.pool.lookup(&a, nil, false)
		if hb, _ := s.pool.lookup(&b, nil, false); ha != hb {
			t.Error("two spellings, two hosts")
		}
		clear(s.pool.hosts)
	})
}

func TestResponseSurvivesAPark(t *testing.T) {
	chunks := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
	url := serveRaw(t, func(c *net.TCPConn, _ int) {
		br := bufio.NewReader(c)
		for r := readRequest(br); r != nil; r = readRequest(br) {
			if r.URL.Path == "/noise" {
				io.WriteString(c, ok("################################################################################################################"))
			} else {
				io.WriteString(c, chunks)
			}
		}
	})
	run(t, func(ctx context.Context, s *Session) {
		r, err := s.Get(ctx, url)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for {
			get(t, ctx, s, url+"/noise") // another connection's bytes come into the loop's buffer
			b, err := r.Next(ctx)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			got += string(b)
		}
		if got != "hello world" {
			t.Errorf("%q", got)
		}
	})
}

func TestResponseSurvivesItsTask(t *testing.T) {
	url, _ := serve(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, strings.Repeat(r.URL.Path[1:], 1000)) })
	run(t, func(ctx context.Context, s *Session) {
		ask := func(path string) *rondo.Task[*Response] {
			return rondo.Spawn(ctx, func(ctx context.Context) (*Response, error) { return s.Get(ctx, url+"/"+path) })
		}
		a, b := ask("a"), ask("b")
		for want, task := range map[string]*rondo.Task[*Response]{"a": a, "b": b} {
			r, err := task.Await(ctx)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			defer func() {
				if got, err := r.Bytes(ctx); string(got) != strings.Repeat(want, 1000) || err != nil {
					t.Errorf("%.10q, want %q, %v", got, want, err)
				}
			}()
		}
	})
}

func TestResponseCloseKeepsTheConnectionIfTheRestIsHere(t *testing.T) {
	for name, c := range map[string]struct {
		announced, sent int
		open            int
	}{"all of it": {100, 100, 1}, "a part": {100000, 100, 0}} {
		t.Run(name, func(t *testing.T) {
			url := serveRaw(t, func(conn *net.TCPConn, _ int) {
				readRequest(bufio.NewReader(conn))
				fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%0*d", c.announced, c.sent, 0)
				silent(conn, 0)
			})
			run(t, func(ctx context.Context, s *Session) {
				r, err := s.Get(ctx, url)
				if err != nil {
					t.Fatal(err)
				}
				r.Close()
				r.Close()
				if s.pool.open != c.open {
					t.Errorf("%d connections open, want %d", s.pool.open, c.open)
				}
				if _, err := r.Next(ctx); err == nil || err == io.EOF {
					t.Errorf("Next after Close: %v", err)
				}
				if r.Get("Content-Length") != "" {
					t.Error("a header after Close")
				}
			})
		})
	}
}

func TestResponseRead(t *testing.T) {
	url, _ := serve(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello world") })
	run(t, func(ctx context.Context, s *Session) {
		r, err := s.Get(ctx, url)
		if err != nil {
			t.Fatal(err)
		}
		var got []byte
		p := make([]byte, 3)
		for {
			n, err := r.Read(p)
			got = append(got, p[:n]...)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if string(got) != "hello world" || s.pool.open != 1 {
			t.Errorf("%q, %d open", got, s.pool.open)
		}
	})
}

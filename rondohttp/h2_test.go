package rondohttp

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/rondo-go/rondo"
)

// startH2 starts net/http's server, over TLS with HTTP/2, or in plain text with prior knowledge. It returns the
// options that a session needs to speak HTTP/2 with it.
func startH2(t *testing.T, secure bool, conf *http.HTTP2Config, h http.HandlerFunc) (url string, c *counter, opts []Option) {
	t.Helper()
	c = new(counter)
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ConnState = c.state
	srv.Config.HTTP2 = conf
	if secure {
		srv.EnableHTTP2 = true
		srv.StartTLS()
		opts = append(opts, WithTLS(srv.Client().Transport.(*http.Transport).TLSClientConfig))
	} else {
		srv.Config.Protocols = new(http.Protocols)
		srv.Config.Protocols.SetHTTP1(true)
		srv.Config.Protocols.SetUnencryptedHTTP2(true)
		srv.Start()
		opts = append(opts, WithProtocols(priorKnowledge()))
	}
	t.Cleanup(srv.Close)
	return srv.URL, c, opts
}

func priorKnowledge() (p http.Protocols) {
	p.SetHTTP2(true)
	p.SetUnencryptedHTTP2(true)
	return p
}

// eachH2 runs f with a server over TLS and with one in plain text.
func eachH2(t *testing.T, conf *http.HTTP2Config, h http.HandlerFunc, f func(t *testing.T, ctx context.Context, s *Session, url string, c *counter), opts ...Option) {
	for name, secure := range map[string]bool{"tls": true, "h2c": false} {
		t.Run(name, func(t *testing.T) {
			url, c, more := startH2(t, secure, conf, h)
			run(t, func(ctx context.Context, s *Session) { f(t, ctx, s, url, c) }, append(more, opts...)...)
		})
	}
}

func TestH2Get(t *testing.T) {
	eachH2(t, nil, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s %s", r.Proto, r.Method, r.URL.RequestURI(), r.Header.Get("X-Test"))
	}, func(t *testing.T, ctx context.Context, s *Session, url string, c *counter) {
		for range 3 {
			r, err := s.Get(ctx, url+"/a?b=c")
			if err != nil {
				t.Fatal(err)
			}
			b, err := r.Bytes(ctx)
			if want := "HTTP/2.0 GET /a?b=c yes"; string(b) != want || err != nil || r.Proto != "HTTP/2.0" || r.Status != 200 {
				t.Fatalf("got %q, %v, %s; want %q", b, err, r.Proto, want)
			}
		}
		if n := c.opened.Load(); n != 1 {
			t.Errorf("%d connections", n)
		}
	}, WithHeader(http.Header{"X-Test": {"yes"}, "Connection": {"keep-alive"}}))
}

func TestH2ManyRequestsShareOneConnection(t *testing.T) {
	var now, most atomic.Int64
	eachH2(t, &http.HTTP2Config{MaxConcurrentStreams: 100}, func(w http.ResponseWriter, r *http.Request) {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		time.Sleep(5 * time.Millisecond) // so that they meet
		now.Add(-1)
		io.WriteString(w, r.URL.Path)
	}, func(t *testing.T, ctx context.Context, s *Session, url string, c *counter) {
		most.Store(0)
		err := rondo.WithGroup(ctx, func(g *rondo.Group) error {
			for i := range 300 {
				g.Go(func(ctx context.Context) error {
					body, err := fetch(ctx, s, &Request{URL: fmt.Sprintf("%s/%d", url, i)})
					if want := fmt.Sprintf("/%d", i); err == nil && body != want {
						err = fmt.Errorf("got %q, want %q", body, want)
					}
					return err
				})
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if n := c.opened.Load(); n != 1 {
			t.Errorf("%d connections", n)
		}
		if n := most.Load(); n < 50 || n > 100 {
			t.Errorf("up to %d requests at a time; the server allows 100", n)
		}
	}, WithPerHost(1))
}

func TestH2OpensAnotherConnectionWhenOneIsFull(t *testing.T) {
	release := make(chan struct{})
	url, c, opts := startH2(t, true, &http.HTTP2Config{MaxConcurrentStreams: 2}, func(w http.ResponseWriter, r *http.Request) {
		<-release
	})
	run(t, func(ctx context.Context, s *Session) {
		err := rondo.WithGroup(ctx, func(g *rondo.Group) error {
			for range 5 {
				g.Go(func(ctx context.Context) error { _, err := fetch(ctx, s, &Request{URL: url}); return err })
			}
			g.Go(func(ctx context.Context) error {
				for c.opened.Load() < 3 {
					if err := rondo.Sleep(ctx, time.Millisecond); err != nil { // the server's side takes real time
						return err
					}
				}
				close(release)
				return nil
			})
			return nil
		})
		if err != nil || c.opened.Load() != 3 {
			t.Errorf("%v; %d connections, want 3", err, c.opened.Load())
		}
	}, opts...)
}

func TestH2FallsBackToHTTP1SideBySide(t *testing.T) {
	var now atomic.Int64
	met := make(chan struct{})
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if now.Add(1) == 4 {
			close(met)
		}
		<-met
		io.WriteString(w, r.Proto)
	}))
	defer srv.Close()
	run(t, func(ctx context.Context, s *Session) {
		err := rondo.WithGroup(ctx, func(g *rondo.Group) error {
			for range 4 {
				g.Go(func(ctx context.Context) error {
					body, err := fetch(ctx, s, &Request{URL: srv.URL})
					if err == nil && body != "HTTP/1.1" {
						err = errors.New(body)
					}
					return err
				})
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}, WithTLS(srv.Client().Transport.(*http.Transport).TLSClientConfig))
}

func TestH2Demanded(t *testing.T) {
	srv := httptest.NewTLSServer(http.NotFoundHandler())
	defer srv.Close()
	plain, _ := serve(t, func(http.ResponseWriter, *http.Request) {})
	run(t, func(ctx context.Context, s *Session) {
		_, err := s.Get(ctx, srv.URL)
		if kindOf(err) != KindProtocol && kindOf(err) != KindTLS || !strings.Contains(fmt.Sprint(err), srv.URL+" does not offer HTTP/2") {
			t.Errorf("https: %v", err)
		}
		_, err = s.Get(ctx, plain)
		if kindOf(err) != KindProtocol || !strings.Contains(fmt.Sprint(err), "does not answer in HTTP/2") {
			t.Errorf("http: %v", err)
		}
	}, WithTLS(&tls.Config{InsecureSkipVerify: true}), WithProtocols(priorKnowledge()))
}

func TestH2Forbidden(t *testing.T) {
	var p http.Protocols
	p.SetHTTP1(true)
	url, _, opts := startH2(t, true, nil, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) })
	run(t, func(ctx context.Context, s *Session) {
		if _, body := get(t, ctx, s, url); body != "HTTP/1.1" {
			t.Error(body)
		}
	}, append(opts, WithProtocols(p))...)
}

// A pattern is a body in which a piece in the wrong place shows: a block of random bytes again and again, whose
// length divides that of no buffer.
type pattern struct{ at, size int64 }

var block = func() []byte {
	b := make([]byte, 65521)
	rand.NewChaCha8([32]byte{}).Read(b)
	return b
}()

func (p *pattern) Read(b []byte) (int, error) {
	if p.at == p.size {
		return 0, io.EOF
	}
	b = b[:min(int64(len(b)), p.size-p.at)]
	n := copy(b, block[p.at%int64(len(block)):])
	p.at += int64(n)
	return n, nil
}

func samePattern(r io.Reader, size int64) error {
	want, got := make([]byte, 32<<10), make([]byte, 32<<10)
	p := &pattern{size: size}
	var all int64
	for {
		n, err := r.Read(got)
		io.ReadFull(p, want[:n])
		if !bytes.Equal(got[:n], want[:n]) {
			return fmt.Errorf("wrong bytes behind %d", all)
		}
		all += int64(n)
		if err == io.EOF {
			if all != size {
				return fmt.Errorf("%d bytes, want %d", all, size)
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
}

const largeBody = 100 << 20

func TestH2LargeBodies(t *testing.T) {
	size := int64(largeBody)
	if testing.Short() {
		size /= 16
	}
	eachH2(t, nil, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "PUT" {
			if err := samePattern(r.Body, size); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
			}
			return
		}
		io.Copy(w, &pattern{size: size})
	}, func(t *testing.T, ctx context.Context, s *Session, url string, _ *counter) {
		r, err := s.Get(ctx, url)
		if err == nil {
			err = samePattern(r, size)
		}
		if err != nil {
			t.Errorf("down: %v", err)
		}
		for _, length := range []int64{0, size} {
			r, err = s.Do(ctx, &Request{Method: "PUT", URL: url, Body: &pattern{size: size}, ContentLength: length})
			if err == nil {
				err = r.RaiseForStatus(ctx)
			}
			if err != nil {
				t.Errorf("up, Content-Length %d: %v", length, err)
			}
		}
	})
}

func TestH2SlowReaderDoesNotStopOthers(t *testing.T) {
	eachH2(t, nil, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(w, &pattern{size: 20 << 20})
	}, func(t *testing.T, ctx context.Context, s *Session, url string, c *counter) {
		slow, err := s.Get(ctx, url)
		if err != nil {
			t.Fatal(err)
		}
		defer slow.Close()
		for range 3 {
			r, err := s.Get(ctx, url)
			if err == nil {
				err = samePattern(r, 20<<20)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if n := slow.st.recv.Buffered(); n > muxMostWindow {
			t.Errorf("%d bytes are here of a body that nobody reads", n)
		}
		if err := samePattern(slow, 20<<20); err != nil {
			t.Errorf("the slow one: %v", err)
		}
		if c.opened.Load() != 1 {
			t.Errorf("%d connections", c.opened.Load())
		}
	})
}

func TestH2CancelKeepsConnection(t *testing.T) {
	canceled := make(chan struct{}, 10)
	eachH2(t, nil, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			<-r.Context().Done()
			canceled <- struct{}{}
		}
	}, func(t *testing.T, ctx context.Context, s *Session, url string, c *counter) {
		task := rondo.Spawn(ctx, func(ctx context.Context) (int, error) {
			_, err := s.Get(ctx, url+"/wait")
			if kindOf(err) != KindCanceled {
				t.Errorf("canceled: %v", err)
			}
			return 0, nil
		})
		get(t, ctx, s, url)
		task.Cancel("")
		task.Await(ctx)
		rondo.ToThread(ctx, func() (int, error) { <-canceled; return 0, nil })

		std, cancel := context.WithCancel(context.Background())
		task = rondo.Spawn(ctx, func(context.Context) (int, error) {
			_, err := s.Get(std, url+"/wait")
			if kindOf(err) != KindCanceled {
				t.Errorf("its context canceled: %v", err)
			}
			return 0, nil
		})
		get(t, ctx, s, url)
		cancel()
		task.Await(ctx)
		rondo.ToThread(ctx, func() (int, error) { <-canceled; return 0, nil })
		get(t, ctx, s, url)
		if n := c.opened.Load(); n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}

func TestH2Timeouts(t *testing.T) {
	eachH2(t, nil, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			w.WriteHeader(200)
			w.(http.Flusher).Flush()
		}
		if r.URL.Path != "/" {
			<-r.Context().Done()
		}
	}, func(t *testing.T, ctx context.Context, s *Session, url string, c *counter) {
		const short = 20 * time.Millisecond
		for _, x := range []struct {
			path   string
			limits Timeouts
			want   Kind
		}{
			{"/head", Timeouts{FirstByte: short}, KindTimeoutFirstByte},
			{"/head", Timeouts{Total: short}, KindTimeoutTotal},
			{"/body", Timeouts{Read: short}, KindTimeoutRead},
			{"/body", Timeouts{Total: short, Read: time.Hour}, KindTimeoutTotal},
		} {
			_, err := fetch(ctx, s, &Request{URL: url + x.path, Timeouts: &x.limits})
			if kindOf(err) != x.want {
				t.Errorf("%s %+v: %v", x.path, x.limits, err)
			}
		}
		get(t, ctx, s, url+"/")
		if n := c.opened.Load(); n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}

func TestH2QueueTimeout(t *testing.T) {
	release := make(chan struct{})
	url, _, opts := startH2(t, true, &http.HTTP2Config{MaxConcurrentStreams: 1}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hold" {
			<-release
		}
	})
	run(t, func(ctx context.Context, s *Session) {
		get(t, ctx, s, url)
		held := rondo.Spawn(ctx, func(ctx context.Context) (string, error) { return fetch(ctx, s, &Request{URL: url + "/hold"}) })
		rondo.Sleep(ctx, time.Millisecond) // its turn first
		_, err := fetch(ctx, s, &Request{URL: url, Timeouts: &Timeouts{Queue: 10 * time.Millisecond}})
		if kindOf(err) != KindTimeoutQueue {
			t.Errorf("queue: %v", err)
		}
		close(release)
		if _, err := held.Await(ctx); err != nil {
			t.Error(err)
		}
		get(t, ctx, s, url)
	}, append(opts, WithPerHost(1))...)
}

func TestH2TrailersAndInterims(t *testing.T) {
	eachH2(t, nil, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		if r.URL.Path == "/hints" { // after which net/http's server does not ask for the body
			w.WriteHeader(http.StatusEarlyHints)
		}
		io.Copy(w, r.Body)
		w.Header().Set("X-Sum", "7")
	}, func(t *testing.T, ctx context.Context, s *Session, url string, _ *counter) {
		r, err := s.Do(ctx, &Request{Method: "POST", URL: url, Body: strings.NewReader("body"), ExpectContinue: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		if b, err := r.Bytes(ctx); string(b) != "body" || err != nil || r.Trailer().Get("X-Sum") != "7" {
			t.Errorf("%q, %v, trailer %v", b, err, r.Trailer())
		}
		req, _ := http.NewRequestWithContext(ctx, "POST", url+"/hints", strings.NewReader("more"))
		resp, err := (&http.Client{Transport: s}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, announced := resp.Trailer["X-Sum"]
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(b) != "more" || err != nil || !announced || resp.Trailer.Get("X-Sum") != "7" || resp.ProtoMajor != 2 {
			t.Errorf("%q, %v, trailer %v, %s", b, err, resp.Trailer, resp.Proto)
		}
	})
}

func TestH2RoundTripOffTheLoop(t *testing.T) {
	url, c, opts := startH2(t, true, nil, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, &pattern{size: 1 << 20}) })
	run(t, func(ctx context.Context, s *Session) {
		_, err := rondo.ToThread(ctx, func() (int, error) {
			client := &http.Client{Transport: s}
			for range 3 {
				resp, err := client.Get(url)
				if err != nil {
					return 0, err
				}
				if err := samePattern(resp.Body, 1<<20); err != nil {
					return 0, err
				}
				resp.Body.Close()
			}
			return 0, nil
		})
		if err != nil || c.opened.Load() != 1 {
			t.Errorf("%v, %d connections", err, c.opened.Load())
		}
	}, opts...)
}

func TestH2HeadAndEmptyAnswers(t *testing.T) {
	eachH2(t, nil, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/204" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.Header().Set("Content-Length", "5")
		io.WriteString(w, "hello")
	}, func(t *testing.T, ctx context.Context, s *Session, url string, c *counter) {
		for _, req := range []*Request{{Method: "HEAD", URL: url}, {URL: url + "/204"}} {
			r, err := s.Do(ctx, req)
			if err != nil {
				t.Fatal(err)
			}
			if b, err := r.Bytes(ctx); len(b) > 0 || err != nil {
				t.Errorf("%s %s: %q, %v", r.Method, r.URL, b, err)
			}
			if req.Method == "HEAD" && r.ContentLength != 5 {
				t.Errorf("length %d", r.ContentLength)
			}
		}
	})
}

func TestH2TenThousandRequests(t *testing.T) {
	n := 10_000
	if testing.Short() {
		n = 1000
	}
	url, c, opts := startH2(t, false, nil, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") })
	run(t, func(ctx context.Context, s *Session) {
		err := rondo.WithGroup(ctx, func(g *rondo.Group) error {
			for range 50 {
				g.Go(func(ctx context.Context) error {
					for range n / 50 {
						if body, err := fetch(ctx, s, &Request{URL: url}); body != "ok" {
							return fmt.Errorf("%q, %w", body, err)
						}
					}
					return nil
				})
			}
			return nil
		})
		if err != nil || c.opened.Load() != 1 {
			t.Errorf("%v; %d connections", err, c.opened.Load())
		}
	}, opts...)
}

func TestH2ErrorTellsItsCode(t *testing.T) {
	eachH2(t, nil, func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) },
		func(t *testing.T, ctx context.Context, s *Session, url string, _ *counter) {
			_, err := s.Get(ctx, url)
			var code http2.ConnectionError
			if kindOf(err) != KindReset || !errors.As(err, &code) || http2.ErrCode(code) != http2.ErrCodeInternal ||
				!strings.Contains(err.Error(), url) || !strings.Contains(err.Error(), "internal error") {
				t.Errorf("%v", err)
			}
		})
}

func TestH2ThroughProxies(t *testing.T) {
	echo := func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) }
	for name, secure := range map[string]bool{"tls": true, "h2c": false} {
		url, _, opts := startH2(t, secure, nil, echo)
		p := &testProxy{}
		front, tlsFront := httptest.NewServer(p), httptest.NewTLSServer(p)
		defer front.Close()
		defer tlsFront.Close()
		opts = append(opts, WithTLS(&tls.Config{InsecureSkipVerify: true}))
		want := map[string]string{front.URL: "HTTP/2.0", tlsFront.URL: "HTTP/2.0"}
		for front, want := range want {
			run(t, func(ctx context.Context, s *Session) {
				for range 2 {
					if _, body := get(t, ctx, s, url); body != want {
						t.Errorf("%s through %s: %s", name, front, body)
					}
				}
			}, append(opts, proxyAt(t, front))...)
		}
	}
}

func TestH2CloseEndsRequests(t *testing.T) {
	eachH2(t, nil, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
		}
		<-r.Context().Done()
	}, func(t *testing.T, ctx context.Context, s *Session, url string, _ *counter) {
		before := len(rondo.Tasks())
		waits := rondo.Spawn(ctx, func(ctx context.Context) (int, error) {
			_, err := s.Get(ctx, url)
			return 0, err
		})
		r, err := s.Get(ctx, url+"/body")
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		if _, err := waits.Await(ctx); kindOf(err) != KindClosed || !errors.Is(err, ErrSessionClosed) {
			t.Errorf("without a head: %v", err)
		}
		if _, err := r.Bytes(ctx); kindOf(err) != KindClosed || !errors.Is(err, ErrSessionClosed) {
			t.Errorf("in the body: %v", err)
		}
		if _, err := s.Get(ctx, url); !errors.Is(err, ErrSessionClosed) {
			t.Errorf("afterwards: %v", err)
		}
		for i := 0; len(rondo.Tasks()) > before; i++ {
			if i == 1000 {
				t.Fatalf("%d tasks are left", len(rondo.Tasks())-before)
			}
			rondo.Sleep(ctx, time.Millisecond) // the reader tells the server first, if it can
		}
	})
}

// A connection at rest holds its reader and nothing else, and CloseIdle ends that.
func TestH2IdleConnectionHoldsOneTask(t *testing.T) {
	eachH2(t, nil, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "x") },
		func(t *testing.T, ctx context.Context, s *Session, url string, c *counter) {
			before := len(rondo.Tasks())
			tasks := func(n int) {
				t.Helper()
				for i := 0; len(rondo.Tasks()) != before+n; i++ {
					if i == 1000 {
						t.Fatalf("%d tasks, want %d", len(rondo.Tasks())-before, n)
					}
					rondo.Sleep(ctx, time.Millisecond) // what was written last is still leaving
				}
			}
			for range 3 {
				get(t, ctx, s, url)
			}
			tasks(1)
			if s.pool.idle.first == nil || s.pool.busy.first != nil || !s.pool.total.TryAcquire() {
				t.Error("it does not rest")
			}
			s.pool.total.Release()
			s.CloseIdle()
			tasks(0)
			get(t, ctx, s, url)
			if n := c.opened.Load(); n != 2 {
				t.Errorf("%d connections", n)
			}
		})
}

func TestH2Trace(t *testing.T) {
	url, _, opts := startH2(t, true, nil, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "x") })
	run(t, func(ctx context.Context, s *Session) {
		var steps []string
		step := func(format string, args ...any) { steps = append(steps, fmt.Sprintf(format, args...)) }
		trace := &Trace{
			Queued:       func(time.Duration, error) { step("queued") },
			GotConn:      func(c ConnInfo) { step("conn %v %d", c.Reused, c.Stream) },
			WroteRequest: func() { step("wrote") },
			FirstByte:    func() { step("first") },
			Headers:      func(status int, _ http.Header) { step("%d", status) },
			Chunk:        func(n int) { step("%d", n) },
			Done:         func(err error) { step("done %v", err) },
		}
		for range 2 {
			if _, err := fetch(ctx, s, &Request{URL: url, Trace: trace}); err != nil {
				t.Fatal(err)
			}
		}
		want := "queued, conn false 1, wrote, first, 200, 1, done <nil>, queued, conn true 3, wrote, first, 200, 1, done <nil>"
		if got := strings.Join(steps, ", "); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}, opts...)
}

// Requests that wait get their turn in the order in which they came.
func TestH2QueueIsFirstComeFirstServed(t *testing.T) {
	var mu sync.Mutex
	var order []string
	url, _, opts := startH2(t, false, &http.HTTP2Config{MaxConcurrentStreams: 1}, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, r.URL.Path)
	})
	run(t, func(ctx context.Context, s *Session) {
		var want []string
		err := rondo.WithGroup(ctx, func(g *rondo.Group) error {
			for i := range 30 {
				path := fmt.Sprintf("/%02d", i)
				want = append(want, path)
				g.Go(func(ctx context.Context) error { _, err := fetch(ctx, s, &Request{URL: url + path}); return err })
			}
			return nil
		})
		mu.Lock()
		defer mu.Unlock()
		if err != nil || strings.Join(order, " ") != strings.Join(want, " ") {
			t.Errorf("%v %v", order, err)
		}
	}, append(opts, WithHTTP2(http.HTTP2Config{StrictMaxConcurrentRequests: true}))...)
}

// Whoever leaves the queue, or is canceled when it is just its turn, takes nothing with it.
func TestH2QueueLosesNothingToCancels(t *testing.T) {
	url, c, opts := startH2(t, false, &http.HTTP2Config{MaxConcurrentStreams: 2}, func(w http.ResponseWriter, r *http.Request) {})
	run(t, func(ctx context.Context, s *Session) {
		for round := range 50 {
			var tasks []*rondo.Task[string]
			for range 10 {
				tasks = append(tasks, rondo.Spawn(ctx, func(ctx context.Context) (string, error) { return fetch(ctx, s, &Request{URL: url}) }))
			}
			for i, task := range tasks {
				if (i+round)%3 == 0 {
					task.Cancel("")
				}
				if i%4 == round%4 {
					rondo.Sleep(ctx, 0)
				}
			}
			for i, task := range tasks {
				if _, err := task.Await(ctx); err != nil && (i+round)%3 != 0 {
					t.Fatal(err)
				}
			}
		}
		if n := s.pool.hosts; len(n) != 1 {
			t.Fatalf("%d hosts", len(n))
		}
		for _, h := range s.pool.hosts {
			if m := h.mux; h.refs != 0 || m.used != 0 || m.opening || len(m.waiting) > 0 || len(m.conns) > 0 {
				t.Errorf("%d references, %+v", h.refs, m)
			}
		}
		if c.opened.Load() != 1 {
			t.Errorf("%d connections", c.opened.Load())
		}
	}, append(opts, WithPerHost(1))...)
}

func BenchmarkH2Get(b *testing.B) {
	b.ReportAllocs()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") }))
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetUnencryptedHTTP2(true)
	srv.Start()
	defer srv.Close()
	rondo.Run(func(ctx context.Context) error {
		s := NewSession(WithProtocols(priorKnowledge()))
		defer s.Close()
		const side = 50
		return rondo.WithGroup(ctx, func(g *rondo.Group) error {
			for i := range side {
				g.Go(func(ctx context.Context) error {
					for n := i; n < b.N; n += side {
						if _, err := fetch(ctx, s, &Request{URL: srv.URL}); err != nil {
							return err
						}
					}
					return nil
				})
			}
			return nil
		})
	})
}

package rondohttp

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/rondotls"
)

// Tests of what goes wrong at the edges: races at the end, and clients that mean harm.

func TestServerHijackOffLoopWhileTheClientIsWatched(t *testing.T) {
	s := startServer(t, OffLoop(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		done := r.Context().Done() // somebody reads from the connection from now on
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		select {
		case <-done:
			t.Error("the context ended with the hijacking")
		default:
		}
		line, err := rw.ReadString('\n')
		fmt.Fprintf(c, "%s%v", line, err)
	})))
	for range 20 {
		c := s.dial()
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		io.WriteString(c, "hello\n")
		if got, err := io.ReadAll(c); string(got) != "hello\n<nil>" || err != nil {
			t.Fatalf("got %q, %v", got, err)
		}
	}
}

func TestServerAnswersBodiesThatFailWithTheirStatus(t *testing.T) {
	s := startServer(t, HandlerFunc(helloNative), WithServerLimits(ServerLimits{BodyBytes: 10, Body: 20 * time.Millisecond, BodyRate: 1 << 20}))
	const head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
	for name, c := range map[string]struct {
		in   string
		want int
	}{
		"too long":   {head + "8\r\n12345678\r\n8\r\n12345678\r\n0\r\n\r\n", http.StatusRequestEntityTooLarge},
		"malformed":  {head + "8\r\n12345678x\r\n0\r\n\r\n", http.StatusBadRequest},
		"no size":    {head + "\r\n", http.StatusBadRequest},
		"half a one": {head + "8\r\n1234", http.StatusRequestTimeout},
	} {
		out := s.raw(c.in)
		all, _ := answers(t, out, http.MethodPost)
		if all[0].StatusCode != c.want || !all[0].Close {
			t.Errorf("%s: status %d, want %d: %q", name, all[0].StatusCode, c.want, out)
		}
	}
}

func TestServerExpectationThatIsNotMetSmugglesNothing(t *testing.T) {
	var asked atomic.Int32
	refuse := HandlerFunc(func(_ context.Context, w *ServerResponse, _ *ServerRequest) error {
		asked.Add(1)
		w.SetStatus(http.StatusForbidden)
		return nil
	})
	for name, h := range map[string]http.Handler{"native": refuse, "http": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusForbidden)
	})} {
		t.Run(name, func(t *testing.T) {
			asked.Store(0)
			s := startServer(t, h)
			inner := "GET /inner HTTP/1.1\r\nHost: x\r\n\r\n"
			out := s.raw(fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n%s", len(inner), inner))
			all, _ := answers(t, out, http.MethodPost)
			if all[0].StatusCode != http.StatusForbidden || !all[0].Close || asked.Load() != 1 {
				t.Errorf("%d requests, %q", asked.Load(), out)
			}
		})
	}
}

func TestServerPipelineBeyondItsRequests(t *testing.T) {
	for name, h := range map[string]http.Handler{"native": HandlerFunc(helloNative), "http": http.HandlerFunc(helloHTTP)} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, h, WithServerLimits(ServerLimits{Requests: 3}))
			one := "GET /%d HTTP/1.1\r\nHost: x\r\n\r\n"
			var in strings.Builder
			for i := range 5000 { // more than a buffer of them
				fmt.Fprintf(&in, one, i)
			}
			all, bodies := answers(t, s.raw(in.String()), "GET", "GET", "GET")
			if !all[2].Close || all[1].Close || bodies[2] != `GET /2  ""` {
				t.Errorf("close %v %v, %q", all[1].Close, all[2].Close, bodies)
			}
		})
	}
}

func TestServerWriteLimitHoldsInEveryFace(t *testing.T) {
	piece := make([]byte, 64<<10)
	faces := map[string]http.Handler{
		"native": HandlerFunc(func(_ context.Context, w *ServerResponse, _ *ServerRequest) error {
			for {
				if _, err := w.Write(piece); err != nil {
					return err
				}
			}
		}),
		"http": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write(piece); err != nil {
					return
				}
			}
		}),
		"off the loop": OffLoop(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write(piece); err != nil {
					return
				}
			}
		})),
		"parks between": HandlerFunc(func(ctx context.Context, w *ServerResponse, _ *ServerRequest) error {
			if _, err := w.Write(piece[:30<<10]); err != nil {
				return err
			}
			return rondo.Sleep(ctx, 0)
		}),
	}
	for name, h := range faces {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, h, WithServerLimits(ServerLimits{Write: 50 * time.Millisecond}))
			c := s.dial()
			c.SetReadBuffer(4 << 10)
			go io.WriteString(c, strings.Repeat("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 5000))
			until(t, "the connection is there", func() bool { return s.Connections() == 1 })
			until(t, "the connection is gone", func() bool { return s.Connections() == 0 })
		})
	}
}

// until waits for what other threads do.
func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !f(); time.Sleep(time.Millisecond) { // there is nothing to be told by
		if time.Now().After(end) {
			t.Fatalf("%s: no", what)
		}
	}
}

func TestServerHandlerHijacksThenRests(t *testing.T) {
	s := startServer(t, HandlerFunc(func(_ context.Context, w *ServerResponse, _ *ServerRequest) error {
		c, _, err := w.Hijack()
		if err != nil {
			return err
		}
		io.WriteString(c, "mine")
		raw := c.(interface{ NetConn() net.Conn }).NetConn().(*rondo.Conn)
		defer c.Close()
		return raw.Rest(nil) // it is not the server's to give back
	}))
	if got := s.raw("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"); got != "mine" {
		t.Errorf("got %q", got)
	}
}

func TestServerCloseCancelsEveryPark(t *testing.T) {
	parks := map[string]HandlerFunc{
		"sleep": func(ctx context.Context, _ *ServerResponse, _ *ServerRequest) error {
			return rondo.Sleep(ctx, time.Hour)
		},
		"event": func(ctx context.Context, _ *ServerResponse, _ *ServerRequest) error {
			return new(rondo.Event).Wait(ctx)
		},
		"body": func(_ context.Context, _ *ServerResponse, r *ServerRequest) error {
			_, err := io.ReadAll(r)
			return err
		},
		"write": func(_ context.Context, w *ServerResponse, _ *ServerRequest) error {
			for {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return err
				}
			}
		},
		"hijacked": func(_ context.Context, w *ServerResponse, _ *ServerRequest) error {
			_, _, err := w.Hijack()
			return err
		},
		"reading hijacked": func(_ context.Context, w *ServerResponse, _ *ServerRequest) error {
			c, _, err := w.Hijack()
			if err != nil {
				return err
			}
			_, err = c.Read(make([]byte, 1))
			return err
		},
		"watching": func(_ context.Context, _ *ServerResponse, r *ServerRequest) error {
			return rondo.Sleep(r.Context(), time.Hour)
		},
		"thread": func(ctx context.Context, _ *ServerResponse, _ *ServerRequest) error {
			if _, err := rondo.ToThread(ctx, func() (int, error) { return 0, nil }); err != nil {
				return err
			}
			return rondo.Sleep(ctx, time.Hour)
		},
	}
	for name, h := range parks {
		for _, how := range []string{"close", "shutdown"} {
			t.Run(name+"/"+how, func(t *testing.T) {
				began := make(chan struct{})
				s := startServer(t, HandlerFunc(func(ctx context.Context, w *ServerResponse, r *ServerRequest) error {
					close(began)
					return h(ctx, w, r)
				}))
				c := s.dial()
				io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nhalf")
				<-began
				if how == "close" {
					s.Close()
				} else {
					ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
					defer cancel()
					if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("Shutdown: %v", err)
					}
				}
				until(t, "the connection is gone", func() bool { return s.Connections() == 0 })
			})
		}
	}
}

func TestServerShutdownWhileAcceptingIsPaused(t *testing.T) {
	s := startServer(t, HandlerFunc(helloNative), WithServerLimits(ServerLimits{Connections: 2}))
	var all []net.Conn
	for range 5 {
		all = append(all, s.dial())
	}
	until(t, "as many as may be", func() bool { return s.Connections() == 2 })
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	for _, c := range all {
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a connection: %v", err)
		}
	}
}

// startLoops starts a server on n loops, of https if there is a configuration.
func startLoops(t *testing.T, n int, cfg *tls.Config, h http.Handler, opts ...ServerOption) *testServer {
	t.Helper()
	s := &testServer{t: t, Server: NewServer(h, opts...)}
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- rondo.Run(func(ctx context.Context) error {
			set := func(a net.Addr) { ready <- a.String() }
			if cfg != nil {
				return s.ListenAndServeTLS(ctx, "tcp", "127.0.0.1:0", cfg, set)
			}
			return s.ListenAndServe(ctx, "tcp", "127.0.0.1:0", set)
		}, rondo.WithoutSignals(), rondo.WithLoops(n))
	}()
	s.addr = <-ready
	t.Cleanup(func() {
		s.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	return s
}

func TestServerShutdownOfManyLoopsLosesNoAnswer(t *testing.T) {
	dev, err := rondotls.SelfSigned("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]*tls.Config{"http": nil, "https": {Certificates: []tls.Certificate{dev.Certificate}}} {
		t.Run(name, func(t *testing.T) {
			for range 5 {
				s := startLoops(t, 4, cfg, HandlerFunc(helloNative))
				var answered, refused atomic.Int32
				var all sync.WaitGroup
				ctx, cancel := context.WithCancel(context.Background())
				for range 16 {
					all.Go(func() {
						for ctx.Err() == nil {
							c, err := net.Dial("tcp", s.addr)
							if err != nil {
								refused.Add(1)
								return
							}
							c.SetDeadline(time.Now().Add(10 * time.Second))
							if cfg != nil {
								c = tls.Client(c, &tls.Config{RootCAs: dev.Roots, ServerName: "127.0.0.1"})
							}
							br := bufio.NewReader(c)
							for {
								if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
									break
								}
								r, err := http.ReadResponse(br, nil)
								if errors.Is(err, os.ErrDeadlineExceeded) {
									t.Error("an answer did not come")
								}
								if err != nil {
									break
								}
								if _, err := io.ReadAll(r.Body); err != nil {
									t.Errorf("an answer broke off: %v", err)
								}
								answered.Add(1)
								if r.Close {
									break
								}
							}
							c.Close()
						}
					})
				}
				until(t, "answers", func() bool { return answered.Load() > 100 })
				if err := s.Shutdown(context.Background()); err != nil {
					t.Error(err)
				}
				cancel()
				all.Wait()
				if n := s.Connections(); n != 0 {
					t.Errorf("%d connections after the end", n)
				}
			}
		})
	}
}

func TestServerShutdownDuringAHandshake(t *testing.T) {
	dev, err := rondotls.SelfSigned("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	cfg := &tls.Config{Certificates: []tls.Certificate{dev.Certificate}}
	for name, hello := range map[string]string{"nothing": "", "a part": "\x16\x03\x01\x02\x00\x01\x00", "garbage": "GET / HTTP/1.1\r\n\r\n"} {
		t.Run(name, func(t *testing.T) {
			s := startLoops(t, 2, cfg, HandlerFunc(helloNative), WithServerLimits(ServerLimits{Header: 50 * time.Millisecond}))
			c := s.dial()
			io.WriteString(c, hello)
			if hello != "garbage" {
				until(t, "the connection is there", func() bool { return s.Connections() == 1 || name == "garbage" })
			}
			if err := s.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
			if n := s.Connections(); n != 0 {
				t.Errorf("%d connections after the end", n)
			}
		})
	}
}

func TestServerShutdownWithPartOfARecord(t *testing.T) {
	dev, err := rondotls.SelfSigned("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	s := startLoops(t, 1, &tls.Config{Certificates: []tls.Certificate{dev.Certificate}}, HandlerFunc(helloNative))
	raw := s.dial()
	c := tls.Client(raw, &tls.Config{RootCAs: dev.Roots, ServerName: "127.0.0.1"})
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if r, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil {
		t.Fatal(err)
	} else if _, err := io.ReadAll(r.Body); err != nil {
		t.Fatal(err)
	}
	raw.Write([]byte("\x17\x03\x03\x00\x40xx")) // the beginning of a record
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}

func TestServerHandlerReturnsWhileItsBodyIsRead(t *testing.T) {
	for range 20 {
		reading := make(chan error, 1)
		s := startServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			began := make(chan struct{})
			go func() {
				r.Body.Read(make([]byte, 10))
				close(began)
				_, err := io.ReadAll(r.Body)
				reading <- err
			}()
			<-began
			io.WriteString(w, "early")
		}))
		c := s.dial()
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n0123456789")
		out, _ := io.ReadAll(c)
		if _, bodies := answers(t, string(out), http.MethodPost); bodies[0] != "early" {
			t.Errorf("got %q", out)
		}
		c.Close()
		if err := <-reading; err == nil {
			t.Error("a body that never came was read")
		}
		s.Close()
	}
}

func TestServerBodyThatWasKeptReadsNoOtherRequest(t *testing.T) {
	var kept io.Reader
	s := startServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if kept == nil {
			kept = r.Body
			return
		}
		stolen, err := io.ReadAll(kept)
		own, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "stolen %q, %v, own %q", stolen, err, own)
	}))
	one := "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n"
	out := s.raw(one + "first." + strings.Replace(one, "Host", "Connection: close\r\nHost", 1) + "secret")
	_, bodies := answers(t, out, http.MethodPost, http.MethodPost)
	if want := fmt.Sprintf("stolen %q, %v, own %q", "", http.ErrBodyReadAfterClose, "secret"); bodies[1] != want {
		t.Errorf("got %s", bodies[1])
	}
}

func TestServerReadsAndWritesAtTheSameTime(t *testing.T) {
	const size = 1 << 20
	s := startServer(t, OffLoop(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		read := make(chan int64)
		go func() {
			n, _ := io.Copy(io.Discard, r.Body)
			read <- n
		}()
		piece := make([]byte, 1000)
		for range size / len(piece) {
			if _, err := w.Write(piece); err != nil {
				t.Error(err)
			}
		}
		fmt.Fprintf(w, "%d", <-read)
	})))
	for _, expect := range []string{"", "Expect: 100-continue\r\n"} {
		c := s.dial()
		go func() {
			fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n", expect, size)
			c.Write(make([]byte, size))
		}()
		r, err := http.ReadResponse(bufio.NewReader(c), nil)
		for err == nil && r.StatusCode == http.StatusContinue {
			t.Fatal("100 is for net/http to skip")
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil || expect == "" && !strings.HasSuffix(string(body), fmt.Sprint(size)) {
			t.Errorf("%d bytes, %v, that end %q", len(body), err, body[len(body)-10:])
		}
		c.Close()
	}
}

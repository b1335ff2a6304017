package rondohttp

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/rondotls"
	"golang.org/x/net/http2"
)

// startTLS starts a server of https that ends with the test, and returns what its clients need.
func startTLS(t testing.TB, h http.Handler, opts ...ServerOption) (*testServer, *tls.Config) {
	t.Helper()
	cert, err := rondotls.SelfSigned("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	s := &testServer{t: t, Server: NewServer(h, opts...)}
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- rondo.Run(func(ctx context.Context) error {
			cfg := &tls.Config{Certificates: []tls.Certificate{cert.Certificate}}
			return s.ListenAndServeTLS(ctx, "tcp", "127.0.0.1:0", cfg, func(a net.Addr) { ready <- a.String() })
		}, rondo.WithoutSignals())
	}()
	select {
	case s.addr = <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	return s, &tls.Config{RootCAs: cert.Roots}
}

// h2c returns a client that speaks HTTP/2 with prior knowledge.
func h2c(t testing.TB) *http.Client {
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 20 * time.Second}
}

// h2tls returns a client that speaks HTTP/2 by ALPN.
func h2tls(t testing.TB, cfg *tls.Config) *http.Client {
	tr := &http.Transport{Protocols: new(http.Protocols), TLSClientConfig: cfg.Clone()}
	tr.Protocols.SetHTTP2(true)
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 20 * time.Second}
}

// both runs f against h on a plain port and on TLS.
func both(t *testing.T, h http.Handler, f func(t *testing.T, base string, c *http.Client), opts ...ServerOption) {
	t.Run("h2c", func(t *testing.T) {
		s := startServer(t, h, opts...)
		f(t, "http://"+s.addr, h2c(t))
	})
	t.Run("tls", func(t *testing.T) {
		s, cfg := startTLS(t, h, opts...)
		f(t, "https://"+s.addr, h2tls(t, cfg))
	})
}

// h2faces runs f against the same handler in both faces.
func h2faces(t *testing.T, native HandlerFunc, std http.HandlerFunc, f func(t *testing.T, base string, c *http.Client), opts ...ServerOption) {
	t.Run("native", func(t *testing.T) { both(t, native, f, opts...) })
	t.Run("nethttp", func(t *testing.T) { both(t, std, f, opts...) })
}

// fetched is the answer to a request, with its body.
func fetched(t testing.TB, c *http.Client, r *http.Request) (*http.Response, string) {
	t.Helper()
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

func request(t testing.TB, method, url string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestServerH2Answers(t *testing.T) {
	native := func(ctx context.Context, w *ServerResponse, r *ServerRequest) error {
		w.SetContentType("text/plain")
		w.Add("X-Proto", r.Proto())
		fmt.Fprintf(w, "%s %s %s %s", r.Method(), r.Path(), r.RawQuery(), r.Host())
		return nil
	}
	std := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Proto", r.Proto)
		fmt.Fprintf(w, "%s %s %s %s", r.Method, r.URL.Path, r.URL.RawQuery, r.Host)
	}
	h2faces(t, native, std, func(t *testing.T, base string, c *http.Client) {
		for range 3 {
			r, body := fetched(t, c, request(t, "GET", base+"/a/b?c=d", nil))
			host := base[strings.Index(base, "//")+2:]
			if want := "GET /a/b c=d " + host; body != want || r.StatusCode != 200 {
				t.Errorf("%d %q, want %q", r.StatusCode, body, want)
			}
			if r.ProtoMajor != 2 || r.Header.Get("X-Proto") != "HTTP/2.0" || r.ContentLength != int64(len(body)) || r.Header.Get("Date") == "" {
				t.Errorf("%v %v", r.Proto, r.Header)
			}
		}
		r, body := fetched(t, c, request(t, "HEAD", base+"/x", nil))
		if body != "" || r.ContentLength <= 0 {
			t.Errorf("HEAD: %q, length %d", body, r.ContentLength)
		}
	})
}

func TestServerH2EchoesBodies(t *testing.T) {
	native := func(ctx context.Context, w *ServerResponse, r *ServerRequest) error {
		for {
			p, err := r.Next()
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
			if _, err := w.Write(p); err != nil {
				return err
			}
		}
	}
	std := func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }
	h2faces(t, native, std, func(t *testing.T, base string, c *http.Client) {
		for _, size := range []int{0, 1, 1000, 16384, 65535, 65536, 1 << 20, 5 << 20} {
			for _, known := range []bool{true, false} {
				sent := bytes.Repeat([]byte("0123456789abcde\n"), size/16+1)[:size]
				var body io.Reader = bytes.NewReader(sent)
				if !known {
					body = io.MultiReader(body)
				}
				_, got := fetched(t, c, request(t, "POST", base+"/", body))
				if got != string(sent) {
					t.Errorf("%d bytes sent, known %v, %d came back", size, known, len(got))
				}
			}
		}
	})
}

func TestServerH2ServesManyStreams(t *testing.T) {
	native := func(ctx context.Context, w *ServerResponse, r *ServerRequest) error {
		n, _ := strconv.Atoi(string(r.RawQuery()))
		if n%3 == 0 {
			rondo.Sleep(ctx, time.Duration(n%7)*time.Millisecond) // so that they end in another order
		}
		_, err := io.WriteString(w, strings.Repeat("x", n*100))
		return err
	}
	std := func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.RawQuery)
		if n%3 == 0 {
			rondo.Sleep(r.Context(), time.Duration(n%7)*time.Millisecond)
		}
		io.WriteString(w, strings.Repeat("x", n*100))
	}
	h2faces(t, native, std, func(t *testing.T, base string, c *http.Client) {
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				for j := range 10 {
					n := i*10 + j
					resp, err := c.Get(base + "/?" + strconv.Itoa(n))
					if err != nil {
						t.Error(err)
						return
					}
					b, err := io.ReadAll(resp.Body)
					resp.Body.Close()
					if err != nil || len(b) != n*100 {
						t.Errorf("%d: %d bytes, %v", n, len(b), err)
					}
				}
			})
		}
		wg.Wait()
	})
}

func TestServerH2PassesTrailers(t *testing.T) {
	native := func(ctx context.Context, w *ServerResponse, r *ServerRequest) error {
		if _, err := io.Copy(w, r); err != nil {
			return err
		}
		for name, value := range r.Trailers() {
			w.AddTrailer("Echo-"+string(name), string(value))
		}
		w.AddTrailer("Last", "1")
		return nil
	}
	std := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Last")
		io.Copy(w, r.Body)
		for name, values := range r.Trailer {
			for _, v := range values {
				w.Header().Add(http.TrailerPrefix+"Echo-"+name, v)
			}
		}
		w.Header().Set("Last", "1")
	}
	h2faces(t, native, std, func(t *testing.T, base string, c *http.Client) {
		for _, size := range []int{10, 100000} {
			r := request(t, "POST", base+"/", strings.NewReader(strings.Repeat("x", size)))
			r.ContentLength = -1
			r.Trailer = http.Header{"Sum": {"abc"}}
			resp, body := fetched(t, c, r)
			if len(body) != size || resp.Trailer.Get("Echo-Sum") != "abc" || resp.Trailer.Get("Last") != "1" {
				t.Errorf("%d bytes, trailers %v", len(body), resp.Trailer)
			}
		}
	})
}

func TestServerH2SendsInterimAnswers(t *testing.T) {
	native := func(ctx context.Context, w *ServerResponse, r *ServerRequest) error {
		w.Add("Link", "</a>")
		if err := w.Interim(http.StatusEarlyHints); err != nil {
			return err
		}
		_, err := io.Copy(w, r)
		return err
	}
	std := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a>")
		w.WriteHeader(http.StatusEarlyHints)
		io.Copy(w, r.Body)
	}
	h2faces(t, native, std, func(t *testing.T, base string, c *http.Client) {
		var seen []string
		trace := &httptrace.ClientTrace{
			Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
				seen = append(seen, fmt.Sprintf("%d %s", code, h.Get("Link")))
				return nil
			},
			Got100Continue: func() { seen = append(seen, "continue") },
		}
		r := request(t, "POST", base+"/", strings.NewReader("body"))
		r.Header.Set("Expect", "100-continue")
		resp, body := fetched(t, c, r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
		if got := strings.Join(seen, " "); !strings.HasPrefix(got, "103 </a>") || !strings.Contains(got, "100") || resp.Header.Get("Link") != "</a>" || body != "body" {
			t.Errorf("%s, then %v %q", got, resp.Header, body)
		}
	})
}

func TestServerH2EndsContexts(t *testing.T) {
	for _, how := range []string{"reset", "connection"} {
		t.Run(how, func(t *testing.T) {
			began, ended := make(chan struct{}, 1), make(chan error, 1)
			native := func(ctx context.Context, w *ServerResponse, r *ServerRequest) error {
				began <- struct{}{}
				err := rondo.Sleep(r.Context(), time.Hour)
				ended <- err
				return err
			}
			std := func(w http.ResponseWriter, r *http.Request) {
				began <- struct{}{}
				ended <- rondo.Sleep(r.Context(), time.Hour)
			}
			quietly, _ := quiet()
			h2faces(t, native, std, func(t *testing.T, base string, c *http.Client) {
				ctx, cancel := context.WithCancel(context.Background())
				go func() {
					<-began
					if how == "reset" {
						cancel()
						return
					}
					lastConn.Load().Close()
				}()
				_, err := tracked(c).Do(request(t, "GET", base+"/", nil).WithContext(ctx))
				if err == nil {
					t.Error("an answer came")
				}
				select {
				case err := <-ended:
					if !errors.Is(err, context.Canceled) {
						t.Errorf("%v", err)
					}
				case <-time.After(5 * time.Second):
					t.Fatal("the handler does not hear of it")
				}
			}, quietly)
		})
	}
}

// A lastTracked is the connection that a client of tracked has made last.
type lastTracked struct{ net.Conn }

var lastConn atomic.Pointer[lastTracked]

// tracked has lastConn know the connections of c.
func tracked(c *http.Client) *http.Client {
	c.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err == nil {
			lastConn.Store(&lastTracked{conn})
		}
		return conn, err
	}
	return c
}

func TestServerH2StreamsInBothDirections(t *testing.T) {
	native := func(ctx context.Context, w *ServerResponse, r *ServerRequest) error {
		if err := w.Flush(); err != nil {
			return err
		}
		for {
			p, err := r.Next()
			if err != nil {
				return nil
			}
			w.Write(bytes.ToUpper(p))
			if err := w.Flush(); err != nil {
				return err
			}
		}
	}
	std := func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		rc.EnableFullDuplex()
		rc.Flush()
		p := make([]byte, 100)
		for {
			n, err := r.Body.Read(p)
			w.Write(bytes.ToUpper(p[:n]))
			rc.Flush()
			if err != nil {
				return
			}
		}
	}
	h2faces(t, native, std, func(t *testing.T, base string, c *http.Client) {
		in, out := io.Pipe()
		resp, err := c.Do(request(t, "POST", base+"/", in))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		p := make([]byte, 100)
		for i := range 20 {
			fmt.Fprintf(out, "abc %d\n", i)
			n, err := resp.Body.Read(p)
			if want := fmt.Sprintf("ABC %d\n", i); string(p[:n]) != want || err != nil {
				t.Fatalf("%q, %v, want %q", p[:n], err, want)
			}
		}
		out.Close()
		if rest, err := io.ReadAll(resp.Body); len(rest) != 0 || err != nil {
			t.Errorf("%q, %v", rest, err)
		}
	})
}

func TestServerH2AnswersBeforeTheBodyIsThere(t *testing.T) {
	native := func(ctx context.Context, w *ServerResponse, r *ServerRequest) error {
		w.SetStatus(http.StatusForbidden)
		_, err := w.WriteString("no")
		return err
	}
	std := func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", http.StatusForbidden) }
	h2faces(t, native, std, func(t *testing.T, base string, c *http.Client) {
		for range 5 {
			in, out := io.Pipe()
			go func() {
				for p := make([]byte, 10000); ; {
					if _, err := out.Write(p); err != nil {
						return
					}
				}
			}()
			resp, body := fetched(t, c, request(t, "POST", base+"/", in))
			if resp.StatusCode != http.StatusForbidden || !strings.HasPrefix(body, "no") {
				t.Errorf("%d %q", resp.StatusCode, body)
			}
			in.CloseWithError(io.ErrClosedPipe)
		}
	})
}

func TestServerH2KeepsDeadlinesOfHandlers(t *testing.T) {
	std := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		if r.URL.Path == "/read" {
			rc.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
			_, err := r.Body.Read(make([]byte, 1))
			fmt.Fprint(w, errors.Is(err, os.ErrDeadlineExceeded))
			rc.SetReadDeadline(time.Time{})
			rc.Flush()
			b := make([]byte, 1)
			n, err := r.Body.Read(b)
			fmt.Fprint(w, string(b[:n]), err)
			return
		}
		rc.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
		_, err := w.Write(make([]byte, 50<<20))
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("write: %v", err)
		}
	})
	quietly, _ := quiet()
	s := startServer(t, std, quietly)
	p := h2dial(s)
	p.open(1, "POST", "/read", false)
	go func() {
		time.Sleep(100 * time.Millisecond) // the deadline is in real time
		http2.NewFramer(p.c, nil).WriteData(1, true, []byte("x"))
	}()
	if status, body, _ := p.answered(1); status != "200" || body != "truex<nil>" {
		t.Errorf("%s %q", status, body)
	}
	p.open(3, "GET", "/write", true)
	if _, _, reset := p.answered(3); reset == nil || reset.ErrCode != http2.ErrCodeInternal {
		t.Errorf("%v", reset)
	}
}

func TestServerH2CannotBeHijacked(t *testing.T) {
	std := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _, err := http.NewResponseController(w).Hijack()
		fmt.Fprint(w, errors.Is(err, http.ErrNotSupported))
	})
	native := HandlerFunc(func(ctx context.Context, w *ServerResponse, r *ServerRequest) error {
		_, _, err := w.Hijack()
		fmt.Fprint(w, errors.Is(err, http.ErrNotSupported))
		return nil
	})
	for _, h := range []http.Handler{std, native} {
		s := startServer(t, h)
		if _, body := fetched(t, h2c(t), request(t, "GET", "http://"+s.addr+"/", nil)); body != "true" {
			t.Errorf("%q", body)
		}
	}
}

func TestServerH2ServesHandlersOffTheLoop(t *testing.T) {
	h := OffLoop(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "T")
		w.WriteHeader(http.StatusEarlyHints)
		io.Copy(w, r.Body)
		w.Header().Set("T", "t")
	}))
	both(t, h, func(t *testing.T, base string, c *http.Client) {
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				for _, size := range []int{0, 10, 100000, 1 << 20} {
					r := request(t, "POST", base+"/", bytes.NewReader(make([]byte, size)))
					resp, err := c.Do(r)
					if err != nil {
						t.Error(err)
						return
					}
					b, err := io.ReadAll(resp.Body)
					resp.Body.Close()
					if len(b) != size || err != nil || resp.Trailer.Get("T") != "t" {
						t.Errorf("%d bytes, want %d; %v; %v", len(b), size, err, resp.Trailer)
					}
				}
			})
		}
		wg.Wait()
	})
}

func TestServerH2SurvivesHandlers(t *testing.T) {
	quietly, log := quiet()
	std := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/late":
			io.WriteString(w, "x")
			w.(http.Flusher).Flush()
			fallthrough
		case "/panic":
			panic("boom")
		case "/abort":
			panic(http.ErrAbortHandler)
		case "/exit":
			runtime.Goexit()
		case "/short":
			w.Header().Set("Content-Length", "10")
			io.WriteString(w, "x")
		}
	})
	s := startServer(t, std, quietly)
	p := h2dial(s)
	id := uint32(1)
	for path, want := range map[string]string{"/panic": "500", "/late": "INTERNAL_ERROR", "/abort": "INTERNAL_ERROR", "/exit": "INTERNAL_ERROR", "/short": "INTERNAL_ERROR", "/": "200"} {
		p.open(id, "GET", path, true)
		got, _, reset := p.answered(id)
		if reset != nil {
			got = reset.ErrCode.String()
		}
		if got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
		id += 2
	}
	if !strings.Contains(log.String(), "boom") {
		t.Error("the panic is not reported")
	}
}

func TestServerH2JoinsCookies(t *testing.T) {
	s := startServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%q %v", r.Header["Cookie"], r.Header["Te"])
	}))
	p := h2dial(s)
	p.open(1, "GET", "/", true, "cookie", "a=b", "te", "trailers", "cookie", "c=d")
	if _, body, _ := p.answered(1); body != `["a=b; c=d"] [trailers]` {
		t.Errorf("%s", body)
	}
}

func TestServerH2ShutdownWaitsForRequests(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprint("tls ", secure), func(t *testing.T) {
			began, on := make(chan struct{}, 1), make(chan struct{})
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/slow" {
					began <- struct{}{}
					rondo.ToThread(r.Context(), func() (int, error) { <-on; return 0, nil })
				}
				io.WriteString(w, "done")
			})
			var s *testServer
			var c *http.Client
			var base string
			if secure {
				var cfg *tls.Config
				s, cfg = startTLS(t, h)
				c, base = h2tls(t, cfg), "https://"+s.addr
			} else {
				s = startServer(t, h)
				c, base = h2c(t), "http://"+s.addr
			}
			fetched(t, c, request(t, "GET", base+"/", nil))
			answer := make(chan string, 1)
			go func() {
				_, body := fetched(t, c, request(t, "GET", base+"/slow", nil))
				answer <- body
			}()
			<-began
			ended := make(chan error, 1)
			go func() {
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				defer cancel()
				ended <- s.Shutdown(ctx)
			}()
			select {
			case err := <-ended:
				t.Fatalf("Shutdown does not wait: %v", err)
			case <-time.After(100 * time.Millisecond): // real time, of the server
			}
			close(on)
			if body := <-answer; body != "done" {
				t.Errorf("%q", body)
			}
			if err := <-ended; err != nil {
				t.Errorf("Shutdown: %v", err)
			}
		})
	}
}

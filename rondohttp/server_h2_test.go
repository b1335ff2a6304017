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
	"strconv"
	"strings"
	"sync"
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
	cfg = cfg.Clone()
	tr := &http2.Transport{TLSClientConfig: cfg}
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

package rondohttp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"

	"github.com/rondo-go/rondo"
)

// onAndOff runs f with a client over a session in a task of the loop, and on a goroutine off it.
func onAndOff(t *testing.T, f func(t *testing.T, c *http.Client)) {
	t.Run("on the loop", func(t *testing.T) {
		run(t, func(ctx context.Context, s *Session) {
			f(t, &http.Client{Transport: s})
			if s.pool.busy.first != nil {
				t.Error("a connection is still in use")
			}
		})
	})
	t.Run("off the loop", func(t *testing.T) {
		run(t, func(ctx context.Context, s *Session) {
			rondo.ToThread(ctx, func() (int, error) {
				f(t, &http.Client{Transport: s})
				return 0, nil
			})
			if s.pool.busy.first != nil {
				t.Error("a connection is still in use")
			}
		})
	})
}

func TestRoundTripUnderAClient(t *testing.T) {
	long := strings.Repeat("x", 500000)
	url, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/redirect":
			http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
			http.Redirect(w, r, "/echo", http.StatusFound)
		case "/gzip":
			w.Header().Set("Content-Encoding", "gzip")
			io.WriteString(w, zip(long))
		case "/none":
			w.WriteHeader(204)
		default:
			b, _ := io.ReadAll(r.Body)
			c, _ := r.Cookie("a")
			fmt.Fprintf(w, "%s %s %s %v %d", r.Method, r.Host, r.RequestURI, c, len(b))
		}
	})
	host := url[len("http://"):]
	onAndOff(t, func(t *testing.T, c *http.Client) {
		c.Jar, _ = cookiejar.New(nil)
		get := func(req *http.Request, err error) (*http.Response, string) {
			t.Helper()
			if err != nil {
				t.Error(err)
				return &http.Response{}, ""
			}
			resp, err := c.Do(req)
			if err != nil {
				t.Error(err)
				return &http.Response{}, ""
			}
			defer resp.Body.Close()
			b, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Error(err)
			}
			return resp, string(b)
		}
		if resp, b := get(http.NewRequest("GET", url+"/redirect", nil)); b != "GET "+host+" /echo a=b 0" || resp.Request.URL.Path != "/echo" {
			t.Errorf("redirect with a cookie: %q from %v", b, resp.Request.URL)
		}
		if resp, b := get(http.NewRequest("GET", url+"/gzip", nil)); b != long || !resp.Uncompressed || resp.ContentLength != -1 || resp.Header.Get("Content-Encoding") != "" {
			t.Errorf("gzip: %d bytes, %+v", len(b), resp)
		}
		if resp, _ := get(http.NewRequest("GET", url+"/none", nil)); resp.StatusCode != 204 || resp.Status != "204 No Content" || resp.Body != http.NoBody {
			t.Errorf("no content: %+v", resp)
		}
		if _, b := get(http.NewRequest("POST", url+"/p", strings.NewReader(long))); b != fmt.Sprintf("POST %s /p a=b %d", host, len(long)) {
			t.Errorf("post: %q", b)
		}
		req, err := http.NewRequest("GET", url+"/p", nil)
		req.Host = "other.example"
		if _, b := get(req, err); b != "GET other.example /p  0" {
			t.Errorf("with a host: %q", b)
		}
		if resp, err := c.Get(url + "/gzip"); err != nil {
			t.Error(err)
		} else { // closed before its end
			io.ReadFull(resp.Body, make([]byte, 10))
			resp.Body.Close()
		}
	})
}

func TestRoundTripHonoursTheRequestsContext(t *testing.T) {
	asked := make(chan bool, 1)
	url, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			w.(http.Flusher).Flush()
		}
		asked <- true
		<-r.Context().Done()
	})
	onAndOff(t, func(t *testing.T, c *http.Client) {
		for _, path := range []string{"/head", "/body"} {
			ctx, cancel := context.WithCancel(context.Background())
			go func() { <-asked; cancel() }()
			req, err := http.NewRequestWithContext(ctx, "GET", url+path, nil)
			if err != nil {
				t.Error(err)
			}
			resp, err := c.Do(req)
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				resp.Body.Close()
			}
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", path, err)
			}
		}
	})
}

func TestRoundTripFromManyGoroutines(t *testing.T) {
	url, conns := serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body) // the server stops reading when it starts to answer
		w.Write(b)
	})
	run(t, func(ctx context.Context, s *Session) {
		rondo.ToThread(ctx, func() (int, error) {
			c := &http.Client{Transport: s}
			var all sync.WaitGroup
			for i := range 50 {
				all.Go(func() {
					want := strings.Repeat(fmt.Sprint(i), 10000)
					resp, err := c.Post(url, "text/plain", strings.NewReader(want))
					if err != nil {
						t.Error(err)
						return
					}
					defer resp.Body.Close()
					if b, err := io.ReadAll(resp.Body); string(b) != want || err != nil {
						t.Errorf("%d bytes, %v", len(b), err)
					}
				})
			}
			all.Wait()
			return 0, nil
		})
	}, WithLimit(7))
	if n := conns.opened.Load(); n > 7 {
		t.Errorf("%d connections", n)
	}
}

func TestRoundTripFailsWhenTheLoopIsGone(t *testing.T) {
	url, _ := serve(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, strings.Repeat("x", 1<<20)) })
	var c *http.Client
	var resp *http.Response
	run(t, func(ctx context.Context, s *Session) {
		c = &http.Client{Transport: s}
		rondo.ToThread(ctx, func() (int, error) {
			var err error
			if resp, err = c.Get(url); err != nil {
				t.Error(err)
			}
			return 0, nil
		})
	})
	if _, err := io.ReadAll(resp.Body); !errors.Is(err, rondo.ErrClosed) {
		t.Errorf("reading a body: %v", err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Errorf("closing a body: %v", err)
	}
	if _, err := c.Get(url); !errors.Is(err, rondo.ErrClosed) {
		t.Errorf("a request: %v", err)
	}
}

func TestRoundTripTellsAnHTTPTrace(t *testing.T) {
	url, _ := serve(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") })
	onAndOff(t, func(t *testing.T, c *http.Client) {
		for _, reused := range []bool{false, true} {
			var log []string
			add := func(s string) { log = append(log, s) }
			trace := &httptrace.ClientTrace{
				GetConn:      func(hostPort string) { add("get " + strings.TrimPrefix(url, "http://"+hostPort)) },
				ConnectStart: func(network, addr string) { add("connect") }, ConnectDone: func(network, addr string, err error) { add("connected") },
				GotConn: func(i httptrace.GotConnInfo) {
					if i.Conn == nil || i.Reused != reused {
						t.Errorf("%+v", i)
					}
					add("got")
				},
				WroteHeaders: func() { add("headers") }, WroteRequest: func(httptrace.WroteRequestInfo) { add("wrote") },
				GotFirstResponseByte: func() { add("byte") },
			}
			req, _ := http.NewRequestWithContext(httptrace.WithClientTrace(context.Background(), trace), "GET", url, nil)
			resp, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			want := "get  connect connected got headers wrote byte"
			if reused {
				want = "get  got headers wrote byte"
			}
			if got := strings.Join(log, " "); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		}
	})
}

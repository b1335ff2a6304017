package rondohttp

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/rondo-go/rondo"
)

func TestSessionGetReusesTheConnection(t *testing.T) {
	url, conns := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("X-A", "1")
		w.Header().Add("X-A", "2")
		fmt.Fprint(w, r.URL.RequestURI())
	})
	run(t, func(ctx context.Context, s *Session) {
		for i := range 5 {
			path := fmt.Sprintf("/a/b?i=%d", i)
			r, err := s.Get(ctx, url+path)
			if err != nil {
				t.Fatal(err)
			}
			b, err := r.Bytes(ctx)
			if r.Status != 200 || r.Reason() != "OK" || r.Proto != "HTTP/1.1" || r.URL != url+path || string(b) != path || err != nil ||
				r.ContentLength != int64(len(path)) || r.Get("x-a") != "1" || len(r.Header()["X-A"]) != 2 {
				t.Errorf("%+v, body %q, %v", r, b, err)
			}
			r.Close()
			if r.Get("x-a") != "1" { // from the map that Header made
				t.Error("header gone after Close")
			}
		}
	})
	if n := conns.opened.Load(); n != 1 {
		t.Errorf("%d connections for 5 requests in turn", n)
	}
}

func TestSessionSendsTheFieldsInOneWrite(t *testing.T) {
	got := make(chan string, 1)
	url := serveRaw(t, func(c *net.TCPConn, _ int) {
		b := make([]byte, 4096)
		n, _ := c.Read(b) // one segment on loopback, if it was one write
		got <- string(b[:n])
		io.WriteString(c, ok(""))
	})
	run(t, func(ctx context.Context, s *Session) {
		if _, err := fetch(ctx, s, &Request{URL: strings.Replace(url, "//", "//u:p@", 1) + "/x y?q#f", Header: http.Header{"X-B": {"1", "2"}, "accept": {"text/html"}}}); err != nil {
			t.Fatal(err)
		}
	}, WithUserAgent("me"), WithHeader(http.Header{"X-A": {"a"}, "X-B": {"replaced"}}))
	want := "GET /x%20y?q HTTP/1.1\r\nHost: " + url[len("http://"):] + "\r\nUser-Agent: me\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nX-A: a\r\n" +
		"X-B: 1\r\nX-B: 2\r\naccept: text/html\r\nAuthorization: Basic dTpw\r\n\r\n"
	if g := <-got; g != want {
		t.Errorf("got  %q\nwant %q", g, want)
	}
}

func TestSessionReadsEveryFraming(t *testing.T) {
	for name, c := range map[string]struct{ method, answer, want string }{
		"length":         {"GET", ok("hello"), "hello"},
		"empty":          {"GET", ok(""), ""},
		"chunked":        {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x\r\n world\r\n0\r\nX: y\r\n\r\n", "hello world"},
		"until close":    {"GET", "HTTP/1.1 200 OK\r\n\r\nto the end", "to the end"},
		"HTTP/1.0":       {"GET", "HTTP/1.0 200 OK\r\n\r\nold", "old"},
		"head":           {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", ""},
		"no content":     {"GET", "HTTP/1.1 204 No Content\r\n\r\n", ""},
		"not modified":   {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", ""},
		"early hints":    {"GET", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + ok("after"), "after"},
		"several writes": {"GET", strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", maxInterim) + ok(strings.Repeat("x", 1<<20)), strings.Repeat("x", 1<<20)},
	} {
		t.Run(name, func(t *testing.T) {
			url := serveRaw(t, answer(c.answer))
			run(t, func(ctx context.Context, s *Session) {
				got, err := fetch(ctx, s, &Request{Method: c.method, URL: url})
				if got != c.want || err != nil {
					t.Errorf("%.100q, %v", got, err)
				}
			})
		})
	}
}

func TestSessionErrorKinds(t *testing.T) {
	const h = "HTTP/1.1 200 OK\r\n"
	for name, c := range map[string]struct {
		answer string
		kind   Kind
		text   string
	}{
		"closed":         {"", KindClosed, "connection closed before an answer"},
		"not http":       {"220 smtp.example ESMTP\r\n", KindProtocol, "220 smtp.example"},
		"half a head":    {h + "Content-Len", KindTruncated, "in the middle of the answer"},
		"truncated":      {h + "Content-Length: 10\r\n\r\nhello", KindTruncated, "body ended after 5 of 10 bytes"},
		"chunked cut":    {h + "Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n", KindTruncated, "before its last chunk"},
		"bad chunk":      {h + "Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\nZZ\r\n", KindProtocol, "invalid chunk size"},
		"both lengths":   {h + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", KindProtocol, "both"},
		"two lengths":    {h + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", KindProtocol, "differ"},
		"huge header":    {h + "X: " + strings.Repeat("x", 1<<20), KindHeaderTooLarge, "header too large"},
		"many headers":   {h + strings.Repeat("X: y\r\n", 10000) + "\r\n", KindHeaderTooLarge, "header too large"},
		"switch":         {"HTTP/1.1 101 Switching Protocols\r\n\r\n", KindProtocol, "unasked"},
		"endless hints":  {strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", maxInterim+1), KindProtocol, "interim"},
		"bad gzip":       {h + "Content-Encoding: gzip\r\nContent-Length: 11\r\n\r\nnot gzipped", KindEncoding, "not valid gzip"},
		"body too large": {ok(strings.Repeat("x", 1001)), KindTooLarge, "larger than 1000"},
	} {
		t.Run(name, func(t *testing.T) {
			url := serveRaw(t, answer(c.answer))
			run(t, func(ctx context.Context, s *Session) {
				_, err := fetch(ctx, s, &Request{URL: url + "/p"})
				if kindOf(err) != c.kind || !strings.Contains(err.Error(), c.text) || !strings.Contains(err.Error(), url+"/p: ") {
					t.Errorf("kind %q, %v", kindOf(err), err)
				}
				s.CloseIdle() // some failed with all that was sent read
				if s.pool.open != 0 || len(s.pool.hosts) != 0 {
					t.Errorf("%d connections and %d hosts left", s.pool.open, len(s.pool.hosts))
				}
			}, WithMaxBody(1000))
		})
	}
}

func TestSessionReportsReset(t *testing.T) {
	for name, c := range map[string]string{"early": "", "in the body": "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"} {
		t.Run(name, func(t *testing.T) {
			read := make(chan bool, 1)
			url := serveRaw(t, func(conn *net.TCPConn, _ int) {
				answer(c)(conn, 0)
				if c != "" {
					<-read // a reset throws away what was not read yet
				}
				conn.SetLinger(0)
			})
			run(t, func(ctx context.Context, s *Session) {
				r, err := s.Get(ctx, url)
				if err == nil {
					read <- true
					_, err = r.Bytes(ctx)
				}
				if kindOf(err) != KindReset {
					t.Errorf("kind %q, %v", kindOf(err), err)
				}
			})
		})
	}
}

func TestSessionRefusesWhatCannotBeSent(t *testing.T) {
	run(t, func(ctx context.Context, s *Session) {
		for _, c := range []struct {
			req  Request
			kind Kind
		}{
			{Request{URL: "ftp://example.org/"}, KindBadURL},
			{Request{URL: "http://example.org:x/"}, KindBadURL},
			{Request{URL: "/x"}, KindBadURL},
			{Request{URL: "http://127.0.0.1/", Method: "GET /"}, KindBadRequest},
			{Request{URL: "http://127.0.0.1/", Method: "CONNECT"}, KindBadRequest},
			{Request{URL: "http://127.0.0.1/", Header: http.Header{"A": {"b\r\nC: d"}}}, KindBadRequest},
			{Request{URL: "http://127.0.0.1/", Header: http.Header{"A b": {"c"}}}, KindBadRequest},
		} {
			if _, err := s.Do(ctx, &c.req); kindOf(err) != c.kind {
				t.Errorf("%+v: %v", c.req, err)
			}
		}
		_, err := s.Get(ctx, "ftp://user:secret@example.org/@")
		if err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "get ftp://example.org/@: unsupported scheme") {
			t.Errorf("error with a password: %v", err)
		}
		s.Close()
		if _, err := s.Get(ctx, "http://127.0.0.1/"); kindOf(err) != KindClosed {
			t.Errorf("after Close: %v", err)
		}
	})
}

func TestSessionReportsConnectAndDNS(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	run(t, func(ctx context.Context, s *Session) {
		if _, err := s.Get(ctx, "http://"+addr); kindOf(err) != KindConnect || !strings.Contains(err.Error(), "refused") {
			t.Errorf("nobody listens: %v", err)
		}
		if _, err := s.Get(ctx, "http://does-not-exist.invalid/"); kindOf(err) != KindDNS {
			t.Errorf("no such name: %v", err)
		}
	})
}

func TestSessionRetriesOnAConnectionGivenUp(t *testing.T) {
	for name, early := range map[string]bool{"closed while idle": false, "closed when asked": true} {
		t.Run(name, func(t *testing.T) {
			gone := make(chan bool, 10)
			url := serveRaw(t, func(c *net.TCPConn, n int) {
				br := bufio.NewReader(c)
				readRequest(br)
				io.WriteString(c, ok(fmt.Sprint(n)))
				if early {
					readRequest(br)
				}
				c.Close()
				gone <- true
			})
			run(t, func(ctx context.Context, s *Session) {
				for i := 1; i <= 3; i++ {
					if _, b := get(t, ctx, s, url); b != fmt.Sprint(i) {
						t.Errorf("request %d answered by connection %s", i, b)
					}
					if !early {
						<-gone
					}
				}
				if early { // a POST must not be sent twice
					_, err := s.Do(ctx, &Request{Method: "POST", URL: url})
					if kindOf(err) != KindClosed && kindOf(err) != KindReset {
						t.Errorf("post on a connection given up: %v", err)
					}
				}
			})
		})
	}
}

func TestSessionDoesNotRetryForEver(t *testing.T) {
	url := serveRaw(t, func(c *net.TCPConn, n int) {
		br := bufio.NewReader(c)
		readRequest(br)
		if n == 1 {
			io.WriteString(c, ok(""))
			readRequest(br)
		}
	})
	run(t, func(ctx context.Context, s *Session) {
		get(t, ctx, s, url)
		if _, err := s.Get(ctx, url); kindOf(err) != KindClosed {
			t.Errorf("%v", err)
		}
	})
}

func TestSessionUploads(t *testing.T) {
	url, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %d %v %d %v", r.Method, r.ContentLength, r.TransferEncoding, len(b), err)
	})
	big := strings.Repeat("x", 3<<20)
	run(t, func(ctx context.Context, s *Session) {
		for want, req := range map[string]*Request{
			"POST 5 [] 5 <nil>":               {Method: "POST", Body: strings.NewReader("hello")},
			"PUT 3145728 [] 3145728 <nil>":    {Method: "PUT", Body: bytes.NewReader([]byte(big))},
			"POST -1 [chunked] 3145728 <nil>": {Method: "POST", Body: io.MultiReader(strings.NewReader(big))},
			"POST 7 [] 7 <nil>":               {Method: "POST", Body: io.MultiReader(strings.NewReader("seven77, and more")), ContentLength: 7},
			"POST 0 [] 0 <nil>":               {Method: "POST"},
			"PATCH -1 [chunked] 0 <nil>":      {Method: "PATCH", Body: io.MultiReader()},
		} {
			req.URL = url
			if got, err := fetch(ctx, s, req); got != want || err != nil {
				t.Errorf("%q, %v, want %q", got, err, want)
			}
		}
		_, err := s.Do(ctx, &Request{Method: "POST", URL: url, Body: io.MultiReader(strings.NewReader("short")), ContentLength: 7})
		if kindOf(err) != KindBody {
			t.Errorf("body shorter than its length: %v", err)
		}
	})
}

func TestSessionReadsAnAnswerThatComesBeforeTheBodyIsSent(t *testing.T) {
	url := serveRaw(t, func(c *net.TCPConn, _ int) {
		c.Read(make([]byte, 100))
		io.WriteString(c, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig")
		c.CloseWrite()
		io.CopyN(io.Discard, c, 1<<20) // then it is fed up
	})
	run(t, func(ctx context.Context, s *Session) {
		r, err := s.Do(ctx, &Request{Method: "POST", URL: url, Body: strings.NewReader(strings.Repeat("x", 20<<20))})
		if err != nil {
			// A reset may overtake the answer: that is TCP's doing. It is no other error.
			if kindOf(err) != KindReset {
				t.Error(err)
			}
			return
		}
		if r.Status != 413 {
			t.Errorf("status %d", r.Status)
		}
		r.Close()
		if s.pool.open != 0 {
			t.Error("a connection with an unfinished request is kept")
		}
	})
}

func TestSessionCancelEndsTheExchange(t *testing.T) {
	asked := make(chan bool, 1)
	url := serveRaw(t, func(c *net.TCPConn, n int) {
		br := bufio.NewReader(c)
		readRequest(br)
		if n == 1 {
			asked <- true
			silent(c, 0)
		}
		io.WriteString(c, ok("next"))
	})
	run(t, func(ctx context.Context, s *Session) {
		task := rondo.Spawn(ctx, func(ctx context.Context) (int, error) {
			_, err := s.Get(ctx, url)
			return 0, err
		})
		if _, err := rondo.ToThread(ctx, func() (bool, error) { return <-asked, nil }); err != nil {
			t.Fatal(err)
		}
		task.Cancel("")
		if _, err := task.Await(ctx); kindOf(err) != KindCanceled {
			t.Errorf("canceled request: %v", err)
		}
		if s.pool.open != 0 {
			t.Errorf("%d connections left", s.pool.open)
		}
		if _, b := get(t, ctx, s, url); b != "next" { // the permit is free again
			t.Errorf("next request: %q", b)
		}
	}, WithLimit(1))
}

func TestSessionCloseEndsWhatIsUnderWay(t *testing.T) {
	url := serveRaw(t, func(c *net.TCPConn, n int) {
		if n == 1 {
			answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")(c, 0)
		}
		silent(c, 0)
	})
	run(t, func(ctx context.Context, s *Session) {
		r, err := s.Get(ctx, url)
		if err != nil {
			t.Fatal(err)
		}
		spawn := func(f func(ctx context.Context) error) *rondo.Task[int] {
			return rondo.Spawn(ctx, func(ctx context.Context) (int, error) { return 0, f(ctx) })
		}
		get := func(ctx context.Context) error { _, err := s.Get(ctx, url); return err }
		tasks := map[string]*rondo.Task[int]{
			"the head":    spawn(get),
			"a body":      spawn(func(ctx context.Context) error { _, err := r.Bytes(ctx); return err }),
			"its permits": spawn(get),
		}
		rondo.Sleep(ctx, short) // real: until all of them wait, for the kernel too
		s.Close()
		for what, task := range tasks {
			if _, err := task.Await(ctx); !errors.Is(err, ErrSessionClosed) || kindOf(err) != KindClosed {
				t.Errorf("waiting for %s: %v", what, err)
			}
		}
		if s.pool.open != 0 || len(s.pool.hosts) != 0 {
			t.Errorf("%d connections and %d hosts left", s.pool.open, len(s.pool.hosts))
		}
	}, WithLimit(2))
}

func TestSessionLeaksNoDescriptors(t *testing.T) {
	url, conns := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/abort" {
			panic(http.ErrAbortHandler)
		}
		io.WriteString(w, strings.Repeat("x", 100000))
	})
	before := 0
	for i := range 3 {
		run(t, func(ctx context.Context, s *Session) {
			for range 10 {
				get(t, ctx, s, url)
				fetch(ctx, s, &Request{URL: url + "/abort"})
				if r, err := s.Get(ctx, url); err != nil { // neither read nor closed
					t.Error(err)
				} else {
					_ = r
				}
			}
		})
		waitFor(t, func() bool { return conns.now.Load() == 0 })
		if n := descriptors(t); i == 0 {
			before = n
		} else if n > before {
			t.Errorf("%d descriptors after run %d, %d after the first", n, i+1, before)
		}
	}
}

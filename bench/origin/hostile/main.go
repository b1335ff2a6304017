// Command hostile is an HTTP origin that misbehaves on request, for reliability
// tests of clients. It counts what it sees, so a test can check a client's
// limits from the server's side. Standard library only.
//
//	go run . [-a 127.0.0.1:18090] [-b 127.0.0.1:18091] [-tls 127.0.0.1:18493] [-deaf 127.0.0.1:18092]
//
// -a and -b serve the same routes: two origins, for cross-origin redirects. -tls
// serves them over TLS with HTTP/2 and a certificate made at start (GET /cert
// gives it as PEM). -deaf listens, but never accepts. Port 0 is any free one. Once
// all four listen, a line on standard output says so: "ready", then the addresses
// of a, b, tls and deaf.
//
//	/ok?n=BYTES                  200, BYTES of 'x' (default 2)
//	/slow?s=SECONDS&n=           waits, then as /ok
//	/drip?n=&ms=                 headers at once, then n bytes, one every ms
//	/status/503?times=K&retry_after=S&key=NAME
//	                             the first K requests of NAME (default 1) get that status, then 200
//	/reset?n=                    announces 2n bytes, sends n (default 1000), then a TCP reset
//	/reset-early?times=K&key=    resets before any answer, the first K times
//	/truncate?n=                 announces 2n bytes, sends n, then closes cleanly
//	/close-after?n=K             answers K requests on a connection, then closes it unannounced
//	/gzipbomb?mb=                mb MiB (default 100) of zeros, gzip-coded (about 1000:1)
//	/bad-gzip                    Content-Encoding: gzip, but the body isn't
//	/redirect-loop?i=            302 to itself for ever
//	/redirect?to=URL&code=       code (default 302) to URL
//	/echo                        JSON of method, host, headers and body length
//	/hang                        never answers
//	/chunked?n=&size=            n chunks (default 10) of size bytes (default 1000), with a trailer
//	/bad-chunk                   a chunk size that isn't hexadecimal
//	/chunked-cut                 a chunked body that ends without the last chunk
//	/huge-header?kb=             one header of kb KiB (default 1024)
//	/many-headers?n=             n headers (default 10000)
//	/both-lengths                Content-Length and Transfer-Encoding at once
//	/two-lengths                 two Content-Length headers that differ
//	/early-hints                 103, then 200
//	/not-http                    bytes that aren't HTTP
//	/rate?r=&key=                over r requests (default 10) in a second: 429, Retry-After: 1
//	/expect?n=                   reads the body, answers its length (for uploads)
//	/stats                       JSON of counters; /stats/reset sets them to zero
package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A pathStat is what one route has seen; Max is the most requests it had at once.
type pathStat struct {
	Count int `json:"count"`
	Now   int `json:"now"`
	Max   int `json:"max"`
	Gone  int `json:"client_gone"` // requests whose client left before the answer
}

type stats struct {
	mu        sync.Mutex
	Paths     map[string]*pathStat `json:"paths"`
	Hosts     map[string]*pathStat `json:"hosts"`  // by the local address asked
	Status    map[int]int          `json:"status"` // 0: answered by hand, or not at all
	All       pathStat             `json:"all"`
	Conns     int                  `json:"connections"`     // opened
	ConnsNow  int                  `json:"connections_now"` // open
	ConnsMax  int                  `json:"connections_max"`
	PeakRate  int                  `json:"max_requests_in_1s"`
	FirstLast [2]float64           `json:"first_last"` // Unix times of the first and the last request
	recent    []time.Time
	attempts  map[string]int
	rates     map[string][]time.Time
}

func (s *stats) reset() {
	s.Paths, s.Hosts, s.Status = map[string]*pathStat{}, map[string]*pathStat{}, map[int]int{}
	s.attempts, s.rates, s.recent = map[string]int{}, map[string][]time.Time{}, nil
	s.All, s.Conns, s.ConnsMax, s.PeakRate, s.FirstLast = pathStat{}, s.ConnsNow, s.ConnsNow, 0, [2]float64{}
}

func (p *pathStat) enter() { p.Count++; p.Now++; p.Max = max(p.Max, p.Now) }

func at(m map[string]*pathStat, k string) *pathStat {
	if m[k] == nil {
		m[k] = &pathStat{}
	}
	return m[k]
}

// within drops times older than a second and adds now.
func within(ts []time.Time, now time.Time) []time.Time {
	i := 0
	for i < len(ts) && now.Sub(ts[i]) >= time.Second {
		i++
	}
	return append(ts[i:], now)
}

var st = &stats{}

type recorder struct {
	http.ResponseWriter
	status int
	raw    bool
}

func (r *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, b, err := http.NewResponseController(r.ResponseWriter).Hijack()
	r.raw = err == nil
	return c, b, err
}

func (r *recorder) WriteHeader(code int) {
	if code >= 200 && r.status == 0 {
		r.status = code
	}
	r.ResponseWriter.WriteHeader(code)
}
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func counted(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/stats") || r.URL.Path == "/cert" {
			h.ServeHTTP(w, r)
			return
		}
		host := r.Context().Value(http.LocalAddrContextKey).(net.Addr).String()
		now := time.Now()
		st.mu.Lock()
		p, q := at(st.Paths, r.URL.Path), at(st.Hosts, host)
		p.enter()
		q.enter()
		st.All.enter()
		st.recent = within(st.recent, now)
		st.PeakRate = max(st.PeakRate, len(st.recent))
		t := float64(now.UnixMicro()) / 1e6
		if st.FirstLast[0] == 0 {
			st.FirstLast[0] = t
		}
		st.FirstLast[1] = t
		st.mu.Unlock()
		rec := &recorder{ResponseWriter: w}
		defer func() {
			gone := r.Context().Err() != nil
			st.mu.Lock()
			defer st.mu.Unlock()
			for _, x := range []*pathStat{p, q, &st.All} {
				x.Now = max(x.Now-1, 0)
				if gone {
					x.Gone++
				}
			}
			if rec.status == 0 && !rec.raw && !gone {
				rec.status = 200
			}
			st.Status[rec.status]++
		}()
		h.ServeHTTP(rec, r)
	})
}

func num(r *http.Request, name string, def float64) float64 {
	if v, err := strconv.ParseFloat(r.URL.Query().Get(name), 64); err == nil {
		return v
	}
	return def
}

// attempt says how often key has been asked, this time included.
func attempt(r *http.Request) int {
	key := r.URL.Path + "#" + r.URL.Query().Get("key")
	st.mu.Lock()
	defer st.mu.Unlock()
	st.attempts[key]++
	return st.attempts[key]
}

func fill(w io.Writer, n int) {
	b := bytes.Repeat([]byte{'x'}, 32<<10)
	for n > 0 {
		k, err := w.Write(b[:min(n, len(b))])
		if err != nil {
			return
		}
		n -= k
	}
}

// raw hands the connection over; f writes what it likes. Over HTTP/2, which
// can't be hijacked, the stream is reset instead.
func raw(f func(c *net.TCPConn, r *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		defer c.Close()
		if t, ok := c.(*tls.Conn); ok {
			c = t.NetConn()
		}
		f(c.(*net.TCPConn), r)
	}
}

func text(s string) http.HandlerFunc {
	return raw(func(c *net.TCPConn, r *http.Request) { io.WriteString(c, s) })
}

func rst(c *net.TCPConn) { c.SetLinger(0); c.Close() }

func routes(cert []byte) http.Handler {
	m := http.NewServeMux()
	ok := func(w http.ResponseWriter, r *http.Request) {
		n := int(num(r, "n", 2))
		w.Header().Set("Content-Length", strconv.Itoa(n))
		fill(w, n)
	}
	m.HandleFunc("/ok", ok)
	m.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(time.Duration(num(r, "s", 1) * 1e9)):
			ok(w, r)
		case <-r.Context().Done():
		}
	})
	m.HandleFunc("/drip", func(w http.ResponseWriter, r *http.Request) {
		n := int(num(r, "n", 10))
		w.Header().Set("Content-Length", strconv.Itoa(n))
		rc := http.NewResponseController(w)
		rc.Flush()
		for range n {
			select {
			case <-time.After(time.Duration(num(r, "ms", 100) * 1e6)):
			case <-r.Context().Done():
				return
			}
			w.Write([]byte{'x'})
			rc.Flush()
		}
	})
	m.HandleFunc("/status/{code}", func(w http.ResponseWriter, r *http.Request) {
		code, _ := strconv.Atoi(r.PathValue("code"))
		if code < 200 || code > 999 {
			code = 400
		}
		if n := attempt(r); n > int(num(r, "times", 1)) {
			fmt.Fprintf(w, "ok after %d", n)
			return
		}
		if v := r.URL.Query().Get("retry_after"); v != "" {
			w.Header().Set("Retry-After", v)
		}
		w.WriteHeader(code)
	})
	m.HandleFunc("/reset", raw(func(c *net.TCPConn, r *http.Request) {
		n := int(num(r, "n", 1000))
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", 2*n)
		fill(c, n)
		time.Sleep(20 * time.Millisecond) // let the bytes be read before the reset
		rst(c)
	}))
	early := raw(func(c *net.TCPConn, r *http.Request) { rst(c) })
	m.HandleFunc("/reset-early", func(w http.ResponseWriter, r *http.Request) {
		if attempt(r) > int(num(r, "times", 1)) {
			ok(w, r)
			return
		}
		early(w, r)
	})
	m.HandleFunc("/truncate", raw(func(c *net.TCPConn, r *http.Request) {
		n := int(num(r, "n", 1000))
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", 2*n)
		fill(c, n)
	}))
	m.HandleFunc("/close-after", func(w http.ResponseWriter, r *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			ok(w, r)
			return
		}
		defer c.Close()
		n := int(num(r, "n", 1))
		if n > 1 { // the rest of the connection is answered here, any request alike
			buf := make([]byte, 64<<10)
			for ; n > 1; n-- {
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nxx")
				if _, err := c.Read(buf); err != nil {
					return
				}
				st.mu.Lock()
				at(st.Paths, r.URL.Path).Count++
				st.mu.Unlock()
			}
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nxx")
	})
	m.HandleFunc("/gzipbomb", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z, _ := gzip.NewWriterLevel(w, gzip.BestCompression)
		zeros := make([]byte, 1<<20)
		for range int(num(r, "mb", 100)) {
			if _, err := z.Write(zeros); err != nil {
				return
			}
		}
		z.Close()
	})
	m.HandleFunc("/bad-gzip", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		io.WriteString(w, "this is not gzip")
	})
	m.HandleFunc("/redirect-loop", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, fmt.Sprintf("/redirect-loop?i=%d", int(num(r, "i", 0))+1), http.StatusFound)
	})
	m.HandleFunc("/redirect", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", r.URL.Query().Get("to"))
		w.WriteHeader(int(num(r, "code", 302)))
	})
	m.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		json.NewEncoder(w).Encode(map[string]any{"method": r.Method, "host": r.Host, "proto": r.Proto,
			"uri": r.RequestURI, "headers": r.Header, "body_bytes": n})
	})
	m.HandleFunc("/hang", func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	m.HandleFunc("/chunked", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Done")
		for range int(num(r, "n", 10)) {
			fill(w, int(num(r, "size", 1000)))
			http.NewResponseController(w).Flush()
		}
		w.Header().Set("X-Done", "yes")
	})
	const h = "HTTP/1.1 200 OK\r\n"
	m.HandleFunc("/bad-chunk", text(h+"Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\nZZ\r\nabcd\r\n0\r\n\r\n"))
	m.HandleFunc("/chunked-cut", text(h+"Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n"))
	m.HandleFunc("/both-lengths", text(h+"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n"))
	m.HandleFunc("/two-lengths", text(h+"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"))
	m.HandleFunc("/not-http", text("220 smtp.example ESMTP\r\n"))
	m.HandleFunc("/huge-header", raw(func(c *net.TCPConn, r *http.Request) {
		io.WriteString(c, h+"Content-Length: 2\r\nX-Huge: ")
		fill(c, int(num(r, "kb", 1024))<<10)
		io.WriteString(c, "\r\n\r\nxx")
	}))
	m.HandleFunc("/many-headers", raw(func(c *net.TCPConn, r *http.Request) {
		var b bytes.Buffer
		b.WriteString(h + "Content-Length: 2\r\n")
		for i := range int(num(r, "n", 10000)) {
			fmt.Fprintf(&b, "X-%d: y\r\n", i)
		}
		b.WriteString("\r\nxx")
		c.Write(b.Bytes())
	}))
	m.HandleFunc("/early-hints", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(103)
		w.Header().Del("Link")
		ok(w, r)
	})
	m.HandleFunc("/rate", func(w http.ResponseWriter, r *http.Request) {
		key, limit := r.URL.Query().Get("key"), int(num(r, "r", 10))
		st.mu.Lock()
		ts := within(st.rates[key], time.Now())
		over := len(ts) > limit
		if over {
			ts = ts[:len(ts)-1] // a refused request doesn't count against the limit
		}
		st.rates[key] = ts
		st.mu.Unlock()
		if over {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(429)
			return
		}
		ok(w, r)
	})
	m.HandleFunc("/expect", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			w.WriteHeader(400)
			return
		}
		fmt.Fprint(w, n)
	})
	m.HandleFunc("/stats", func(w http.ResponseWriter, r *http.Request) {
		st.mu.Lock()
		b, err := json.MarshalIndent(st, "", " ")
		st.mu.Unlock()
		if err != nil {
			http.Error(w, err.Error(), 500)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write(append(b, '\n'))
	})
	m.HandleFunc("/stats/reset", func(w http.ResponseWriter, r *http.Request) {
		st.mu.Lock()
		st.reset()
		st.mu.Unlock()
	})
	m.HandleFunc("/cert", func(w http.ResponseWriter, r *http.Request) { w.Write(cert) })
	return counted(m)
}

func selfSigned() (tls.Certificate, []byte) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(24 * time.Hour), DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		log.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func connState(_ net.Conn, s http.ConnState) {
	st.mu.Lock()
	defer st.mu.Unlock()
	switch s {
	case http.StateNew:
		st.Conns++
		st.ConnsNow++
		st.ConnsMax = max(st.ConnsMax, st.ConnsNow)
	case http.StateClosed, http.StateHijacked: // a hijacked one closes at the end of its route
		st.ConnsNow--
	}
}

func main() {
	a := flag.String("a", "127.0.0.1:18090", "first origin")
	b := flag.String("b", "127.0.0.1:18091", "second origin")
	t := flag.String("tls", "127.0.0.1:18493", "TLS origin, HTTP/2 and HTTP/1.1")
	deaf := flag.String("deaf", "127.0.0.1:18092", "listens, never accepts")
	flag.Parse()
	st.reset()
	cert, pemBytes := selfSigned()
	h := routes(pemBytes)
	listen := func(addr string) net.Listener {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			log.Fatal(err)
		}
		return l
	}
	la, lb, lt, ld := listen(*a), listen(*b), listen(*t), listen(*deaf)
	s := &http.Server{Handler: h, ConnState: connState, ErrorLog: log.New(io.Discard, "", 0),
		// Whichever of the three starts first sets HTTP/2 up, and Serve does so for a configuration that names it only.
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2", "http/1.1"}}}
	go s.Serve(la)
	go s.Serve(lb)
	go s.ServeTLS(lt, "", "")
	fmt.Println("ready", la.Addr(), lb.Addr(), lt.Addr(), ld.Addr())
	defer ld.Close() // never: it keeps the listener from being collected, and closed
	select {}
}

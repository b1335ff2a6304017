package h2spec

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/rondohttp"
	"github.com/rondo-go/rondo/rondotls"
	"github.com/summerwind/h2spec/config"
	"github.com/summerwind/h2spec/generic"
	"github.com/summerwind/h2spec/hpack"
	"github.com/summerwind/h2spec/http2"
	"github.com/summerwind/h2spec/spec"
)

// cases is how many test cases the suite has.
const cases = 146

// hello answers once it has read the body.
func hello(ctx context.Context, w *rondohttp.ServerResponse, r *rondohttp.ServerRequest) error {
	if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	w.SetContentType("text/plain")
	_, err := w.WriteString("Hello, world\n")
	return err
}

func helloHTTP(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	io.WriteString(w, "Hello, world\n")
}

func TestServerConforms(t *testing.T) {
	for name, h := range map[string]http.Handler{"native": rondohttp.HandlerFunc(hello), "nethttp": http.HandlerFunc(helloHTTP)} {
		for _, secure := range []bool{false, true} {
			transport := map[bool]string{false: "h2c", true: "tls"}[secure]
			t.Run(name+"/"+transport, func(t *testing.T) { conforms(t, serve(t, h, secure), secure) })
		}
	}
}

// serve runs a server that ends with the test, and returns its address.
func serve(t *testing.T, h http.Handler, secure bool) string {
	t.Helper()
	cert, err := rondotls.SelfSigned("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	s := rondohttp.NewServer(h)
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- rondo.Run(func(ctx context.Context) error {
			tell := func(a net.Addr) { ready <- a.String() }
			if secure {
				return s.ListenAndServeTLS(ctx, "tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert.Certificate}}, tell)
			}
			return s.ListenAndServe(ctx, "tcp", "127.0.0.1:0", tell)
		}, rondo.WithoutSignals())
	}()
	t.Cleanup(func() {
		s.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	select {
	case addr := <-ready:
		return addr
	case err := <-ended:
		t.Fatal(err)
		return ""
	}
}

// conforms runs the suite against the server at addr.
func conforms(t *testing.T, addr string, secure bool) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	c := &config.Config{
		Host: host, Port: n, Path: "/", TLS: secure, Insecure: true,
		Timeout: 2 * time.Second, MaxHeaderLen: 4000, Strict: true,
	}
	ran := 0
	for _, g := range []*spec.TestGroup{generic.Spec(), http2.Spec(), hpack.Spec()} {
		g.Test(c)
		ran += report(t, g, secure)
	}
	if ran != cases {
		t.Errorf("%d cases were run, want %d", ran, cases)
	}
}

// badPreface is the case of a preface that is not HTTP/2's. A plain port takes it for HTTP/1, and answers 400 in kind,
// which the suite cannot read.
const badPreface = "Sends invalid connection preface"

// report tells of the cases of g that failed, and returns how many were run.
func report(t *testing.T, g *spec.TestGroup, secure bool) (ran int) {
	for _, tc := range g.Tests {
		r := tc.Result
		switch {
		case r == nil || r.Skipped:
			t.Errorf("%s: %s: not run", g.ID(), tc.Desc)
			continue
		case r.Failed && !secure && tc.Desc == badPreface:
			if !strings.Contains(r.Error.Error(), "looked like an HTTP/1.1 header") {
				t.Errorf("%s: %s: %v", g.ID(), tc.Desc, r.Error)
			}
		case r.Failed:
			t.Errorf("%s: %s: %v", g.ID(), tc.Desc, r.Error)
		}
		ran++
	}
	for _, sub := range g.Groups {
		ran += report(t, sub, secure)
	}
	return ran
}

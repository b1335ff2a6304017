package rondotest_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/rondohttp"
	"github.com/rondo-go/rondo/rondotest"
)

// The T of a test, for the examples.
var t = new(testing.T)

func ExampleRun() {
	// func TestNap(t *testing.T) {
	rondotest.Run(t, func(ctx context.Context) {
		began := rondo.RunningLoop().Time()
		rondo.Sleep(ctx, 24*time.Hour) // takes no time
		fmt.Println(rondo.RunningLoop().Time() - began)
	})
	// Output: 24h0m0s
}

func ExampleCall() {
	greet := rondohttp.HandlerFunc(func(ctx context.Context, w *rondohttp.ServerResponse, r *rondohttp.ServerRequest) error {
		_, err := fmt.Fprintf(w, "hello, %s", r.Path()[1:])
		return err
	})
	got := rondotest.Call(greet, httptest.NewRequest(http.MethodGet, "/world", nil))
	fmt.Println(got.Status, got.Body)
	// Output: 200 hello, world
}

func ExampleNewServer() {
	// func TestRetries(t *testing.T) {
	rondotest.Run(t, func(ctx context.Context) {
		failures := 2
		srv := rondotest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if failures--; failures >= 0 {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		}))
		s := srv.Session(rondohttp.WithMiddleware(rondohttp.Retry(rondohttp.RetryPolicy{})))
		r, err := s.Get(ctx, "/")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		fmt.Println(r.Status, failures)
	})
	// Output: 200 -1
}

func ExampleNewProxy() {
	// func TestDownloadIsCut(t *testing.T) {
	rondotest.Run(t, func(ctx context.Context) {
		srv := rondotest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Write(make([]byte, 1<<20))
		}))
		cut := rondotest.NewProxy(t, srv.Addr, rondotest.Faults{}, rondotest.Faults{Cut: 1000})
		s := rondohttp.NewSession()
		defer s.Close()
		r, err := s.Get(ctx, "http://"+cut.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		_, err = r.Bytes(ctx)
		fmt.Println(err != nil)
	})
	// Output: true
}

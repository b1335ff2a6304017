package rondohttp_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/rondohttp"
)

// A body is read piece by piece, from the loop's own buffer.
func ExampleSession() {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello, "+r.URL.Path) }))
	defer srv.Close()
	err := rondo.Run(func(ctx context.Context) error {
		s := rondohttp.NewSession(rondohttp.WithPerHost(4))
		defer s.Close()
		r, err := s.Get(ctx, srv.URL+"/world")
		if err != nil {
			return err
		}
		defer r.Close()
		n := 0
		for {
			piece, err := r.Next(ctx)
			if err == io.EOF {
				break
			}
			if err != nil {
				return err
			}
			n += len(piece)
		}
		fmt.Println(r.Status, n)
		return nil
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output: 200 13
}

// A session is the transport of an http.Client.
func ExampleSession_RoundTrip() {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") }))
	defer srv.Close()
	_ = rondo.Run(func(ctx context.Context) error {
		s := rondohttp.NewSession()
		defer s.Close()
		client := &http.Client{Transport: s}
		resp, err := client.Get(srv.URL)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		fmt.Println(resp.Status, string(b))
		return err
	})
	// Output: 200 OK hello
}

package rondohttp_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

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

// A session for one service: requests are relative to its base, failures that may pass are retried, and a status of 400
// and more is an error.
func ExampleSession_PostJSON() {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		io.Copy(w, r.Body)
	}))
	defer srv.Close()
	_ = rondo.Run(func(ctx context.Context) error {
		s := rondohttp.NewSession(
			rondohttp.WithBaseURL(srv.URL+"/v1/"),
			rondohttp.WithBearer("secret"),
			rondohttp.WithMiddleware(rondohttp.Retry(rondohttp.RetryPolicy{})),
		)
		defer s.Close()
		r, err := s.PostJSON(ctx, "users", map[string]string{"name": "Frodo"})
		if err != nil {
			return err
		}
		if err := r.RaiseForStatus(ctx); err != nil {
			return err
		}
		var user struct{ Name string }
		err = r.JSON(ctx, &user)
		fmt.Println(user.Name, err)
		return err
	})
	// Output: Frodo <nil>
}

// The lines of a body that has no end are handled as they come.
func ExampleResponse_Lines() {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for i := range 3 {
			fmt.Fprintf(w, "event %d\n", i)
			w.(http.Flusher).Flush()
		}
	}))
	defer srv.Close()
	_ = rondo.Run(func(ctx context.Context) error {
		s := rondohttp.NewSession()
		defer s.Close()
		r, err := s.Get(ctx, srv.URL)
		if err != nil {
			return err
		}
		for line, err := range r.Lines(ctx) {
			if err != nil {
				return err
			}
			fmt.Printf("%s\n", line)
		}
		return nil
	})
	// Output:
	// event 0
	// event 1
	// event 2
}

// A form with a file is put together as it is sent.
func ExampleMultipart() {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, h, err := r.FormFile("doc")
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		defer f.Close()
		b, _ := io.ReadAll(f)
		fmt.Fprintf(w, "%s: %s (%s)", h.Filename, b, r.FormValue("title"))
	}))
	defer srv.Close()
	_ = rondo.Run(func(ctx context.Context) error {
		s := rondohttp.NewSession()
		defer s.Close()
		m := rondohttp.NewMultipart()
		m.Field("title", "Notes")
		m.Reader("doc", "notes.txt", strings.NewReader("second breakfast"), -1)
		req := &rondohttp.Request{Method: "POST", URL: srv.URL}
		req.SetMultipart(m)
		r, err := s.Do(ctx, req)
		if err != nil {
			return err
		}
		defer r.Close()
		b, err := r.Bytes(ctx)
		fmt.Printf("%s\n", b)
		return err
	})
	// Output: notes.txt: second breakfast (Notes)
}

// What is told of a request as it gets on.
func ExampleTrace() {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") }))
	defer srv.Close()
	_ = rondo.Run(func(ctx context.Context) error {
		s := rondohttp.NewSession()
		defer s.Close()
		for range 2 {
			r, err := s.Do(ctx, &rondohttp.Request{URL: srv.URL, Trace: &rondohttp.Trace{
				GotConn: func(c rondohttp.ConnInfo) { fmt.Println("reused:", c.Reused) },
				Headers: func(status int, _ http.Header) { fmt.Println("status:", status) },
			}})
			if err != nil {
				return err
			}
			r.Bytes(ctx)
			r.Close()
		}
		return nil
	})
	// Output:
	// reused: false
	// status: 200
	// reused: true
	// status: 200
}

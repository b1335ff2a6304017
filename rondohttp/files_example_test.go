package rondohttp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/rondohttp"
)

// A folder, with a log of who asked for what.
func ExampleFileServer() {
	dir, err := os.MkdirTemp("", "site")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "hello.txt"), []byte("Hello, world.\n"), 0o644); err != nil {
		log.Print(err)
		return
	}
	files, err := rondohttp.FileServer(dir, rondohttp.FileOptions{List: true, Compress: true})
	if err != nil {
		log.Print(err)
		return
	}
	defer files.Close()
	access := rondohttp.NewAccessLog(io.Discard, rondohttp.CombinedLog)
	defer access.Close()
	srv := rondohttp.NewServer(access.Wrap(files))
	err = rondo.Run(func(ctx context.Context) error {
		return srv.ListenAndServe(ctx, "tcp", "127.0.0.1:0", func(a net.Addr) { go ask(a, "/hello.txt", srv) })
	})
	if !errors.Is(err, http.ErrServerClosed) {
		log.Print(err)
	}
	// Output: text/plain; charset=utf-8: Hello, world.
}

// A server that passes requests on to another one.
func ExampleReverseProxy() {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s for %s\n", r.URL.Path, r.Header.Get("X-Forwarded-For"))
	}))
	defer upstream.Close()
	to, err := url.Parse(upstream.URL + "/app")
	if err != nil {
		log.Print(err)
		return
	}
	proxy := rondohttp.NewReverseProxy(to, rondohttp.ProxyOptions{Timeout: 30 * time.Second})
	srv := rondohttp.NewServer(rondohttp.Compress(proxy, rondohttp.CompressOptions{}))
	err = rondo.Run(func(ctx context.Context) error {
		return srv.ListenAndServe(ctx, "tcp", "127.0.0.1:0", func(a net.Addr) { go ask(a, "/page", srv) })
	})
	if !errors.Is(err, http.ErrServerClosed) {
		log.Print(err)
	}
	// Output: text/plain; charset=utf-8: /app/page for 127.0.0.1
}

// ask prints what is at path, and ends the server.
func ask(a net.Addr, path string, srv *rondohttp.Server) {
	defer srv.Close()
	r, err := http.Get("http://" + a.String() + path)
	if err != nil {
		log.Print(err)
		return
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		log.Print(err)
	}
	fmt.Printf("%s: %s", r.Header.Get("Content-Type"), text)
}

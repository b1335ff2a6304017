package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"log/slog"
	"strconv"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/rondohttp"
	"github.com/rondo-go/rondo/rondotls"
)

func main() {
	slog.SetLogLoggerLevel(slog.LevelDebug)
	var h http.Handler = rondohttp.HandlerFunc(func(ctx context.Context, w *rondohttp.ServerResponse, r *rondohttp.ServerRequest) error {
		w.SetContentType("text/plain")
		if n, err := strconv.Atoi(string(r.RawQuery())); err == nil {
			w.Write(make([]byte, n))
			return nil
		}
		w.WriteString("hello\n")
		return nil
	})
	if len(os.Args) > 2 && os.Args[2] == "std" {
		h = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "text/plain")
			io.WriteString(w, "hello\n")
		})
	}
	if len(os.Args) > 3 {
		p := new(http.Protocols)
		p.SetUnencryptedHTTP2(true)
		p.SetHTTP1(true)
		s := &http.Server{Addr: os.Args[1], Handler: h, Protocols: p}
		fmt.Println(s.ListenAndServe())
		return
	}
	cert, _ := rondotls.SelfSigned("127.0.0.1", "localhost")
	fmt.Println(rondo.Run(func(ctx context.Context) error {
		g := rondohttp.NewServer(h)
		rondo.Spawn(ctx, func(ctx context.Context) (int, error) {
			host, port, _ := net.SplitHostPort(os.Args[1])
			p, _ := strconv.Atoi(port)
			return 0, g.ListenAndServeTLS(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(p+1)), &tls.Config{Certificates: []tls.Certificate{cert.Certificate}}, nil)
		})
		return g.ListenAndServe(ctx, "tcp", os.Args[1], func(a net.Addr) { fmt.Println(a) })
	}))
}

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/rondohttp"
)

// An answer is what the HTTP servers send, as JSON.
type answer struct {
	Message string   `json:"message"`
	ID      int      `json:"id"`
	Tags    []string `json:"tags"`
}

func newAnswer() answer { return answer{"Hello, World!", 42, []string{"one", "two", "three"}} }

const answerText = `{"message":"Hello, World!","id":42,"tags":["one","two","three"]}`

func answerNet(w http.ResponseWriter, _ *http.Request) {
	text, _ := json.Marshal(newAnswer())
	w.Header().Set("Content-Type", "application/json")
	w.Write(text)
}

func answerRondo(_ context.Context, w *rondohttp.ServerResponse, _ *rondohttp.ServerRequest) error {
	text, err := json.Marshal(newAnswer())
	if err != nil {
		return err
	}
	w.SetContentType("application/json")
	_, err = w.Write(text)
	return err
}

// goHTTP is net/http's server, with HTTP/2 on a plain port.
func goHTTP(ready func(net.Addr), _ string) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := &http.Server{Handler: http.HandlerFunc(answerNet), Protocols: plainProtocols(true)}
	ready(ln.Addr())
	return s.Serve(ln)
}

func plainProtocols(http1 bool) *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(http1)
	p.SetUnencryptedHTTP2(true)
	return p
}

func serveHTTP(h http.Handler) func(ready func(net.Addr), _ string) error {
	return func(ready func(net.Addr), _ string) error {
		return rondo.Run(func(ctx context.Context) error {
			return rondohttp.NewServer(h).ListenAndServe(ctx, "tcp", "127.0.0.1:0", ready)
		})
	}
}

var httpServers = []server{
	{"net/http", goHTTP},
	{"rondo", serveHTTP(rondohttp.HandlerFunc(answerRondo))},
	{"rondo, http.Handler", serveHTTP(http.HandlerFunc(answerNet))},
}

// together calls f n times at once, with its number.
func together(n int, f func(i int) error) error {
	errs := make(chan error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { errs <- f(i) })
	}
	all.Wait()
	for range n {
		if err := <-errs; err != nil {
			return err
		}
	}
	return nil
}

// loadJSON asks on 64 connections that are kept.
func loadJSON(address string) (int, error) {
	const conns, each = 64, 2000
	return conns * each, together(conns, func(int) error {
		c, err := net.Dial("tcp", address)
		if err != nil {
			return err
		}
		defer c.Close()
		r := bufio.NewReader(c)
		request := []byte("GET / HTTP/1.1\r\nHost: " + address + "\r\nUser-Agent: extra\r\nAccept: application/json\r\n\r\n")
		for range each {
			if _, err := c.Write(request); err != nil {
				return err
			}
			res, err := http.ReadResponse(r, nil)
			if err != nil {
				return err
			}
			if err := check(res); err != nil {
				return err
			}
		}
		return nil
	})
}

// loadH2 asks on 10 connections, in 10 streams of each at a time.
func loadH2(address string) (int, error) {
	const conns, streams, each = 10, 10, 500
	clients := make([]*http.Transport, conns)
	for i := range clients {
		clients[i] = &http.Transport{Protocols: plainProtocols(false)}
		defer clients[i].CloseIdleConnections()
	}
	return conns * streams * each, together(conns*streams, func(i int) error {
		for range each {
			req, err := http.NewRequest("GET", "http://"+address+"/", nil)
			if err != nil {
				return err
			}
			res, err := clients[i%conns].RoundTrip(req)
			if err != nil {
				return err
			}
			if res.ProtoMajor != 2 {
				return fmt.Errorf("the answer came in %s", res.Proto)
			}
			if err := check(res); err != nil {
				return err
			}
		}
		return nil
	})
}

func check(res *http.Response) error {
	text, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err == nil && (res.StatusCode != http.StatusOK || !bytes.Equal(text, []byte(answerText))) {
		err = fmt.Errorf("status %d, %q", res.StatusCode, text)
	}
	return err
}

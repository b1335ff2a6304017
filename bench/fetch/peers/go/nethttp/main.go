// Command nethttp fetches URLs with net/http and an errgroup of C goroutines;
// each goroutine hashes its own body, so the Go scheduler spreads the work over
// all cores.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rondo-go/rondo/bench/fetch/peers/go/work"

	"golang.org/x/sync/errgroup"
)

func main() {
	urls := flag.String("urls", "-", "file of URLs, one a line")
	c := flag.Int("c", 100, "concurrency")
	process := flag.Bool("process", true, "hash and count words")
	h2 := flag.Bool("h2", false, "allow HTTP/2 over TLS")
	untuned := flag.Bool("untuned", false, "keep the default MaxIdleConnsPerHost of 2")
	flag.Parse()
	in := os.Stdin
	if *urls != "-" {
		in, _ = os.Open(*urls)
	}

	tr := http.DefaultTransport.(*http.Transport).Clone()
	tr.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	tr.ForceAttemptHTTP2 = *h2
	if !*h2 {
		tr.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	}
	if !*untuned {
		tr.MaxIdleConns = 0
		tr.MaxIdleConnsPerHost = *c
		tr.DisableCompression = true
		tr.ReadBufferSize = 64 << 10
	}
	client := &http.Client{Transport: tr}

	var ok, bytes, words, check atomic.Uint64
	bufs := sync.Pool{New: func() any { b := make([]byte, 0, 128<<10); return &b }}
	fetch := func(ctx context.Context, url string) error {
		req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		bp := bufs.Get().(*[]byte)
		defer bufs.Put(bp)
		body, err := readAll((*bp)[:0], resp.Body)
		*bp = body
		if err != nil {
			return err
		}
		if resp.StatusCode != 200 {
			return fmt.Errorf("%s: %s", url, resp.Status)
		}
		if *process {
			w, k := work.Process(body)
			words.Add(w)
			check.Add(k)
		}
		ok.Add(1)
		bytes.Add(uint64(len(body)))
		return nil
	}

	start := time.Now()
	var g errgroup.Group
	g.SetLimit(*c)
	n := 0
	sc := bufio.NewScanner(in)
	for sc.Scan() {
		url := sc.Text()
		n++
		g.Go(func() error {
			if err := fetch(context.Background(), url); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
			return nil
		})
	}
	g.Wait()
	work.Report("go-nethttp", n, ok.Load(), bytes.Load(), words.Load(), check.Load(), start)
}

func readAll(b []byte, r io.Reader) ([]byte, error) {
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == io.EOF {
			return b, nil
		}
		if err != nil {
			return b, err
		}
	}
}

// Command fasthttp fetches URLs with fasthttp's client from C goroutines.
package main

import (
	"bufio"
	"crypto/tls"
	"flag"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rondo-go/rondo/bench/fetch/peers/go/work"

	"github.com/valyala/fasthttp"
)

func main() {
	urls := flag.String("urls", "-", "file of URLs, one a line")
	c := flag.Int("c", 100, "concurrency")
	process := flag.Bool("process", true, "hash and count words")
	flag.Parse()
	in := os.Stdin
	if *urls != "-" {
		in, _ = os.Open(*urls)
	}
	client := &fasthttp.Client{
		MaxConnsPerHost:     *c,
		MaxIdleConnDuration: time.Minute,
		ReadBufferSize:      64 << 10,
		TLSConfig:           &tls.Config{InsecureSkipVerify: true},
	}
	var ok, bytes, words, check atomic.Uint64
	start := time.Now()
	jobs := make(chan string, *c)
	var wg sync.WaitGroup
	for range *c {
		wg.Go(func() {
			req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
			for url := range jobs {
				req.Reset()
				resp.Reset()
				req.SetRequestURI(url)
				if err := client.Do(req, resp); err != nil {
					fmt.Fprintln(os.Stderr, err)
					continue
				}
				body := resp.Body()
				if resp.StatusCode() != 200 {
					continue
				}
				if *process {
					w, k := work.Process(body)
					words.Add(w)
					check.Add(k)
				}
				ok.Add(1)
				bytes.Add(uint64(len(body)))
			}
		})
	}
	n := 0
	sc := bufio.NewScanner(in)
	for sc.Scan() {
		jobs <- sc.Text()
		n++
	}
	close(jobs)
	wg.Wait()
	work.Report("go-fasthttp", n, ok.Load(), bytes.Load(), words.Load(), check.Load(), start)
}

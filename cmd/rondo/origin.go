package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/rondohttp"
)

// origin is a web server of its own for rondo demo: documents of realistic sizes, the same in every run, of which some
// are slow, some have moved, some are missing and some are there at the second try. It knows what a fetcher has to find.
type origin struct {
	srv    *rondohttp.Server
	url    string
	n      int          // documents
	flaky  map[int]bool // of the documents that fail once: it has; the loop's
	expect expectation
	ended  chan struct{}
}

// expectation is what is there to be fetched.
type expectation struct {
	ok, missing, redirected, slow, flaky int
	bytes, words, check                  uint64
}

// nature is what is special about a document.
type nature int

const (
	plain nature = iota
	slow
	moved
	missing
	flaky
)

func natureOf(i int) nature {
	switch i % 100 {
	case 7:
		return missing
	case 13, 38, 63, 88:
		return moved
	case 21, 71:
		return slow
	case 33:
		return flaky
	}
	return plain
}

// startOrigin serves n documents on a free port of the loopback interface, on a loop of its own.
func startOrigin(n int) (*origin, error) {
	o := &origin{n: n, flaky: make(map[int]bool), ended: make(chan struct{})}
	for i := range n {
		o.expect.add(i)
	}
	o.srv = rondohttp.NewServer(rondohttp.HandlerFunc(o.serve))
	listening := make(chan net.Addr, 1)
	var err error
	go func() {
		defer close(o.ended)
		err = rondo.Run(func(ctx context.Context) error {
			return o.srv.ListenAndServe(ctx, "tcp", "127.0.0.1:0", func(a net.Addr) { listening <- a })
		}, rondo.WithoutSignals())
	}()
	select {
	case a := <-listening:
		o.url = "http://" + a.String()
		return o, nil
	case <-o.ended:
		return nil, fmt.Errorf("demo origin: %w", err)
	}
}

func (o *origin) close() {
	_ = o.srv.Close()
	<-o.ended
}

// urls names all documents.
func (o *origin) urls(n int) []string {
	urls := make([]string, n)
	for i := range urls {
		urls[i] = fmt.Sprintf("%s/doc/%d", o.url, i)
	}
	return urls
}

func (e *expectation) add(i int) {
	switch natureOf(i) {
	case missing:
		e.missing++
		return
	case moved:
		e.redirected++
	case slow:
		e.slow++
	case flaky:
		e.flaky++
	}
	text := document(i)
	sum := sha256.Sum256(text)
	e.ok++
	e.bytes += uint64(len(text))
	e.words += uint64(len(strings.Fields(string(text))))
	e.check += binary.BigEndian.Uint64(sum[:8])
}

func (o *origin) serve(ctx context.Context, w *rondohttp.ServerResponse, r *rondohttp.ServerRequest) error {
	number, atNewPlace := strings.CutPrefix(string(r.Path()), "/new/")
	if !atNewPlace {
		number = strings.TrimPrefix(number, "/doc/")
	}
	i, err := strconv.Atoi(number)
	if err != nil || i < 0 || i >= o.n || natureOf(i) == missing {
		w.SetStatus(http.StatusNotFound)
		return nil
	}
	switch natureOf(i) {
	case moved:
		if !atNewPlace {
			w.Add("Location", fmt.Sprintf("/new/%d", i))
			w.SetStatus(http.StatusFound)
			return nil
		}
	case slow:
		if err := rondo.Sleep(ctx, time.Duration(50+i*37%251)*time.Millisecond); err != nil {
			return err
		}
	case flaky:
		if !o.flaky[i] {
			o.flaky[i] = true
			w.Add("Retry-After", "0")
			w.SetStatus(http.StatusServiceUnavailable)
			return nil
		}
	}
	w.SetContentType("text/plain; charset=utf-8")
	_, err = w.Write(document(i))
	return err
}

var vocabulary = strings.Fields(`a the of to and in is it that for was on are as with they be at one have this from or had
by word but what some we can out other were all there when up use your how said an each she which do their time if will
way about many then them write would like so these her long make thing see him two has look more day could go come did
number sound no most people my over know water than call first who may down side been now find any new work part take
get place made live where after back little only round man year came show every good me give our under name very
through just form sentence great think say help low line differ turn cause much mean before move right boy old too same
tell does set three want air well also play small end put home read hand port large spell add even land here must big
high such follow act why ask men change went light kind off need house picture try us again animal point mother world`)

// document returns the text of document i. Sizes are log-normal as those of web pages: half of them under 12 KB, the mean
// 15, the largest beyond 80.
func document(i int) []byte {
	rnd := rand.New(rand.NewPCG(uint64(i), 2))
	size := int(12000 * math.Exp(0.65*rnd.NormFloat64()))
	text := fmt.Appendf(make([]byte, 0, size+100), "Title: Document %d\n\n", i)
	for col := 0; len(text) < size; {
		word := vocabulary[rnd.IntN(len(vocabulary))]
		switch {
		case col == 0:
		case col+len(word) > 78:
			text = append(text, '\n')
			col = 0
		default:
			text = append(text, ' ')
		}
		text = append(text, word...)
		col += len(word) + 1
	}
	return append(text, '\n')
}

package main

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// origin is a web server of its own for rondo demo: documents of realistic sizes, the same in every run, of which some
// are slow, some have moved, some are missing and some are there at the second try. It knows what a fetcher has to find.
type origin struct {
	srv    *http.Server
	url    string
	flaky  sync.Map // number of a document -> it has failed once
	expect expectation
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

// startOrigin serves n documents on a free port of the loopback interface.
func startOrigin(n int) (*origin, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("demo origin: %w", err)
	}
	o := &origin{url: "http://" + ln.Addr().String()}
	for i := range n {
		o.expect.add(i)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /doc/{n}", func(w http.ResponseWriter, r *http.Request) { o.serve(w, r, n, false) })
	mux.HandleFunc("GET /new/{n}", func(w http.ResponseWriter, r *http.Request) { o.serve(w, r, n, true) })
	o.srv = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = o.srv.Serve(ln) }() // it ends with Close
	return o, nil
}

func (o *origin) close() { _ = o.srv.Close() }

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

func (o *origin) serve(w http.ResponseWriter, r *http.Request, n int, atNewPlace bool) {
	i, err := strconv.Atoi(r.PathValue("n"))
	if err != nil || i < 0 || i >= n || natureOf(i) == missing {
		http.NotFound(w, r)
		return
	}
	switch natureOf(i) {
	case moved:
		if !atNewPlace {
			http.Redirect(w, r, fmt.Sprintf("/new/%d", i), http.StatusFound)
			return
		}
	case slow:
		select {
		case <-time.After(time.Duration(50+i*37%251) * time.Millisecond):
		case <-r.Context().Done():
			return
		}
	case flaky:
		if _, again := o.flaky.LoadOrStore(i, true); !again {
			w.Header().Set("Retry-After", "0")
			http.Error(w, "busy, try again", http.StatusServiceUnavailable)
			return
		}
	}
	text := document(i)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	_, _ = w.Write(text) // an error is the client's leaving
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

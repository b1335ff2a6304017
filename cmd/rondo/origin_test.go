package main

import (
	"crypto/sha256"
	"encoding/binary"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

// What the origin says is there is what an ordinary client finds.
func TestOriginServesWhatItExpects(t *testing.T) {
	const n = 200
	o, err := startOrigin(n)
	if err != nil {
		t.Fatal(err)
	}
	defer o.close()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 10}}
	get := func(url string) (*http.Response, []byte) {
		resp, err := client.Get(url)
		if err != nil {
			t.Error(err)
			return &http.Response{}, nil
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Error(err)
		}
		return resp, body
	}
	var mu sync.Mutex
	var got expectation
	var all sync.WaitGroup
	for urls := range slices.Chunk(o.urls(n), 20) {
		all.Go(func() {
			for _, url := range urls {
				resp, body := get(url)
				first := resp.StatusCode
				if first == http.StatusServiceUnavailable {
					resp, body = get(url)
				}
				mu.Lock()
				if first == http.StatusServiceUnavailable {
					got.flaky++
				}
				switch resp.StatusCode {
				case http.StatusNotFound:
					got.missing++
				case http.StatusOK:
					if strings.Contains(resp.Request.URL.Path, "/new/") {
						got.redirected++
					}
					sum := sha256.Sum256(body)
					got.ok++
					got.bytes += uint64(len(body))
					got.words += uint64(len(strings.Fields(string(body))))
					got.check += binary.BigEndian.Uint64(sum[:8])
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	got.slow = o.expect.slow
	if got != o.expect || got.missing == 0 || got.redirected == 0 || got.flaky == 0 || got.slow == 0 {
		t.Fatalf("\n got %+v\nwant %+v", got, o.expect)
	}
}

func TestOriginDocumentsAreOfRealisticSize(t *testing.T) {
	sizes := make([]int, demoDocuments)
	total := 0
	for i := range sizes {
		sizes[i] = len(document(i))
		total += sizes[i]
	}
	slices.Sort(sizes)
	median, mean := sizes[len(sizes)/2], total/len(sizes)
	if median < 11_000 || median > 13_000 || mean < 13_500 || mean > 16_500 || sizes[len(sizes)-1] < 60_000 {
		t.Fatalf("median %d, mean %d, largest %d", median, mean, sizes[len(sizes)-1])
	}
	first := string(document(7))
	if again := string(document(7)); again != first {
		t.Fatal("not the same twice")
	}
}

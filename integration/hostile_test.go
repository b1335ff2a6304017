//go:build linux

package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rondo-go/rondo/fetch"
)

const (
	bodyLimit = 10_000_000
	tryTime   = 3 * time.Second // real: /hang and its like are told from the rest by it alone
	retries   = 1
)

// A visit is a URL of the hostile origin and what is to become of it.
type visit struct {
	url      string
	kind     string // "ok" for none
	attempts int
	bytes    int // if ok
}

// visits has every route of the origin.
func visits(t *testing.T, h *hostile) (all []visit) {
	t.Helper()
	const again = 1 + retries // tries of what may pass
	a := func(path, kind string, attempts, bytes int) {
		all = append(all, visit{"http://" + h.a + path, kind, attempts, bytes})
	}
	a("/ok", "ok", 1, 2)
	a("/ok?n=1000000", "ok", 1, 1_000_000)
	a("/ok?n=10000000", "ok", 1, bodyLimit)
	a("/ok?n=10000001", "too-large", 1, 0)
	a("/slow?s=0.1&n=5", "ok", 1, 5)
	a("/slow?s=60", "timeout-total", again, 0)
	a("/drip?n=5&ms=5", "ok", 1, 5)
	a("/drip?n=1000&ms=100", "timeout-total", again, 0)
	a("/status/404?key=a", "status", 1, 0)
	a("/status/500?key=b", "status", 1, 0)
	a("/status/503?key=c", "ok", 2, len("ok after 2"))
	a("/status/429?key=d&retry_after=0", "ok", 2, len("ok after 2"))
	a("/status/502?key=e&times=9", "status", again, 0)
	a("/status/204?key=f", "ok", 1, 0)
	a("/status/304?key=g", "status", 1, 0)
	a("/status/302?key=h", "status", 1, 0) // without a Location
	a("/reset", "reset", again, 0)
	a("/reset-early?key=a", "ok", 2, 2)
	a("/reset-early?key=b&times=9", "reset", again, 0)
	a("/truncate", "truncated", again, 0)
	a("/close-after", "ok", 1, 2)
	a("/gzipbomb", "too-large", 1, 0)
	a("/gzipbomb?mb=9", "ok", 1, 9<<20)
	a("/bad-gzip", "encoding", 1, 0)
	a("/redirect-loop", "redirect-loop", 1, 0)
	a("/redirect?to=/ok%3Fn=7", "ok", 1, 7)
	a("/redirect?code=308&to="+url.QueryEscape("http://"+h.b+"/ok?n=8"), "ok", 1, 8)
	a("/redirect?to=ftp://example.org/", "redirect", 1, 0)
	a("/redirect?to=http://%255B/", "redirect", 1, 0)
	a("/hang", "timeout-total", again, 0)
	a("/chunked", "ok", 1, 10_000)
	a("/bad-chunk", "protocol", 1, 0)
	a("/chunked-cut", "truncated", again, 0)
	a("/huge-header", "header-too-large", 1, 0)
	a("/many-headers", "header-too-large", 1, 0)
	a("/both-lengths", "protocol", 1, 0)
	a("/two-lengths", "protocol", 1, 0)
	a("/early-hints", "ok", 1, 2)
	a("/not-http", "protocol", 1, 0)
	a("/rate?key=a", "ok", 1, 2)
	a("/expect", "ok", 1, 1)
	a("/cert", "ok", 1, len(h.get(t, "/cert")))
	all = append(all,
		visit{"https://" + h.tls + "/ok?n=9", "ok", 1, 9},
		visit{"https://" + h.tls + "/gzipbomb", "too-large", 1, 0},
		visit{"https://" + h.tls + "/hang", "timeout-total", again, 0},
		visit{"https://" + h.tls + "/reset-early?key=c&times=9", "reset", again, 0},
		visit{"http://" + h.tls + "/ok", "status", 1, 0}, // net/http answers 400 to it
		visit{"https://" + h.a + "/ok", "tls", 1, 0},
		visit{"http://" + h.deaf + "/ok", "timeout-total", again, 0},
		visit{"https://" + h.deaf + "/ok", "timeout-total", again, 0},
		visit{"http://" + closedPort(t) + "/ok", "connect", again, 0},
		visit{"http://no-such-host.invalid/", "dns", 1, 0}, // RFC 2606
	)
	return all
}

// checkVisits compares records with what was to be expected.
func checkVisits(t *testing.T, all []visit, records []record) {
	t.Helper()
	got := (&outcome{records: records}).byURL(t)
	if len(got) != len(all) {
		t.Errorf("%d records of %d", len(got), len(all))
	}
	for _, v := range all {
		r := got[v.url]
		if r.kind() != v.kind || r.Attempts != v.attempts || v.kind == "ok" && r.Bytes != v.bytes {
			t.Errorf("%s: %s, %d attempts, %d bytes; want %s, %d, %d; %+v", v.url, r.kind(), r.Attempts, r.Bytes, v.kind, v.attempts, v.bytes, r.Error)
		}
	}
}

func urlsOf(all []visit) (urls []string) {
	for _, v := range all {
		urls = append(urls, v.url)
	}
	return urls
}

func TestFetchTellsEveryHostilityByItsKind(t *testing.T) {
	t.Parallel() // it waits for timeouts most of the time
	h := startHostile(t)
	all := visits(t, h)
	r := run(t, append(urlsOf(all), "--cacert", h.root(t), "--timeout", tryTime.String(), "--retries", fmt.Sprint(retries),
		"--max-body", fmt.Sprint(bodyLimit))...)
	checkVisits(t, all, r.records)
	if r.status != 1 {
		t.Errorf("exit status %d\n%s", r.status, r.stderr)
	}
}

// descriptors counts what this process has open.
func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// It runs alone: it counts the descriptors of this process.
func TestFetcherLeavesNoDescriptor(t *testing.T) {
	h := startHostile(t)
	all := visits(t, h)
	h.client.CloseIdleConnections()
	fetchAll := func(urls []string) []record {
		t.Helper()
		name := filepath.Join(t.TempDir(), "records")
		out, err := fetch.CreateOutput(name, nil)
		if err != nil {
			t.Fatal(err)
		}
		f := fetch.New(fetch.Config{Lines: fetch.NewLines(urls, nil, 0), Timeout: 500 * time.Millisecond, MaxBody: bodyLimit,
			Output: out, Digest: true, Stage: "words"})
		if _, err := f.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := out.Close(); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var o outcome
		for line := range strings.Lines(string(text)) {
			o.add(t, []byte(line))
		}
		return o.records
	}
	fetchAll(urlsOf(all)[:1]) // what Go's runtime opens once
	before := descriptors(t)
	for range 3 {
		if records := fetchAll(urlsOf(all)); len(records) != len(all) {
			t.Fatalf("%d records of %d", len(records), len(all))
		}
	}
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func TestFetchRepeatsOnAConnectionThatTheServerCloses(t *testing.T) {
	h := startHostile(t)
	var urls []string
	for i := range 30 {
		urls = append(urls, fmt.Sprintf("http://%s/close-after?n=3&i=%d", h.a, i))
	}
	r := run(t, append(urls, "-c", "1", "--retries", "0")...)
	if s := r.summary(t); r.status != 0 || s.OK != len(urls) || s.Bytes != 2*len(urls) {
		t.Errorf("status %d, %+v", r.status, s)
	}
}

func TestFetchKeepsItsLimitsOfConnections(t *testing.T) {
	h := startHostile(t)
	for _, c := range []struct {
		args    []string
		hosts   []string
		total   int
		perHost int
	}{
		{[]string{"-c", "20"}, []string{h.a}, 20, 20},
		{[]string{"-c", "1"}, []string{h.a}, 1, 1},
		{[]string{"-c", "5", "--per-host", "9"}, []string{h.a}, 5, 5},
		{[]string{"-c", "20", "--per-host", "3"}, []string{h.a}, 3, 3},
		// So much that a loop's share is enough for both hosts, if they come to one.
		{[]string{"-c", "200", "--per-host", "3"}, []string{h.a, h.b}, 6, 3},
		{[]string{"-c", "4", "--per-host", "3"}, []string{h.a, h.b}, 4, 3},
	} {
		var urls []string
		for i := range max(6*c.total, 10) {
			urls = append(urls, fmt.Sprintf("http://%s/slow?s=0.02&i=%d", c.hosts[i%len(c.hosts)], i))
		}
		h.fresh(t)
		r := run(t, append(c.args, urls...)...)
		s := h.stats(t)
		conns := s.ConnectionsMax - 1
		if c.total < len(c.hosts)*c.perHost {
			// An idle connection is closed for one to the other host. The origin may see that one before the end
			// of the first, so its count says nothing.
			conns = s.All.Max
		}
		if r.status != 0 || s.All.Count != len(urls) || s.All.Max > c.total || conns > c.total {
			t.Errorf("%v: status %d, %d requests at once on %d connections: %+v", c.args, r.status, s.All.Max, conns, s.All)
		}
		for host, at := range s.Hosts {
			if at.Max > c.perHost {
				t.Errorf("%v: %d requests at once to %s", c.args, at.Max, host)
			}
		}
		if s.All.Max < c.perHost {
			t.Errorf("%v: no more than %d requests at once: the limit was not tried", c.args, s.All.Max)
		}
	}
}

func TestFetchTimeoutDoesNotCountTheWaitForTheHost(t *testing.T) {
	t.Parallel() // it waits for the origin, in real time
	h := startHostile(t)
	var urls []string
	for i := range 6 {
		urls = append(urls, fmt.Sprintf("http://%s/slow?s=0.4&i=%d", h.a, i))
	}
	r := run(t, append(urls, "--per-host", "1", "--timeout", "1500ms", "--retries", "0")...) // 2.4 s in all
	if s := r.summary(t); r.status != 0 || s.OK != len(urls) {
		t.Errorf("status %d, %+v", r.status, s)
	}
}

// echo is the answer of /echo.
type echo struct{ Headers http.Header }

func TestFetchRedirectedToAnotherOriginCarriesNoCredentials(t *testing.T) {
	h := startHostile(t)
	a, b, secure := "http://"+h.a, "http://"+h.b, "https://"+h.tls
	to := func(from, target string) string { return from + "/redirect?to=" + url.QueryEscape(target) }
	secrets := []string{"Authorization", "Cookie", "Proxy-Authorization"}
	for name, c := range map[string]struct {
		url     string
		carries bool
	}{
		"none":           {a + "/echo", true},
		"same":           {to(a, a+"/echo"), true},
		"other port":     {to(a, b+"/echo"), false},
		"other scheme":   {to(a, secure+"/echo"), false},
		"less secure":    {to(secure, a+"/echo"), false},
		"other name":     {to(a, strings.Replace(a, "127.0.0.1", "localhost", 1)+"/echo"), false},
		"there and back": {to(a, to(b, a+"/echo")), false},
		"in the URL":     {to(strings.Replace(a, "://", "://user:word@", 1), b+"/echo"), false},
	} {
		dir := t.TempDir()
		r := run(t, c.url, "--cacert", h.root(t), "--save", dir, "--header", "Authorization: Bearer one", "--header", "authorization: Bearer two",
			"--header", "Cookie: a=1", "--header", "cookie: b=2", "--header", "Proxy-Authorization: Basic three", "--header", "X-Kept: yes")
		if r.status != 0 || len(r.records) != 1 {
			t.Errorf("%s: status %d %+v\n%s", name, r.status, r.records, r.stderr)
			for _, rec := range r.records {
				t.Errorf("%+v", rec.Error)
			}
			continue
		}
		body, err := os.ReadFile(r.records[0].Saved)
		if err != nil {
			t.Fatal(err)
		}
		var e echo
		if err := json.Unmarshal(body, &e); err != nil || e.Headers.Get("X-Kept") != "yes" {
			t.Fatalf("%s: %v %s", name, err, body)
		}
		for _, secret := range secrets {
			if carried := len(e.Headers.Values(secret)) > 0; carried != c.carries {
				t.Errorf("%s: %s: %q", name, secret, e.Headers.Values(secret))
			}
		}
	}
}

func TestFetchHonoursRetryAfter(t *testing.T) {
	t.Parallel() // it waits for seconds that the server asks for
	h := startHostile(t)
	r := run(t, "http://"+h.a+"/status/503?retry_after=1")
	if rec := r.records[0]; r.status != 0 || rec.Attempts != 2 || rec.ElapsedMS < 1000 {
		t.Errorf("%+v %+v", rec, rec.Error)
	}

	var urls []string
	for i := range 12 {
		urls = append(urls, fmt.Sprintf("http://%s/rate?r=5&key=k&i=%d", h.a, i))
	}
	begun := time.Now()
	r = run(t, append(urls, "--retries", "9")...)
	s := h.stats(t)
	// Five a second are let through: twelve take two seconds at least, and all that came too early are told so.
	if r.status != 0 || time.Since(begun) < 2*time.Second || s.Status["429"] < 7 || s.Paths["/rate"].Count > 40 {
		t.Errorf("status %d after %v: %+v\n%s", r.status, time.Since(begun), s, r.stderr)
	}
}

package fetch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// site is a web server for tests. It counts what it sees.
type site struct {
	*httptest.Server
	most, now, total atomic.Int64  // requests at a time, and in all
	tries            sync.Map      // path -> *atomic.Int64
	gate             chan struct{} // /gate answers when it is closed
}

// body is what /doc/i serves.
func body(i int) []byte {
	return []byte(strings.Repeat(fmt.Sprintf("word%d \u00e9\n", i), i*37%2000))
}

func newSite(t *testing.T) *site {
	s := &site{gate: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("/doc/{i}", func(w http.ResponseWriter, r *http.Request) {
		var i int
		fmt.Sscan(r.PathValue("i"), &i)
		w.Write(body(i))
	})
	mux.HandleFunc("/moved/{i}", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/doc/"+r.PathValue("i"), http.StatusMovedPermanently)
	})
	mux.HandleFunc("/busy/{n}/{key}", func(w http.ResponseWriter, r *http.Request) { // 503 n times
		var n int64
		fmt.Sscan(r.PathValue("n"), &n)
		count, _ := s.tries.LoadOrStore(r.URL.Path, new(atomic.Int64))
		if count.(*atomic.Int64).Add(1) <= n {
			w.Header().Set("Retry-After", "0")
			http.Error(w, "busy", http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("/gate", func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-s.gate:
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("/cut", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
		w.Write(make([]byte, 500))
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	mux.HandleFunc("/page", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, "<title>A &amp; B</title><a href=x>")
	})
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.total.Add(1)
		now := s.now.Add(1)
		defer s.now.Add(-1)
		for most := s.most.Load(); now > most && !s.most.CompareAndSwap(most, now); most = s.most.Load() {
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// buffer is a destination of records.
type buffer struct{ bytes.Buffer }

func (*buffer) Close() error { return nil }

// fetchAll runs cfg over lines of input and returns the records by their URLs' paths.
func fetchAll(t *testing.T, cfg Config, input string) (map[string]recordJSON, *Summary, error) {
	t.Helper()
	out := new(buffer)
	cfg.Lines = NewLines(nil, strings.NewReader(input), 0)
	cfg.Output = NewOutput("out", out, nil)
	f := New(cfg)
	sum, err := f.Run(t.Context())
	if cerr := cfg.Output.Close(); cerr != nil {
		t.Error(cerr)
	}
	return records(t, out.String()), sum, err
}

func records(t *testing.T, text string) map[string]recordJSON {
	t.Helper()
	got := map[string]recordJSON{}
	for line := range strings.Lines(text) {
		var r recordJSON
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if _, twice := got[r.URL]; twice {
			t.Errorf("%s has two records", r.URL)
		}
		got[r.URL] = r
	}
	return got
}

func TestFetcherFetchesEveryURLOnce(t *testing.T) {
	for _, loops := range []int{1, 3} {
		s := newSite(t)
		const n = 500
		var in strings.Builder
		var want Counters
		for i := range n {
			place := "doc"
			if i%7 == 0 {
				place = "moved"
			}
			fmt.Fprintf(&in, "# number %d\n\n  %s/%s/%d \r\n", i, s.URL, place, i)
			sum := sha256.Sum256(body(i))
			want.Check.Add(&sum)
			want.Bytes += uint64(len(body(i)))
			words, _ := naiveWords(body(i))
			want.Words += words
		}
		got, sum, err := fetchAll(t, Config{Concurrency: 20, Loops: loops, Digest: true, Stage: "words", Timeout: time.Minute}, in.String())
		if err != nil || len(got) != n || sum.URLs != n || sum.OK != n || sum.Failures() != 0 {
			t.Fatalf("%d records, %d urls, %d ok, %v", len(got), sum.URLs, sum.OK, err)
		}
		if sum.Check != want.Check || sum.Bytes != want.Bytes || sum.Words != want.Words || !sum.HasWords || !sum.HasDigest {
			t.Errorf("%d loops: %v %d bytes %d words, want %v %d %d", loops, sum.Check, sum.Bytes, sum.Words, want.Check, want.Bytes, want.Words)
		}
		for i := range n {
			place := "doc"
			if i%7 == 0 {
				place = "moved"
			}
			r := got[fmt.Sprintf("%s/%s/%d", s.URL, place, i)]
			digest := sha256.Sum256(body(i))
			words, lines := naiveWords(body(i))
			if r.Status != 200 || r.SHA256 != hex.EncodeToString(digest[:]) || r.Bytes != int64(len(body(i))) || r.Attempts != 1 || r.Error != nil ||
				r.FinalURL != fmt.Sprintf("%s/doc/%d", s.URL, i) || string(r.Result) != fmt.Sprintf(`{"words":%d,"lines":%d}`, words, lines) {
				t.Fatalf("%d: %+v", i, r)
			}
		}
		if most := s.most.Load(); most > 20 {
			t.Errorf("%d requests at a time, 20 are allowed", most)
		}
	}
}

func TestFetcherReportsEachFailureWithItsKind(t *testing.T) {
	s := newSite(t)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	refused := "http://" + closed.Addr().String() + "/"
	var warned []string
	cfg := Config{Concurrency: 4, Loops: 1, Digest: true, MaxBody: 100_000, Retry: Retry{Max: 1, Base: 1}, Warn: func(err error) { warned = append(warned, err.Error()) }}
	in := strings.Join([]string{s.URL + "/none", "nonsense", s.URL + "/cut", refused, s.URL + "/doc/54", s.URL + "/busy/9/a", s.URL + "/doc/1"}, "\n")
	got, sum, err := fetchAll(t, cfg, in)
	if err != nil || len(got) != 7 {
		t.Fatal(got, err)
	}
	for url, want := range map[string]struct {
		kind             string
		status, attempts int
	}{
		s.URL + "/none":     {"status", 404, 1},
		"nonsense":          {"bad-url", 0, 0},
		s.URL + "/cut":      {"truncated", 200, 2},
		refused:             {"connect", 0, 2},
		s.URL + "/busy/9/a": {"status", 503, 2},
	} {
		r := got[url]
		if r.Error == nil || r.Error.Kind != want.kind || r.Status != want.status || r.Attempts != want.attempts || r.Error.Message == "" || r.Result != nil {
			t.Errorf("%s: %+v %+v", url, r, r.Error)
		}
	}
	if e := got["nonsense"].Error; e == nil || e.Line != 2 || len(warned) != 1 || !strings.HasPrefix(warned[0], "line 2: ") {
		t.Errorf("%+v, warned %q", e, warned)
	}
	if sum.OK != 2 || sum.Failures() != 5 {
		t.Errorf("%d ok, %d failed", sum.OK, sum.Failures())
	}
}

func TestFetcherTriesAgain(t *testing.T) {
	s := newSite(t)
	in := s.URL + "/busy/2/a\n" + s.URL + "/busy/3/b"
	got, sum, err := fetchAll(t, Config{Loops: 1, Retry: Retry{Max: 2}}, in)
	if err != nil || got[s.URL+"/busy/2/a"].Attempts != 3 || got[s.URL+"/busy/2/a"].Error != nil || got[s.URL+"/busy/3/b"].Error == nil {
		t.Fatal(got, err)
	}
	if sum.Retries != 4 || sum.OK != 1 {
		t.Fatalf("%d retries, %d ok", sum.Retries, sum.OK)
	}
}

func TestFetcherKeepsTheLimitPerHost(t *testing.T) {
	hosts := []*site{newSite(t), newSite(t), newSite(t)}
	var in strings.Builder
	for i := range 300 {
		fmt.Fprintf(&in, "%s/doc/%d\n", hosts[i%len(hosts)].URL, i)
	}
	got, _, err := fetchAll(t, Config{Concurrency: 12, Loops: 3, PerHost: 2}, in.String())
	if err != nil || len(got) != 300 {
		t.Fatal(len(got), err)
	}
	for _, h := range hosts {
		if most := h.most.Load(); most > 2 || h.total.Load() != 100 {
			t.Errorf("%d requests at a time, %d in all", most, h.total.Load())
		}
	}
}

func TestFetcherFetchesBeforeTheInputEnds(t *testing.T) {
	s := newSite(t)
	r, w := io.Pipe()
	cfg := Config{Lines: NewLines(nil, r, 0), Output: NewOutput("out", new(buffer), nil), Loops: 2}
	f := New(cfg)
	done := make(chan error)
	go func() {
		_, err := f.Run(context.Background())
		done <- err
	}()
	for i := range 3 {
		fmt.Fprintf(w, "%s/doc/%d\n", s.URL, i)
		for s.total.Load() <= int64(i) {
			time.Sleep(time.Millisecond) // the request crosses the loopback interface in real time
		}
	}
	w.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if st := f.State(); st.Done != 3 || st.Total != 3 || st.InFlight != 0 {
		t.Fatalf("%+v", st)
	}
	cfg.Output.Close()
}

// waitFor waits for what other threads do in real time.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 5000 {
		if ok() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("waited in vain for %s", what)
}

func TestFetcherStopFinishesWhatIsInHand(t *testing.T) {
	s := newSite(t)
	out := new(buffer)
	cfg := Config{Concurrency: 4, Loops: 2, Output: NewOutput("out", out, nil),
		Lines: NewLines(nil, strings.NewReader(strings.Repeat(s.URL+"/gate\n", 1000)), 0)}
	f := New(cfg)
	go func() {
		waitFor(t, "four requests", func() bool { return s.now.Load() == 4 })
		f.Stop()
		close(s.gate)
	}()
	sum, err := f.Run(context.Background())
	if cerr := cfg.Output.Close(); err != nil || cerr != nil {
		t.Fatal(err, cerr)
	}
	if sum.URLs != 4 || sum.OK != 4 || strings.Count(out.String(), "\n") != 4 || s.total.Load() != 4 {
		t.Fatalf("%d urls, %d ok, %d requests", sum.URLs, sum.OK, s.total.Load())
	}
}

func TestFetcherStopCutsPausesShort(t *testing.T) {
	s := newSite(t)
	cfg := Config{Loops: 1, Retry: Retry{Max: 5, Base: time.Hour, Limit: time.Hour}, Lines: NewLines([]string{s.URL + "/cut"}, nil, 0)}
	f := New(cfg)
	go func() {
		waitFor(t, "the request", func() bool { return s.total.Load() == 1 && s.now.Load() == 0 })
		f.Stop()
	}()
	if sum, err := f.Run(context.Background()); err != nil || sum.Failures() != 1 {
		t.Fatal(sum, err)
	}
}

func TestFetcherCancelWritesWhatIsDone(t *testing.T) {
	s := newSite(t)
	reason := errors.New("enough")
	ctx, cancel := context.WithCancelCause(context.Background())
	out := new(buffer)
	r, w := io.Pipe() // which never ends
	defer w.Close()
	cfg := Config{Concurrency: 3, Loops: 2, Output: NewOutput("out", out, nil), Lines: NewLines([]string{s.URL + "/doc/1", s.URL + "/gate"}, r, 0)}
	go func() {
		waitFor(t, "the requests", func() bool { return s.total.Load() == 2 && s.now.Load() == 1 })
		cancel(reason)
	}()
	sum, err := New(cfg).Run(ctx)
	if cerr := cfg.Output.Close(); !errors.Is(err, reason) || cerr != nil {
		t.Fatal(err, cerr)
	}
	got := records(t, out.String())
	if e := got[s.URL+"/gate"].Error; sum.URLs != 2 || sum.OK != 1 || e == nil || e.Kind != "canceled" {
		t.Fatalf("%d urls, %d ok, %+v", sum.URLs, sum.OK, got)
	}
}

func TestFetcherEndsWhenItCannotWrite(t *testing.T) {
	s := newSite(t)
	cfg := Config{Concurrency: 4, Loops: 2, Lines: NewLines(nil, &repeat{s.URL + "/doc/3\n"}, 0)}
	var f *Fetcher
	cfg.Output = NewOutput("records", &file{room: 1000}, func(error) { f.Stop() })
	f = New(cfg)
	_, err := f.Run(context.Background())
	if err = errors.Join(err, cfg.Output.Close()); !errors.Is(err, errFull) {
		t.Fatal(err)
	}
}

// repeat is an input without end.
type repeat struct{ text string }

func (r *repeat) Read(b []byte) (int, error) {
	n := 0
	for len(b)-n >= len(r.text) {
		n += copy(b[n:], r.text)
	}
	return n, nil
}

func TestFetcherReportsAnInputThatCannotBeRead(t *testing.T) {
	s := newSite(t)
	broken := io.MultiReader(strings.NewReader(s.URL+"/doc/1\n"), iotestErr{})
	cfg := Config{Loops: 3, Lines: NewLines(nil, broken, 0)}
	sum, err := New(cfg).Run(context.Background())
	if !errors.Is(err, io.ErrNoProgress) || strings.Count(err.Error(), "line 2") != 1 || sum.OK != 1 {
		t.Fatal(sum.OK, err)
	}
}

type iotestErr struct{}

func (iotestErr) Read([]byte) (int, error) { return 0, io.ErrNoProgress }

func TestFetcherStagesSeeTheDocument(t *testing.T) {
	s := newSite(t)
	for stage, want := range map[string]string{
		"title": `{"title":"A & B"}`,
		"links": fmt.Sprintf(`{"count":1,"links":["%s/x"]}`, s.URL),
	} {
		got, _, err := fetchAll(t, Config{Loops: 1, Stage: stage}, s.URL+"/page")
		if r := got[s.URL+"/page"]; err != nil || string(r.Result) != want || r.SHA256 != "" {
			t.Errorf("%s: %+v, %v", stage, r, err)
		}
	}
	if _, _, err := fetchAll(t, Config{Stage: "wrods"}, s.URL+"/page"); err == nil || !strings.Contains(err.Error(), "wrods") {
		t.Error("an unknown stage:", err)
	}
}

func TestFetcherSavesBodies(t *testing.T) {
	s := newSite(t)
	saver, err := NewSaver(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var in strings.Builder
	for i := range 100 {
		fmt.Fprintf(&in, "%s/doc/%d\n", s.URL, i)
	}
	got, _, err := fetchAll(t, Config{Concurrency: 30, Loops: 2, Saver: saver}, in.String())
	if err != nil || len(got) != 100 {
		t.Fatal(len(got), err)
	}
	for i := range 100 {
		r := got[fmt.Sprintf("%s/doc/%d", s.URL, i)]
		if b, err := os.ReadFile(r.Saved); err != nil || !bytes.Equal(b, body(i)) {
			t.Fatalf("%d: %s holds %d bytes, %v", i, r.Saved, len(b), err)
		}
	}
}

func TestFetcherHandsBodiesToWorkers(t *testing.T) {
	s := newSite(t)
	w := testWorkers(t, "words", func(c *WorkersConfig) { c.Name, c.Queue = "count", 30 })
	var in strings.Builder
	want := uint64(0)
	for i := range 100 {
		fmt.Fprintf(&in, "%s/doc/%d\n", s.URL, i)
		words, _ := naiveWords(body(i))
		want += words
	}
	got, sum, err := fetchAll(t, Config{Concurrency: 30, Loops: 2, Workers: w, Isolated: "words", Digest: true}, in.String())
	if err != nil || len(got) != 100 || sum.Words != want || sum.OK != 100 {
		t.Fatalf("%d records, %d words, want %d; %v", len(got), sum.Words, want, err)
	}
	for i := range 100 {
		words, _ := naiveWords(body(i))
		if r := got[fmt.Sprintf("%s/doc/%d", s.URL, i)]; string(r.Result) != fmt.Sprintf(`{"words":%d}`, words) {
			t.Fatalf("%d: %+v", i, r)
		}
	}
}

func TestFetcherEndsWhenTheWorkersDoNotWork(t *testing.T) {
	s := newSite(t)
	w := testWorkers(t, "absent", func(c *WorkersConfig) { c.Queue = 10 })
	cfg := Config{Concurrency: 10, Loops: 2, Workers: w, Lines: NewLines(nil, &repeat{s.URL + "/doc/3\n"}, 0)}
	sum, err := New(cfg).Run(context.Background())
	if err == nil || !strings.Contains(err.Error(), "no such model") || sum.OK != 0 || sum.Failed[0].Kind != KindWorker {
		t.Fatal(err)
	}
}

func BenchmarkFetcher(b *testing.B) {
	text := body(777)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(text) }))
	defer s.Close()
	in := strings.Repeat(s.URL+"/\n", b.N)
	b.ReportAllocs()
	b.ResetTimer()
	cfg := Config{Lines: NewLines(nil, strings.NewReader(in), 0), Digest: true, Stage: "words"}
	if sum, err := New(cfg).Run(context.Background()); err != nil || sum.OK != uint64(b.N) {
		b.Fatal(sum.OK, err)
	}
}

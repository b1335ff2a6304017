//go:build linux

package integration

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// many is how many URLs a full run has.
func many() int {
	if testing.Short() || raceEnabled {
		return 2000
	}
	return 10_000
}

func TestFetchGetsEveryDocumentOnce(t *testing.T) {
	s := startSite(t)
	for name, c := range map[string]struct {
		n    int
		base string
		args []string
	}{
		"http":     {many(), s.http, nil},
		"https":    {many(), s.https, []string{"--cacert", s.root}},
		"gzip":     {500, s.http + "/gz", nil},
		"isolated": {1000, s.http, []string{"--isolate", "--workers", "2"}},
	} {
		t.Run(name, func(t *testing.T) {
			j := newJob(c.n, c.base, s.docs)
			r := runToFile(t, append(c.args, "-i", j.file(t), "-c", "100", "--map", "words")...)
			j.check(t, r)
			if r.summary(t).Words == nil {
				t.Error("no words in the summary")
			}
		})
	}
}

func TestFetchOnStandardOutput(t *testing.T) {
	s := startSite(t)
	j := newJob(300, s.http, s.docs)
	j.check(t, run(t, "-i", j.file(t), "--map", "words"))
	j.check(t, run(t, "-i", j.file(t), "--map", "words", "-o", "-"))
}

func TestFetchThroughPythonWorkers(t *testing.T) {
	needs(t, "python3")
	s := startSite(t)
	var text []document // Python's split knows other spaces than the six; in ASCII there are those and \x1c to \x1f
	for _, d := range s.docs {
		if strings.HasPrefix(d.path, "/doc-") {
			text = append(text, d)
		}
	}
	j := newJob(500, s.http, text)
	j.check(t, runToFile(t, "-i", j.file(t), "--map", "cmd:python3 examples/words_worker.py", "--workers", "2"))
}

func TestFetchWantsATrustedCertificate(t *testing.T) {
	s := startSite(t)
	j := newJob(20, s.https, s.docs)
	urls := j.file(t)

	r := run(t, "-i", urls)
	for _, rec := range r.records {
		if rec.kind() != "tls" || rec.Attempts != 1 || !strings.Contains(rec.Error.Message, "--cacert") {
			t.Fatalf("%+v %+v", rec, rec.Error)
		}
	}
	if r.status != 1 || len(r.records) != 20 || r.summary(t).Failed["tls"] != 20 {
		t.Fatalf("status %d, %d records\n%s", r.status, len(r.records), r.stderr)
	}

	r = run(t, "-i", urls, "--insecure", "--map", "words")
	j.check(t, r)
	if !strings.Contains(r.stderr, "no certificate is verified") {
		t.Errorf("--insecure is not said aloud:\n%s", r.stderr)
	}
}

func TestFetchReadsInputAsAStream(t *testing.T) {
	asked := make(chan string, 10)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked <- r.URL.Path }))
	defer s.Close()
	r := begin(t, "-i", "-")
	r.give("# a comment", "", s.URL+"/first")
	if path := <-asked; path != "/first" { // while the input is open
		t.Fatal(path)
	}
	r.take(1)
	r.give("ftp://example.org/", s.URL+"/last")
	r.take(3)
	r.stdin.Close()
	out := r.end()
	bad := out.byURL(t)["ftp://example.org/"]
	if bad.kind() != "bad-url" || bad.Error.Line != 4 || !strings.Contains(out.stderr, "line 4: ") {
		t.Errorf("%+v %+v\n%s", bad, bad.Error, out.stderr)
	}
	if s := out.summary(t); out.status != 1 || s.OK != 2 || s.Failed["bad-url"] != 1 || len(out.records) != 3 {
		t.Errorf("status %d, %+v", out.status, s)
	}
}

func TestFetchSavesBodies(t *testing.T) {
	s := startSite(t)
	j := newJob(400, s.http, s.docs)
	dir := filepath.Join(t.TempDir(), "pages")
	r := run(t, "-i", j.file(t), "--save", dir, "--map", "words")
	j.check(t, r)
	for _, rec := range r.records {
		body, err := os.ReadFile(rec.Saved)
		if err != nil || len(body) != rec.Bytes || countWords(body) != rec.Result.Words {
			t.Fatalf("%+v: %d bytes, %v", rec, len(body), err)
		}
		if err := os.Remove(rec.Saved); err != nil {
			t.Fatal(err) // two URLs in one file, say
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Fatalf("left over: %v %v", left, err)
	}
}

func TestFetchMaxBodyIsExact(t *testing.T) {
	s := startSite(t)
	const limit = 12_000
	j := newJob(len(s.docs), s.http, s.docs)
	r := run(t, "-i", j.file(t), "--max-body", fmt.Sprint(limit))
	large := 0
	for _, rec := range r.records {
		want := "ok"
		if j.docs[rec.URL].bytes > limit {
			want = "too-large"
			large++
		}
		if rec.kind() != want || rec.Attempts != 1 {
			t.Errorf("%s: %d bytes: %s %+v", rec.URL, j.docs[rec.URL].bytes, rec.kind(), rec.Error)
		}
	}
	if r.status != 1 || len(r.records) != len(s.docs) || large < 50 || r.summary(t).Failed["too-large"] != large {
		t.Errorf("status %d, %d records, %d of them too large\n%s", r.status, len(r.records), large, r.stderr)
	}
}

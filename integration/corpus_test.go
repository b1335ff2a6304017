//go:build linux

package integration

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// document is what the test knows of a file that is served.
type document struct {
	path   string // of the URL
	bytes  int
	words  int
	sha256 string
}

const documents = 200

// writeCorpus fills dir with text of realistic sizes, the same in every run, and a few that are hard to count.
func writeCorpus(t *testing.T, dir string) (docs []document) {
	t.Helper()
	add := func(name string, text []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(text)
		docs = append(docs, document{"/" + name, len(text), countWords(text), hex.EncodeToString(sum[:])})
	}
	noise := make([]byte, 30_000)
	rand.NewChaCha8([32]byte{1}).Read(noise)
	add("empty.txt", nil)
	add("one.txt", []byte("x"))
	add("spaces.txt", bytes.Repeat([]byte(" \t\n\v\f\r"), 3000))
	add("letters.txt", bytes.Repeat([]byte("x"), 64<<10))
	add("noise.bin", noise)
	add("unicode.txt", []byte(strings.Repeat("a\u00a0b \u2003c\u0085d\n", 2000))) // spaces only to those who read runes
	for i := len(docs); i < documents; i++ {
		add(fmt.Sprintf("doc-%03d.txt", i), text(i))
	}
	return append(docs, corpusOfFigures(t, dir)...)
}

// text returns document i: sizes are log-normal as those of web pages, half of them under 12 KB.
func text(i int) []byte {
	rnd := rand.New(rand.NewPCG(uint64(i), 3))
	size := int(12000 * math.Exp(0.65*rnd.NormFloat64()))
	b := fmt.Appendf(nil, "Document %d\n\n", i)
	for len(b) < size {
		for range 1 + rnd.IntN(9) {
			b = append(b, byte('a'+rnd.IntN(26)))
		}
		b = append(b, " \n"[min(rnd.IntN(12), 10)/10])
	}
	return b
}

// countWords counts runs of bytes other than the six of ASCII that are spaces.
func countWords(text []byte) (n int) {
	space := true
	for _, c := range text {
		before := space
		if space = strings.IndexByte(" \t\n\v\f\r", c) >= 0; before && !space {
			n++
		}
	}
	return n
}

// corpusOfFigures links the corpus that DATA names into dir. Its manifest says what it holds.
func corpusOfFigures(t *testing.T, dir string) (docs []document) {
	t.Helper()
	data := os.Getenv("DATA")
	if data == "" {
		return nil
	}
	manifest, err := os.ReadFile(filepath.Join(data, "MANIFEST.tsv"))
	if err != nil {
		t.Fatalf("DATA: %v", err)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(manifest)), "\n")[1:] {
		f := strings.Split(line, "\t")
		size, err1 := strconv.Atoi(f[1])
		words, err2 := strconv.Atoi(f[2])
		if err1 != nil || err2 != nil {
			t.Fatalf("DATA: manifest: %q", line)
		}
		docs = append(docs, document{"/" + f[0], size, words, f[3]})
	}
	absolute, err := filepath.Abs(filepath.Join(data, "peps"))
	if err == nil {
		err = os.Symlink(absolute, filepath.Join(dir, "peps"))
	}
	if err != nil {
		t.Fatal(err)
	}
	return docs
}

// A job is URLs and what is behind them.
type job struct {
	urls []string
	docs map[string]document // by URL
}

// newJob repeats docs under base until there are n URLs, all different.
func newJob(n int, base string, docs []document) job {
	j := job{docs: make(map[string]document, n)}
	for i := range n {
		d := docs[i%len(docs)]
		url := fmt.Sprintf("%s%s?i=%d", base, d.path, i)
		j.urls, j.docs[url] = append(j.urls, url), d
	}
	return j
}

// file writes the URLs to a file, one a line.
func (j job) file(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "urls.txt")
	if err := os.WriteFile(name, []byte(strings.Join(j.urls, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// check compares a run of the words stage that is to have fetched everything with what is there.
func (j job) check(t *testing.T, r *outcome) {
	t.Helper()
	var size, words int
	var digest uint64
	seen := map[string]bool{}
	for _, rec := range r.records {
		d, ours := j.docs[rec.URL]
		switch {
		case !ours || seen[rec.URL]:
			t.Fatalf("%s: a record twice, or of a URL that nobody gave", rec.URL)
		case rec.Error != nil:
			t.Fatalf("%s: %+v", rec.URL, *rec.Error)
		case rec.Status != 200 || rec.FinalURL != rec.URL || rec.Bytes != d.bytes || rec.SHA256 != d.sha256 || rec.Result.Words != d.words:
			t.Fatalf("got %+v\nwant %+v", rec, d)
		}
		seen[rec.URL] = true
	}
	if len(seen) != len(j.urls) {
		t.Fatalf("%d records of %d", len(seen), len(j.urls))
	}
	for _, d := range j.docs {
		sum, err := hex.DecodeString(d.sha256)
		if err != nil {
			t.Fatal(err)
		}
		size, words, digest = size+d.bytes, words+d.words, digest+binary.BigEndian.Uint64(sum)
	}
	s := r.summary(t)
	want := summary{URLs: len(j.urls), OK: len(j.urls), Bytes: size, Check: fmt.Sprintf("%016x", digest), Failed: map[string]int{}}
	if s.Words != nil { // a built-in stage ran
		if *s.Words != words {
			t.Errorf("summary: %d words, want %d", *s.Words, words)
		}
		s.Words = nil
	}
	if fmt.Sprint(s) != fmt.Sprint(want) {
		t.Errorf("summary %+v, want %+v", s, want)
	}
	if r.status != 0 {
		t.Errorf("exit status %d\n%s", r.status, r.stderr)
	}
}

package rondohttp

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"pgregory.net/rapid"
)

// site makes a folder with files in it.
func site(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func fileServer(t testing.TB, dir string, o FileOptions) *Files {
	t.Helper()
	f, err := FileServer(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// fileFaces runs f against the files in dir by each way to serve them.
func fileFaces(t *testing.T, dir string, o FileOptions, f func(t *testing.T, url string)) {
	t.Run("native", func(t *testing.T) { f(t, "http://"+startServer(t, fileServer(t, dir, o)).addr) })
	t.Run("http", func(t *testing.T) {
		mux := http.NewServeMux()
		mux.Handle("/", fileServer(t, dir, o))
		f(t, "http://"+startServer(t, mux).addr)
	})
	t.Run("net-http", func(t *testing.T) {
		s := httptest.NewServer(fileServer(t, dir, o))
		t.Cleanup(s.Close)
		f(t, s.URL)
	})
}

// ask sends a request as it is, without following redirects, and returns the answer and its body.
func ask(t testing.TB, method, url string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	tr := &http.Transport{DisableCompression: true, DisableKeepAlives: true}
	r, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	return r, string(b)
}

var large = strings.Repeat("0123456789abcdef", 20_000) // more than is kept in memory

func TestFilesServe(t *testing.T) {
	dir := site(t, map[string]string{
		"index.html": "<h1>home</h1>", "a b&c.txt": "text", "large.bin": large, "sub/x.css": "body{}", "sub/.hidden": "no", ".secret": "no",
		".well-known/security.txt": "contact", "empty": "",
	})
	if err := os.WriteFile(filepath.Join(filepath.Dir(dir), "outside.txt"), []byte("outside"), 0o644); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"out": "../outside.txt", "in": "sub/x.css", "loop": "loop"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	fileFaces(t, dir, FileOptions{}, func(t *testing.T, url string) {
		for _, c := range []struct {
			target string
			status int
			body   string // "" is any
			typ    string
		}{
			{"/", 200, "<h1>home</h1>", "text/html; charset=utf-8"},
			{"/index.html", 200, "<h1>home</h1>", "text/html; charset=utf-8"},
			{"/a%20b%26c.txt", 200, "text", "text/plain; charset=utf-8"},
			{"/large.bin", 200, large, ""},
			{"/sub/x.css?v=1", 200, "body{}", "text/css; charset=utf-8"},
			{"/in", 200, "body{}", ""},
			{"/empty", 200, "", "text/plain; charset=utf-8"},
			{"/sub", 301, "", ""},
			{"/sub/", 404, "", ""},
			{"/out", 404, "", ""},
			{"/loop", 404, "", ""},
			{"/nothing", 404, "", ""},
			{"/index.html/", 404, "", ""},
			{"/index.html/x", 404, "", ""},
			{"/.secret", 404, "", ""},
			{"/sub/.hidden", 404, "", ""},
			{"/.well-known/security.txt", 200, "contact", ""},
			{"/%2e%2e/outside.txt", 400, "", ""},
			{"/sub/..%2f..%2foutside.txt", 400, "", ""},
			{"/a%00b", 400, "", ""},
			{"/" + strings.Repeat("x", 300), 404, "", ""},
		} {
			r, body := ask(t, "GET", url+c.target)
			if r.StatusCode != c.status || c.body != "" && body != c.body || c.typ != "" && r.Header.Get("Content-Type") != c.typ {
				t.Errorf("%s: %d %q %.40q, want %+.100v", c.target, r.StatusCode, r.Header.Get("Content-Type"), body, c)
			}
			if r.ContentLength != int64(len(body)) {
				t.Errorf("%s: Content-Length %d, body of %d", c.target, r.ContentLength, len(body))
			}
			h, none := ask(t, "HEAD", url+c.target)
			if h.StatusCode != r.StatusCode || h.ContentLength != r.ContentLength || none != "" || h.Header.Get("ETag") != r.Header.Get("ETag") {
				t.Errorf("HEAD %s: %d %d, GET %d %d", c.target, h.StatusCode, h.ContentLength, r.StatusCode, r.ContentLength)
			}
		}
		if r, _ := ask(t, "GET", url+"/sub?q=1"); r.Header.Get("Location") != "./sub/?q=1" {
			t.Errorf("Location %q", r.Header.Get("Location"))
		}
		if r, _ := ask(t, "POST", url+"/"); r.StatusCode != 405 || r.Header.Get("Allow") == "" {
			t.Errorf("POST: %d", r.StatusCode)
		}
	})
}

func TestFilesSeeChanges(t *testing.T) {
	dir := site(t, map[string]string{"a.txt": "one", "large.txt": large})
	f := fileServer(t, dir, FileOptions{Fresh: time.Nanosecond}) // each request looks
	url := "http://" + startServer(t, f).addr
	first, _ := ask(t, "GET", url+"/a.txt")
	if again, _ := ask(t, "GET", url+"/a.txt"); again.Header.Get("ETag") != first.Header.Get("ETag") {
		t.Error("the tag of a file that has not changed has")
	}
	os.WriteFile(filepath.Join(dir, "a.txt"), []byte("two, longer"), 0o644)
	os.WriteFile(filepath.Join(dir, "a.txt.gz"), []byte("not really gzip"), 0o644)
	os.WriteFile(filepath.Join(dir, "large.txt"), []byte("short"), 0o644)
	r, body := ask(t, "GET", url+"/a.txt")
	if body != "two, longer" || r.Header.Get("ETag") == first.Header.Get("ETag") {
		t.Errorf("%q, tag %s", body, r.Header.Get("ETag"))
	}
	if r, body := ask(t, "GET", url+"/a.txt", "Accept-Encoding", "gzip"); body != "not really gzip" || r.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("sibling: %q", body)
	}
	os.Remove(filepath.Join(dir, "a.txt.gz"))
	if _, body := ask(t, "GET", url+"/a.txt", "Accept-Encoding", "gzip"); body != "two, longer" {
		t.Errorf("sibling removed: %q", body)
	}
	if _, body := ask(t, "GET", url+"/large.txt"); body != "short" {
		t.Errorf("%.20q", body)
	}
	os.Remove(filepath.Join(dir, "a.txt"))
	if r, _ := ask(t, "GET", url+"/a.txt"); r.StatusCode != 404 {
		t.Errorf("removed: %d", r.StatusCode)
	}
}

func TestFilesCloseWhatTheyOpen(t *testing.T) {
	files := map[string]string{}
	for i := range 50 {
		files[fmt.Sprint(i)] = large
	}
	dir := site(t, files)
	before := descriptors(t)
	f, err := FileServer(dir, FileOptions{Fresh: time.Nanosecond})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		for i := range 50 {
			w := httptest.NewRecorder()
			f.ServeHTTP(w, httptest.NewRequest("GET", "/"+fmt.Sprint(i), nil))
			if w.Body.String() != large {
				t.Fatalf("%d: %d bytes", i, w.Body.Len())
			}
		}
		for i := range 50 { // others take their places
			os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), []byte(large), 0o644)
		}
	}
	f.Close()
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}

func TestFilesCacheIsBounded(t *testing.T) {
	fsys := fstest.MapFS{"a": {Data: []byte("a"), ModTime: time.Unix(1e9, 0)}}
	f := FileServerFS(fsys, FileOptions{Fresh: time.Hour})
	for i := range 3 * cachedFiles {
		w := httptest.NewRecorder()
		f.ServeHTTP(w, httptest.NewRequest("GET", strings.Repeat("/", i%cachedFiles*3+1)+"a", nil))
	}
	if n := len(f.cache.entries); n > cachedFiles {
		t.Errorf("%d entries", n)
	}
	f.cache.clear()
	if f.cache.memory != 0 {
		t.Errorf("%d bytes left", f.cache.memory)
	}
}

func TestFilesPrecompressed(t *testing.T) {
	dir := site(t, map[string]string{"a.js": "plain", "a.js.gz": "gzipped!", "a.js.br": "brotli", "b.js": "plain", "b.js.gz": "old"})
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "b.js.gz"), old, old); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a.js", "a.js.gz", "a.js.br"} {
		os.Chtimes(filepath.Join(dir, name), old, old)
	}
	fileFaces(t, dir, FileOptions{}, func(t *testing.T, url string) {
		tags := map[string]string{}
		for _, c := range []struct{ accept, body, coding string }{
			{"", "plain", ""}, {"gzip", "gzipped!", "gzip"}, {"br, gzip", "brotli", "br"}, {"gzip, br;q=0.5", "gzipped!", "gzip"},
			{"br;q=0, gzip;q=0", "plain", ""}, {"*", "brotli", "br"}, {"*;q=0.1, br;q=0", "gzipped!", "gzip"}, {"identity, gzip;q=0.9", "plain", ""},
			{"deflate", "plain", ""}, {"zstd", "plain", ""}, {"identity;q=0, gzip;q=0.001", "gzipped!", "gzip"},
		} {
			r, body := ask(t, "GET", url+"/a.js", "Accept-Encoding", c.accept)
			if body != c.body || r.Header.Get("Content-Encoding") != c.coding || r.Header.Get("Vary") != "Accept-Encoding" || r.Header.Get("Content-Type") != "text/javascript; charset=utf-8" {
				t.Errorf("%q: %q, %v", c.accept, body, r.Header)
			}
			tag := r.Header.Get("ETag")
			if was, ok := tags[tag]; ok && was != c.coding {
				t.Errorf("the tag of %q and %q is the same", was, c.coding)
			}
			tags[tag] = c.coding
			if r, _ := ask(t, "GET", url+"/a.js", "Accept-Encoding", c.accept, "If-None-Match", tag); r.StatusCode != 304 {
				t.Errorf("%q: %d with its own tag", c.accept, r.StatusCode)
			}
		}
		if _, body := ask(t, "GET", url+"/b.js", "Accept-Encoding", "gzip"); body != "plain" {
			t.Errorf("a sibling older than the file was served: %q", body)
		}
	})
}

func TestFilesCompress(t *testing.T) {
	text := strings.Repeat("the same words again and again. ", 300)
	dir := site(t, map[string]string{"a.txt": text, "large.txt": strings.Repeat(text, 10), "tiny.txt": "tiny", "a.png": text})
	fileFaces(t, dir, FileOptions{Compress: true}, func(t *testing.T, url string) {
		for _, coding := range []string{"gzip", "br", "zstd"} {
			for _, name := range []string{"a.txt", "large.txt"} {
				want, _ := os.ReadFile(filepath.Join(dir, name))
				for range 2 {
					r, body := ask(t, "GET", url+"/"+name, "Accept-Encoding", coding)
					if got := unpack(t, coding, body); got != string(want) || r.Header.Get("Content-Encoding") != coding || r.ContentLength != int64(len(body)) {
						t.Errorf("%s %s: %d bytes, %v", coding, name, len(got), r.Header)
					}
				}
			}
			for _, name := range []string{"tiny.txt", "a.png"} {
				if r, _ := ask(t, "GET", url+"/"+name, "Accept-Encoding", coding); r.Header.Get("Content-Encoding") != "" || r.Header.Get("Vary") != "" {
					t.Errorf("%s: %v", name, r.Header)
				}
			}
		}
	})
}

func TestFilesList(t *testing.T) {
	dir := site(t, map[string]string{"d/b.txt": "12", "d/a<script>&\".txt": "1", "d/javascript:alert(1)": "x", "d/sub/x": "", "d/.hidden": "", "e/.keep": ""})
	os.Symlink("/etc/passwd", filepath.Join(dir, "d/passwd"))
	fileFaces(t, dir, FileOptions{List: true}, func(t *testing.T, url string) {
		r, page := ask(t, "GET", url+"/d/", "Accept", "text/html,*/*;q=0.8")
		if r.StatusCode != 200 || !strings.HasPrefix(page, "<!DOCTYPE html>") || r.Header.Get("Vary") != "Accept" {
			t.Fatalf("%d %v", r.StatusCode, r.Header)
		}
		for _, want := range []string{`<a href="./a%3Cscript%3E&amp;%22.txt">a&lt;script&gt;&amp;&#34;.txt</a>`, `<a href="./javascript:alert%281%29">`, `<a href="./sub/">sub/</a>`, `<a href="../">../</a>`} {
			if !strings.Contains(page, want) {
				t.Errorf("no %s in %s", want, page)
			}
		}
		for _, not := range []string{"<script", "hidden", "passwd"} {
			if strings.Contains(page, not) {
				t.Errorf("%s in %s", not, page)
			}
		}
		names := func(query string) (all []string) {
			r, text := ask(t, "GET", url+"/d/"+query, "Accept", "application/json")
			var got []listed
			if err := json.Unmarshal([]byte(text), &got); err != nil || r.Header.Get("Content-Type") != "application/json" {
				t.Fatalf("%v: %s", err, text)
			}
			for _, l := range got {
				all = append(all, l.Name)
			}
			return all
		}
		const script = "a<script>&\".txt"
		if got := names(""); !slices.Equal(got, []string{"sub", script, "b.txt", "javascript:alert(1)"}) {
			t.Errorf("by name: %q", got)
		}
		if got := names("?sort=size&order=desc"); got[0] != "sub" || got[1] != "b.txt" {
			t.Errorf("by size: %q", got)
		}
		if _, page := ask(t, "GET", url+"/e/"); !strings.Contains(page, "empty") {
			t.Errorf("empty folder: %s", page)
		}
	})
}

func TestFilesFallbackAndAlter(t *testing.T) {
	dir := site(t, map[string]string{"index.html": "<body>app</body>"})
	f := fileServer(t, dir, FileOptions{Fallback: "index.html", Alter: func(p []byte) []byte { return bytes.ToUpper(p) }})
	url := "http://" + startServer(t, f).addr
	if r, body := ask(t, "GET", url+"/some/page", "Accept", "text/html"); r.StatusCode != 200 || body != "<BODY>APP</BODY>" {
		t.Errorf("%d %q", r.StatusCode, body)
	}
	if r, _ := ask(t, "GET", url+"/some/image.png", "Accept", "image/*"); r.StatusCode != 404 {
		t.Errorf("%d", r.StatusCode)
	}
}

//go:embed accept.go
var embedded embed.FS

func TestFilesOfFSWithoutTimes(t *testing.T) {
	f := FileServerFS(embedded, FileOptions{})
	want, _ := fs.ReadFile(embedded, "accept.go")
	url := "http://" + startServer(t, f).addr
	r, body := ask(t, "GET", url+"/accept.go")
	if body != string(want) || r.Header.Get("ETag") == "" || r.Header.Get("Last-Modified") != "" {
		t.Errorf("%v", r.Header)
	}
	if r, _ := ask(t, "GET", url+"/accept.go", "If-None-Match", r.Header.Get("ETag")); r.StatusCode != 304 {
		t.Errorf("%d", r.StatusCode)
	}
	if _, part := ask(t, "GET", url+"/accept.go", "Range", "bytes=3-9"); part != string(want[3:10]) {
		t.Errorf("%q", part)
	}
}

// TestFilesAnswerAsServeContent compares with net/http's ServeContent. What it leaves out, since RFC 9110 wants it otherwise than
// net/http does: units other than bytes, bytes=-0, Range with HEAD, and ranges of what is empty.
func TestFilesAnswerAsServeContent(t *testing.T) {
	for _, size := range []int{1, 10, len(large)} {
		t.Run(strconv.Itoa(size), func(t *testing.T) {
			dir := site(t, map[string]string{"x.txt": large[:size]})
			files := fileServer(t, dir, FileOptions{Fresh: time.Hour})
			w := httptest.NewRecorder()
			files.ServeHTTP(w, httptest.NewRequest("GET", "/x.txt", nil))
			tag := w.Header().Get("ETag")
			info, _ := os.Stat(filepath.Join(dir, "x.txt"))
			theirs := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("ETag", tag)
				http.ServeContent(w, r, "x.txt", info.ModTime(), strings.NewReader(large[:size]))
			})
			number := rapid.OneOf(rapid.IntRange(0, 20), rapid.IntRange(max(0, size-5), size+5), rapid.Just(1<<40))
			spec := rapid.Custom(func(t *rapid.T) string {
				a, b := number.Draw(t, "a"), number.Draw(t, "b")
				switch rapid.IntRange(0, 6).Draw(t, "form") {
				case 0:
					return fmt.Sprintf("%d-", a)
				case 1:
					return fmt.Sprintf("-%d", max(a, 1))
				case 2:
					return rapid.SampledFrom([]string{"", " ", "a-b", "-", "1-2-3", "5", " 0 - 1 ", "-1-"}).Draw(t, "odd")
				default:
					return fmt.Sprintf("%d-%d", a, b)
				}
			})
			dates := []time.Time{info.ModTime(), info.ModTime().Add(-time.Hour), info.ModTime().Add(time.Hour)}
			date := rapid.Custom(func(t *rapid.T) string {
				return rapid.SampledFrom(dates).Draw(t, "date").UTC().Format(http.TimeFormat)
			})
			tagOf := rapid.SampledFrom([]string{tag, "W/" + tag, `"other"`, "*", `"a", ` + tag, "W/" + tag + `, "b"`, "garbage", `"a`, ","})
			rapid.Check(t, func(t *rapid.T) {
				h := map[string]string{}
				if rapid.Bool().Draw(t, "range") {
					h["Range"] = "bytes=" + strings.Join(rapid.SliceOfN(spec, 1, 4).Draw(t, "ranges"), ",")
				}
				for _, name := range []string{"If-Match", "If-None-Match"} {
					if rapid.IntRange(0, 3).Draw(t, name) == 0 {
						h[name] = tagOf.Draw(t, "tag")
					}
				}
				for _, name := range []string{"If-Modified-Since", "If-Unmodified-Since"} {
					if rapid.IntRange(0, 3).Draw(t, name) == 0 {
						h[name] = date.Draw(t, "date")
					}
				}
				switch rapid.IntRange(0, 3).Draw(t, "if-range") {
				case 0:
					h["If-Range"] = tagOf.Draw(t, "tag")
				case 1:
					h["If-Range"] = date.Draw(t, "date")
				}
				answer := func(handler http.Handler) *http.Response {
					r := httptest.NewRequest("GET", "/x.txt", nil)
					for name, v := range h {
						r.Header.Set(name, v)
					}
					w := httptest.NewRecorder()
					handler.ServeHTTP(w, r)
					return w.Result()
				}
				got, want := answer(files), answer(theirs)
				same(t, got, want)
			})
		})
	}
}

// same compares two answers but for the words of errors and the boundaries of parts.
func same(t *rapid.T, got, want *http.Response) {
	if got.StatusCode != want.StatusCode {
		t.Fatalf("%d, net/http %d", got.StatusCode, want.StatusCode)
	}
	for _, name := range []string{"ETag", "Content-Range"} {
		if got.Header.Get(name) != want.Header.Get(name) {
			t.Fatalf("%s %q, net/http %q", name, got.Header.Get(name), want.Header.Get(name))
		}
	}
	if got.StatusCode >= 400 {
		return
	}
	g, w := partsOf(t, got), partsOf(t, want)
	if !maps.Equal(g, w) {
		t.Fatalf("%d parts, net/http %d, or others", len(g), len(w))
	}
}

func partsOf(t *rapid.T, r *http.Response) map[string]string {
	all := map[string]string{}
	body, _ := io.ReadAll(r.Body)
	if n := r.Header.Get("Content-Length"); r.StatusCode != 304 && n != strconv.Itoa(len(body)) {
		t.Fatalf("Content-Length %s, body of %d", n, len(body))
	}
	typ, params, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if typ != "multipart/byteranges" {
		return map[string]string{"": typ + string(body)}
	}
	mr := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	for i := 0; ; i++ {
		p, err := mr.NextPart()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(p)
		all[fmt.Sprint(i, p.Header)] = string(b)
	}
}

func TestParseRange(t *testing.T) {
	for _, x := range []struct {
		value string
		size  int64
		want  []byteRange
		err   error
	}{
		{"bytes=0-1, 5-,-2", 10, []byteRange{{0, 2}, {5, 5}, {8, 2}}, nil},
		{"bytes=0-9,0-9", 10, nil, nil}, // more than the whole
		{"items=0-1", 10, nil, nil},
		{"bytes=a-b", 10, nil, errRange},
		{"bytes=1-2-3", 10, nil, errRange},
		// Beyond the end nobody looks at what follows, as in net/http.
		{"bytes=1-2-3", 1, nil, errUnsatisfied},
		{"bytes=0-,1-2-3", 1, []byteRange{{0, 1}}, nil},
		{"bytes=1-2-3,-1099511627776", 1, []byteRange{{0, 1}}, nil},
	} {
		got, err := parseRange(x.value, x.size)
		if !slices.Equal(got, x.want) || err != x.err {
			t.Errorf("%s of %d: %v, %v; want %v, %v", x.value, x.size, got, err, x.want, x.err)
		}
	}
}

func FuzzParseRange(f *testing.F) {
	for _, s := range []string{"bytes=0-1", "bytes=-5", "bytes=5-", "bytes=0-0,2-3, 9-", "items=0-1", "bytes=", "bytes=99999999999999999999-"} {
		f.Add(s, int64(10))
	}
	f.Fuzz(func(t *testing.T, s string, size int64) {
		if size < 0 {
			return
		}
		all, err := parseRange(s, size)
		if err != nil && all != nil {
			t.Fatal("ranges and an error")
		}
		sum := int64(0)
		for _, r := range all {
			if r.at < 0 || r.n <= 0 || r.at+r.n > size {
				t.Fatalf("%q: %+v of %d", s, r, size)
			}
			sum += r.n
		}
		if sum > size {
			t.Fatalf("%q: %d of %d", s, sum, size)
		}
	})
}

func FuzzFileName(f *testing.F) {
	for _, s := range []string{"/", "/a/b", "/..", "/%2e%2e/x", "//a", "/a%2f..%2fb", "/.git/config", "/a\\..\\b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, _, err := fileName(s, false)
		if err != nil {
			return
		}
		if !fs.ValidPath(name) || slices.Contains(strings.Split(name, "/"), "..") {
			t.Fatalf("%q: %q", s, name)
		}
		for part := range strings.SplitSeq(name, "/") {
			if len(part) > 1 && part[0] == '.' && part != ".well-known" {
				t.Fatalf("%q: %q is hidden", s, name)
			}
		}
	})
}

func FuzzAcceptedCodings(f *testing.F) {
	for _, s := range []string{"gzip", "br;q=0.5, *;q=0", "identity;q=0", "gzip;q=1.000", ";;,,"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, q := range acceptedCodings(s) {
			if q < 0 || q > 1000 {
				t.Fatalf("%q: %d", s, q)
			}
		}
	})
}

func BenchmarkFiles(b *testing.B) {
	dir := site(b, map[string]string{"small.css": strings.Repeat("x", 1000), "large.bin": strings.Repeat(large, 10)})
	for _, name := range []string{"small.css", "large.bin"} {
		b.Run(name, func(b *testing.B) {
			s := startServer(b, fileServer(b, dir, FileOptions{}))
			c := s.dial()
			c.SetDeadline(time.Time{})
			want := make([]byte, 64<<10)
			b.ReportAllocs()
			for b.Loop() {
				io.WriteString(c, "GET /"+name+" HTTP/1.1\r\nHost: a\r\n\r\n")
				n, err := c.Read(want)
				if err != nil {
					b.Fatal(err)
				}
				head := bytes.Index(want[:n], []byte("\r\n\r\n")) + 4
				at := bytes.Index(want[:n], []byte("Content-Length: "))
				length, _ := strconv.Atoi(string(want[at+16 : at+16+bytes.IndexByte(want[at+16:], '\r')]))
				for left := length - (n - head); left > 0; left -= n {
					if n, err = c.Read(want); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

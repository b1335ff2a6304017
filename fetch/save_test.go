package fetch

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestSaverKeepsBodies(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "pages")
	s, err := NewSaver(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{"first", "", "second"} {
		path, err := s.Save("http://h/../../etc/passwd", []byte(body))
		if err != nil || filepath.Dir(path) != dir {
			t.Fatal(path, err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != body {
			t.Fatalf("%q, %v", got, err)
		}
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Fatal(files)
	}
}

func TestSaverLeavesNothingOfAFileItCannotWrite(t *testing.T) {
	dir := t.TempDir()
	s, _ := NewSaver(dir)
	if err := os.Mkdir(filepath.Join(dir, saveName("http://h/")), 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Save("http://h/", []byte("x")); err == nil || !strings.Contains(err.Error(), "save http://h/: ") {
		t.Fatal(err)
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Fatal(files)
	}
	os.RemoveAll(dir)
	if _, err := s.Save("http://h/", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}

func TestSaveNames(t *testing.T) {
	for url, want := range map[string]string{
		"http://h.example:8080/a/b.rst?q=1#f":      "h.example_8080_a_b-*.rst",
		"https://user:secret@h.example/":           "h.example-*",
		"https://h.example":                        "h.example-*",
		"http://h/x.tar.gz":                        "h_x.tar-*.gz",
		"http://h/" + strings.Repeat("long/", 100): "h_" + strings.Repeat("long_", 19) + "lon-*",
		"http://h/a.thisisnotanextension":          "h_a.thisisnotanextension-*",
		"http://h/\u00e9\x00\\:.html":              "h-*.html",
		"http://h/@x":                              "h__x-*",
	} {
		got := saveName(url)
		if ok, _ := filepath.Match(want, got); !ok {
			t.Errorf("%q: %s, want %s", url, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.String().Draw(t, "a"), rapid.String().Draw(t, "b")
		x, y := saveName("http://"+a), saveName("http://"+b)
		if (x == y) != (a == b) || !filepath.IsLocal(x) || len(x) > 150 || strings.ContainsAny(x, "/\\:") {
			t.Fatalf("%q and %q: %s and %s", a, b, x, y)
		}
	})
}

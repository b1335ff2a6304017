package http1

import (
	"net/url"
	"strings"
	"testing"
)

func TestSplitURL(t *testing.T) {
	for in, want := range map[string]URL{
		"http://127.0.0.1:18080/a/b.rst?i=7": {"http", "127.0.0.1:18080", "/a/b.rst?i=7", ""},
		"https://example.org":                {"https", "example.org", "/", ""},
		"http://example.org?q":               {"http", "example.org", "/?q", ""},
		"http://example.org/#top":            {"http", "example.org", "/", ""},
		"http://example.org/?":               {"http", "example.org", "/?", ""},
		"HTTP://Example.org/A":               {"http", "Example.org", "/A", ""},
		"http://example.org:/x":              {"http", "example.org", "/x", ""},
		"http://example.org//x/../y":         {"http", "example.org", "//x/../y", ""},
		"http://u:p%40@example.org/":         {"http", "example.org", "/", "u:p@"},
		"http://u@example.org/":              {"http", "example.org", "/", "u:"},
		"http://[::1]:80/":                   {"http", "[::1]:80", "/", ""},
		"http://[fe80::1%25eth0]/":           {"http", "[fe80::1%eth0]", "/", ""},
		"http://example.org/%41%2f":          {"http", "example.org", "/%41%2f", ""},
		"http://example.org/a b/%41%2f?c d":  {"http", "example.org", "/a%20b/A/?c%20d", ""},
		"http://example.org/é?é":             {"http", "example.org", "/%C3%A9?%C3%A9", ""},
		"http://example.org/|\"<>?|\"<>":     {"http", "example.org", "/%7C%22%3C%3E?|\"<>", ""},
		"http://bücher.example/":             {"http", "bücher.example", "/", ""},
	} {
		if got, err := SplitURL(in); err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", in, got, err, want)
		}
	}
}

func TestSplitURLRefuses(t *testing.T) {
	for in, want := range map[string]string{
		"":                          "no http://",
		"example.org/x":             "no http://",
		"/x":                        "no http://",
		"ftp://example.org/":        `unsupported scheme "ftp"`,
		"http:///x":                 "no host",
		"http://:80/x":              "no host",
		"http:example.org":          "no host",
		"http://exa mple.org/":      "invalid character",
		"http://example.org/a\r\nb": "invalid control character",
		"http://example.org/%zz":    "invalid URL escape",
		"http://exa<mple.org/":      "invalid character '<'",
		"http://example.org:x/":     "invalid port",
		"http://example.org:123456": "invalid port",
		"http://[::1/":              "missing ']'",
	} {
		if got, err := SplitURL(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %+v, %v, want %s", in, got, err, want)
		}
	}
}

func TestURLPort(t *testing.T) {
	for in, want := range map[string]string{"http://a/": "80", "https://a/": "443", "http://a:1/": "1", "https://[::1]/": "443", "https://[::1]:2/": "2"} {
		if u, err := SplitURL(in); err != nil || u.Port() != want {
			t.Errorf("%s: %q, %v", in, u.Port(), err)
		}
	}
}

func TestSplitURLAllocatesNothingOnPlainURLs(t *testing.T) {
	got := testing.AllocsPerRun(100, func() {
		if _, err := SplitURL("http://127.0.0.1:18080/pep-0001.rst?i=12345"); err != nil {
			t.Fatal(err)
		}
	})
	if got != 0 {
		t.Errorf("%v allocations", got)
	}
}

// FuzzSplitURL holds SplitURL to net/url: the same host, and the same target but for
// the bytes that it must not leave as they are.
func FuzzSplitURL(f *testing.F) {
	for _, s := range []string{"http://127.0.0.1:18080/a?i=7", "https://example.org", "http://e?q", "http://e/#top", "HTTP://E/A",
		"http://u:p@e/", "http://[::1%25e]:80/", "http://e/a b/%41%2f?c d%", "http://e/é?é", "http://e:/\\|", "http://e/*'()!$&,;=:@[]", "http://_e~/", "//e/", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := SplitURL(s)
		p, perr := url.Parse(s)
		if err != nil {
			return
		}
		if perr != nil {
			t.Fatalf("%q: net/url refuses it: %v", s, perr)
		}
		if got.Scheme != p.Scheme || got.Host != strings.TrimSuffix(p.Host, ":") || got.Target != escapeTarget(p.RequestURI()) {
			t.Fatalf("%q: %+v, net/url has %q %q", s, got, p.Host, p.RequestURI())
		}
		if got.Target[0] != '/' || strings.ContainsFunc(got.Target+got.Host, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			t.Fatalf("%q: unfit for a request line: %+v", s, got)
		}
	})
}

func BenchmarkSplitURL(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := SplitURL("http://127.0.0.1:18080/pep-0001.rst?i=12345"); err != nil {
			b.Fatal(err)
		}
	}
}

package fetch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
	"pgregory.net/rapid"
)

// attrsOf lists what a scan of b finds, as tag, name and value of each attribute.
func attrsOf(b []byte, sizes []int) []string {
	var m markup
	var got []string
	m.onAttr = func(tag, name, value []byte) { got = append(got, fmt.Sprintf("%s %s %q", tag, name, value)) }
	m.reset()
	for _, chunk := range split(b, sizes) {
		m.write(chunk)
	}
	return got
}

// attrsByTokenizer does the same with x/net/html.
func attrsByTokenizer(b []byte) []string {
	z := html.NewTokenizer(bytes.NewReader(b))
	var got []string
	for {
		switch z.Next() {
		case html.ErrorToken:
			return got
		case html.StartTagToken, html.SelfClosingTagToken:
			name, more := z.TagName()
			tag := string(name)
			for more {
				var key, value []byte
				key, value, more = z.TagAttr()
				if len(value) > 0 {
					got = append(got, fmt.Sprintf("%s %s %q", tag, key, value))
				}
			}
		}
	}
}

var htmlPieces = []string{
	"<a href=\"x\">", "<A HREF='y z'>", "<img src=z/>", "<a href = q >", "<a title='>' href=\"p\"/>", "</a href=no>",
	"<!-- <a href=no> -->", "<!---->", "<!-->", "<!-- a -- b --!>", "<!doctype html>", "<?xml href=no ?>", "</>",
	"<script>if (a<b) x = '<a href=no>'</script>", "<script src=s></script>", "<title>a <b> c</title>",
	"<style></sty</style>", "<textarea><a href=no></textarea>", "text", " ", "\n", "a < b ", "<3", "<a b href=u c=d>",
	"<a href=\"\nv\">", "<a/href=w>", "<b", ">", "<title></b</title>", "<a href=x&amp=y>",
}

func TestMarkupFindsWhatTheTokenizerFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOf(rapid.SampledFrom(htmlPieces)).Draw(t, "pieces"), "") + ">"
		sizes := rapid.SliceOfN(rapid.IntRange(1, 20), 0, 4).Draw(t, "sizes")
		got := attrsOf([]byte(text), sizes)
		got = slices.DeleteFunc(got, func(s string) bool { return strings.HasSuffix(s, ` ""`) })
		if want := attrsByTokenizer([]byte(text)); !slices.Equal(got, want) {
			t.Fatalf("%q:\n got %q\nwant %q", text, got, want)
		}
	})
}

// resultOf runs a stage over b in chunks.
func resultOf(s Stage, doc Document, b []byte, sizes []int) string {
	s.Reset(doc)
	for _, chunk := range split(b, sizes) {
		s.Write(chunk)
	}
	return string(s.AppendResult(nil))
}

func checkStages(t interface{ Fatalf(string, ...any) }, b []byte, sizes []int) {
	for _, name := range Builtins {
		for _, kind := range []string{"", "text/html", "text/plain"} {
			doc := Document{URL: "http://h/a/b", ContentType: kind}
			used, _ := NewStage(name)
			resultOf(used, doc, []byte("<title>old</title><a href=old>http://old.example/<ti"), nil)
			got := resultOf(used, doc, b, sizes)
			fresh, _ := NewStage(name)
			if want := resultOf(fresh, doc, b, nil); got != want {
				t.Fatalf("%s of %q as %q split by %v: %s; whole %s", name, b, kind, sizes, got, want)
			}
			if !json.Valid([]byte(got)) || strings.Contains(got, "\n") {
				t.Fatalf("%s of %q: not one line of JSON: %s", name, b, got)
			}
		}
	}
}

func TestStagesDoNotDependOnTheSplit(t *testing.T) {
	pieces := append([]string{"http://a.example/x", "https", "://b.example/(y).", "Title: ", " fold\r\n", "\n\n"}, htmlPieces...)
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOf(rapid.SampledFrom(pieces)).Draw(t, "pieces"), "")
		checkStages(t, []byte(text), rapid.SliceOfN(rapid.IntRange(1, 9), 1, 4).Draw(t, "sizes"))
	})
}

func FuzzStages(f *testing.F) {
	f.Add([]byte(strings.Join(htmlPieces, "")), 1, 5)
	f.Add([]byte("PEP: 1\r\nTitle: One\n two\n\nhttp://x.example/"), 3, 1)
	f.Fuzz(func(t *testing.T, b []byte, first, second int) {
		checkStages(t, b, []int{first, second})
	})
}

func TestLinksResults(t *testing.T) {
	for _, c := range []struct{ kind, text, want string }{
		{"text/html", `<a href="/x?a=1&amp;b=2#top">a</a><img src=i.png><a href="#here"><a href="mailto:me@h">`,
			`{"count":2,"links":["http://h/x?a=1&b=2","http://h/a/i.png"]}`},
		{"text/html", `<base href="https://other/d/"><a href=x><base href=//third><a href="?q">`,
			`{"count":2,"links":["https://other/d/x","https://other/d/?q"]}`},
		{"", "  \n<p><a href='y'>", `{"count":1,"links":["http://h/a/y"]}`},
		{"", "see `Rondo <https://x.example/a_(b)#c>`_ (http://y.example/). hhttp://z.example, https:// http:/q",
			`{"count":3,"links":["https://x.example/a_(b)","http://y.example/","http://z.example"]}`},
		{"text/html", "<a href='?a=1&copy=2&amp;b=&#51;'>", `{"count":1,"links":["http://h/a/b?a=1&copy=2&b=3"]}`},
		{"text/plain", "<a href=x>", `{"count":0,"links":[]}`},
	} {
		if got := resultOf(new(Links), Document{URL: "http://h/a/b", ContentType: c.kind}, []byte(c.text), []int{1, 7}); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.text, got, c.want)
		}
	}
}

func TestLinksAreBounded(t *testing.T) {
	var l Links
	l.Reset(Document{URL: "http://h/", ContentType: "text/html"})
	for i := range 5000 {
		l.Write(fmt.Appendf(nil, "<a href=%d>", i))
	}
	l.Write([]byte(`<img src="data:`))
	for range 1000 {
		l.Write(make([]byte, 1000))
	}
	var got struct {
		Count, More int
		Links       []string
	}
	if err := json.Unmarshal(l.AppendResult(nil), &got); err != nil {
		t.Fatal(err)
	}
	if got.Count != 5000 || got.More != 4000 || len(got.Links) != 1000 {
		t.Fatalf("count %d, more %d, listed %d", got.Count, got.More, len(got.Links))
	}
	if cap(l.scan.value) > 2*maxValue || cap(l.list) > 2*maxLinkBytes {
		t.Fatalf("kept %d and %d bytes", cap(l.scan.value), cap(l.list))
	}
}

func TestTitleResults(t *testing.T) {
	for _, c := range []struct{ kind, text, want string }{
		{"text/html", "<html><head><title>\n A &amp; B\t\n C </title><title>no</title>", `{"title":"A & B C"}`},
		{"", "<!-- <title>no</title> --><TITLE lang=en>a <b> c</TITLE>", `{"title":"a <b> c"}`},
		{"", "PEP: 8\nTitle: Style Guide\n  for Python\nAuthor: no\n", `{"title":"Style Guide for Python"}`},
		{"", "PEP: 8\r\nTITLE:Short\r\n\r\nTitle: no", `{"title":"Short"}`},
		{"text/plain", "Subtitle: no\n\nTitle: no\n", `{"title":null}`},
		{"text/html", "<title></title>", `{"title":null}`},
		{"", "", `{"title":null}`},
	} {
		if got := resultOf(new(Title), Document{ContentType: c.kind}, []byte(c.text), []int{1, 7}); got != c.want {
			t.Errorf("%q: got %s, want %s", c.text, got, c.want)
		}
	}
}

func TestNewStageNamesTheStagesThereAre(t *testing.T) {
	_, err := NewStage("wrods")
	if err == nil || !strings.Contains(err.Error(), "words, links, title") {
		t.Fatal(err)
	}
}

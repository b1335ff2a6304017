package fetch

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"
)

// naiveWords is the definition of a word, spelled out.
func naiveWords(b []byte) (words, lines uint64) {
	in := false
	for _, c := range b {
		switch c {
		case ' ', '\t', '\n', '\v', '\f', '\r':
			in = false
		default:
			if !in {
				words++
			}
			in = true
		}
		if c == '\n' {
			lines++
		}
	}
	return words, lines
}

// split cuts b in chunks whose sizes are drawn from sizes in turn.
func split(b []byte, sizes []int) [][]byte {
	var out [][]byte
	for i := 0; len(b) > 0; i++ {
		n := len(b)
		if len(sizes) > 0 {
			n = min(max(sizes[i%len(sizes)], 1), len(b))
		}
		out, b = append(out, b[:n]), b[n:]
	}
	return out
}

// textBytes draws bytes that are often spaces and the bytes beside them, at any alignment.
func textBytes() *rapid.Generator[[]byte] {
	near := rapid.SampledFrom([]byte("\t\n\v\f\r  a\x08\x0e\x1f!\x00\x7f\x80\x89\x8a\x8d\xa0\xff"))
	return rapid.OneOf(
		rapid.SliceOfN(rapid.Byte(), 0, 300),
		rapid.SliceOfN(near, 0, 300),
	)
}

func checkWords(t interface{ Fatalf(string, ...any) }, b []byte, sizes []int) {
	var w Words
	for _, chunk := range split(b, sizes) {
		w.Write(chunk)
	}
	words, lines := naiveWords(b)
	if w.words != words || w.lines != lines {
		t.Fatalf("words of %q split by %v: got %d words, %d lines; want %d, %d", b, sizes, w.words, w.lines, words, lines)
	}
}

func TestWordsEqualsTheDefinitionAtAnySplit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := textBytes().Draw(t, "text")
		checkWords(t, b, rapid.SliceOfN(rapid.IntRange(1, 130), 0, 8).Draw(t, "sizes"))
	})
}

func TestWordsClassifiesEveryPairOfBytes(t *testing.T) {
	for a := range 256 {
		for b := range 256 {
			for at := range 9 { // in each lane, across the border of two words, and in the tail
				text := bytes.Repeat([]byte{'x'}, 17)
				text[at+4], text[at+5] = byte(a), byte(b)
				checkWords(t, text, nil)
			}
		}
	}
}

func TestWordsOfSampleFiles(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.txt")
	if len(files) == 0 {
		t.Fatal("no sample in testdata")
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		checkWords(t, b, []int{1, 63, 64, 65, 1460})
		checkWords(t, b, nil)
	}
}

func TestWordsResult(t *testing.T) {
	var w Words
	w.Write([]byte("one tw"))
	w.Write([]byte("o\nthree"))
	if got := string(w.AppendResult(nil)); got != `{"words":3,"lines":1}` {
		t.Fatal(got)
	}
	w.Reset(Document{})
	if got := string(w.AppendResult(nil)); got != `{"words":0,"lines":0}` {
		t.Fatal(got)
	}
}

func FuzzWords(f *testing.F) {
	f.Add([]byte("a b\tc\r\nd"), 3, 8)
	f.Fuzz(func(t *testing.T, b []byte, first, second int) {
		checkWords(t, b, []int{first, second})
	})
}

func BenchmarkWords(b *testing.B) {
	text := bytes.Repeat([]byte("The quick brown fox jumps over the lazy dog, and then it\nrests in a quiet field.\n"), 200)
	for _, size := range []int{1400, len(text)} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			b.SetBytes(int64(size))
			b.ReportAllocs()
			var w Words
			for b.Loop() {
				w.Write(text[:size])
			}
		})
	}
}

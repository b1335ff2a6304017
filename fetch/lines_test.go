package fetch

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"pgregory.net/rapid"
)

// allLines takes everything.
func allLines(l *Lines) ([]Line, error) {
	var out []Line
	for {
		one, err := l.Next()
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		out = append(out, one)
	}
}

// naiveLines is what Lines means, spelled out.
func naiveLines(text string) (out []Line) {
	for i, s := range strings.Split(text, "\n") {
		s = strings.TrimFunc(s, func(r rune) bool { return r <= ' ' })
		if s == "" || s[0] == '#' {
			continue
		}
		out = append(out, line(i+1, s))
	}
	return out
}

// pieces is a reader that returns the given pieces one a Read.
type pieces [][]byte

func (p *pieces) Read(b []byte) (int, error) {
	if len(*p) == 0 {
		return 0, io.EOF
	}
	n := copy(b, (*p)[0])
	if (*p)[0] = (*p)[0][n:]; len((*p)[0]) == 0 {
		*p = (*p)[1:]
	}
	return n, nil
}

func checkLines(t interface{ Fatalf(string, ...any) }, text string, sizes []int) {
	p := pieces(split([]byte(text), sizes))
	got, err := allLines(NewLines(nil, &p, 0))
	if want := naiveLines(text); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("%q split by %v:\n got %v, %v\nwant %v", text, sizes, got, err, want)
	}
}

func TestLinesEqualsTheDefinitionAtAnySplit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		piece := rapid.SampledFrom([]string{"http://h/a", "https://h/b", "\n", "\r\n", "#", " ", "\t", "ftp://h/", "http://", "x",
			strings.Repeat("http://h/many\n", 150), strings.Repeat("y", 9000)})
		text := strings.Join(rapid.SliceOfN(piece, 0, 12).Draw(t, "pieces"), "")
		checkLines(t, text, rapid.SliceOfN(rapid.IntRange(1, 5000), 0, 4).Draw(t, "sizes"))
	})
}

func FuzzLines(f *testing.F) {
	f.Add("http://h/\r\n#c\n\nx", 3, 1)
	f.Fuzz(func(t *testing.T, text string, first, second int) {
		if len(text) < maxLine {
			checkLines(t, text, []int{first, second})
		}
	})
}

func TestLinesReportsABadLineWithItsNumber(t *testing.T) {
	text := "# list\nhttp://h/1\n\nexample.com/2\nhttp://h/a b\nHTTPS://H/3\nhttp:///x"
	got, err := allLines(NewLines([]string{"http://arg/"}, strings.NewReader(text), 0))
	if err != nil || len(got) != 6 {
		t.Fatal(got, err)
	}
	for i, want := range []string{"", "", "line 4: not a URL with http:// or https:// in front",
		"line 5: a space or control character inside; write it as %20", "", "line 7: no host"} {
		if s := fmt.Sprint(got[i].Err); s != want && !(want == "" && got[i].Err == nil) {
			t.Errorf("%q: %s, want %q", got[i].URL, s, want)
		}
	}
	if got[0].Number != 0 || got[1].Number != 2 || got[3].URL != "http://h/a b" {
		t.Error(got)
	}
}

func TestLinesSkipsALineThatIsTooLong(t *testing.T) {
	for _, extra := range []int{0, 1, 5000, 3 * maxLine} {
		text := "http://h/1\n" + strings.Repeat("x", maxLine+extra) + "\nhttp://h/3\n"
		got, err := allLines(NewLines(nil, strings.NewReader(text), 0))
		if err != nil || len(got) != 3 || got[1].Number != 2 || got[1].Err == nil || len(got[1].URL) != 200 || got[2].Number != 3 || got[2].URL != "http://h/3" {
			t.Errorf("%d too long: %d lines, %v", extra, len(got), err)
		}
	}
}

func TestLinesReportsWhyReadingEnded(t *testing.T) {
	broken := io.MultiReader(strings.NewReader("http://h/1\nhttp://h/2"), iotest.ErrReader(io.ErrNoProgress))
	got, err := allLines(NewLines(nil, broken, 0))
	if len(got) != 2 || !errors.Is(err, io.ErrNoProgress) {
		t.Fatal(got, err)
	}
}

func TestLinesDeliversEachLineAsItArrives(t *testing.T) {
	r, w := io.Pipe()
	l := NewLines(nil, r, 0)
	for i := range 3 {
		want := fmt.Sprintf("http://h/%d", i)
		fmt.Fprintf(w, "%s\nhttp://h/unfin", want)
		got, err := l.Next() // would block for ever if the line were held back
		if err != nil || got.URL != want {
			t.Fatal(got, err)
		}
		io.WriteString(w, "ished\n")
		l.Next()
	}
	w.Close()
	if _, err := l.Next(); err != io.EOF {
		t.Fatal(err)
	}
}

// endless is an input without end that counts what is read of it.
type endless struct{ read int }

func (e *endless) Read(b []byte) (int, error) {
	n := copy(b, strings.Repeat("http://h/x\n", len(b)/11+1))
	e.read += n
	return n, nil
}

func TestLinesReadsNoFurtherThanAFewBatchesAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var in endless
		l := NewLines(nil, &in, 0)
		synctest.Wait()
		before := in.read
		if before > 64<<10 {
			t.Fatalf("%d bytes read ahead", before)
		}
		for range 10_000 {
			l.TryNext()
			synctest.Wait()
		}
		if in.read <= before {
			t.Fatal("reading did not go on")
		}
		called := 0
		l.OnReady(func() { called++ })
		if called != 1 {
			t.Fatal("OnReady did not call in place")
		}
		l.Close()
		synctest.Wait()
		if _, ok, end, _ := l.TryNext(); ok || !end {
			t.Fatal("Close did not end the stream")
		}
	})
}

func TestLinesOnReadyWakesOnABatchAndOnTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		l := NewLines(nil, r, 0)
		woken := 0
		l.OnReady(func() { woken++ })
		l.OnReady(func() { woken++ })
		synctest.Wait()
		if woken != 0 {
			t.Fatal("woken for nothing")
		}
		io.WriteString(w, "# comment\n\n")
		synctest.Wait()
		if woken != 0 {
			t.Fatal("woken by a comment")
		}
		io.WriteString(w, "http://h/\n")
		synctest.Wait()
		if woken != 2 {
			t.Fatal("woken", woken)
		}
		l.TryNext()
		l.OnReady(func() { woken++ })
		w.Close()
		synctest.Wait()
		if woken != 3 {
			t.Fatal("not woken by the end")
		}
	})
}

func TestLinesDealByURL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text strings.Builder
		for i := range 10_000 {
			fmt.Fprintf(&text, "http://h%d/\n", i)
		}
		digit := func(url string) int { return int(url[len(url)-2]-'0') % 3 }
		to := NewLines(nil, strings.NewReader(text.String()), 0).Deal(3, digit)
		n := 0
		for progress := true; progress; {
			progress = false
			for i, l := range to {
				synctest.Wait()
				if one, ok, _, _ := l.TryNext(); ok {
					if digit(one.URL) != i {
						t.Fatalf("%s came to %d", one.URL, i)
					}
					n++
					progress = true
				}
			}
		}
		for _, l := range to {
			if _, ok, end, err := l.TryNext(); ok || !end || err != nil {
				t.Fatal(ok, end, err)
			}
		}
		if n != 10_000 {
			t.Fatal(n, "lines")
		}
	})
}

func TestLinesTotal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := strings.Repeat("http://h/x\n", 50000)
		l := NewLines(nil, strings.NewReader(text), int64(len(text)))
		synctest.Wait()
		if n, known := l.Total(); !known || n < 40000 || n > 60000 {
			t.Fatalf("estimate %d, %v", n, known)
		}
		allLines(l)
		if n, known := l.Total(); !known || n != 50000 {
			t.Fatalf("total %d, %v", n, known)
		}
		r, w := io.Pipe()
		l = NewLines(nil, r, 0)
		io.WriteString(w, text[:11])
		synctest.Wait()
		if n, known := l.Total(); known {
			t.Fatal("a pipe's total is not known", n)
		}
		w.Close()
	})
}

func BenchmarkLines(b *testing.B) {
	const n = 100_000
	text := strings.Repeat("http://127.0.0.1:18080/peps/pep-0001.rst?n=1234\n", n)
	b.ReportAllocs()
	for b.Loop() {
		l := NewLines(nil, strings.NewReader(text), 0)
		for {
			if _, err := l.Next(); err != nil {
				break
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/line")
}

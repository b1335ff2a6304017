package fetch

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// recordJSON is what a program that reads the output sees.
type recordJSON struct {
	URL       string          `json:"url"`
	FinalURL  string          `json:"final_url"`
	Status    int             `json:"status"`
	Bytes     int64           `json:"bytes"`
	SHA256    string          `json:"sha256"`
	Attempts  int             `json:"attempts"`
	ElapsedMS float64         `json:"elapsed_ms"`
	Saved     string          `json:"saved"`
	Result    json.RawMessage `json:"result"`
	Error     *struct {
		Kind, Message string
		Line          int
	} `json:"error"`
}

// anyBytes draws strings that need not be UTF-8.
func anyBytes() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 20), func(b []byte) string { return string(b) }),
		rapid.String(),
		rapid.SampledFrom([]string{"", "http://h/", "\u2028\u2029\ufffd", "\xe2\x80", "\xed\xa0\x80", "\"\\\x00\n<&>", "\xf0\x9f\x98\x80"}),
	)
}

func TestAppendStringReadsBackAsEncodingJSONsOwn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := anyBytes().Draw(t, "s")
		want, _ := json.Marshal(s)
		var a, b string
		if err := json.Unmarshal(appendString(nil, s), &a); err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		if err := json.Unmarshal(appendString(nil, []byte(s)), &b); err != nil || b != a {
			t.Fatalf("%q as bytes: %q, %v", s, b, err)
		}
		var w string
		_ = json.Unmarshal(want, &w)
		if a != w {
			t.Fatalf("%q: reads back as %q, want %q", s, a, w)
		}
	})
}

func TestRecordReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		str := anyBytes()
		r := Record{
			URL: str.Draw(t, "url"), FinalURL: str.Draw(t, "final"), Status: rapid.IntRange(0, 599).Draw(t, "status"),
			Bytes: rapid.Int64Min(0).Draw(t, "bytes"), Attempts: rapid.IntRange(0, 9).Draw(t, "attempts"),
			HasSum: rapid.Bool().Draw(t, "hassum"), Sum: sha256.Sum256(nil), Saved: str.Draw(t, "saved"),
			Elapsed: time.Duration(rapid.Int64Range(0, 1e12).Draw(t, "us")) * time.Microsecond,
			Line:    rapid.IntRange(0, 9).Draw(t, "line"),
		}
		if rapid.Bool().Draw(t, "ran") {
			r.Result = []byte(`{"words":3}`)
		}
		if rapid.Bool().Draw(t, "failed") {
			r.Kind, r.Message = kindReset, str.Draw(t, "message")
		}
		line := r.AppendJSON(nil)
		var got recordJSON
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		utf8 := func(s string) string { return strings.ToValidUTF8(string([]rune(s)), "\ufffd") }
		want := recordJSON{URL: utf8(r.URL), FinalURL: utf8(r.FinalURL), Status: r.Status, Bytes: r.Bytes, Attempts: r.Attempts,
			ElapsedMS: float64(r.Elapsed.Microseconds()) / 1000, Saved: utf8(r.Saved), Result: r.Result, Error: got.Error}
		if r.HasSum {
			want.SHA256 = hex.EncodeToString(r.Sum[:])
		}
		if !reflect.DeepEqual(got, want) || strings.Contains(string(line), "\n") {
			t.Fatalf("got %+v\nwant %+v", got, want)
		}
		if (got.Error != nil) != (r.Kind != "") {
			t.Fatalf("%s: an error must be there on failure and only then", line)
		}
		if e := got.Error; e != nil && (e.Kind != string(r.Kind) || e.Message != utf8(r.Message) || e.Line != r.Line) {
			t.Fatalf("error %+v of %+v", *e, r)
		}
	})
}

func sampleRecord() *Record {
	return &Record{URL: "http://127.0.0.1:18080/peps/pep-0001.rst", FinalURL: "http://127.0.0.1:18080/peps/pep-0001.rst",
		Status: 200, Bytes: 41682, HasSum: true, Attempts: 1, Elapsed: 1234567, Result: []byte(`{"words":6317,"lines":900}`)}
}

func TestRecordDoesNotAllocate(t *testing.T) {
	r, buf := sampleRecord(), make([]byte, 0, 1024)
	r.URL += "/\u00e9\xff\"\u2028"
	if n := testing.AllocsPerRun(100, func() { buf = r.AppendJSON(buf[:0]) }); n != 0 {
		t.Fatalf("%v allocations a record", n)
	}
}

func FuzzAppendString(f *testing.F) {
	f.Add("a\"\\\x00\xff\u2028")
	f.Fuzz(func(t *testing.T, s string) {
		var got string
		if err := json.Unmarshal(appendString(nil, s), &got); err != nil || got != string([]rune(s)) {
			t.Fatalf("%q: %q, %v", s, got, err)
		}
	})
}

func BenchmarkRecord(b *testing.B) {
	r, buf := sampleRecord(), make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		buf = r.AppendJSON(buf[:0])
	}
}

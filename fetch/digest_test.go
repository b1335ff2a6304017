package fetch

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

func TestDigestIsTheSHA256AtAnySplit(t *testing.T) {
	d := NewDigest()
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 0, 400).Draw(t, "body")
		d.Reset()
		for _, chunk := range split(b, rapid.SliceOfN(rapid.IntRange(1, 130), 0, 4).Draw(t, "sizes")) {
			d.Write(chunk)
		}
		if got, want := *d.Sum(), sha256.Sum256(b); got != want {
			t.Fatalf("got %x, want %x", got, want)
		}
	})
}

func TestCheckDoesNotDependOnTheOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bodies := rapid.SliceOf(rapid.String()).Draw(t, "bodies")
		var want uint64
		for _, b := range bodies {
			sum := sha256.Sum256([]byte(b))
			want += binary.BigEndian.Uint64(sum[:8])
		}
		var loops [2]Check
		for i, b := range rapid.Permutation(bodies).Draw(t, "order") {
			sum := sha256.Sum256([]byte(b))
			loops[i%2].Add(&sum)
		}
		if got := (loops[0] + loops[1]).String(); got != fmt.Sprintf("%016x", want) {
			t.Fatalf("got %s, want %016x", got, want)
		}
	})
}

func BenchmarkDigest(b *testing.B) {
	body := make([]byte, 16<<10)
	d := NewDigest()
	var c Check
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		d.Reset()
		d.Write(body)
		c.Add(d.Sum())
	}
}

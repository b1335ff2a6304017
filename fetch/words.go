package fetch

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"strconv"
)

// Words counts words and lines. A word is a run of bytes other than space, \t, \n, \v, \f and \r; a line is counted
// by its \n. The zero value is ready for the first chunk.
type Words struct {
	words, lines uint64
	inWord       bool // the last chunk ended inside a word
}

// Reset implements [Stage].
func (w *Words) Reset(Document) { *w = Words{} }

// Write implements [Stage].
func (w *Words) Write(p []byte) {
	w.lines += uint64(bytes.Count(p, newline))
	w.countWords(p)
}

// Count returns the words so far.
func (w *Words) Count() uint64 { return w.words }

// AppendResult appends {"words":N,"lines":M}.
func (w *Words) AppendResult(dst []byte) []byte {
	dst = append(dst, `{"words":`...)
	dst = strconv.AppendUint(dst, w.words, 10)
	dst = append(dst, `,"lines":`...)
	dst = strconv.AppendUint(dst, w.lines, 10)
	return append(dst, '}')
}

var newline = []byte{'\n'}

const (
	each  = 0x0101010101010101 // times b: b in each byte
	highs = 0x80 * each
	lows  = 0x7f * each
)

// spaces returns a word whose byte i is 0x80 where byte i of x is one of the six space bytes and 0 elsewhere.
//
// The sums work on the low seven bits of each byte, so none carries into the next: adding 0x80-k raises the high bit
// where the byte is at least k. The last term clears the bytes from 0x80 on.
func spaces(x uint64) uint64 {
	low := x & lows
	from9 := low + (0x80-9)*each
	from14 := low + (0x80-14)*each
	not32 := (low ^ ' '*each) + lows
	return (from9&^from14 | ^not32) &^ x & highs
}

// countWords adds the words that start in p, eight bytes at a time: a byte starts a word if it is no space and the
// byte before it is. A loop over the bytes with a table takes three to four times as long.
func (w *Words) countWords(p []byte) {
	before := uint64(0x80) // 0x80 if the byte before is a space
	if w.inWord {
		before = 0
	}
	n := 0
	// 64 bytes a round: the eight masks have one bit a byte to say, so shifted against each other they share a word,
	// and one population count serves all.
	for len(p) >= 64 {
		q := p[:64]
		s0 := spaces(binary.LittleEndian.Uint64(q))
		s1 := spaces(binary.LittleEndian.Uint64(q[8:]))
		s2 := spaces(binary.LittleEndian.Uint64(q[16:]))
		s3 := spaces(binary.LittleEndian.Uint64(q[24:]))
		starts := (s0<<8 | before) &^ s0
		starts |= (s1<<8 | s0>>56) &^ s1 >> 1
		starts |= (s2<<8 | s1>>56) &^ s2 >> 2
		starts |= (s3<<8 | s2>>56) &^ s3 >> 3
		s4 := spaces(binary.LittleEndian.Uint64(q[32:]))
		s5 := spaces(binary.LittleEndian.Uint64(q[40:]))
		s6 := spaces(binary.LittleEndian.Uint64(q[48:]))
		s7 := spaces(binary.LittleEndian.Uint64(q[56:]))
		starts |= (s4<<8 | s3>>56) &^ s4 >> 4
		starts |= (s5<<8 | s4>>56) &^ s5 >> 5
		starts |= (s6<<8 | s5>>56) &^ s6 >> 6
		starts |= (s7<<8 | s6>>56) &^ s7 >> 7
		n += bits.OnesCount64(starts)
		before = s7 >> 56
		p = p[64:]
	}
	for len(p) >= 8 {
		s := spaces(binary.LittleEndian.Uint64(p))
		n += bits.OnesCount64((s<<8 | before) &^ s)
		before = s >> 56
		p = p[8:]
	}
	for _, c := range p {
		s := spaces(uint64(c)) & 0x80
		n += int((before &^ s) >> 7)
		before = s
	}
	w.words += uint64(n)
	w.inWord = before == 0
}

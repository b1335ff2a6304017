package websocket

import (
	"math/bits"
	"sync"
	"unicode/utf8"
)

// buffers are pools of buffers of 4, 16, 64 and 256 KiB.
var buffers [4]sync.Pool

// class returns the index of the smallest buffers that n bytes fit in, len(buffers) if there are none.
func class(n int) int {
	return max(0, (bits.Len(uint(max(n, 1)-1))-12+1)/2)
}

// buffer returns a buffer of at least n bytes.
func buffer(n int) *[]byte {
	k := class(n)
	if k >= len(buffers) {
		b := make([]byte, n)
		return &b
	}
	if b, ok := buffers[k].Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, 4<<10<<(2*k))
	return &b
}

func putBuffer(b *[]byte) {
	if k := class(len(*b)); k < len(buffers) && len(*b) == 4<<10<<(2*k) {
		buffers[k].Put(b)
	}
}

// A textCheck says whether what comes in pieces is UTF-8, as soon as that can be said.
type textCheck struct {
	rest [utf8.UTFMax]byte // of a character that is not whole yet
	n    uint8
}

// write reports whether p can be what comes next.
func (t *textCheck) write(p []byte) bool {
	for t.n > 0 && len(p) > 0 {
		t.rest[t.n] = p[0]
		t.n++
		p = p[1:]
		if c := t.rest[:t.n]; utf8.FullRune(c) {
			if r, size := utf8.DecodeRune(c); r == utf8.RuneError && size == 1 {
				return false
			}
			t.n = 0
		}
	}
	whole := len(p)
	for i := 1; i < utf8.UTFMax && i <= len(p); i++ {
		if utf8.RuneStart(p[len(p)-i]) {
			if !utf8.FullRune(p[len(p)-i:]) {
				whole -= i
			}
			break
		}
	}
	if !utf8.Valid(p[:whole]) {
		return false
	}
	t.n += uint8(copy(t.rest[t.n:], p[whole:]))
	return true
}

// end reports whether the text may end here, and makes t ready for the next.
func (t *textCheck) end() bool {
	whole := t.n == 0
	t.n = 0
	return whole
}

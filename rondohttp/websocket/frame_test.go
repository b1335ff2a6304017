package websocket

import (
	"bytes"
	stdflate "compress/flate"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

func FuzzTextCheck(f *testing.F) {
	for _, s := range []string{"", "abc", "κόσμε", "\xf4\x90\x80\x80", "\xed\xa0\x80", "\xe2\x82", "😀", "\xc0\xaf"} {
		f.Add([]byte(s), uint64(1))
	}
	f.Fuzz(func(t *testing.T, p []byte, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 0))
		var c textCheck
		ok := true
		for rest := p; ok && len(rest) > 0; {
			n := 1 + r.IntN(min(len(rest), 5))
			ok = c.write(rest[:n])
			if seen := p[:len(p)-len(rest)+n]; !ok && utf8.Valid(seen) {
				t.Fatalf("%q refused", seen)
			}
			rest = rest[n:]
		}
		if ok = ok && c.end(); ok != utf8.Valid(p) {
			t.Fatalf("%q: %v", p, ok)
		}
	})
}

func FuzzHeader(f *testing.F) {
	f.Add([]byte("\x81\x05hello"))
	f.Add([]byte("\x82\xfe\x01\x00abcd"))
	f.Add([]byte("\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		want, err := ws.ReadHeader(r)
		h, n, ok := parseHeader(b)
		if err != nil {
			if ok && h.Length >= 0 {
				t.Fatalf("%q: %+v, want %v", b, h, err)
			}
			return
		}
		if !ok || h != want || n != len(b)-r.Len() {
			t.Fatalf("%q: %+v %d %v, want %+v", b, h, n, ok, want)
		}
		again := appendHeader(nil, h.OpCode, h.Fin, h.Rsv1(), int(h.Length), h.Masked, h.Mask)
		if h.Rsv&3 == 0 && n == ws.HeaderSize(h) && !bytes.Equal(again, b[:n]) {
			t.Fatalf("%q: rendered %q", b[:n], again)
		}
	})
}

// A script is a connection that has a stream of bytes to read, in pieces, and takes what is written.
type script struct {
	net.Conn
	r io.Reader
}

func (s *script) Read(p []byte) (int, error)  { return s.r.Read(p) }
func (s *script) Write(p []byte) (int, error) { return len(p), nil }
func (s *script) Close() error                { return nil }

// FuzzConn reads the same bytes at once and one by one: both have to find the same messages, and to end.
func FuzzConn(f *testing.F) {
	f.Add([]byte("\x01\x82\x00\x00\x00\x00ab\x89\x80\x00\x00\x00\x00\x80\x81\x00\x00\x00\x00c\x82\x80\x00\x00\x00\x00\x88\x80\x00\x00\x00\x00"))
	f.Add([]byte("\xc1\x87\x00\x00\x00\x00\xf2\x48\xcd\xc9\xc9\x07\x00"))
	f.Add([]byte("\x81\x83\x01\x02\x03\x04abc"))
	f.Fuzz(func(t *testing.T, b []byte) {
		read := func(r io.Reader) (all []Message, err error) {
			c := newConn(&script{r: r}, nil, &Options{MessageLimit: 1 << 16}, false, (&Compression{ContextTakeover: true}).deflate(), "")
			c.deflate.receiveContext = true
			for {
				m, err := c.Read(context.Background())
				if err != nil {
					return all, err
				}
				if m.Type == Text && !utf8.Valid(m.Data) {
					t.Fatalf("text %q", m.Data)
				}
				all = append(all, m)
			}
		}
		whole, err1 := read(bytes.NewReader(b))
		single, err2 := read(iotest.OneByteReader(bytes.NewReader(b)))
		if len(whole) != len(single) || CloseStatus(err1) != CloseStatus(err2) {
			t.Fatalf("%d messages, %v; one by one %d, %v", len(whole), err1, len(single), err2)
		}
		for i := range whole {
			if whole[i].Type != single[i].Type || !bytes.Equal(whole[i].Data, single[i].Data) {
				t.Fatalf("message %d: %q, one by one %q", i, whole[i].Data, single[i].Data)
			}
		}
	})
}

// script has no deadlines to set.
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

func FuzzDeflate(f *testing.F) {
	f.Add([]byte("hello hello hello"), uint8(9), true)
	f.Add(bytes.Repeat([]byte("0123456789abcdef"), 5000), uint8(15), true)
	f.Fuzz(func(t *testing.T, p []byte, bits uint8, context bool) {
		c := Compression{WindowBits: 9 + int(bits)%7, ContextTakeover: context}
		from, to := c.deflate(), c.deflate()
		from.sendContext, to.receiveContext, to.receiveBits = context, context, c.bits()
		var stream []byte
		var plain []byte
		for i := range 4 {
			m := p[i*len(p)/8:]
			b, err := from.compress(nil, m)
			if err != nil {
				t.Fatal(err)
			}
			if context { // what another decompressor makes of all of it
				stream = append(append(stream, b...), flushed...)
				plain = append(plain, m...)
			}
			got, err := to.decompress(b, int64(len(p)))
			if err != nil || !bytes.Equal(got, m) {
				t.Fatalf("message %d of %d bytes: %d bytes, %v", i, len(m), len(got), err)
			}
		}
		got, _ := io.ReadAll(stdflate.NewReader(bytes.NewReader(stream)))
		if context && !bytes.Equal(got, plain) {
			t.Fatalf("the standard library reads %d bytes of %d", len(got), len(plain))
		}
	})
}

func TestDeflateBoundsOutput(t *testing.T) {
	d := (&Compression{}).deflate()
	b, err := d.compress(nil, []byte(strings.Repeat("x", 1<<20)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.decompress(b, 1<<20-1); err != errTooBig {
		t.Errorf("beyond the limit: %v", err)
	}
	b, _ = d.compress(nil, []byte(strings.Repeat("x", 1<<20)))
	if p, err := d.decompress(b, 1<<20); err != nil || len(p) != 1<<20 {
		t.Errorf("at the limit: %d, %v", len(p), err)
	}
}
